"""Weighing: what putting another file in a file's place would change."""

import mmap
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import numpy.typing as npt

from ingestion_pipeline.stores.disk.row_index import RowIndex


def gone(before: RowIndex | None, after: RowIndex | None) -> int:
    """How many row_ids are not there any more."""
    if before is None:
        return 0
    return len(np.unique(before.hashes) if after is None else np.setdiff1d(before.hashes, after.hashes))


def changed(before: Path, was: RowIndex, after: Path, now_is: RowIndex) -> int | None:
    """How many row_ids of both files have another first line; None where the two are spelled otherwise.

    Args:
        before: The one file.
        was: Its index.
        after: The other.
        now_is: Its index.
    """
    if was.dialect != now_is.dialect:
        return None
    _, here, there = np.intersect1d(was.hashes, now_is.hashes, return_indices=True)
    with _mapped(before) as one, _mapped(after) as other:
        pairs = zip(_lines(one, was, here), _lines(other, now_is, there), strict=True)
        return sum(line != changed_line for line, changed_line in pairs)


@contextmanager
def _mapped(path: Path) -> Iterator[bytes | mmap.mmap]:
    with path.open("rb") as file:
        if not path.stat().st_size:
            yield b""
            return
        with mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as mapped:
            yield mapped


def _lines(data: bytes | mmap.mmap, index: RowIndex, places: npt.NDArray[np.intp]) -> Iterator[bytes]:
    """The lines at these places, without their ends."""
    begins = index.offsets[places].tolist()
    lengths = index.lengths[places].tolist()
    for begin, length in zip(begins, lengths, strict=True):
        yield data[begin : begin + length].rstrip(b"\r\n")

"""Weighing: what putting another file in a file's place would change."""

import os
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO

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
    with before.open("rb") as one, after.open("rb") as other:
        pairs = zip(_lines(one, was, here), _lines(other, now_is, there), strict=True)
        return sum(line != changed_line for line, changed_line in pairs)


def _lines(file: BinaryIO, index: RowIndex, places: npt.NDArray[np.intp]) -> Iterator[bytes]:
    """The lines at these places, without their ends."""
    begins = index.offsets[places].tolist()
    lengths = index.lengths[places].tolist()
    for begin, length in zip(begins, lengths, strict=True):
        yield os.pread(file.fileno(), length, begin).rstrip(b"\r\n")

"""Weighing: what putting another file in a file's place would change."""

import hashlib
from pathlib import Path

import numpy as np
import numpy.typing as npt

from ingestion_pipeline.stores.disk.row_index import RowIndex

_LINES = np.dtype([("row_id", np.uint64), ("line", np.uint64)])


def gone(before: RowIndex | None, after: RowIndex | None) -> int:
    """How many row_ids are not there any more."""
    if before is None:
        return 0
    return len(np.unique(before.hashes) if after is None else np.setdiff1d(before.hashes, after.hashes))


def changed(before: Path, was: RowIndex, after: Path, now_is: RowIndex) -> int | None:
    """How many row_ids of both files have other lines; None where the two are spelled otherwise.

    Args:
        before: The one file.
        was: Its index.
        after: The other.
        now_is: Its index.
    """
    if was.dialect != now_is.dialect:
        return None
    differing = np.setxor1d(_lines(before, was), _lines(after, now_is))["row_id"]
    both = np.intersect1d(was.hashes, now_is.hashes)
    return len(np.intersect1d(differing, both))


def _lines(path: Path, index: RowIndex) -> npt.NDArray[np.void]:
    """A row_id and a digest of each line, without its end."""
    with path.open("rb") as file:
        file.seek(index.head)
        lines = (file.read(int(length)).rstrip(b"\r\n") for length in index.lengths)
        digests = [hashlib.blake2b(line, digest_size=8).digest() for line in lines]
    found = np.empty(len(digests), dtype=_LINES)
    found["row_id"] = index.hashes
    found["line"] = np.frombuffer(b"".join(digests), dtype=np.uint64)
    return found

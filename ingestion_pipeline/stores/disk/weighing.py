"""Weighing: what putting another file in a file's place would change."""

import hashlib
from pathlib import Path

import numpy as np
import numpy.typing as npt

from ingestion_pipeline.stores.disk.row_index import RowIndex

_DIGEST = np.dtype(np.uint64)


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
    lines, other = _digests(before, was), _digests(after, now_is)
    differing = [
        was.hashes[np.isin(lines, other, invert=True)],
        now_is.hashes[np.isin(other, lines, invert=True)],
    ]
    both = np.intersect1d(was.hashes, now_is.hashes)
    return len(np.intersect1d(np.concatenate(differing), both))


def _digests(path: Path, index: RowIndex) -> npt.NDArray[np.uint64]:
    """Of each line, without its end."""
    digests = bytearray()
    with path.open("rb") as file:
        file.seek(index.head)
        for length in index.lengths:
            line = file.read(int(length)).rstrip(b"\r\n")
            digests += hashlib.blake2b(line, digest_size=_DIGEST.itemsize).digest()
    return np.frombuffer(digests, dtype=_DIGEST)

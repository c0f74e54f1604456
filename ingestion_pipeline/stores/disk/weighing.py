"""Weighing: what putting another file in a file's place would change.

The rows of one file are looked up among the other's, some thousand at a time: of a million rows, joining the
two as a whole would take more memory than everything else.
"""

import os
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO

import numpy as np
import numpy.typing as npt

from ingestion_pipeline.stores.disk.row_index import Hashes, RowIndex

TOGETHER = 65_536
"""Rows looked up at a time."""

_Places = npt.NDArray[np.intp]


def gone(before: RowIndex | None, after: RowIndex | None) -> int:
    """How many row_ids are not there any more."""
    if before is None:
        return 0
    known = np.empty(0, dtype=np.uint64) if after is None else np.sort(after.hashes)
    lacking = [part[~_are_among(part, known)] for part in _parts(before.hashes)]
    return len(np.unique(np.concatenate([*lacking, np.empty(0, dtype=np.uint64)])))


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
    with before.open("rb") as one, after.open("rb") as other:
        return sum(
            _line(one, was, int(here)) != _line(other, now_is, int(there))
            for here, there in _pairs(was.hashes, now_is.hashes)
        )


def _pairs(one: Hashes, other: Hashes) -> Iterator[tuple[int, int]]:
    """Where each hash that both have stands first in the one and in the other."""
    order = np.argsort(one, kind="stable")
    known = one[order]
    seen = np.zeros(len(one), dtype=np.bool_)
    for begin, part in zip(range(0, len(other), TOGETHER), _parts(other), strict=True):
        places = np.searchsorted(known, part)
        for there in np.flatnonzero(_are_among(part, known)).tolist():
            place = places[there]
            if not seen[place]:
                seen[place] = True
                yield int(order[place]), begin + there


def _parts(hashes: Hashes) -> Iterator[Hashes]:
    return (hashes[begin : begin + TOGETHER] for begin in range(0, len(hashes), TOGETHER))


def _are_among(part: Hashes, known: Hashes) -> npt.NDArray[np.bool_]:
    """Which of these are among the known ones, which are sorted."""
    if not len(known):
        return np.zeros(len(part), dtype=np.bool_)
    places: _Places = np.minimum(np.searchsorted(known, part), len(known) - 1)
    found: npt.NDArray[np.bool_] = known[places] == part
    return found


def _line(file: BinaryIO, index: RowIndex, place: int) -> bytes:
    """The line at this place, without its end."""
    return os.pread(file.fileno(), int(index.lengths[place]), int(index.offsets[place])).rstrip(b"\r\n")

"""Weighing: what putting another file in a file's place would change.

The rows of one file are looked up among the other's, some thousand at a time: of a million rows, joining the
two as a whole would take more memory than everything else.
"""

import os
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path
from typing import BinaryIO

import numpy as np
import numpy.typing as npt

from ingestion_pipeline.stores.disk.row_index import Hashes, RowIndex

TOGETHER = 65_536
"""Rows looked up at a time."""

WINDOW = 256 * 1024
"""Bytes of a file; rows that begin in them, and follow one another, are read together."""

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
            line != there
            for places, others in _pairs(was.hashes, now_is.hashes)
            for line, there in zip(_lines(one, was, places), _lines(other, now_is, others), strict=True)
        )


def _pairs(one: Hashes, other: Hashes) -> Iterator[tuple[_Places, _Places]]:
    """Where the hashes that both have stand first in the one and in the other, some thousand at a time."""
    if np.array_equal(one, other) and not _are_repeated(one):
        for begin in range(0, len(one), TOGETHER):
            places = np.arange(begin, min(begin + TOGETHER, len(one)))
            yield places, places
        return
    order = np.argsort(one, kind="stable")
    known = one[order]
    seen = np.zeros(len(one), dtype=np.bool_)
    for begin, part in zip(range(0, len(other), TOGETHER), _parts(other), strict=True):
        there = np.flatnonzero(_are_among(part, known))
        found = np.searchsorted(known, part[there])
        # In the file's order, as rows that follow one another are read together.
        first = np.sort(np.unique(found, return_index=True)[1])
        first = first[~seen[found[first]]]
        seen[found] = True
        yield order[found[first]], begin + there[first]


def _are_repeated(hashes: Hashes) -> bool:
    ordered = np.sort(hashes)
    return bool((ordered[1:] == ordered[:-1]).any())


def _parts(hashes: Hashes) -> Iterator[Hashes]:
    return (hashes[begin : begin + TOGETHER] for begin in range(0, len(hashes), TOGETHER))


def _are_among(part: Hashes, known: Hashes) -> npt.NDArray[np.bool_]:
    """Which of these are among the known ones, which are sorted."""
    if not len(known):
        return np.zeros(len(part), dtype=np.bool_)
    places: _Places = np.minimum(np.searchsorted(known, part), len(known) - 1)
    found: npt.NDArray[np.bool_] = known[places] == part
    return found


def _lines(file: BinaryIO, index: RowIndex, places: _Places) -> Iterator[bytes]:
    """The lines at these places, without their ends."""
    if not len(places):
        return
    offsets, lengths = _offsets(index, places), index.lengths[places]
    windows = offsets // np.uint64(WINDOW)
    # Rows that follow one another, so many that reading them at once takes little memory.
    runs = np.flatnonzero((np.diff(places) != 1) | (windows[1:] != windows[:-1])) + 1
    for first, last in pairwise([0, *runs.tolist(), len(places)]):
        ends = np.cumsum(lengths[first:last]).tolist()
        data = os.pread(file.fileno(), ends[-1], int(offsets[first]))
        for begin, end in pairwise([0, *ends]):
            yield data[begin:end].rstrip(b"\r\n")


def _offsets(index: RowIndex, places: _Places) -> npt.NDArray[np.uint64]:
    """Where the rows at these places begin; those of all rows would take memory."""
    first, last = int(places.min()), int(places.max())
    ends = np.cumsum(index.lengths[first : last + 1], dtype=np.uint64)
    ends += np.uint64(index.head) + index.lengths[:first].sum(dtype=np.uint64)
    begins: npt.NDArray[np.uint64] = ends[places - first] - index.lengths[places]
    return begins

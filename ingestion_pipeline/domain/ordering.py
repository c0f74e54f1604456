"""Order: where new and moved lines are put so that all others stay where they are.

File order is data. Every line has an ordinal; gaps between them leave room, and of the lines that a file
has put in another order as few as possible are moved.
"""

from array import array
from bisect import bisect_left
from collections.abc import Iterator, Sequence
from itertools import pairwise

GAP = 1 << 32
"""The room left between two lines; a place between them can be halved 32 times."""

UNPLACED = -(1 << 63)
"""Stands for the ordinal of a line that has none yet."""


def place(known: Sequence[int]) -> Iterator[tuple[int, int]]:
    """New ordinals for the lines that need one.

    Args:
        known: Each line's ordinal in file order, UNPLACED for a line that has none. Any length; an
            `array('q')` keeps a million lines in 8 MB.

    Yields:
        (index, ordinal) of each line that gets another ordinal than it has. If some place has no room
        left, every line gets one.
    """
    kept = _longest_rising(known)
    if all(_fits(known, left, right) for left, right in _neighbours(kept, len(known))):
        for left, right in _neighbours(kept, len(known)):
            yield from _between(known, left, right)
    else:
        yield from ((index, (index + 1) * GAP) for index in range(len(known)))


def out_of_order(known: Sequence[int]) -> list[int]:
    """Indexes of the fewest lines that would have to be moved for the others to rise."""
    kept = _longest_rising(known)
    return [index for left, right in _neighbours(kept, len(known)) for index in range(left + 1, right)]


def _longest_rising(known: Sequence[int]) -> "array[int]":
    """Indexes of a longest run of lines whose ordinals rise; patience sorting, where they do not all."""
    placed = array("I", (index for index, ordinal in enumerate(known) if ordinal != UNPLACED))
    if all(known[one] < known[next_one] for one, next_one in pairwise(placed)):
        return placed
    tails = array("q")
    tail_indexes = array("q")
    before = array("q", bytes(8 * len(known)))
    for index, ordinal in enumerate(known):
        if ordinal == UNPLACED:
            continue
        height = len(tails) if not tails or ordinal > tails[-1] else bisect_left(tails, ordinal)
        before[index] = tail_indexes[height - 1] if height else -1
        if height == len(tails):
            tails.append(ordinal)
            tail_indexes.append(index)
        else:
            tails[height] = ordinal
            tail_indexes[height] = index
    run = array("q")
    index = tail_indexes[-1] if tail_indexes else -1
    while index >= 0:
        run.append(index)
        index = before[index]
    run.reverse()
    return run


def _neighbours(kept: "array[int]", length: int) -> Iterator[tuple[int, int]]:
    """Pairs of kept lines with others between them; -1 and length stand for the ends."""
    left = -1
    for right in kept:
        if right - left > 1:
            yield left, right
        left = right
    if length - left > 1:
        yield left, length


def _fits(known: Sequence[int], left: int, right: int) -> bool:
    if left < 0 or right == len(known):
        return True
    return known[right] - known[left] > right - left - 1


def _between(known: Sequence[int], left: int, right: int) -> Iterator[tuple[int, int]]:
    count = right - left - 1
    if left < 0 and right == len(known):
        start, step = 0, GAP
    elif left < 0:
        start, step = known[right] - (count + 1) * GAP, GAP
    elif right == len(known):
        start, step = known[left], GAP
    else:
        start, step = known[left], (known[right] - known[left]) // (count + 1)
    for number in range(1, count + 1):
        yield left + number, start + number * step

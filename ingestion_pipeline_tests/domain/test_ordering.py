"""Order: new ordinals rise strictly, and as few lines as possible get one."""

from itertools import combinations, pairwise

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from ingestion_pipeline.domain.ordering import GAP, UNPLACED, place

ORDINALS = st.integers(-(10**6), 10**6) | st.integers(-5, 5) | st.integers(-5, 5).map(lambda n: n * GAP)
KNOWN = st.lists(ORDINALS, max_size=9, unique=True).flatmap(
    lambda ordinals: st.lists(st.just(UNPLACED), max_size=9 - len(ordinals)).flatmap(
        lambda unplaced: st.permutations(ordinals + unplaced)
    )
)
ROOMY = st.lists(st.integers(-20, 20), max_size=9, unique=True).flatmap(
    lambda numbers: st.lists(st.just(UNPLACED), max_size=9 - len(numbers)).flatmap(
        lambda unplaced: st.permutations([n * GAP for n in numbers] + unplaced)
    )
)


def after(known: list[int]) -> list[int]:
    return [dict(place(known)).get(index, ordinal) for index, ordinal in enumerate(known)]


def rises(ordinals: list[int] | tuple[int, ...]) -> bool:
    return all(a < b for a, b in pairwise(ordinals))


def longest_rising(ordinals: list[int]) -> int:
    """By trying all."""
    return max(n for n in range(len(ordinals) + 1) for some in combinations(ordinals, n) if rises(some))


@settings(deadline=None, max_examples=300)
@given(KNOWN)
@example([UNPLACED])
@example([1, UNPLACED, 2])
@example([3, 2, 1])
def test_ordinals_rise_strictly(known: list[int]) -> None:
    assert rises(after(known))
    assert UNPLACED not in after(known)


@settings(deadline=None, max_examples=100)
@given(KNOWN)
def test_every_line_is_placed_at_most_once(known: list[int]) -> None:
    indexes = [index for index, _ in place(known)]
    assert indexes == sorted(set(indexes))


@settings(deadline=None, max_examples=200)
@given(ROOMY)
def test_as_few_lines_as_possible_are_moved(known: list[int]) -> None:
    placed = [ordinal for ordinal in known if ordinal != UNPLACED]
    kept = sum(new == old for new, old in zip(after(known), known, strict=True))
    assert kept == longest_rising(placed)


@settings(deadline=None, max_examples=100)
@given(ROOMY)
def test_only_lines_that_get_another_ordinal_are_named(known: list[int]) -> None:
    assert all(known[index] != ordinal for index, ordinal in place(known))


@settings(deadline=None, max_examples=100)
@given(
    st.lists(st.integers(-20, 20), max_size=8, unique=True).map(sorted),
    st.lists(st.integers(0, 8), max_size=8),
)
def test_new_lines_leave_all_others_untouched(numbers: list[int], places: list[int]) -> None:
    known = [number * GAP for number in numbers]
    for at in places:
        known.insert(at, UNPLACED)
    assert {index for index, _ in place(known)} == {i for i, old in enumerate(known) if old == UNPLACED}


def test_nothing_is_placed_in_an_ordered_file() -> None:
    assert list(place([-5, 0, 1, GAP])) == []
    assert list(place([])) == []


def test_a_first_load_leaves_the_same_room_between_all() -> None:
    assert list(place([UNPLACED] * 3)) == [(0, GAP), (1, 2 * GAP), (2, 3 * GAP)]


def test_lines_at_the_ends_leave_room_too() -> None:
    known = [UNPLACED, UNPLACED, 7, UNPLACED]
    assert list(place(known)) == [(0, 7 - 2 * GAP), (1, 7 - GAP), (3, 7 + GAP)]


def test_lines_between_two_share_their_room_evenly() -> None:
    assert list(place([0, UNPLACED, UNPLACED, UNPLACED, 40])) == [(1, 10), (2, 20), (3, 30)]


@pytest.mark.parametrize("new", range(1, 5))
def test_a_place_with_just_enough_room_is_filled(new: int) -> None:
    known = [0, *[UNPLACED] * new, new + 1]
    assert list(place(known)) == [(number, number) for number in range(1, new + 1)]


def test_a_place_without_room_renumbers_every_line() -> None:
    assert list(place([0, 10, UNPLACED, 11, 50])) == [(index, (index + 1) * GAP) for index in range(5)]


def test_a_place_between_two_can_be_halved_32_times() -> None:
    known = [0, GAP]
    for _ in range(32):
        known.insert(1, UNPLACED)
        assert len(list(place(known))) == 1
        known = after(known)
    known.insert(1, UNPLACED)
    assert len(list(place(known))) == len(known)


def test_one_line_moved_far_is_the_only_one_placed() -> None:
    known = [number * GAP for number in [*range(1, 500), *range(501, 1000), 500]]
    assert list(place(known)) == [(998, 1000 * GAP)]

"""Retention: what may go, and what never does."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ingestion_pipeline.domain.dialect import Dialect
from ingestion_pipeline.domain.phase import Phase
from ingestion_pipeline.domain.retention import Keep, superfluous
from ingestion_pipeline.domain.version import Content, Form, Manifest, Stored

BEGAN = datetime(2026, 1, 31, 22, 30, tzinfo=UTC)


def manifest(number: int, moment: datetime) -> Manifest:
    sha256 = f"{number:064d}"
    content = Content(sha256, 1, 1, ("row_id",), Dialect(("row_id",)), Phase.ORIGINAL, 1, moment)
    return Manifest(number, None, f"key {number}", content, Stored(sha256, 1, Form.CSV))


def published(*hours: float) -> list[Manifest]:
    """Versions published so many hours after the beginning, the newest first."""
    made = [manifest(number, BEGAN + timedelta(hours=hour)) for number, hour in enumerate(hours, start=1)]
    return made[::-1]


def kept(versions: list[Manifest], keep: Keep, *protected: str, damaged: tuple[int, ...] = ()) -> list[int]:
    """The numbers of those that stay."""
    gone = superfluous(versions, keep, protected, lambda one: one.number not in damaged)
    assert gone == [one for one in versions if one in gone]
    return [one.number for one in versions if one not in gone]


def test_nothing_asked_for_keeps_all() -> None:
    assert Keep().is_all
    assert kept(published(*range(5)), Keep()) == [5, 4, 3, 2, 1]


def test_without_versions_none_go() -> None:
    assert superfluous([], Keep(last=1), (), lambda _one: True) == []


@pytest.mark.parametrize("name", ["last", "hourly", "daily", "monthly"])
def test_anything_asked_for_is_not_all(name: str) -> None:
    assert not Keep(**{name: 1}).is_all
    assert kept(published(0, 1), Keep(**{name: 1})) == [2]


def test_the_last_ones_stay() -> None:
    assert kept(published(*range(5)), Keep(last=2)) == [5, 4]
    assert kept(published(*range(5)), Keep(last=9)) == [5, 4, 3, 2, 1]


def test_the_last_one_of_each_hour_stays() -> None:
    # 22:30, 22:54, 23:06, 23:24, 23:54, 00:06
    assert kept(published(0, 0.4, 0.6, 0.9, 1.4, 1.6), Keep(hourly=2)) == [6, 5]
    assert kept(published(0, 0.4, 0.6, 0.9, 1.4, 1.6), Keep(hourly=3)) == [6, 5, 2]


def test_hours_without_a_version_do_not_count() -> None:
    assert kept(published(0, 100, 200), Keep(hourly=2)) == [3, 2]


def test_the_same_hour_of_another_day_is_another_hour() -> None:
    assert kept(published(0, 24, 48), Keep(hourly=3)) == [3, 2, 1]


def test_the_last_one_of_each_day_stays() -> None:
    # 31 January 22:30 and 23:24; 1 February 00:30 and 21:30; 2 February 00:30
    assert kept(published(0, 0.9, 2, 23, 26), Keep(daily=2)) == [5, 4]
    assert kept(published(0, 0.9, 2, 23, 26), Keep(daily=3)) == [5, 4, 2]


def test_the_last_one_of_each_month_stays() -> None:
    assert kept(published(0, 0.9, 2, 23, 26), Keep(monthly=2)) == [5, 2]
    assert kept(published(0, 24 * 365), Keep(monthly=2)) == [2, 1]


def test_what_one_rule_keeps_no_other_takes() -> None:
    versions = published(0, 0.9, 2, 23, 26)
    assert kept(versions, Keep(last=1, daily=2, monthly=2)) == [5, 4, 2]


def test_a_named_version_stays() -> None:
    versions = published(*range(5))
    assert kept(versions, Keep(last=1), "key 2", "no such key") == [5, 2]


def test_a_version_of_named_content_stays() -> None:
    assert kept(published(*range(5)), Keep(last=1), f"{3:064d}") == [5, 3]


def test_the_newest_good_version_stays() -> None:
    assert kept(published(*range(5)), Keep(last=1), damaged=(5, 4)) == [5, 3]
    assert kept(published(*range(5)), Keep(last=1), damaged=(1, 2, 3, 4, 5)) == [5]


def test_no_more_is_read_than_until_one_is_good() -> None:
    asked: list[int] = []

    def good(one: Manifest) -> bool:
        asked.append(one.number)
        return one.number == 3

    superfluous(published(*range(5)), Keep(last=1), (), good)
    assert asked == [5, 4, 3]


def test_what_was_kept_before_a_restore_takes_no_place() -> None:
    versions = [
        replace(one, content=replace(one.content, before="another")) if one.number in (2, 4, 5) else one
        for one in published(*range(5))
    ]

    assert kept(versions, Keep(last=1)) == [5, 3]
    assert kept(versions, Keep(daily=1), damaged=(3,)) == [5, 3, 1]


HOURS = st.lists(st.floats(0, 24 * 400, allow_nan=False), max_size=30)
COUNTS = st.integers(0, 6)
KEEPS = st.builds(Keep, COUNTS, COUNTS, COUNTS, COUNTS)
NUMBERS = st.sets(st.integers(1, 30))


@settings(deadline=None, max_examples=300)
@given(HOURS, KEEPS, NUMBERS, NUMBERS)
def test_what_must_stay_stays(hours: list[float], keep: Keep, named: set[int], damaged: set[int]) -> None:
    versions = published(*sorted(hours))
    stay = kept(versions, keep, *(f"key {number}" for number in named), damaged=tuple(damaged))
    all_numbers = [one.number for one in versions]
    if keep.is_all:
        assert stay == all_numbers
        return
    newest_good = [number for number in all_numbers if number not in damaged][:1]
    assert set(newest_good) <= set(stay)
    assert named & set(all_numbers) <= set(stay)
    assert set(all_numbers[: keep.last]) <= set(stay)
    most = keep.last + keep.hourly + keep.daily + keep.monthly
    assert len(stay) <= most + len(named) + 1


@settings(deadline=None, max_examples=100)
@given(HOURS, KEEPS)
def test_as_many_periods_are_kept_as_are_asked_for(hours: list[float], keep: Keep) -> None:
    versions = published(*sorted(hours))
    stay = [one for one in versions if one.number in kept(versions, keep)]
    for period, most in (("%Y%m%d%H", keep.hourly), ("%Y%m%d", keep.daily), ("%Y%m", keep.monthly)):
        periods = {one.content.published_at.strftime(period) for one in versions}
        left = {one.content.published_at.strftime(period) for one in stay}
        assert len(left) >= min(most, len(periods))


@settings(deadline=None, max_examples=100)
@given(HOURS, KEEPS)
def test_taking_away_twice_takes_no_more(hours: list[float], keep: Keep) -> None:
    versions = published(*sorted(hours))
    stay = [one for one in versions if one.number in kept(versions, keep)]
    assert superfluous(stay, keep, (), lambda _one: True) == []

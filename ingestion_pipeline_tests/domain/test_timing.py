"""Times in buckets: added up, told apart, and told by share."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ingestion_pipeline.domain.timing import (
    BOUNDS,
    OK,
    Histogram,
    Kind,
    Timed,
    added,
    bucket,
    by_operation,
    latencies,
    plain,
    read,
    since,
)

WRITE = Timed(Kind.OPERATION, "write", OK)
FAILED = Timed(Kind.OPERATION, "write", "locked")


def of(*seconds: float) -> Histogram:
    counts = [0] * (len(BOUNDS) + 1)
    for one in seconds:
        counts[bucket(one)] += 1
    return Histogram(tuple(counts), sum(seconds))


def test_nothing_took_no_time() -> None:
    assert Histogram().percentile(0.95) == 0.0


def test_latencies_are_those_of_one_kind() -> None:
    timings = {(Kind.OPERATION, "write"): of(*[0.3] * 10), (Kind.QUERY, "write"): of(1000.0)}

    [one] = latencies(timings, Kind.OPERATION)

    assert one.operation == "write"
    assert (one.p50, one.p95, one.p99) == pytest.approx((0.35, 0.485, 0.497))


@given(st.lists(st.floats(0.0001, 59), min_size=1, max_size=200), st.sampled_from([0.5, 0.95, 0.99]))
def test_a_percentile_is_in_the_bucket_of_the_true_one(seconds: list[float], share: float) -> None:
    true = sorted(seconds)[max(0, -(-int(share * 1000) * len(seconds) // 1000) - 1)]

    found = of(*seconds).percentile(share)

    edges = (0.0, *BOUNDS)
    assert edges[bucket(true)] <= found <= BOUNDS[bucket(true)]


def test_what_takes_longer_than_the_last_bound_counts_as_that() -> None:
    assert of(1000.0, 2000.0).percentile(0.5) == BOUNDS[-1]


def test_percentiles_are_interpolated() -> None:
    assert of(*[0.3] * 10).percentile(0.5) == pytest.approx(0.35)


def test_adding_and_taking_away() -> None:
    before, later = {WRITE: of(0.1)}, {WRITE: of(0.1, 3.0), FAILED: of(1.0)}

    assert since(later, before) == {WRITE: of(3.0), FAILED: of(1.0)}
    assert added([before, later]) == {WRITE: of(0.1, 0.1, 3.0), FAILED: of(1.0)}
    assert by_operation(later)[Kind.OPERATION, "write"] == of(0.1, 3.0) + of(1.0)
    assert since(later, later) == {}


def test_counts_that_were_begun_anew_are_all_new() -> None:
    assert since({WRITE: of(0.1)}, {WRITE: of(3.0, 3.0)}) == {WRITE: of(0.1)}


def test_what_is_kept_is_read_again() -> None:
    timings = {WRITE: of(0.1, 3.0), FAILED: of(100.0)}

    assert read(plain(timings)) == timings


@pytest.mark.parametrize("line", [[1], ["operation", "x", "ok", "1", {}], ["nothing", "x", "ok", 1.0, {}]])
def test_what_is_no_timing_is_refused(line: list[object]) -> None:
    with pytest.raises((ValueError, TypeError)):
        read([line])

"""Each finding: where its limit is, and where it has no part."""

from dataclasses import replace

import pytest

from ingestion_pipeline.domain.findings import NAMES, Facts, Limits, Published, Slower, findings, slower
from ingestion_pipeline.domain.health import Finding
from ingestion_pipeline.domain.phase import Phase
from ingestion_pipeline.domain.timing import BOUNDS, Histogram, Kind, bucket
from ingestion_pipeline.settings.sections import Health

HOUR = 3600.0
LIMITS = Limits(**Health(cache_hit_percent=90.0).model_dump())
WELL = Facts(
    wanted=Phase.DUAL_WRITE,
    phase=Phase.DUAL_WRITE,
    began_seconds=1000 * HOUR,
    differences=0,
    proof_seconds=7200.0,
    pending=3,
    pending_seconds=300.0,
    conflicts=0,
    disk_free_percent=10.0,
    longest_transaction_seconds=600.0,
    replica_lag_seconds=60.0,
    cache_hit_percent=90.0,
    version=Published(36 * HOUR),
    backup=Published(36 * HOUR),
)
"""Each figure at its limit."""

LEADS = replace(WELL, phase=Phase.DATABASE_PRIMARY, wanted=Phase.DATABASE_PRIMARY)
SLOW = Slower(Kind.QUERY, "write", 3.0, 0.5)


def judged(facts: Facts, limits: Limits = LIMITS) -> dict[str, Finding]:
    return {one.name: one for one in findings(facts, limits)}


def amiss(facts: Facts, limits: Limits = LIMITS) -> set[str]:
    return {one.name for one in findings(facts, limits) if not one.ok}


def test_at_the_limits_all_is_well() -> None:
    assert tuple(judged(WELL)) == NAMES
    assert amiss(WELL) == set()
    assert amiss(LEADS) == set()
    assert all(not one.hint for one in findings(WELL, LIMITS))


@pytest.mark.parametrize(
    ("facts", "name"),
    [
        (replace(WELL, differences=1), "consistency"),
        (replace(WELL, csv_amiss="the journal is damaged"), "consistency"),
        (replace(WELL, proof_seconds=7201.0), "proof_age"),
        (replace(WELL, pending_seconds=301.0), "pending_age"),
        (replace(WELL, shut=("3 rows are pending",)), "gate"),
        (replace(WELL, half_done=Phase.ORIGINAL), "gate"),
        (replace(WELL, slower=(SLOW,)), "slower"),
        (replace(WELL, disk_free_percent=9.9), "disk"),
        (replace(WELL, longest_transaction_seconds=601.0), "long_transaction"),
        (replace(WELL, replica_lag_seconds=60.5), "replica_lag"),
        (replace(WELL, version=Published(37 * HOUR)), "version_age"),
        (replace(WELL, version=Published()), "version_age"),
        (replace(WELL, version=Published(amiss="away")), "version_age"),
        (replace(WELL, backup=Published(37 * HOUR)), "backup_age"),
        (replace(WELL, backup=Published()), "backup_age"),
        (replace(WELL, conflicts=1), "conflicts"),
        (replace(LEADS, fallback=1), "fallback"),
        (replace(WELL, cache_hit_percent=89.0), "cache_hit"),
    ],
)
def test_beyond_its_limit_each_is_a_finding_that_says_what_next(facts: Facts, name: str) -> None:
    assert amiss(facts) == {name}
    found = judged(facts)[name]
    assert found.message
    assert found.hint


def test_never_compared_is_a_finding_once_there_was_time_for_it() -> None:
    never = replace(WELL, differences=None, proof_seconds=None)

    assert amiss(never) == {"proof_age"}
    assert amiss(replace(never, began_seconds=60.0)) == set()


def test_with_postgres_away_only_what_is_known_is_judged() -> None:
    gone = replace(
        LEADS,
        away="PostgreSQL cannot be used",
        differences=None,
        proof_seconds=None,
        conflicts=None,
        longest_transaction_seconds=None,
        replica_lag_seconds=None,
        cache_hit_percent=None,
        pending_seconds=1e9,
    )

    assert amiss(gone) == {"postgres"}
    assert "away" in judged(gone)["proof_age"].message
    assert amiss(replace(gone, phase=Phase.DUAL_WRITE, wanted=Phase.DUAL_WRITE)) == {
        "postgres",
        "pending_age",
    }


@pytest.mark.parametrize("phase", [Phase.ORIGINAL, Phase.DATABASE_NATIVE])
def test_where_there_is_one_side_nothing_is_compared(phase: Phase) -> None:
    alone = replace(WELL, phase=phase, wanted=phase, proof_seconds=1e9, differences=7, pending_seconds=1e9)

    assert amiss(alone) == set()
    assert judged(alone)["consistency"].message == "there is one side only"


def test_original_has_no_dump() -> None:
    alone = replace(WELL, phase=Phase.ORIGINAL, wanted=Phase.ORIGINAL, backup=Published())

    assert judged(alone)["backup_age"].message == "PostgreSQL has no part yet"


def test_an_old_version_of_what_is_there_now_is_no_finding() -> None:
    assert amiss(replace(WELL, version=Published(1000 * HOUR, is_present=True))) == set()


def test_without_a_limit_the_cache_is_no_finding() -> None:
    assert amiss(replace(WELL, cache_hit_percent=1.0), replace(LIMITS, cache_hit_percent=None)) == set()


KEY = (Kind.OPERATION, "write")


def times(seconds: float, often: int) -> Histogram:
    counts = [0] * (len(BOUNDS) + 1)
    counts[bucket(seconds)] = often
    return Histogram(tuple(counts), seconds * often)


@pytest.mark.parametrize(
    ("seconds", "often", "before", "is_slower"),
    [
        (0.3, 5, [0.1] * 5, True),
        (0.3, 4, [0.1] * 5, False),  # too few of late
        (0.3, 5, [0.1] * 4, False),  # too few looks
        (0.3, 5, [0.2] * 5, False),  # not so much slower
        (0.03, 50, [0.001] * 50, False),  # below the floor
        (0.3, 5, [0.1] * 5 + [9.0] * 4, True),  # what was slow once does not hide it
    ],
)
def test_slower_is_three_times_the_median(
    seconds: float, often: int, before: list[float], *, is_slower: bool
) -> None:
    assert bool(slower({KEY: times(seconds, often)}, {KEY: before}, 3.0)) is is_slower


def test_the_worst_comes_first() -> None:
    other = (Kind.QUERY, "read")
    recent = {KEY: times(0.3, 9), other: times(3.0, 9)}

    found = slower(recent, {KEY: [0.1] * 5, other: [0.1] * 5}, 3.0)

    assert [one.operation for one in found] == ["read", "write"]
    assert "query read takes 4," in judged(replace(WELL, slower=found))["slower"].message

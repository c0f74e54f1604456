"""The phase is changed under those who write, there and back: nothing is lost, and nobody is told of it."""

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import count, cycle, islice
from pathlib import Path

import pytest

from ingestion_pipeline.domain.phase import Phase, Side
from ingestion_pipeline_tests.phases import ROUND
from ingestion_pipeline_tests.scenarios.counting_writer import Mutant as Writers
from ingestion_pipeline_tests.scenarios.crowding import Tally
from ingestion_pipeline_tests.scenarios.switcher import Mutant
from ingestion_pipeline_tests.scenarios.switching import Switching, sample

PROCESSES = 4
LONGEST = 5.0

MOST_SWITCHES = 20
"""How many it may take until somebody writes at the very moment at which a fault shows."""


@contextmanager
def under_way(
    folder: Path, url: str, mutant: Mutant | Writers = Mutant.NONE
) -> Iterator[tuple[Switching, Tally]]:
    with Switching.under_way(sample(folder / "site", url), folder / "logs", PROCESSES, mutant) as switching:
        yield switching, switching.crowd.tally


def test_there_and_back(tmp_path: Path, database: str) -> None:
    with under_way(tmp_path, database) as (switching, tally):
        switching.round()

    assert tally.violations == []
    for change in switching.journey.changes:
        sys.stdout.write(f"{change.move}: nobody could write for {change.pause} s\n")
    sys.stdout.write(f"{tally.acknowledged} writes, the longest {max(tally.waits):.3f} s\n")
    assert [change.after for change in switching.journey.changes] == list(ROUND)
    assert max(tally.waits) < LONGEST
    assert {ack.side for ack in switching.crowd.acks()} == set(Side)


def test_switcher_may_die_at_any_step(tmp_path: Path, database: str) -> None:
    steps, sides = count(2, 3), cycle((False, True))
    with under_way(tmp_path, database) as (switching, tally):
        for to in ROUND:
            switching.go(to, at=next(steps), after=next(sides))
            switching.look()

    assert tally.violations == []
    assert switching.journey.deaths == len(ROUND)


def test_switcher_may_die_at_any_time(tmp_path: Path, database: str) -> None:
    with under_way(tmp_path, database) as (switching, tally):
        for to, seconds in zip(ROUND, cycle((0.05, 0.15, 0.25)), strict=False):
            switching.go(to, killed_after=seconds)

    assert tally.violations == []
    assert switching.journey.deaths > 0


def test_writer_who_comes_too_late_writes_in_the_new_phase(tmp_path: Path, database: str) -> None:
    with under_way(tmp_path, database) as (switching, tally):
        for to in ROUND:
            with switching.halted():
                switching.go(to)
            switching.look()

    assert tally.violations == []
    # Between phases in which the CSV leads, one who holds the lock may write it for the other.
    assert switching.refused >= len(ROUND) // 2


@pytest.mark.parametrize("mutant", [Mutant.NO_FENCE, Mutant.NO_DRAIN, Mutant.NO_MARK, Writers.NO_JOURNAL])
def test_fault_is_noticed(tmp_path: Path, database: str, mutant: Mutant | Writers) -> None:
    back_and_forth = cycle((Phase.DUAL_WRITE, Phase.DATABASE_PRIMARY))
    with under_way(tmp_path, database, mutant) as (switching, tally):
        for to in islice(back_and_forth, MOST_SWITCHES):
            switching.go(to)
            switching.look()
            if tally.violations:
                break

    assert tally.violations != []

"""A writer killed at any step loses nothing it was told is written, and settling mends whatever it leaves."""

from pathlib import Path

import pytest

from ingestion_pipeline.domain.phase import Phase
from ingestion_pipeline_tests.scenarios.killed_writer import Mutant, mutated
from ingestion_pipeline_tests.scenarios.killing import PEOPLE, Killing
from ingestion_pipeline_tests.scenarios.sites import make_site

ON_DISK = {"open", "write", "fsync", "exchange", "flock"}
IN_POSTGRES = {"execute", "commit"}
STEPS = {
    Phase.ORIGINAL: ON_DISK,
    Phase.DUAL_WRITE: ON_DISK | IN_POSTGRES,
    Phase.DATABASE_PRIMARY: ON_DISK | IN_POSTGRES,
    Phase.DATABASE_NATIVE: IN_POSTGRES,
}


@pytest.mark.parametrize(
    ("phase", "deaths", "stride"),
    [
        (Phase.ORIGINAL, 1, 1),
        (Phase.ORIGINAL, 2, 5),
        (Phase.DUAL_WRITE, 1, 3),
        (Phase.DUAL_WRITE, 2, 5),
        (Phase.DATABASE_PRIMARY, 1, 5),
        (Phase.DATABASE_PRIMARY, 2, 7),
        (Phase.DATABASE_NATIVE, 1, 3),
        (Phase.DATABASE_NATIVE, 2, 5),
    ],
)
def test_every_acknowledged_write_stands(
    tmp_path: Path, database: str, phase: Phase, deaths: int, stride: int
) -> None:
    killing = Killing(make_site(tmp_path, phase, PEOPLE, database), deaths=deaths)

    tally = killing.at_every_step(stride=stride)

    assert tally.violations == []
    assert tally.kills == tally.trials - 1
    assert set(tally.steps) >= STEPS[phase]


@pytest.mark.parametrize(
    ("phase", "mutant"),
    [
        (Phase.DUAL_WRITE, Mutant.NO_JOURNAL),
        (Phase.ORIGINAL, Mutant.EARLY),
        (Phase.DATABASE_NATIVE, Mutant.EARLY),
        (Phase.ORIGINAL, Mutant.NO_RECOVERY),
        (Phase.DATABASE_PRIMARY, Mutant.CLEARED_FIRST),
    ],
)
def test_a_fault_is_noticed(tmp_path: Path, database: str, phase: Phase, mutant: Mutant) -> None:
    killing = Killing(make_site(tmp_path, phase, PEOPLE, database), mutant)

    with mutated(mutant):
        tally = killing.at_every_step(stride=2)

    assert tally.violations != []
    assert tally.kills > 0

"""Many who write at once, some of whom die, lose no update, and one settling mends whatever they leave."""

from pathlib import Path

import pytest

from ingestion_pipeline.domain.phase import Phase
from ingestion_pipeline_tests.scenarios.counting_writer import Mutant, Task
from ingestion_pipeline_tests.scenarios.crowding import Crowd, keys, people
from ingestion_pipeline_tests.scenarios.sites import make_site

PEOPLE, WRITES = 64, 100
PROCESSES, HANDS = 3, 6
LONGEST = 5.0


def crowd(folder: Path, phase: Phase, url: str, mutant: Mutant = Mutant.NONE) -> Crowd:
    site = make_site(folder, phase, people(PEOPLE), url, timeout=20)
    task = Task(folder / "logs", tuple(range(HANDS)), keys(PEOPLE), WRITES, mutant)
    return Crowd(site, task, PROCESSES, kill_every=0.4)


@pytest.mark.parametrize("phase", Phase)
def test_no_update_is_lost(tmp_path: Path, database: str, phase: Phase) -> None:
    tally = crowd(tmp_path, phase, database).count()

    assert tally.violations == []
    assert tally.acknowledged == HANDS * WRITES
    assert tally.kills > 0
    assert max(tally.waits) < LONGEST


@pytest.mark.parametrize(
    ("phase", "mutant"), [(Phase.ORIGINAL, Mutant.NO_LOCK), (Phase.DATABASE_NATIVE, Mutant.WHOLE_ROW)]
)
def test_a_fault_is_noticed(tmp_path: Path, database: str, phase: Phase, mutant: Mutant) -> None:
    tally = crowd(tmp_path, phase, database, mutant).count()

    assert tally.violations != []

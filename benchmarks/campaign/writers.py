"""Let many processes count up cells at once, kill one of them each second, and look for lost updates."""

import sys
from dataclasses import dataclass

from benchmarks.campaign import record
from ingestion_pipeline.domain.phase import Phase
from ingestion_pipeline_tests.conftest import Server
from ingestion_pipeline_tests.scenarios.counting_writer import SHARED, Mutant, Task
from ingestion_pipeline_tests.scenarios.crowding import Crowd, Tally, people
from ingestion_pipeline_tests.scenarios.sites import make_site

HANDS = tuple(range(len(SHARED)))
PATIENCE = 3600.0
CONTROLS = ((Phase.ORIGINAL, Mutant.NO_LOCK), (Phase.DATABASE_NATIVE, Mutant.WHOLE_ROW))


@dataclass(frozen=True)
class Size:
    """How many there are: processes, people, and writes each process makes."""

    processes: int
    people: int
    writes: int


def crowd(server: Server, phase: Phase, size: Size, mutant: Mutant = Mutant.NONE) -> Tally:
    """Let them write on a new site."""
    with record.database(server) as url, record.folder() as folder:
        site = make_site(folder, phase, people(size.people), url, timeout=30)
        task = Task(folder / "logs", HANDS, size.people, size.writes, mutant)
        return Crowd(site, task, size.processes, kill_every=1, patience=PATIENCE).count()


def work(part: record.Part, processes: int, people: int, writes: int) -> None:
    """Do all of it, on a server that needs not outlive a power cut."""
    size = Size(processes, people // len(HANDS) * len(HANDS), writes // len(HANDS))
    with record.server(fsync="off", full_page_writes="off", synchronous_commit="off") as server:
        for phase, mutant in CONTROLS:
            tally = crowd(server, phase, SMALL, mutant)
            part.control(f"{phase}, {mutant}", noticed=bool(tally.violations))
        for phase in Phase:
            _add(part, phase, crowd(server, phase, size))


SMALL = Size(4, 64, 50)


def _add(part: record.Part, phase: Phase, tally: Tally) -> None:
    waits = sorted(tally.waits)
    part.add(
        phase,
        tally.violations,
        acknowledged=tally.acknowledged,
        kills=tally.kills,
        seconds=round(tally.seconds, 1),
        median_ms=round(waits[len(waits) // 2] * 1000, 1),
        p99_ms=round(waits[len(waits) * 99 // 100] * 1000, 1),
        longest_ms=round(waits[-1] * 1000, 1),
    )


if __name__ == "__main__":
    counts = {"processes": (8, 4), "people": (2_000, 200), "writes": (20_000, 800)}
    sys.exit(record.run(record.Part("writers", "R13"), __doc__ or "", counts, work))

"""Let many processes count up cells, kill one each second, change the phase, and look for lost updates."""

import sys
from dataclasses import dataclass

from benchmarks.campaign import record
from ingestion_pipeline.domain.phase import Phase
from ingestion_pipeline_tests.conftest import Server
from ingestion_pipeline_tests.scenarios.counting_writer import SHARED, Mutant, Task
from ingestion_pipeline_tests.scenarios.crowding import Crowd, Tally, keys, people
from ingestion_pipeline_tests.scenarios.sites import Site, make_site
from ingestion_pipeline_tests.scenarios.switching import Switching

HANDS = tuple(range(2 * len(SHARED)))
PATIENCE = 3600.0
NEW = 0.02
CONTROLS = ((Phase.ORIGINAL, Mutant.NO_LOCK), (Phase.DATABASE_NATIVE, Mutant.WHOLE_ROW))


@dataclass(frozen=True)
class Size:
    """How many there are: processes, people, and writes each process makes."""

    processes: int
    people: int
    writes: int


class MovedCrowd(Crowd):
    """A crowd under which the phase is changed, once half of the writes are made."""

    def __init__(self, site: Site, task: Task, processes: int) -> None:
        super().__init__(site, task, processes, kill_every=1, patience=PATIENCE)
        self.switching = Switching(self, task.logs)
        self._half = len(task.hands) * (task.writes or 0) // 2

    def look_meanwhile(self) -> None:
        """Compare, and once change the phase and compare again."""
        super().look_meanwhile()
        if not self.switching.journey.switches and len(self.acks()) >= self._half:
            phase = self.site.phase
            self.switching.go(phase.next or Phase.DATABASE_PRIMARY)
            super().look_meanwhile()


def crowd(server: Server, phase: Phase, size: Size, mutant: Mutant = Mutant.NONE) -> tuple[Tally, int]:
    """Let them write on a new site; gives how often the phase was changed, too."""
    with record.database(server) as url, record.folder() as folder:
        site = make_site(folder, phase, people(size.people), url, timeout=30).with_postgres(url)
        task = Task(folder / "logs", HANDS, keys(size.people), size.writes, mutant, new=NEW, of=len(HANDS))
        moved = MovedCrowd(site, task, size.processes)
        return moved.count(), moved.switching.journey.switches


def work(part: record.Part, processes: int, people: int, writes: int) -> None:
    """Do all of it, on a server that needs not outlive a power cut."""
    size = Size(processes, people // len(HANDS) * len(HANDS), writes // len(HANDS))
    with record.server(fsync="off", full_page_writes="off", synchronous_commit="off") as server:
        for phase, mutant in CONTROLS:
            tally, _ = crowd(server, phase, SMALL, mutant)
            part.control(f"{phase}, {mutant}", noticed=bool(tally.violations))
        for phase in Phase:
            _add(part, phase, *crowd(server, phase, size))


SMALL = Size(4, 64, 50)


def _add(part: record.Part, phase: Phase, tally: Tally, switches: int) -> None:
    waits = sorted(tally.waits)
    if not switches:
        tally.violations.append("the phase was never changed")
    part.add(
        phase,
        tally.violations,
        acknowledged=tally.acknowledged,
        kills=tally.kills,
        switches=switches,
        seconds=round(tally.seconds, 1),
        median_ms=round(waits[len(waits) // 2] * 1000, 1),
        p99_ms=round(waits[len(waits) * 99 // 100] * 1000, 1),
        longest_ms=round(waits[-1] * 1000, 1),
    )


if __name__ == "__main__":
    counts = {"processes": (16, 4), "people": (2_000, 208), "writes": (25_000, 8_000)}
    sys.exit(record.run(record.Part("writers", "R13"), __doc__ or "", counts, work))

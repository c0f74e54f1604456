"""Many processes that write at once, of which one is killed now and then."""

import random
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from multiprocessing.context import ForkServerProcess

from ingestion_pipeline.app import open_pipeline
from ingestion_pipeline.domain.columns import Mode, header
from ingestion_pipeline_tests.files import rendered, spelled
from ingestion_pipeline_tests.scenarios import counting_writer
from ingestion_pipeline_tests.scenarios.counting_writer import OWN, SHARED, Log, Task
from ingestion_pipeline_tests.scenarios.sites import Site, forks

COLUMNS = header(Mode.FULL)
COUNTED = (OWN, *SHARED)


def people(number: int) -> bytes:
    """A CSV of so many people, none of whom has counted anything yet."""
    known = (
        {"row_id": str(key), "name": "Name", "email": f"{key}@example.org"} for key in range(number, 0, -1)
    )
    return spelled([[cells.get(column, "") for column in COLUMNS] for cells in known], COLUMNS)


@dataclass
class Tally:
    """What the writing came to.

    Attributes:
        acknowledged: Writes that were acknowledged.
        kills: Processes killed.
        seconds: How long all of it took.
        waits: How long each write took, in seconds, in order.
        violations: What was found amiss.
    """

    acknowledged: int = 0
    kills: int = 0
    seconds: float = 0
    waits: list[float] = field(default_factory=list)
    violations: list[str] = field(default_factory=list)


class Crowd:
    """Several processes, each with several hands.

    Args:
        site: Where they write.
        task: What all of them do.
        processes: How many there are.
        kill_every: Seconds from one kill to the next.
        patience: Seconds after which they hang.
    """

    def __init__(
        self, site: Site, task: Task, processes: int, *, kill_every: float, patience: float = 60
    ) -> None:
        self.tally = Tally()
        self._site = site
        self._task = task
        self._shares = [tuple(task.hands[number::processes]) for number in range(processes)]
        self._kill_every = kill_every
        self._patience = patience
        self._forks = forks()
        self._draw = random.Random(13)  # noqa: S311 - no secret

    def count(self) -> Tally:
        """Let them write, then check what is there."""
        self._task.logs.mkdir()
        began = time.monotonic()
        running = {share: self._start(share) for share in self._shares}
        try:
            self._oversee(running)
        finally:
            for process in running.values():
                process.kill()
                process.join()
        self.tally.seconds = time.monotonic() - began
        self._look()
        return self.tally

    def _start(self, share: tuple[int, ...]) -> ForkServerProcess:
        task = replace(self._task, hands=share)
        process = self._forks.Process(target=counting_writer.run, args=(self._site.settings, task))
        process.start()
        return process

    def _oversee(self, running: dict[tuple[int, ...], ForkServerProcess]) -> None:
        """Kill one now and then, start it again, and have a look at the whole site meanwhile."""
        until = time.monotonic() + self._patience
        next_kill = time.monotonic() + self._kill_every
        while running:
            time.sleep(0.02)
            if time.monotonic() > until:
                self.tally.violations.append(f"{len(running)} processes hang")
                return
            for share in [share for share, process in running.items() if process.exitcode is not None]:
                code = running.pop(share).exitcode
                if code:
                    self.tally.violations.append(f"a process ended with {code}")
            if running and time.monotonic() > next_kill:
                next_kill = time.monotonic() + self._kill_every
                self._kill_one(running)
                self._look_meanwhile()

    def _kill_one(self, running: dict[tuple[int, ...], ForkServerProcess]) -> None:
        share = self._draw.choice(sorted(running))
        process = running[share]
        process.kill()
        process.join()
        if process.exitcode == 0:
            return
        self.tally.kills += 1
        running[share] = self._start(share)

    def _look_meanwhile(self) -> None:
        """Compare the two sides, or where there is one only, read it from end to end."""
        with self._noting("meanwhile"), open_pipeline(self._site.settings) as pipeline:
            if self._site.phase.follower:
                report = pipeline.compare()
                if not report.bytes_equal:
                    self.tally.violations.append(f"compared meanwhile: {report.counted} differences")
            elif sum(1 for _ in pipeline.rows()) != self._task.people:
                self.tally.violations.append("read meanwhile: rows are missing")

    def _look(self) -> None:
        """Check every count, then settle once and check that the sides are equal."""
        with self._noting("at the end"):
            self.tally.violations += self._amiss()
        with self._noting("settling"), open_pipeline(self._site.settings) as pipeline:
            pipeline.settle()
            if self._site.phase.follower and rendered(pipeline) != self._site.csv.read_bytes():
                self.tally.violations.append("the two sides differ after one settle")
        with self._noting("settled"):
            self.tally.violations += self._amiss(again=True)

    @contextmanager
    def _noting(self, when: str) -> Iterator[None]:
        try:
            yield
        except Exception as error:  # noqa: BLE001 - a fault is what is looked for
            self.tally.violations.append(f"{when}: {type(error).__name__}: {error}")

    def _amiss(self, *, again: bool = False) -> Iterator[str]:
        there = self._site.in_authority(COUNTED)
        if len(there) != self._task.people:
            yield f"{len(there)} people of {self._task.people} are there"
        for hand in self._task.hands:
            kept = Log(self._task.logs / str(hand)).kept
            if not again:
                self.tally.acknowledged += len(kept.seconds)
                self.tally.waits += kept.seconds
                yield from kept.amiss
            for row_id, column in kept.tried:
                count = int(there[row_id][COUNTED.index(column)] or 0)
                if count not in kept.allows((row_id, column)):
                    yield f"row {row_id}, {column}: {count} is not what was acknowledged"

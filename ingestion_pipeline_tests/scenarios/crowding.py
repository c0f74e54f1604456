"""Many processes that write at once, of which one is killed now and then."""

import math
import random
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from multiprocessing.context import ForkServerProcess

from ingestion_pipeline.app import open_pipeline
from ingestion_pipeline.domain.columns import Mode, header
from ingestion_pipeline_tests.files import rendered, spelled
from ingestion_pipeline_tests.forks import forks
from ingestion_pipeline_tests.scenarios import counting_writer
from ingestion_pipeline_tests.scenarios.counting_writer import OWN, SHARED, Ack, Log, Task, counted
from ingestion_pipeline_tests.scenarios.gate import Gate
from ingestion_pipeline_tests.scenarios.sites import Site

COLUMNS = header(Mode.FULL)
COUNTED = (OWN, *SHARED)


def keys(number: int) -> tuple[str, ...]:
    """The row_ids of so many people."""
    return tuple(str(key) for key in range(1, number + 1))


def people(number: int) -> bytes:
    """A CSV of so many people, none of whom has counted anything yet."""
    known = ({"row_id": key, "name": "Name", "email": f"{key}@example.org"} for key in reversed(keys(number)))
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

    Attributes:
        site: Where they write, and the phase that is in force there.
        forks: Makes processes.
        running: The processes, by their hands.
    """

    def __init__(
        self, site: Site, task: Task, processes: int, *, kill_every: float = math.inf, patience: float = 60
    ) -> None:
        self.site = site
        self.tally = Tally()
        self.forks = forks()
        self.running: dict[tuple[int, ...], ForkServerProcess] = {}
        self.draw = random.Random(13)  # noqa: S311 - no secret
        self._task = task
        self._shares = [tuple(task.hands[number::processes]) for number in range(processes)]
        self._kill_every = kill_every
        self._patience = patience
        self._logs: dict[int, Log] = {}

    def end(self) -> None:
        """Have everybody go home, and wait for it."""
        self.gate.end()
        for _ in self.until_done():
            """They are under way."""

    def count(self) -> Tally:
        """Let them write, then check what is there."""
        with self.at_work():
            self._oversee()
        self._look()
        return self.tally

    @property
    def gate(self) -> Gate:
        return self._task.gate

    @contextmanager
    def at_work(self) -> Iterator[None]:
        """While they write; at the end, nobody does any more."""
        self._task.logs.mkdir()
        self._logs = {hand: Log(self._task.logs / str(hand)) for hand in self._task.hands}
        began = time.monotonic()
        try:
            self.running = {share: self._start(share) for share in self._shares}
            yield
        finally:
            for process in self.running.values():
                process.kill()
                process.join()
            self.tally.seconds = time.monotonic() - began
            self._count_up()
            for log in self._logs.values():
                log.close()

    def _start(self, share: tuple[int, ...]) -> ForkServerProcess:
        task = replace(self._task, hands=share)
        process = self.forks.Process(target=counting_writer.run, args=(self.site.settings, task))
        process.start()
        return process

    def _oversee(self) -> None:
        """Kill one now and then, start it again, and have a look at the whole site meanwhile."""
        next_kill, made = time.monotonic() + self._kill_every, 0
        for _ in self.until_done():
            # On a busy machine they could die faster than they begin.
            if time.monotonic() > next_kill and len(self.acks()) > made:
                self.kill_one()
                self.look_meanwhile()
                next_kill, made = time.monotonic() + self._kill_every, len(self.acks())

    def until_done(self) -> Iterator[None]:
        """Again and again, until all have made their writes, or hang."""
        until = time.monotonic() + self._patience
        while self.running:
            time.sleep(0.02)
            if time.monotonic() > until:
                self.tally.violations.append(f"{len(self.running)} processes hang")
                return
            for share in [share for share, process in self.running.items() if process.exitcode is not None]:
                code = self.running.pop(share).exitcode
                if code:
                    self.tally.violations.append(f"a process ended with {code}")
            if self.running:
                yield

    def kill_one(self) -> None:
        """Kill one, and start it again."""
        share = self.draw.choice(sorted(self.running))
        process = self.running[share]
        process.kill()
        process.join()
        if process.exitcode == 0:
            return
        self.tally.kills += 1
        self.running[share] = self._start(share)

    def look_meanwhile(self) -> None:
        """Compare the two sides, or where there is one only, read it from end to end."""
        with self.noting("meanwhile"), open_pipeline(self.site.settings) as pipeline:
            if self.site.phase.follower:
                report = pipeline.compare()
                if not report.bytes_equal:
                    self.tally.violations.append(f"compared meanwhile: {report.counted} differences")
            elif sum(1 for _ in pipeline.rows()) < len(self._task.row_ids):
                self.tally.violations.append("read meanwhile: rows are missing")

    def _look(self) -> None:
        """Check every count, then settle once and check that the sides are equal."""
        self.check_counts("at the end")
        with self.noting("settling"), open_pipeline(self.site.settings) as pipeline:
            pipeline.settle()
            if self.site.phase.follower and rendered(pipeline) != self.site.csv.read_bytes():
                self.tally.violations.append("the two sides differ after one settle")
        self.check_counts("settled")

    @contextmanager
    def noting(self, when: str) -> Iterator[None]:
        """Note what goes wrong."""
        try:
            yield
        except Exception as error:  # noqa: BLE001 - a fault is what is looked for
            self.tally.violations.append(f"{when}: {type(error).__name__}: {error}")

    def check_counts(self, when: str) -> None:
        """Check that every write that was acknowledged is there; nobody writes meanwhile."""
        with self.noting(when):
            self.tally.violations += [f"{when}: {what}" for what in self._amiss()]

    def acks(self) -> list[Ack]:
        """Every write that was acknowledged so far, of one hand after another."""
        self._catch_up()
        return [ack for log in self._logs.values() for ack in log.kept.acks]

    def _count_up(self) -> None:
        acks = self.acks()
        self.tally.acknowledged = len(acks)
        self.tally.waits = [ack.ended - ack.began for ack in acks]
        for log in self._logs.values():
            self.tally.violations += log.kept.amiss

    def _catch_up(self) -> None:
        for log in self._logs.values():
            log.catch_up()

    def _amiss(self) -> Iterator[str]:
        self._catch_up()
        there = self.site.in_authority(COUNTED)
        made = {row_id for log in self._logs.values() for row_id in log.kept.made}
        if there.keys() - made != set(self._task.row_ids):
            yield f"{len(there.keys() - made)} people of {len(self._task.row_ids)} are there"
        for hand, log in self._logs.items():
            for row_id, column in log.kept.tried:
                texts = there.get(row_id)
                count = 0 if texts is None else counted(texts[COUNTED.index(column)])
                if count not in log.kept.allows((row_id, column)):
                    yield f"row {row_id}, {column}: {count} is not what was acknowledged by {hand}"

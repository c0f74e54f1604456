"""Changing the phase of a site under those who write it, and looking at each stop whether all is there."""

import csv
import io
import os
import signal
import threading
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field, replace
from hashlib import sha256
from itertools import chain, repeat
from multiprocessing.connection import Connection
from multiprocessing.context import ForkServerProcess
from pathlib import Path
from typing import Self

from psycopg2 import connect

from ingestion_pipeline.app import Pipeline, open_pipeline
from ingestion_pipeline.domain.phase import Phase
from ingestion_pipeline.domain.phase_change import PhaseChange
from ingestion_pipeline_tests.conftest import SAMPLES
from ingestion_pipeline_tests.files import rendered
from ingestion_pipeline_tests.phases import ROUND
from ingestion_pipeline_tests.scenarios import switcher
from ingestion_pipeline_tests.scenarios.counting_writer import HALT, STALE, Ack, Task
from ingestion_pipeline_tests.scenarios.counting_writer import Mutant as Writers
from ingestion_pipeline_tests.scenarios.crowding import Crowd
from ingestion_pipeline_tests.scenarios.sites import Site, make_site
from ingestion_pipeline_tests.scenarios.switcher import Mutant, Order

PATIENCE = 30.0
"""Seconds after which a switcher hangs."""

TRIES = 5
"""How often a switcher that was refused, or died, is started again."""

DIED = "died"

WITH_TIME = frozenset({"stale_proof", "pending", "postgres_busy", "locked", "changing", "stale_epoch"})
"""What a switch may be refused with under load, and try again."""


REST = 0.01
"""Seconds a hand rests after a write."""

NEW = 0.02
"""Of the writes to rows of one's own, those that make a new person."""


@dataclass(frozen=True)
class OnSite:
    """A site, and who is there."""

    site: Site
    row_ids: tuple[str, ...]


def sample(folder: Path, url: str | None, timeout: float = 20) -> OnSite:
    """A site of the bundled sample in phase original, with a database within reach.

    Args:
        folder: An empty folder.
        url: The database's; None for the embedded server.
        timeout: Seconds to wait for the CSV's lock.
    """
    file = (SAMPLES / "output.csv").read_bytes()
    found = [row["row_id"] for row in csv.DictReader(io.StringIO(file.decode(), newline=""))]
    row_ids = tuple(dict.fromkeys(found))
    site = make_site(folder, Phase.ORIGINAL, file, None, timeout)
    site = replace(site if url is None else site.with_postgres(url), repeated=len(found) - len(row_ids))
    return OnSite(site, row_ids)


@dataclass
class Journey:
    """What became of the switches.

    Attributes:
        switches: Changes of phase that were made.
        deaths: Switchers that were killed.
        again: Why switchers had to be started again, how often.
        halted: Writers that were stopped across a switch.
        changes: The receipts.
    """

    switches: int = 0
    deaths: int = 0
    again: Counter[str] = field(default_factory=Counter)
    halted: int = 0
    changes: list[PhaseChange] = field(default_factory=list)


@dataclass(frozen=True)
class Stay:
    """A phase, and when it may have been in force at most."""

    phase: Phase
    since: float
    until: float


class Switching:
    """Takes a site from phase to phase while a crowd writes it.

    Args:
        crowd: Those who write.
        logs: The folder of their logs.
        mutant: The fault that the switchers have.

    Attributes:
        journey: What became of the switches.
        crowd: Those who write.
    """

    def __init__(self, crowd: Crowd, logs: Path, mutant: Mutant = Mutant.NONE) -> None:
        self.journey = Journey()
        self.crowd = crowd
        self._logs = logs
        self._mutant = mutant
        self._arriving = 0.0
        self._stays: list[Stay] = []

    @classmethod
    @contextmanager
    def under_way(
        cls, on: OnSite, logs: Path, processes: int, mutant: Mutant | Writers = Mutant.NONE
    ) -> Iterator[Self]:
        """With so many processes that write all the time, one hand each; at the end, all is checked again."""
        writers = mutant if isinstance(mutant, Writers) else Writers.NONE
        task = Task(logs, tuple(range(processes)), on.row_ids, None, writers, rest=REST, new=NEW)
        crowd = Crowd(on.site, task, processes)
        with crowd.at_work():
            switching = cls(crowd, logs, Mutant.NONE if isinstance(mutant, Writers) else mutant)
            yield switching
            crowd.end()
            switching.look()

    @property
    def _site(self) -> Site:
        return self.crowd.site

    def amiss(self, what: str) -> None:
        """Note a violation."""
        self.crowd.tally.violations.append(f"{self._site.phase}, switch {self.journey.switches}: {what}")

    def round(self) -> None:
        """There and back, with a look at each stop."""
        for to in ROUND:
            self.go(to)
            self.look()

    def go(self, to: Phase, *, at: int = 0, after: bool = False, killed_after: float | None = None) -> None:
        """Change the phase, by one switcher after another where one dies or is refused.

        Args:
            to: The phase to go to, one step away.
            at: The step of the switch at which the first one dies; 0 for none.
            after: Whether it dies after that step.
            killed_after: Seconds after which the first one is killed.
        """
        arriving = time.monotonic()
        alive = Order(to, mutant=self._mutant)
        for order in chain([replace(alive, at=at, after=after)], repeat(alive, TRIES)):
            said = self._sent(order, killed_after)
            if said is None:
                break
            self.journey.again[said] += 1
            killed_after = None
            if said != DIED and not set(said.split(", ")) <= WITH_TIME:
                self.amiss(f"on the way to {order.to}: {said}")
                return
        else:
            self.amiss(f"there is no way to {to}: {dict(self.journey.again)}")
            return
        self._stays.append(Stay(self._site.phase, self._arriving, time.monotonic()))
        self._arriving = arriving
        self.crowd.site = replace(self._site, phase=to)
        self.journey.switches += 1

    def _sent(self, order: Order, killed_after: float | None) -> str | None:
        """Why the switcher is not there; None when it is."""
        listening, telling = self.crowd.forks.Pipe(duplex=False)
        child = self.crowd.forks.Process(target=switcher.run, args=(self._site.settings, order, telling))
        child.start()
        telling.close()
        try:
            return self._heard(child, listening, killed_after)
        finally:
            listening.close()
            child.kill()
            child.join()

    def _heard(
        self, child: ForkServerProcess, listening: Connection, killed_after: float | None
    ) -> str | None:
        if killed_after is not None and not listening.poll(killed_after):
            child.kill()
        try:
            if not listening.poll(PATIENCE):
                return "hangs"
            said: str | None = listening.recv()
        except EOFError:
            child.join()
            if child.exitcode != -signal.SIGKILL:
                return f"ended with {child.exitcode}"
            self.journey.deaths += 1
            return DIED
        return said

    @contextmanager
    def halted(self) -> Iterator[None]:
        """With one process stopped, which knows the phase and is about to write, until afterwards."""
        process = self._halt()
        while self._holds_lock(process):
            # It is just settling, too.
            os.kill(process, signal.SIGCONT)
            process = self._halt()
        with self._going_on(process, PATIENCE):
            yield

    def _halt(self) -> int:
        (self._logs / HALT).touch()
        until = time.monotonic() + PATIENCE
        while not (stopped := [one for one in self._processes() if _is_stopped(one)]):
            if time.monotonic() > until:
                raise TimeoutError("nobody writes")
            time.sleep(0.002)
        return stopped[0]

    def _holds_lock(self, process: int) -> bool:
        """Whether it has the CSV's lock, or the turn."""
        files = {str(file.stat().st_ino) for file in self._site.state_dir.glob("lock*")}
        held = [line.split() for line in Path("/proc/locks").read_text(encoding="ascii").splitlines()]
        return any(str(process) in words and words[-3].rpartition(":")[2] in files for words in held)

    @contextmanager
    def stopped(self, least: float, most: float) -> Iterator[None]:
        """With one process stopped somewhere, for some seconds."""
        process = self.crowd.draw.choice(sorted(self._processes()))
        os.kill(process, signal.SIGSTOP)
        with self._going_on(process, self.crowd.draw.uniform(least, most)):
            yield

    @contextmanager
    def _going_on(self, process: int, at_most: float) -> Iterator[None]:
        """Have it go on, afterwards at the latest."""
        going_on = threading.Timer(at_most, os.kill, (process, signal.SIGCONT))
        going_on.start()
        self.journey.halted += 1
        try:
            yield
        finally:
            going_on.cancel()
            os.kill(process, signal.SIGCONT)

    def _processes(self) -> list[int]:
        return [process.pid for process in self.crowd.running.values() if process.pid is not None]

    @property
    def refused(self) -> int:
        """Writes that were refused because the phase had changed, and were tried again by the pipeline."""
        stale = self._logs / STALE
        return stale.stat().st_size if stale.exists() else 0

    def look(self) -> None:
        """Check, with nobody writing, that this phase is in force, and all that was acknowledged there."""
        with (
            self.crowd.noting(f"at the stop in {self._site.phase}"),
            self.crowd.gate.shut(),
            open_pipeline(self._site.settings) as pipeline,
        ):
            self._check_phase(pipeline)
            pipeline.settle()
            self._check_bytes(pipeline)
            self.journey.changes = pipeline.phase.history()
            self.crowd.check_counts(f"at the stop in {self._site.phase}")
        self._check_sides()

    def _check_phase(self, pipeline: Pipeline) -> None:
        ledger, tables = pipeline.in_force(), pipeline.tables.state()
        if ledger != tables:
            self.amiss(f"the ledger says {ledger}, PostgreSQL {tables}")
        if (ledger.phase, ledger.changing) != (self._site.phase, False):
            self.amiss(f"it is in {ledger}")
        if ledger.epoch != self.journey.switches + 1:
            self.amiss(f"epoch {ledger.epoch} after {self.journey.switches} switches")

    def _check_bytes(self, pipeline: Pipeline) -> None:
        """Both sides render the same, where one follows the other."""
        left, held = self._site.csv.read_bytes(), rendered(pipeline)
        if self._site.phase.follower and left != held:
            self.amiss("the two sides differ by bytes")
        if self._site.phase is Phase.DATABASE_NATIVE:
            self._check_left(pipeline, left, held)

    def _check_left(self, pipeline: Pipeline, left: bytes, held: bytes) -> None:
        """The CSV is as it was at the switch: who differs was written since."""
        receipt = pipeline.phase.history()[-1]
        if receipt.csv_sha256 != sha256(left).hexdigest():
            self.amiss("the CSV is not the one of the switch")
        differing = {row[0] for row in _rows(left) ^ _rows(held)}
        if not differing <= self._written_in(receipt.epoch):
            self.amiss("the CSV had not got everything at the switch")

    def _written_in(self, epoch: int) -> set[str]:
        connection = connect(self._site.url or "")
        try:
            with connection, connection.cursor() as cursor:
                cursor.execute("SELECT DISTINCT row_id FROM ingestion.history WHERE epoch = %s", (epoch,))
                return {row_id for (row_id,) in cursor.fetchall()}
        finally:
            connection.close()

    def _check_sides(self) -> None:
        """Every write was acknowledged by the side that led at some moment of it."""
        # In this order: they write again, and what is acknowledged from here on is looked at the next time.
        acks = self.crowd.acks()
        stays = [*self._stays, Stay(self._site.phase, self._arriving, time.monotonic())]
        wrong = [ack for ack in acks if not any(_fits(ack, stay) for stay in stays)]
        if wrong:
            self.amiss(f"{len(wrong)} writes were acknowledged by the side that did not lead")


def _fits(ack: Ack, stay: Stay) -> bool:
    return ack.side == stay.phase.authority and ack.began <= stay.until and stay.since <= ack.ended


def _rows(file: bytes) -> set[tuple[str, ...]]:
    return {tuple(row) for row in csv.reader(io.StringIO(file.decode(), newline=""))}


def _is_stopped(process: int) -> bool:
    with suppress(FileNotFoundError):
        return Path(f"/proc/{process}/stat").read_text(encoding="utf-8").rpartition(") ")[2][0] == "T"
    return False

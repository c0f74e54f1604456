"""Killing a writer at one step after another, and looking at what is left."""

import json
import signal
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import count
from multiprocessing.connection import Connection
from multiprocessing.context import ForkServerProcess
from typing import Any
from uuid import UUID, uuid4

from ingestion_pipeline.app import Pipeline, open_pipeline
from ingestion_pipeline.domain.errors import PipelineError
from ingestion_pipeline_tests.files import people, rendered, spelled
from ingestion_pipeline_tests.forks import forks
from ingestion_pipeline_tests.scenarios import killed_writer
from ingestion_pipeline_tests.scenarios.killed_writer import Mutant, Order
from ingestion_pipeline_tests.scenarios.sites import Kept, Site

PEOPLE = spelled(people(range(20, 0, -1)))
WRITTEN = ("link", "document_text", "file_uuids")
"""The columns of a write: one of each table, so that half a row is seen."""

PATIENCE = 30.0
"""Seconds after which a child hangs."""

OneWrite = tuple[UUID | None, str, Mapping[str, str]]


@dataclass
class Tally:
    """What a run of many kills came to.

    Attributes:
        trials: Children that were sent to die, each at a step of its own.
        kills: How many of them did.
        acknowledged: Writes that were acknowledged.
        steps: The names of the steps that the last one took which lived.
        violations: What was found amiss.
    """

    trials: int = 0
    kills: int = 0
    acknowledged: int = 0
    steps: Sequence[str] = ()
    violations: list[str] = field(default_factory=list)


class Killing:
    """Kills writers of one site, and checks after each that the promises hold.

    Args:
        site: The site.
        mutant: The fault that the writers have.
        deaths: How many die one after another before anybody looks.
    """

    def __init__(self, site: Site, mutant: Mutant = Mutant.NONE, deaths: int = 1) -> None:
        self.tally = Tally()
        self.site = site
        self._mutant = mutant
        self._deaths = deaths
        self._standing = site.in_authority(WRITTEN)
        self.forks = forks()

    def at_every_step(self, *, stride: int = 1, both: bool = False, most: int = 10_000) -> Tally:
        """Kill at each step in turn, until a run passes alive or something is amiss.

        Args:
            stride: Steps from one kill to the next.
            both: Die before and after each step, rather than in turn.
            most: Trials at most.
        """
        turn = count()
        for step in range(1, most, stride):
            for after in (False, True) if both else (next(turn) % 2 == 1,):
                if not self.trial(step, after=after) or self.tally.violations:
                    return self.tally
        return self.tally

    def trial(self, step: int, *, after: bool) -> bool:
        """Kill at this step; gives whether the writer got that far."""
        writes = list(self._writes())
        done = 0
        killed = False
        for _ in range(self._deaths):
            acknowledged, ended = self._die(Order(writes[done:], step, after, self._mutant))
            done += acknowledged
            killed = killed or ended is None
            if isinstance(ended, str):
                self._amiss(step, f"a writer was refused: {ended}")
            elif ended is not None:
                self.tally.steps = ended
                break
        self.tally.trials += 1
        self.tally.kills += killed
        self.tally.acknowledged += done
        self._look(step, writes, done)
        return killed

    def _writes(self) -> Iterator[OneWrite]:
        """A change, a new person, and another change of the one before; the first has no id of its own."""
        number = self.tally.trials
        changed = str(1 + number % 20)
        for turn, row_id in enumerate((changed, f"new {number}", changed)):
            told = f"{number}-{turn}"
            cells = {"link": told, "document_text": f'{told},\n"x"', "file_uuids": json.dumps({"w": told})}
            if turn == 1:
                cells |= {"name": "New", "email": "new@example.org", "type": "INTJ"}
            yield uuid4() if turn else None, row_id, cells

    def _die(self, order: Order) -> tuple[int, list[str] | str | None]:
        """Have writes written; gives how many were acknowledged, and the writer's last word."""
        listening, telling = self.forks.Pipe(duplex=False)
        child = self._start(order, telling)
        telling.close()
        said: list[Any] = []
        try:
            while listening.poll(PATIENCE):
                said.append(listening.recv())
        except EOFError:
            child.join(PATIENCE)
        else:
            self._amiss(order.at, "a writer hangs")
            child.kill()
            child.join(PATIENCE)
        finally:
            listening.close()
        last = said.pop() if said and said[-1] is not True else None
        if last is None and child.exitcode != -signal.SIGKILL:
            raise AssertionError(f"a writer failed at step {order.at}: exit code {child.exitcode}")
        child.close()
        return len(said), last

    def _start(self, order: Order, telling: Connection) -> ForkServerProcess:
        child = self.forks.Process(target=killed_writer.run, args=(self.site.settings, order, telling))
        child.start()
        return child

    def _look(self, step: int, writes: list[OneWrite], done: int) -> None:
        """Check what is left, settle once, check again, and bring what was not acknowledged once more."""
        self.site.let_end(PATIENCE)
        allowed = [self._after(writes[:made]) for made in (done, done + 1)]
        found = self.site.in_authority(WRITTEN)
        if found not in allowed:
            self._amiss(step, f"the authority: {_lost(found, allowed[0])}")
        if found == allowed[1]:
            allowed = allowed[1:]
        try:
            with open_pipeline(self.site.settings) as pipeline:
                pipeline.settle()
                found = self.site.in_authority(WRITTEN)
                if found not in allowed:
                    self._amiss(step, f"the authority, settled: {_lost(found, allowed[0])}")
                self._check_equal(step, pipeline)
                for write_id, row_id, cells in writes[done:]:
                    pipeline.write(row_id, cells, write_id=write_id)
        except PipelineError as error:
            self._amiss(step, f"{error.code}: {error.message}")
        self._standing = self._after(writes)
        found = self.site.in_authority(WRITTEN)
        if found != self._standing:
            self._amiss(step, f"written again: {_lost(found, self._standing)}")

    def _check_equal(self, step: int, pipeline: Pipeline) -> None:
        if self.site.phase.follower:
            if self.site.in_csv(WRITTEN) != self.site.in_postgres(WRITTEN):
                self._amiss(step, "the two sides differ after one settle")
            elif rendered(pipeline) != self.site.csv.read_bytes():
                self._amiss(step, "the two sides differ by bytes after one settle")

    def _after(self, writes: list[OneWrite]) -> Kept:
        texts = {row_id: tuple(cells[column] for column in WRITTEN) for _, row_id, cells in writes}
        return self._standing | texts

    def _amiss(self, step: int, what: str) -> None:
        self.tally.violations.append(f"{self.site.phase}, step {step}: {what}")


def _lost(found: Kept, wanted: Kept) -> str:
    rows = sorted(row for row in found.keys() | wanted.keys() if found.get(row) != wanted.get(row))
    return f"rows {', '.join(rows)} are not what was acknowledged"

"""Who does something to the model, each by the project's own operations."""

from collections.abc import Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager
from dataclasses import dataclass
from typing import Any, Protocol, cast
from uuid import UUID

from ingestion_pipeline.app.authority import Authority
from ingestion_pipeline.domain.brake import Brakes
from ingestion_pipeline.domain.errors import PipelineError
from ingestion_pipeline.domain.phase import Move, Phase
from ingestion_pipeline.domain.phase_change import PhaseChange
from ingestion_pipeline.domain.receipt import Write
from ingestion_pipeline.domain.reports import State
from ingestion_pipeline.domain.transition import Condition, required
from ingestion_pipeline.operations.compare import compare
from ingestion_pipeline.operations.settle import SettleReport, settle
from ingestion_pipeline.operations.switch import switch
from ingestion_pipeline.operations.sync import first_sync
from ingestion_pipeline.operations.write import write
from ingestion_pipeline_tests.model.disk import ModelCsv
from ingestion_pipeline_tests.model.postgres import ModelTables
from ingestion_pipeline_tests.model.steps import Process
from ingestion_pipeline_tests.model.world import World

BRAKES = Brakes()

TRIES = 2
"""How often the two sides are compared anew because somebody wrote before the switch."""


class Site:
    """One process of a site, as `app.writing.Writing` and `app.changing.Changing` put it together."""

    def __init__(self, process: Process) -> None:
        # The operations ask for no more than the ports; what the ports lack for them is of no interest here.
        self.csv = cast("Any", ModelCsv(process))
        self.tables = cast("Any", ModelTables(process))
        self._authority = Authority(self.csv, lambda: self.tables, self.begin, lambda: True)

    def begin(self, known: State | None) -> State:
        return cast("State", self.tables.begin(Phase.DUAL_WRITE, known=known))

    def in_force(self, *, again: bool = False) -> State:
        return self._authority.in_force(again=again)

    def reached(self) -> AbstractContextManager[Any]:
        return self._authority.reached()

    def settle_soon(self) -> None:
        """Others settle."""

    def settle_first(self) -> None:
        if self.csv.takes_in:
            self.settle()

    def settle(self) -> SettleReport:
        state = self.in_force()
        with ExitStack() as stack:
            tables = None
            if state.phase is not Phase.ORIGINAL:
                tables = stack.enter_context(self.reached())
            return settle(self.csv, tables, state=state, brakes=BRAKES, aside="aside")


class Intent(Protocol):
    """What an actor is to do; after a crash another process does it again."""

    def __call__(self, process: Process, *, again: bool) -> str:
        """Do it, and give what came of it in a word."""
        ...


@dataclass(frozen=True, slots=True)
class Writes:
    """Write one person."""

    number: int
    row_id: str
    text: str

    def __call__(self, process: Process, *, again: bool) -> str:
        cells = {"name": self.text, "email": "", "type": ""}
        asked = Write(self.row_id, cells, UUID(int=self.number), given=again)
        site = Site(process)
        with _told(process) as outcome:
            answered = write(site, site.csv.submit, [asked], "somebody", brakes=BRAKES, fallback=True)
            if answered.error is not None:
                raise answered.error
            process.step("is told that it is durable", self._told)
            outcome.append("written")
        return outcome[0]

    def _told(self, world: World) -> None:
        world.told |= {self.text}


@dataclass(frozen=True, slots=True)
class Settles:
    """Settle once."""

    def __call__(self, process: Process, *, again: bool) -> str:
        del again
        with _told(process) as outcome:
            Site(process).settle()
            outcome.append("settled")
        return outcome[0]


@dataclass(frozen=True, slots=True)
class Changes:
    """Change the phase by one move, if it is the one it leaves."""

    move: Move

    def __call__(self, process: Process, *, again: bool) -> str:
        del again
        with _told(process) as outcome:
            outcome.append(self._change(Site(process)))
        return outcome[0]

    def _change(self, site: Site) -> str:
        state = site.in_force()
        if state.phase is not self.move.before:
            return "not there"
        synced_up_to = None
        if self.move.before is Phase.ORIGINAL:
            site.begin(state)
            synced_up_to = first_sync(site.csv, site.tables, state, brakes=None, step=_silently)
        for _ in range(TRIES):
            if Condition.STALE_PROOF in required(self.move):
                forward = self.move.is_forward
                aside = None if forward else "aside"
                compare(site.csv, site.tables, brakes=BRAKES, limit=0, way_back=forward, aside=aside)
            done = switch(
                site.csv,
                site.tables,
                self._receipt(state),
                overrides=(),
                brakes=None,
                aside="aside",
                synced_up_to=synced_up_to,
            )
            if isinstance(done, PhaseChange):
                return "changed"
        return "shut"

    def _receipt(self, state: State) -> PhaseChange:
        before, after = self.move.before, self.move.after
        return PhaseChange(state.epoch + 1, before, after, at="", by="", wanted=after, by_hand=True)


def _silently(_name: str) -> None:
    """Nobody wants to know."""


@contextmanager
def _told(process: Process) -> Iterator[list[str]]:
    """What came of an operation; an error is told by its code."""
    outcome: list[str] = []
    try:
        yield outcome
    except PipelineError as error:
        code = error.code
        process.step(f"is told: {code}", lambda _: None)
        outcome.append(code)

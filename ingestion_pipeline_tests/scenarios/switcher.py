"""A process that changes the phase, may die at one step of the switch, and how it may be made worse."""

import os
import signal
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from enum import StrEnum
from multiprocessing.connection import Connection
from unittest.mock import patch

from ingestion_pipeline.app import open_pipeline
from ingestion_pipeline.app.changing import How
from ingestion_pipeline.domain.errors import PipelineError
from ingestion_pipeline.domain.phase import Phase
from ingestion_pipeline.domain.transition import Since
from ingestion_pipeline.operations import switch
from ingestion_pipeline.settings import Settings
from ingestion_pipeline.stores.disk.locked_csv import LockedCsv
from ingestion_pipeline.stores.postgres import fence
from ingestion_pipeline.stores.postgres.queries import Queries
from ingestion_pipeline_tests.phases import go
from ingestion_pipeline_tests.scenarios.killed_writer import Steps, watched


class Mutant(StrEnum):
    """A fault put into the switch, which the test must notice."""

    NONE = "none"
    NO_FENCE = "no fence"
    """Those who write PostgreSQL go on while the phase is changed."""
    NO_DRAIN = "no drain"
    """What is pending is passed over, and nobody looks again."""
    NO_MARK = "no mark"
    """The ledger does not say that a change is under way, and who makes it dies once it is made."""


@dataclass(frozen=True)
class Order:
    """Where to go, and when to die.

    Attributes:
        to: The phase.
        at: The step of the switch to die at, from 1; 0 to live.
        after: Whether to die after that step rather than before it.
        mutant: The fault to switch with.
    """

    to: Phase
    at: int = 0
    after: bool = False
    mutant: Mutant = Mutant.NONE


def run(settings: Settings, order: Order, told: Connection) -> None:
    """Go there, and tell why not if the gate stayed shut, or it was refused; None once it is there."""
    steps = Steps(order.at, after=order.after)
    how = How(step=_counting_from_the_switch_on(steps))
    try:
        with mutated(order.mutant), watched(steps), open_pipeline(settings) as pipeline:
            shut = go(pipeline, order.to, how).shut
    except PipelineError as error:
        told.send(error.code)
    else:
        told.send(None if shut is None else ", ".join(one.condition for one in shut.unmet))


def _counting_from_the_switch_on(steps: Steps) -> Callable[[str], None]:
    def step(name: str) -> None:
        steps.counting = name.startswith("switch")

    return step


_OPEN = Queries(
    fence._fence.texts  # noqa: SLF001 - what the fault is put into
    | {"keep_writers_out": "SELECT", "hold_state": "SELECT phase, epoch FROM ingestion.migration_state"}
)


@contextmanager
def mutated(mutant: Mutant) -> Iterator[None]:
    """Put the fault in."""
    with ExitStack() as stack:
        if mutant is Mutant.NO_FENCE:
            stack.enter_context(patch.object(fence, "_fence", _OPEN))
        if mutant is Mutant.NO_DRAIN:
            stack.enter_context(patch.object(switch, "_drain_to_csv", _pass_over))
            stack.enter_context(patch.object(switch, "_drain_to_postgres", lambda *_: 0))
            stack.enter_context(patch.object(switch, "_since", lambda *_, **__: Since()))
        if mutant is Mutant.NO_MARK:
            stack.enter_context(patch.object(LockedCsv, "mark", lambda *_: None))
            stack.enter_context(patch.object(LockedCsv, "keep", lambda *_: _die()))
        yield


def _die() -> None:
    os.kill(os.getpid(), signal.SIGKILL)


def _pass_over(_held: object, tables: fence.PostgresFence, *_: object) -> int:
    tables.clear_pending()
    return 0

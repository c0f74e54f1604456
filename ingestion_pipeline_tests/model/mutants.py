"""The same sites with one safeguard gone: a search that finds nothing amiss there proves nothing."""

from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager, ExitStack, contextmanager
from dataclasses import dataclass, replace
from typing import Any
from unittest.mock import patch

from ingestion_pipeline.domain.errors import PipelineError
from ingestion_pipeline.domain.phase import Move
from ingestion_pipeline.domain.ports import Fence, HeldCsv, Tables
from ingestion_pipeline.domain.reports import State
from ingestion_pipeline.domain.transition import Verdict
from ingestion_pipeline_tests.model.scenarios import ONE, D, O, P, Scenario
from ingestion_pipeline_tests.model.search import Found
from ingestion_pipeline_tests.model.steps import Faults

_SWITCH = "ingestion_pipeline.operations.switch"
_WRITE = "ingestion_pipeline.operations.write"


@dataclass(frozen=True)
class Mutant:
    """One safeguard gone.

    Attributes:
        scenario: Where its loss has to show.
        patches: By the name of what is replaced, what takes its place.
    """

    scenario: Scenario
    patches: tuple[tuple[str, Any], ...] = ()

    @property
    def name(self) -> str:
        return self.scenario.name

    def search(self) -> Found:
        with _patched(self.patches):
            return self.scenario.search()


def mutants() -> Sequence[Mutant]:
    forward, back = Move(D, P), Move(P, D)
    begins, leaves = Move(O, D), Move(D, O)
    blind = ((f"{_WRITE}._check_epoch", _ignore), (f"{_WRITE}._check_follower", _ignore))
    dry = ((f"{_SWITCH}._drain_to_postgres", _nobody), (f"{_SWITCH}._drain_to_csv", _nobody))
    return [
        _broken("no fence in PostgreSQL", back, Faults(no_fence=True)),
        Mutant(Scenario("no look at the ledger before a write", (forward,), settles=False), blind),
        Mutant(
            Scenario("no fence at all", (forward,), faults=Faults(no_fence=True), settles=False),
            blind,
        ),
        _broken("no journal", forward, Faults(no_journal=True)),
        Mutant(Scenario("no drain", (begins,), settles=False), dry),
        Mutant(
            Scenario("no drain, and a gate that is always open", (forward,), ONE, crashes=1, settles=False),
            (*dry, (f"{_SWITCH}.judge", _open)),
        ),
        _broken("no mark in the ledger", forward, Faults(no_mark=True)),
        Mutant(
            Scenario("the ledger changed before PostgreSQL", (forward,), settles=False),
            ((f"{_SWITCH}._change", _keep_first),),
        ),
        Mutant(
            Scenario("a COMMIT without an answer taken for none", (forward,), ONE, losses=1, settles=False),
            ((f"{_SWITCH}._change", _never_ask),),
        ),
        _broken("no file lock", leaves, Faults(no_lock=True)),
        Mutant(
            Scenario(
                "pending rows cleared that have changed since", (), begins=P, faults=Faults(clears_all=True)
            )
        ),
    ]


def _broken(name: str, move: Move, faults: Faults) -> Mutant:
    return Mutant(replace(Scenario(name, (move,), settles=False), faults=faults))


@contextmanager
def _patched(patches: Sequence[tuple[str, Any]]) -> Iterator[None]:
    with ExitStack() as stack:
        for name, instead in patches:
            entered: AbstractContextManager[Any] = patch(name, instead)
            stack.enter_context(entered)
        yield


def _ignore(*_: object) -> None:
    """Nothing is looked at."""


def _nobody(*_: object) -> int:
    return 0


def _open(move: Move, *_: object) -> Verdict:
    return Verdict(move)


def _keep_first(fence: Fence, tables: Tables, held: HeldCsv, began: State, ends: State, by: str) -> None:
    del tables, began
    held.keep(ends)
    fence.change(ends, by)


def _never_ask(fence: Fence, tables: Tables, held: HeldCsv, began: State, ends: State, by: str) -> None:
    del tables
    try:
        fence.change(ends, by)
    except PipelineError:
        held.keep(began)
        raise

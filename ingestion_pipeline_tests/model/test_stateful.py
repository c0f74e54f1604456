"""A real site through anything that may be done to it: it holds what was written, on both sides alike."""

import os
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from typing import Any
from unittest.mock import patch

import pytest
from hypothesis import HealthCheck, settings
from hypothesis.stateful import run_state_machine_as_test

from ingestion_pipeline.domain.journal import Record
from ingestion_pipeline.stores.disk.journal_log import JournalLog
from ingestion_pipeline_tests.model.machine import Machine

EXAMPLES = int(os.environ.get("STATEFUL_EXAMPLES", "20"))
"""How many ways are gone; a long run asks for more."""

LONG = settings(
    max_examples=EXAMPLES,
    stateful_step_count=12,
    deadline=None,
    database=None,
    derandomize=EXAMPLES < 100,
    suppress_health_check=list(HealthCheck),
)


def on(database: str) -> type[Machine]:
    """The machine on this database; Hypothesis makes it without arguments."""

    class OnDatabase(Machine):
        def __init__(self) -> None:
            super().__init__(database)

    return OnDatabase


@pytest.mark.timeout(120 + 10 * EXAMPLES)
def test_anything(database: str) -> None:
    run_state_machine_as_test(on(database), settings=LONG)


def _unkept(log: JournalLog, records: list[Record]) -> list[Record]:
    return list(log._numbered(records))  # noqa: SLF001 - as it numbers them


def _nothing(*_: object) -> int:
    return 0


def _written_and_settled(machine: Machine) -> None:
    machine.change(forward=True, loaded=False, key="1")
    machine.write(key="1")
    machine.settle()


def _changed_under_load(machine: Machine) -> None:
    machine.change(forward=True, loaded=True, key="1")


def _changed_meanwhile(machine: Machine) -> None:
    machine.change(forward=True, loaded=False, key="1")
    machine.write_while_the_phase_changes(key="1", forward=True)
    machine.reads_say_what_was_written()


MUTANTS: dict[str, tuple[Callable[[Machine], None], dict[str, Callable[..., Any]]]] = {
    "no journal": (_written_and_settled, {"stores.disk.journal_log.JournalLog.append": _unkept}),
    "no drain": (
        _changed_under_load,
        {
            "operations.switch._drain_to_postgres": _nothing,
            "operations.switch._drain_to_csv": _nothing,
        },
    ),
    "no fence": (
        _changed_meanwhile,
        {"operations.write._check_epoch": _nothing, "operations.write._check_follower": _nothing},
    ),
}
"""A way on which the loss of each safeguard shows."""


@pytest.fixture
def machine(database: str) -> Iterator[Machine]:
    made = Machine(database)
    yield made
    made.teardown()


@pytest.mark.parametrize("mutant", MUTANTS)
def test_a_missing_safeguard_shows(mutant: str, machine: Machine) -> None:
    way, missing = MUTANTS[mutant]
    with ExitStack() as stack:
        for name, instead in missing.items():
            stack.enter_context(patch(f"ingestion_pipeline.{name}", instead))
        with pytest.raises(AssertionError):
            way(machine)


@pytest.mark.parametrize("mutant", MUTANTS)
def test_nothing_shows_with_every_safeguard(mutant: str, machine: Machine) -> None:
    MUTANTS[mutant][0](machine)

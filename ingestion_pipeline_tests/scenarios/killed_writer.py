"""A writer in a process of its own that is killed at one step of its I/O, and how it may be made worse."""

import fcntl
import functools
import os
import signal
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from enum import StrEnum
from multiprocessing.connection import Connection
from typing import Any
from unittest.mock import patch
from uuid import UUID

import psycopg2
from psycopg2 import extensions

from ingestion_pipeline.app import Pipeline, open_pipeline
from ingestion_pipeline.app.settler import Settler
from ingestion_pipeline.domain.errors import PipelineError
from ingestion_pipeline.domain.ports import HeldCsv, Tables
from ingestion_pipeline.domain.reports import Merged
from ingestion_pipeline.operations import settle
from ingestion_pipeline.settings import Settings
from ingestion_pipeline.stores import atomic
from ingestion_pipeline.stores.disk.journal_log import JournalLog
from ingestion_pipeline.stores.disk.locked_csv import LockedCsv
from ingestion_pipeline.stores.postgres.pool import PooledConnection, TimedCursor

WATCHED = (
    *((os, name) for name in ("open", "write", "fsync", "rename", "replace", "link", "unlink", "mkdir")),
    *((os, name) for name in ("truncate", "ftruncate")),
    (atomic, "exchange"),
    (fcntl, "flock"),
)
"""The calls that change something outside the process, besides those to PostgreSQL."""


class Mutant(StrEnum):
    """A fault put into the writer, which the test must notice."""

    NONE = "none"
    NO_JOURNAL = "no journal"
    """What is appended to the journal does not reach its file."""
    EARLY = "early"
    """A write is acknowledged before it is made."""
    NO_RECOVERY = "no recovery"
    """What the journal has and the CSV has not is left at that."""
    CLEARED_FIRST = "cleared first"
    """The mark that the CSV has yet to get a row is taken away before the CSV gets it."""


@dataclass(frozen=True)
class Order:
    """What is to be written, and when to die.

    Attributes:
        writes: Each write's own id where it has one, its row_id and its cells.
        at: The step to die at, from 1; 0 to live.
        after: Whether to die after that step rather than before it, or with half of it done where it writes.
        mutant: The fault to write with.
    """

    writes: Sequence[tuple[UUID | None, str, Mapping[str, str]]]
    at: int = 0
    after: bool = False
    mutant: Mutant = Mutant.NONE


class Steps:
    """Counts the calls that are made while a write is going on, and ends the process at one of them."""

    def __init__(self, at: int, *, after: bool) -> None:
        self.taken: list[str] = []
        self.counting = False
        self._at = at
        self._after = after
        self._one = threading.Lock()

    def counted(self, function: Callable[..., Any]) -> Callable[..., Any]:
        @functools.wraps(function)
        def step(*args: Any, **kwargs: Any) -> Any:
            last = self._next(function.__name__)
            if last and not self._after:
                if function.__name__ == "write":
                    function(args[0], args[1][: len(args[1]) // 2])
                _die()
            try:
                return function(*args, **kwargs)
            finally:
                if last:
                    _die()

        return step

    def _next(self, name: str) -> bool:
        if not self.counting:
            return False
        with self._one:
            self.taken.append(name)
            return len(self.taken) == self._at


def _die() -> None:
    os.kill(os.getpid(), signal.SIGKILL)


@contextmanager
def watched(steps: Steps) -> Iterator[None]:
    """Have every call counted."""
    with ExitStack() as stack:
        for module, name in WATCHED:
            stack.enter_context(patch.object(module, name, steps.counted(getattr(module, name))))
        stack.enter_context(patch.object(psycopg2, "connect", _connecting(steps)))
        # The pool's own, which take the place of the driver's.
        stack.enter_context(patch.object(TimedCursor, "execute", steps.counted(TimedCursor.execute)))
        stack.enter_context(patch.object(PooledConnection, "commit", steps.counted(PooledConnection.commit)))
        yield


def _connecting(steps: Steps) -> Callable[..., Any]:
    class CountedCursor(extensions.cursor):
        execute = steps.counted(extensions.cursor.execute)

    class CountedConnection(extensions.connection):
        commit = steps.counted(extensions.connection.commit)

    return functools.partial(
        psycopg2.connect, connection_factory=CountedConnection, cursor_factory=CountedCursor
    )


@contextmanager
def mutated(mutant: Mutant) -> Iterator[None]:
    """Put the fault in."""
    with ExitStack() as stack:
        if mutant is Mutant.NO_JOURNAL:
            stack.enter_context(patch.object(JournalLog, "_append_bytes", lambda *_args, **_named: None))
        if mutant is Mutant.NO_RECOVERY:
            stack.enter_context(patch.object(LockedCsv, "_reconcile", _take_as_it_is))
        if mutant is Mutant.CLEARED_FIRST:
            stack.enter_context(patch.object(settle, "bring_csv_level", _clear_then_level))
        yield


def _take_as_it_is(csv: LockedCsv, *_args: object, **_named: object) -> None:
    csv.adopt()


def _clear_then_level(held: HeldCsv, tables: Tables, *_rest: object) -> tuple[int, Merged | None]:
    assert held.is_ours()
    with tables.snapshot() as snapshot:
        tables.clear(snapshot.dirty(()))
        return len(settle.level(held, snapshot)), None


def run(settings: Settings, order: Order, told: Connection) -> None:
    """Carry an order out, telling of each write once it is acknowledged, and at last of the steps it took."""
    steps = Steps(order.at, after=order.after)
    # PostgreSQL's follower is settled within the write rather than beside it: the steps come in one order.
    with mutated(order.mutant), watched(steps), patch.object(Settler, "soon", _at_once):
        try:
            with open_pipeline(settings) as pipeline:
                for write in order.writes:
                    _write(pipeline, write, steps, told, early=order.mutant is Mutant.EARLY)
        except PipelineError as error:
            told.send(error.code)
            return
    told.send(steps.taken)


def _at_once(settler: Settler) -> None:
    settler._settle()  # noqa: SLF001


def _write(
    pipeline: Pipeline,
    write: tuple[UUID | None, str, Mapping[str, str]],
    steps: Steps,
    told: Connection,
    *,
    early: bool,
) -> None:
    write_id, row_id, cells = write
    if early:
        told.send(True)
    steps.counting = True
    pipeline.write(row_id, cells, write_id=write_id)
    steps.counting = False
    if not early:
        told.send(True)

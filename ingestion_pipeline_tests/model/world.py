"""All that outlives a process: what lies on disk and in PostgreSQL, and what callers were told."""

import hashlib
from dataclasses import dataclass, fields
from functools import lru_cache
from operator import attrgetter
from typing import NamedTuple

from ingestion_pipeline.domain.journal import Kind
from ingestion_pipeline.domain.phase import Side
from ingestion_pipeline.domain.phase_change import PhaseChange
from ingestion_pipeline.domain.proof import Proof
from ingestion_pipeline.domain.receipt import WriteReceipt
from ingestion_pipeline.domain.reports import State
from ingestion_pipeline_tests.model.steps import Raised

Content = tuple[tuple[str, str], ...]
"""A file: its rows in order, each a row_id and the text of its one cell."""


class Entry(NamedTuple):
    """A record of the journal."""

    sequence: int
    epoch: int
    kind: Kind
    write_id: int = 0
    row_id: str = ""
    before: str | None = None
    after: str = ""
    created: bool = False
    file: Content | None = None
    through: int = 0


class Person(NamedTuple):
    """A row of the tables, and the transaction that made it."""

    row_id: str
    text: str
    revision: int
    write_id: int
    ordinal: int
    xid: int


class Noted(NamedTuple):
    """A row of history."""

    write_id: int
    row_id: str
    revision: int
    created: bool


class Transaction(NamedTuple):
    """An open transaction: what it keeps locked, and what it has written but not committed.

    A write that PostgreSQL is to lead has the epoch it was begun in under `leads`.
    """

    owner: str
    xid: int
    writes: bool = False
    keeps_out: bool = False
    shares_state: bool = False
    holds_state: bool = False
    leads: int = 0
    locked: frozenset[str] = frozenset()
    people: tuple[Person, ...] = ()
    history: tuple[Noted, ...] = ()
    pending: tuple[tuple[str, int], ...] | None = None


class Request(NamedTuple):
    """A write that waits for the file lock, and what came of it."""

    owner: str
    write: tuple[str, str, int, bool]
    claimed: bool = False
    answer: tuple[tuple[WriteReceipt, ...], Raised | None] | None = None


class Made(NamedTuple):
    """A write at the moment it became durable in the side it was written to."""

    row_id: str
    text: str
    side: Side
    epoch: int


@dataclass(slots=True)
class World:
    """Every field is immutable, so that a copy is a state of its own.

    Attributes:
        made: The writes in the order in which they became durable.
        told: The texts whose writers were told so.
        amiss: What must never be, once it was.
    """

    ledger: State
    file: Content
    state: State | None
    people: tuple[Person, ...]
    crashes: int = 0
    outages: int = 0
    losses: int = 0
    lock: str = ""
    mark: PhaseChange | None = None
    phases: tuple[int, ...] = ()
    journal: tuple[Entry, ...] = ()
    index: tuple[Content, int] | None = None
    waiting: bool = False
    requests: tuple[Request, ...] = ()
    up: bool = True
    open: tuple[Transaction, ...] = ()
    history: tuple[Noted, ...] = ()
    pending: tuple[tuple[str, int], ...] = ()
    revision: int = 1
    xid: int = 1
    synced: bool = True
    proof: Proof | None = None
    conflicts: tuple[tuple[str, str], ...] = ()
    made: tuple[Made, ...] = ()
    told: frozenset[str] = frozenset()
    amiss: str = ""

    def copy(self) -> "World":
        return World(*_all(self))

    def key(self) -> int:
        return hash(_all(self))

    @property
    def last(self) -> int:
        """The number of the journal's last record."""
        return self.journal[-1].sequence if self.journal else 0

    @property
    def written_last(self) -> int:
        """The number of the journal's last record that is about the file."""
        return next((one.sequence for one in reversed(self.journal) if one.kind is not Kind.CLOSED), 0)

    @property
    def announced(self) -> Content | None:
        """The file after the last write, by the journal."""
        return next((one.file for one in reversed(self.journal) if one.file is not None), None)

    @property
    def to_follow(self) -> tuple[Entry, ...]:
        """The journal's records that the other side has yet to get."""
        closed = max((one.through for one in self.journal), default=0)
        return tuple(one for one in self.journal if one.kind is not Kind.CLOSED and one.sequence > closed)

    def kill(self, owner: str | None = None) -> None:
        """A process dies, or all of them: its locks are free, and what it has not committed is gone."""
        if owner in (None, self.lock):
            self.lock = ""
        self.open = tuple(one for one in self.open if owner not in (None, one.owner))
        self.requests = tuple(one for one in self.requests if owner not in (None, one.owner))


_all = attrgetter(*(field.name for field in fields(World)))


def rendered(people: tuple[Person, ...]) -> Content:
    """The file that the tables hold."""
    return tuple((one.row_id, one.text) for one in sorted(people, key=lambda one: one.ordinal))


@lru_cache(maxsize=100_000)
def encoded(content: Content) -> bytes:
    return "".join(f"{row_id},{text}\n" for row_id, text in content).encode()


@lru_cache(maxsize=100_000)
def sha256(content: Content) -> str:
    return hashlib.sha256(encoded(content)).hexdigest()


def decoded(data: bytes) -> Content:
    return tuple((line.partition(",")[0], line.partition(",")[2]) for line in data.decode().splitlines())

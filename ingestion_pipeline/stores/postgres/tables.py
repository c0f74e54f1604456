"""The three tables and what guards them, as the operations see them."""

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass, replace
from typing import Any

from ingestion_pipeline.domain.brake import Brakes
from ingestion_pipeline.domain.cells import Reason
from ingestion_pipeline.domain.columns import Table
from ingestion_pipeline.domain.dialect import Dialect
from ingestion_pipeline.domain.errors import ProtectedError, SettingsError, UnavailableError
from ingestion_pipeline.domain.phase import FIRST_PHASES, Phase, Side
from ingestion_pipeline.domain.ports import Blocks, Sink, Step
from ingestion_pipeline.domain.proof import Proof
from ingestion_pipeline.domain.quarantine import Count, Decision, Entry, Scope
from ingestion_pipeline.domain.reports import Found, State, SyncReport
from ingestion_pipeline.domain.rules import Rule
from ingestion_pipeline.stores.postgres import bulk_sync, comparison, queries, rendering, rules
from ingestion_pipeline.stores.postgres.pool import Cursor, Pool, fetch_one

_state = queries.load("state")
_compare = queries.load("compare")


class PostgresTables:
    """People, processing_status and s3_metadata in one database.

    Args:
        pool: Connections to it.
    """

    def __init__(self, pool: Pool) -> None:
        self._pool = pool

    def state(self) -> State | None:
        """The phase in force; None on a site that has not begun, with or without tables."""
        with self._pool.transaction() as cursor:
            cursor.execute(_state.has_begun)
            return _read_state(cursor) if fetch_one(cursor)[0] else None

    def begin(self, wanted: Phase, *, dry_run: bool = False) -> State:
        """Begin on a fresh site; a site that has begun stays as it is.

        From original, with nothing synced yet, dual_write may begin at once too: the CSV leads in both.

        Args:
            wanted: The phase the configuration asks for.
            dry_run: Say what would be in force, and leave it at that.

        Raises:
            SettingsError: A fresh site cannot begin in a phase in which PostgreSQL leads.
        """
        with self._pool.transaction() as cursor:
            state = _begin(cursor, wanted)
            if dry_run:
                cursor.connection.rollback()
        return state

    def sync(
        self,
        opened: Callable[[], AbstractContextManager[Blocks]],
        *,
        began: State,
        brakes: Brakes | None,
        dry_run: bool,
        step: Step,
    ) -> SyncReport:
        """Make the tables equal to the file, in one transaction.

        Args:
            opened: Opens the CSV, once every other writer is kept out.
            began: The phase and epoch the caller began in.
            brakes: How much may vanish; None to let anything vanish.
            dry_run: Do it all, then roll it back.
            step: Told the name of each longer step.

        Raises:
            InputRefusedError: The file does not keep the contract.
            ProtectedError: A brake stopped the load, or the phase changed meanwhile.
            UnavailableError: The file was changed or replaced meanwhile.
        """
        with self._pool.transaction(bulk=True) as cursor:
            _begin(cursor, began.phase)
            cursor.execute(_state.read_for_share)
            _check_epoch(began, int(fetch_one(cursor)[1]))
            bulk_sync.lock(cursor)
            with opened() as file:
                report = bulk_sync.sync(cursor, file, brakes, step)
                file.check_current()
            if dry_run:
                cursor.connection.rollback()
        return replace(report, dry_run=dry_run)

    def render(self, sink: Sink) -> tuple[int, Dialect]:
        """Write the CSV that the tables hold; gives its rows and how it is spelled."""
        with self._pool.transaction(bulk=True) as cursor:
            return rendering.render(cursor, sink)

    @contextmanager
    def snapshot(self) -> Iterator["PostgresSnapshot"]:
        """One state of the tables; what is staged for it is gone afterwards."""
        with self._pool.transaction(bulk=True, snapshot=True) as cursor:
            yield PostgresSnapshot(cursor)
            cursor.connection.rollback()

    def stamp(self, proof: Proof) -> None:
        """Keep a proof."""
        marks = {name: getattr(proof, name) for name in Proof.__dataclass_fields__}
        with self._pool.transaction() as cursor:
            cursor.execute(_compare.stamp, marks)

    def last_proof(self) -> Proof | None:
        """The newest proof kept."""
        with self._pool.transaction() as cursor:
            cursor.execute(_state.last_proof)
            row = cursor.fetchone()
        return None if row is None else Proof(*row)

    def quarantine(self, *, decided: bool) -> list[Entry]:
        """The entries, with or without those decided."""
        with self._pool.transaction() as cursor:
            cursor.execute(_state.quarantine, {"all": decided})
            return [_entry(row) for row in cursor.fetchall()]

    def quarantined_text(self, number: int) -> tuple[Entry, dict[str, str]] | None:
        """One entry and the text it keeps by column; None when there is none."""
        with self._pool.transaction() as cursor:
            cursor.execute(_state.quarantine_entry, {"id": number})
            row = cursor.fetchone()
        return None if row is None else (_entry(row[:-1]), row[-1])

    def decide(self, number: int, decision: Decision, by: str) -> None:
        """Keep a decision."""
        with self._pool.transaction() as cursor:
            cursor.execute(_state.decide, {"id": number, "decision": decision, "decided_by": by})
            if cursor.rowcount != 1:
                raise ProtectedError(
                    f"entry {number} has been decided meanwhile",
                    code="already_decided",
                    hint="`ingest quarantine list --all` shows how.",
                )

    def breaches(self, rule: Rule) -> int:
        """How often a rule of the contract is broken."""
        with self._pool.transaction(bulk=True) as cursor:
            return rules.breaches(cursor, rule)

    def counts(self) -> dict[Table, int]:
        """Rows by table."""
        with self._pool.transaction() as cursor:
            cursor.execute(_state.counts)
            return dict(zip(Table, fetch_one(cursor), strict=True))


@dataclass(frozen=True, slots=True)
class Durability:
    """What decides whether a commit survives a power cut.

    Attributes:
        fsync: Whether the server waits for the disk.
        full_page_writes: Whether a torn page can be mended.
        synchronous_commit: Whether a commit waits for the log.
        version: The server's version.
        encoding: The database's encoding.
    """

    fsync: bool
    full_page_writes: bool
    synchronous_commit: bool
    version: str
    encoding: str

    @property
    def safe(self) -> bool:
        """Whether an acknowledged commit is durable."""
        return self.fsync and self.full_page_writes and self.synchronous_commit


def durability(pool: Pool) -> Durability:
    """Whether the server keeps what it acknowledges, and which it is."""
    with pool.transaction() as cursor:
        cursor.execute(_state.durability)
        return Durability(*fetch_one(cursor))


class PostgresSnapshot:
    """One state of the tables, however long it is looked at."""

    def __init__(self, cursor: Cursor) -> None:
        self._cursor = cursor

    def render(self, sink: Sink) -> tuple[int, Dialect]:
        """Write the CSV that the tables hold; gives its rows and how it is spelled."""
        return rendering.render(self._cursor, sink)

    def rendered_digest(self) -> tuple[str, int]:
        """The sha256 of the CSV that the tables hold, and its rows."""
        return comparison.rendered_digest(self._cursor)

    def misspelled(self, limit: int) -> Found:
        """Cells whose kept original text no longer means their value."""
        return comparison.misspelled(self._cursor, limit)

    def compare_rows(self, file: Blocks, authority: Side, limit: int) -> Found:
        """Every record and column in which the file and the tables differ."""
        return comparison.compare_rows(self._cursor, file, authority, limit)

    def state(self) -> State:
        """The phase in force."""
        state = _read_state(self._cursor)
        if state is None:
            raise _not_begun()
        return state

    def position(self) -> str:
        """The state of the tables: another one after every write that was committed."""
        self._cursor.execute(_compare.position)
        return str(fetch_one(self._cursor)[0])

    def quarantine_count(self) -> Count:
        """How many quarantine entries stand."""
        self._cursor.execute(_state.count_quarantine)
        return Count(*fetch_one(self._cursor))


def _begin(cursor: Cursor, wanted: Phase) -> State:
    if wanted in FIRST_PHASES:
        cursor.execute(_state.establish, {"phase": wanted})
    if wanted is Phase.DUAL_WRITE:
        cursor.execute(_state.begin_dual_write)
    state = _read_state(cursor)
    if state is None:
        raise SettingsError(
            f"a new site cannot begin in phase {wanted}: PostgreSQL holds nothing yet",
            code="phase_too_far",
            hint="Set migration.phase: dual_write, sync and compare, then advance.",
        )
    return state


def _check_epoch(began: State, in_force: int) -> None:
    if in_force != began.epoch:
        raise ProtectedError(
            f"the phase changed: this began in epoch {began.epoch}, now is {in_force}",
            code="stale_epoch",
            hint="Run it again under the phase in force.",
        )


def _read_state(cursor: Cursor) -> State | None:
    cursor.execute(_state.read)
    row = cursor.fetchone()
    return None if row is None else State(Phase(row[0]), int(row[1]))


def _not_begun() -> UnavailableError:
    return UnavailableError(
        "this site has not begun: no phase is in force", code="not_begun", hint="Run `ingest sync` first."
    )


def _entry(row: tuple[Any, ...]) -> Entry:
    number, scope, reason, row_id, column, decision, decided_by, decided_at, found_at = row
    return Entry(
        number,
        Scope(scope),
        Reason(reason),
        row_id,
        column,
        None if decision is None else Decision(decision),
        decided_by,
        decided_at,
        found_at,
    )

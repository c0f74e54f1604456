"""The three tables and what guards them, as the operations see them."""

from collections.abc import Callable, Collection, Iterator, Sequence
from contextlib import AbstractContextManager, ExitStack, contextmanager
from dataclasses import dataclass, replace
from typing import Any
from uuid import UUID, uuid4

import psycopg2

from ingestion_pipeline.domain.brake import Brakes
from ingestion_pipeline.domain.buckets import BucketCompared, BucketReported, BucketSynced, Split
from ingestion_pipeline.domain.cells import Reason
from ingestion_pipeline.domain.change import Change
from ingestion_pipeline.domain.columns import BY_NAME, COLUMNS, Table
from ingestion_pipeline.domain.dialect import Dialect
from ingestion_pipeline.domain.errors import (
    InputRefusedError,
    ProtectedError,
    epochs_contradict,
    stale_epoch,
)
from ingestion_pipeline.domain.figures import Storage
from ingestion_pipeline.domain.journal import Record
from ingestion_pipeline.domain.pending import Dirty, Followed
from ingestion_pipeline.domain.phase import Phase, Side, first_phase
from ingestion_pipeline.domain.ports import Blocks, Shared, Sink, Step
from ingestion_pipeline.domain.proof import Proof
from ingestion_pipeline.domain.quarantine import Decision, Entry, Scope
from ingestion_pipeline.domain.receipt import Made, Write
from ingestion_pipeline.domain.reports import State, SyncReport
from ingestion_pipeline.domain.rules import Rule
from ingestion_pipeline.stores.postgres import (
    buckets,
    bulk_sync,
    expressions,
    figures,
    queries,
    rendering,
    rules,
    writing,
)
from ingestion_pipeline.stores.postgres.fence import PostgresFence, fenced
from ingestion_pipeline.stores.postgres.pool import Cursor, Pool, fetch_one, translated
from ingestion_pipeline.stores.postgres.snapshot import PostgresSnapshot, read_state, state_of

_state = queries.load("state")
_compare = queries.load("compare")
_write = queries.load("write")


class PostgresTables:
    """People, processing_status and s3_metadata in one database.

    Args:
        pool: Connections to it.
    """

    def __init__(self, pool: Pool) -> None:
        self._pool = pool

    def state(self) -> State | None:
        """The phase in force; None on a site that has not begun, with or without tables."""
        with self._pool.connection(alone=True) as connection, translated(), connection.cursor() as cursor:
            try:
                return read_state(cursor)
            except psycopg2.errors.UndefinedTable:
                return None

    def begin(self, wanted: Phase, *, known: State | None = None, dry_run: bool = False) -> State:
        """Begin on a fresh site; a site that has begun stays as it is.

        Waits for a change of phase that is under way.

        Args:
            wanted: The phase the configuration asks for.
            known: What the ledger beside the CSV says, so that a new database goes on from there.
            dry_run: Say what would be in force, and leave it at that.

        Raises:
            ProtectedError: The ledger says that PostgreSQL leads, and it holds nothing.
        """
        with self._pool.transaction() as cursor:
            state = _begin(cursor, wanted, known)
            if dry_run:
                cursor.connection.rollback()
        return state

    def establish(self, state: State) -> None:
        """Begin in a database that holds nothing, with a phase that was in force elsewhere before."""
        with self._pool.transaction() as cursor:
            cursor.execute(_state.establish, {"phase": state.phase, "epoch": state.epoch})

    def sync(
        self,
        opened: Callable[[], AbstractContextManager[Blocks]],
        *,
        began: State,
        brakes: Brakes | None,
        dry_run: bool,
        step: Step,
        least_revision: int = 1,
    ) -> SyncReport:
        """Make the tables equal to the file, in one transaction.

        Args:
            opened: Opens the CSV, once every other writer is kept out; more than once where it takes that.
            began: The phase and epoch the caller began in.
            brakes: How much may vanish; None to let anything vanish.
            dry_run: Do it all, then roll it back.
            step: Told the name of each longer step.
            least_revision: Revisions that are given are higher.

        Raises:
            InputRefusedError: The file does not keep the contract.
            ProtectedError: A brake stopped the load, or the phase changed meanwhile.
            UnavailableError: The file was changed or replaced meanwhile.
        """
        with self._pool.transaction(bulk=True) as cursor:
            _check_epoch(began, _begin(cursor, began.phase).epoch)
            writing.carry(cursor, began)
            bulk_sync.lock(cursor, least_revision)
            with ExitStack() as files:
                report = bulk_sync.sync(cursor, lambda: files.enter_context(opened()), brakes, step)
            if dry_run:
                cursor.connection.rollback()
        return replace(report, dry_run=dry_run)

    def is_synced(self) -> bool:
        """Whether the tables were ever made equal to a file."""
        with self._pool.transaction() as cursor:
            cursor.execute(_state.is_synced)
            return bool(fetch_one(cursor)[0])

    def pin(self) -> tuple[int, str, int]:
        """What is known of the tables as a file is pinned; see `buckets.pin`."""
        return buckets.pin(self._pool)

    def next_revision(self) -> int:
        """A number that no change has had."""
        return buckets.next_revision(self._pool)

    def sync_bucket(self, opened: buckets.Opened, split: Split, key: str, bucket: int) -> BucketSynced:
        """Write what of a bucket is new or otherwise, in one transaction; see `buckets.sync`."""
        return buckets.sync(self._pool, opened, split, key, bucket)

    def compare_bucket(self, share: Shared, split: Split, bucket: int) -> BucketCompared:
        """Compare a bucket with one state of the tables; see `buckets.compare`."""
        with self._pool.transaction(bulk=True, snapshot=True) as cursor:
            return buckets.compare(cursor, share, split, bucket)

    def look_over(self, split: Split) -> tuple[int, bool, str]:
        """What no bucket shows: misspelled cells, whether all is spelled otherwise, and the position."""
        with self._pool.transaction(bulk=True, snapshot=True) as cursor:
            snapshot = PostgresSnapshot(cursor)
            return snapshot.misspelled(0).counted, buckets.is_respelled(cursor, split), snapshot.position()

    def count_bucket(self, bucket: int, count: int) -> BucketReported:
        """Count the people of one of so many buckets, in one state of the tables."""
        with self._pool.transaction(bulk=True, snapshot=True) as cursor:
            return figures.count_bucket(cursor, bucket, count)

    def count_files(self) -> tuple[Storage, str]:
        """Count everybody's files; gives the position, too."""
        with self._pool.transaction(bulk=True, snapshot=True) as cursor:
            return figures.count_files(cursor), PostgresSnapshot(cursor).position()

    def fenced(self, state: State) -> AbstractContextManager["PostgresFence"]:
        """The tables while nobody else writes them; see `fence.fenced`."""
        return fenced(self._pool, state)

    def go_on_from(self, state: State) -> None:
        """Say what the ledger says, as what PostgreSQL says was left behind."""
        with self._pool.transaction() as cursor:
            cursor.execute(_state.go_on_from, {"phase": state.phase, "epoch": state.epoch})

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

    def stamp(self, proof: Proof) -> bool:
        """Keep a proof; False where this user may only read."""
        marks = {name: getattr(proof, name) for name in Proof.__dataclass_fields__}
        with self._pool.transaction() as cursor:
            cursor.execute(_compare.may_stamp)
            if not fetch_one(cursor)[0]:
                return False
            cursor.execute(_compare.stamp, marks)
        return True

    def last_proof(self) -> Proof | None:
        """The newest proof kept."""
        newest = self.proofs(1)
        return newest[0] if newest else None

    def proofs(self, limit: int) -> list[Proof]:
        """The newest proofs kept, at most so many, the oldest of them first."""
        with self._pool.transaction() as cursor:
            cursor.execute(_state.last_proofs, {"limit": limit})
            return [Proof(*row) for row in reversed(cursor.fetchall())]

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

    def write(
        self, state: State, by: str, writes: Sequence[Write]
    ) -> tuple[list[Made], InputRefusedError | None]:
        """Write people in one transaction, up to the first refusal; see `writing.write`."""
        return writing.write(self._pool, state, by, writes)

    def delete(self, state: State, by: str, row_ids: Collection[str], brakes: Brakes | None) -> list[str]:
        """Delete people in one transaction; see `writing.delete`."""
        return writing.delete(self._pool, state, by, row_ids, brakes)

    def follow(self, state: State, rows: Sequence[Followed], file: tuple[str, int, int]) -> bool:
        """Make people what the CSV that leads says they are; see `writing.follow`."""
        return writing.follow(self._pool, state, rows, file)

    def take_back(self, state: State, records: Sequence[Record]) -> int:
        """Bring what the CSV took in while PostgreSQL was away; see `writing.take_back`."""
        return writing.take_back(self._pool, state, records)

    def clear(self, dirty: Sequence[Dirty]) -> None:
        """Note that the CSV has these, but for those that have changed since."""
        marks = {"row_ids": [one.row_id for one in dirty], "revisions": [one.revision for one in dirty]}
        with self._pool.transaction(bulk=True) as cursor:
            cursor.execute(_write.clear, marks)

    def last_revision(self) -> int:
        """The highest revision given so far."""
        with self._pool.transaction() as cursor:
            cursor.execute(_write.last_revision)
            return int(fetch_one(cursor)[0])

    def read(self, row_id: str) -> dict[str, str] | None:
        """A person's cells by column; None when there is no such person."""
        statement = _write.fill("record", cells=expressions.texts(COLUMNS))
        with self._pool.transaction() as cursor:
            cursor.execute(statement, {"row_id": row_id})
            row = cursor.fetchone()
        return None if row is None else _by_column(row)

    def rows(self) -> Iterator[dict[str, str]]:
        """Every person's cells by column, in the file's order, in one state of the tables."""
        statement = _write.fill("records", cells=expressions.texts(COLUMNS))
        with (
            self._pool.transaction(bulk=True, snapshot=True) as cursor,
            cursor.connection.cursor(f"rows_{uuid4().hex}") as rows,
        ):
            rows.execute(statement)
            for row in rows:
                yield _by_column(row)

    def history(self, row_id: str) -> list[Change]:
        """Every change of a person, the oldest first."""
        with self._pool.transaction() as cursor:
            cursor.execute(_write.history, {"row_id": row_id})
            return [_change(row) for row in cursor.fetchall()]

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


def lacking_settings(pool: Pool) -> list[str]:
    """The settings that a session has otherwise than was asked for, as behind a pooler that drops them."""
    wanted = pool.session
    with pool.transaction() as cursor:
        cursor.execute(_state.settings, {"names": list(wanted)})
        found = dict(cursor.fetchall())
    return [name for name, value in wanted.items() if not found[name].startswith(value)]


def _by_column(row: Sequence[str]) -> dict[str, str]:
    return dict(zip(BY_NAME, row, strict=True))


def _change(row: tuple[Any, ...]) -> Change:
    at, operation, table, changed, revision, epoch, write_id, actor = row
    if changed is not None:
        changed = {name: (before, after) for name, (before, after) in changed.items()}
    number = None if write_id is None else UUID(write_id)
    return Change(at, operation, table, changed, revision, epoch, number, actor)


def _begin(cursor: Cursor, wanted: Phase, known: State | None = None) -> State:
    first = known or State(first_phase(wanted), 1)
    # While the phase is being changed, only the database that was told so knows which it is.
    if first.phase.authority is Side.CSV and not first.changing:
        cursor.execute(_state.begin_site, {"phase": first.phase, "epoch": first.epoch})
    cursor.execute(_state.read_for_share)
    state = state_of(cursor.fetchone())
    if state is None:
        raise epochs_contradict(
            f"the ledger beside the CSV says {first.phase}, and this database holds nothing"
        )
    return state


def _check_epoch(began: State, in_force: int) -> None:
    if in_force != began.epoch:
        raise stale_epoch(began.epoch)


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

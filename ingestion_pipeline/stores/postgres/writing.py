"""Writing single people: while PostgreSQL leads, and what the CSV brings while it does."""

import random
import time
from collections.abc import Callable, Collection, Sequence
from functools import partial
from typing import TypeVar
from uuid import UUID
from weakref import WeakKeyDictionary

import psycopg2
from psycopg2.extras import Json

from ingestion_pipeline.domain.brake import Brakes
from ingestion_pipeline.domain.columns import COLUMNS
from ingestion_pipeline.domain.errors import InputRefusedError, Place, ProtectedError, UnavailableError
from ingestion_pipeline.domain.journal import Record
from ingestion_pipeline.domain.pending import Followed
from ingestion_pipeline.domain.receipt import (
    Made,
    Write,
    taken_write_id,
    too_many_deleted,
    unknown_person,
)
from ingestion_pipeline.domain.reconcile import Reconciled, reconcile
from ingestion_pipeline.domain.reports import State
from ingestion_pipeline.stores.postgres import expressions, queries, statements
from ingestion_pipeline.stores.postgres.pool import (
    Connection,
    Cursor,
    Pool,
    fetch_one,
    is_lost,
    is_pooled,
    is_undone,
    translated,
)

_sql = queries.load("write")

TRIES = 8
"""How often a transaction is begun again that PostgreSQL broke off for another's sake, or lost."""

_BROKEN_OFF = (psycopg2.errors.SerializationFailure, psycopg2.errors.DeadlockDetected)

_Result = TypeVar("_Result")
_Done = tuple[list[Made], InputRefusedError | None]


def write(pool: Pool, state: State, by: str, writes: Sequence[Write]) -> _Done:
    """Write people in one transaction, in order; what stands after a refusal is not tried.

    Args:
        pool: Connections to the database.
        state: The phase and epoch the caller goes by.
        by: Who writes.
        writes: What is to be written.

    Returns:
        What was written, and the refusal that ended it, if one did.

    Raises:
        UnavailableError: PostgreSQL is away, with nothing written; or `outcome_unknown`: it went away as
            it was told to commit, and has not come back to say what became of it.
        ProtectedError: The epoch is not the one in force.
    """
    made = _write_alone(pool, state, by, writes[0]) if len(writes) == 1 and not writes[0].given else None
    if made is not None:
        return [made], None

    def work(cursor: Cursor) -> _Done:
        done: list[Made] = []
        for one in writes:
            try:
                done.append(_write_one(cursor, one))
            except InputRefusedError as error:
                return done, error
        return done, None

    return _committed(pool, state, by, work, writes[0].write_id)


def delete(pool: Pool, state: State, by: str, row_ids: Collection[str], brakes: Brakes | None) -> list[str]:
    """Delete people, in one transaction; gives who was there.

    Args:
        pool: Connections to the database.
        state: The phase and epoch the caller goes by.
        by: Who deletes.
        row_ids: Who is to go; who is not there does not matter.
        brakes: How many may go at once; None for any number.

    Raises:
        UnavailableError: PostgreSQL is away. To delete again does no harm.
        ProtectedError: Too many would be gone, or the epoch is not the one in force.
    """

    def work(cursor: Cursor) -> list[str]:
        carry(cursor, state, by)
        cursor.execute(_sql.delete, {"row_ids": list(row_ids)})
        deleted = [str(row_id) for (row_id,) in cursor.fetchall()]
        cursor.execute(_sql.supersede_deleted, {"row_ids": deleted})
        if brakes is not None:
            cursor.execute(_sql.count_people)
            stored = int(fetch_one(cursor)[0]) + len(deleted)
            if brakes.stop(len(deleted), stored):
                raise too_many_deleted(len(deleted), stored)
        return deleted

    return _retried(pool, work)


def carry(cursor: Cursor, state: State, by: str = "") -> str:
    """Let the transaction past the fence; gives its number."""
    cursor.execute(_sql.carry, {"epoch": str(state.epoch), "actor": by})
    return str(fetch_one(cursor)[0])


def follow(pool: Pool, state: State, rows: Sequence[Followed], file: tuple[str, int, int]) -> bool:
    """Make people what the CSV that leads says they are; what is newer already stays.

    Args:
        pool: Connections to the database.
        state: The phase and epoch in force.
        rows: The people as they are now.
        file: The CSV's sha256, bytes and rows.

    Returns:
        False when a few people are not enough: the tables have never been made equal to a file, or have
        been by a load that the journal does not know of, beside which its numbers cannot tell what is newer.
    """
    sha256, size, count = file
    last = max(row.revision for row in rows)

    def work(cursor: Cursor) -> bool:
        cursor.execute(_sql.begin_to_follow, {"epoch": str(state.epoch), "least": last})
        revision, synced, _ = fetch_one(cursor)
        if not synced or int(revision) > last:
            return False
        for row in rows:
            _follow_one(cursor, row)
        cursor.execute(_sql.remember_file, {"sha256": sha256, "size": size, "rows": count})
        return True

    return _retried(pool, work)


def take_back(pool: Pool, state: State, records: Sequence[Record]) -> int:
    """Bring what the CSV took in while PostgreSQL led and was away; gives how many cells are in conflict.

    Each record in a transaction of its own, once only.
    """
    return sum(_retried(pool, _taking_back(state, record)) for record in records)


def _taking_back(state: State, record: Record) -> Callable[[Cursor], int]:
    def work(cursor: Cursor) -> int:
        carry(cursor, state, record.by)
        if _written(cursor, record.write_id) is not None:
            return 0
        found = _reconciled(cursor, record)
        for column, texts in found.conflicts.items():
            marks = {"row_id": record.row_id, "column": column, "raw": Json(texts)}
            cursor.execute(_sql.supersede_conflict, marks)
            cursor.execute(_sql.quarantine_conflict, marks)
        return len(found.conflicts)

    return work


def _reconciled(cursor: Cursor, record: Record) -> Reconciled:
    """Write the cells that still hold; again where somebody else was quicker to make the person."""
    for _ in range(TRIES):
        present = _present(cursor, record.row_id)
        found = reconcile(present, record.cells)
        if present is None and not found.apply:
            return found
        kind = statements.INSERT if present is None else statements.UPDATE
        if statements.run(cursor, kind, record.row_id, record.write_id, None, found.apply) is not None:
            return found
    raise _contended()


def _present(cursor: Cursor, row_id: str) -> dict[str, str] | None:
    """A person's cells, held until the transaction ends."""
    cursor.execute(_sql.hold, {"row_id": row_id})
    # A statement of its own: whoever was waited for may have written other tables than the one that is held.
    cursor.execute(_sql.fill("record", cells=expressions.texts(COLUMNS)), {"row_id": row_id})
    row = cursor.fetchone()
    return None if row is None else dict(zip((column.name for column in COLUMNS), row, strict=True))


def _write_one(cursor: Cursor, one: Write) -> Made:
    if one.given:
        cursor.execute(_sql.lock_write_id, {"write_id": str(one.write_id)})
        before = _written(cursor, one.write_id)
        if before is not None:
            if before.row_id != one.row_id:
                raise taken_write_id(one)
            return before
    for _ in range(TRIES):
        for kind in (statements.UPDATE, statements.INSERT):
            if kind == statements.INSERT and not one.creates:
                raise unknown_person(one)
            done = statements.run(cursor, kind, one.row_id, one.write_id, None, one.cells)
            if done is not None:
                return Made(one.row_id, done, one.write_id, created=kind == statements.INSERT)
    raise ProtectedError(
        "this person comes and goes while it is written",
        code="contended",
        place=Place(row_id=one.row_id),
        hint="Write again.",
    )


def _follow_one(cursor: Cursor, row: Followed) -> None:
    for kind in (statements.UPDATE, statements.INSERT):
        done = statements.run(cursor, kind, row.row_id, row.write_id, row.revision, row.cells, row.by)
        if done is not None:
            return


def _written(cursor: Cursor, write_id: UUID) -> Made | None:
    cursor.execute(_sql.written, {"write_id": str(write_id)})
    row = cursor.fetchone()
    return None if row is None else Made(row[0], int(row[1]), write_id, created=bool(row[2]))


def _retried(pool: Pool, work: Callable[[Cursor], _Result]) -> _Result:
    """Do the work in a transaction, again where PostgreSQL broke it off for another's sake."""
    for attempt in range(TRIES):
        with pool.timing() as timing, pool.connection() as connection, translated():
            try:
                with connection, connection.cursor() as cursor:
                    return work(cursor)
            except _BROKEN_OFF as error:
                timing.failed(error)
                connection.rollback()
        _wait(attempt)
    raise _contended()


def _write_alone(pool: Pool, state: State, by: str, one: Write) -> Made | None:
    """Write to a person who is there, in one exchange with the server; None where nobody is there."""
    for attempt in range(TRIES):
        lost = False
        with pool.timing() as timing, pool.connection(alone=True) as connection, translated():
            if is_pooled(connection):
                # Nobody knows which of the server's processes would have done it.
                return None
            cursor = connection.cursor()
            backend = _backend(cursor)
            statements.prepare(cursor, statements.UPDATE, one.cells)
            try:
                carried = (str(state.epoch), by)
                revision = statements.run_alone(
                    cursor, statements.UPDATE, one.row_id, one.write_id, one.cells, carried
                )
            except psycopg2.Error as error:
                lost = not is_undone(error)
                if not lost and not isinstance(error, _BROKEN_OFF):
                    raise
                timing.failed(error)
            else:
                return None if revision is None else Made(one.row_id, revision, one.write_id, created=False)
        if lost:
            found = _found(pool, partial(_has_ended, backend), one.write_id, [one])
            if found is not None:
                return found[0]
        _wait(attempt)
    raise _contended()


def _committed(pool: Pool, state: State, by: str, work: Callable[[Cursor], _Done], write_id: UUID) -> _Done:
    """Do the work in a transaction, and where the answer to COMMIT is lost, find out what became of it."""
    for attempt in range(TRIES):
        xid = None
        with pool.timing() as timing, pool.connection() as connection, translated():
            try:
                with connection.cursor() as cursor:
                    number = carry(cursor, state, by)
                    result = work(cursor)
            except _BROKEN_OFF as error:
                timing.failed(error)
                connection.rollback()
            else:
                try:
                    connection.commit()
                except psycopg2.Error as error:
                    if not is_lost(error):
                        raise
                    timing.failed(error)
                    xid = number
                else:
                    return result
        # The number alone could be another's: after a crash it may be given again.
        if xid is not None and _found(pool, partial(_is_decided, xid), write_id, result[0]) is not None:
            return result
        _wait(attempt)
    raise _contended()


def _found(
    pool: Pool, is_over: Callable[[Cursor], bool], write_id: UUID, writes: Sequence[Write | Made]
) -> list[Made] | None:
    """What a transaction has made whose answer was lost; None for nothing. Waits until it is over.

    Where some of the writes were made before, by another transaction, all have to be there.
    """
    until = time.monotonic() + pool.waits.connect + pool.waits.statement
    while time.monotonic() < until:
        try:
            with pool.transaction() as cursor:
                if is_over(cursor):
                    made = [_written(cursor, one.write_id) for one in writes]
                    found = [one for one in made if one is not None]
                    return found if len(found) == len(made) else None
        except UnavailableError:
            pass
        time.sleep(0.05)
    raise UnavailableError(
        "PostgreSQL went away as it was told to commit, so it is not known whether the write was made",
        code="outcome_unknown",
        hint=f"Write again with write_id {write_id}: what was made already is not made twice.",
    )


_backends: WeakKeyDictionary[Connection, tuple[int, str]] = WeakKeyDictionary()


def _backend(cursor: Cursor) -> tuple[int, str]:
    """The server's process behind a connection; asked for once."""
    found = _backends.get(cursor.connection)
    if found is None:
        cursor.execute(_sql.backend)
        number, start = fetch_one(cursor)
        found = _backends[cursor.connection] = int(number), str(start)
    return found


def _has_ended(backend: tuple[int, str], cursor: Cursor) -> bool:
    number, start = backend
    cursor.execute(_sql.has_ended, {"pid": number, "start": start})
    return bool(fetch_one(cursor)[0])


def _wait(attempt: int) -> None:
    time.sleep(random.uniform(0, 0.01 * 2**attempt))  # noqa: S311 - no secret


def _is_decided(xid: str, cursor: Cursor) -> bool:
    try:
        cursor.execute(_sql.transaction_status, {"xid": xid})
    except psycopg2.errors.InvalidParameterValue:
        # A number still to come: the crash took the transaction with it.
        cursor.connection.rollback()
        return True
    return bool(fetch_one(cursor)[0] != "in progress")


def _contended() -> ProtectedError:
    return ProtectedError(
        f"PostgreSQL broke the transaction off {TRIES} times for others' sake",
        code="contended",
        hint="Nothing was written. Write again, in smaller batches.",
    )

"""One bucket of a file beside the tables: written, or compared, while other workers do the others."""

import time
from array import array
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager
from typing import IO, Any, TypeVar, cast
from uuid import uuid4

import numpy as np
import psycopg2
from psycopg2 import sql

from ingestion_pipeline.domain.buckets import BucketCompared, BucketSynced, Split, Sum
from ingestion_pipeline.domain.columns import Column
from ingestion_pipeline.domain.dialect import Dialect
from ingestion_pipeline.domain.errors import ProtectedError, UnavailableError, stale_epoch
from ingestion_pipeline.domain.ordering import GAP
from ingestion_pipeline.domain.ports import Blocks, Shared
from ingestion_pipeline.domain.reports import State
from ingestion_pipeline.stores.postgres import bulk_sync, expressions, queries, writing
from ingestion_pipeline.stores.postgres.copying import copy_from
from ingestion_pipeline.stores.postgres.pool import Cursor, Pool, fetch_one, translated
from ingestion_pipeline.stores.postgres.rendering import behind_a_place, cell, dialect
from ingestion_pipeline.stores.postgres.snapshot import PostgresSnapshot, state_of
from ingestion_pipeline.stores.postgres.staging import in_contract_order, stage_rows

_sql = queries.load("buckets")
_state = queries.load("state")

TRIES = 5
"""How often a transaction is begun again that PostgreSQL broke off for another's sake."""

_BROKEN_OFF = (psycopg2.errors.SerializationFailure, psycopg2.errors.DeadlockDetected)
_Result = TypeVar("_Result")
Opened = Callable[[], AbstractContextManager[Shared]]


def pin(pool: Pool) -> tuple[int, str, int]:
    """An ordinal behind all lines, the tables' position, and how many people are pending."""
    with pool.transaction(bulk=True, snapshot=True) as cursor:
        cursor.execute(_sql.pin)
        above, pending = fetch_one(cursor)
        return int(above), PostgresSnapshot(cursor).position(), int(pending)


def next_revision(pool: Pool) -> int:
    """A number that no change has had."""
    with pool.transaction() as cursor:
        cursor.execute(_sql.next_revision)
        return int(fetch_one(cursor)[0])


def sync(pool: Pool, opened: Opened, split: Split, key: str, bucket: int) -> BucketSynced:
    """Write what of a bucket is new or otherwise, in one transaction; it deletes and moves nobody.

    What somebody has written since the file was pinned stays; so does what a brake or quarantine may have to
    do with. To do it again, or twice at once, changes nothing.

    Args:
        pool: Connections to the database.
        opened: Opens the bucket's file, not yet read; more than once where it is tried again.
        split: What is known of all of them.
        key: What the shares are called.
        bucket: Which one.

    Raises:
        ProtectedError: The phase has changed since.
        UnavailableError: PostgreSQL is away, or the share is not what was put there.
    """

    def work(cursor: Cursor) -> BucketSynced:
        cursor.execute("SET LOCAL statement_timeout = %s", (round(1000 * pool.waits.bulk),))
        cursor.execute(_sql.wait, {"name": f"{key} {bucket}"})
        cursor.execute(_sql.wait_no_longer, {"milliseconds": str(round(1000 * pool.waits.lock))})
        _pass_fence(cursor, split.state)
        bulk_sync.let_bulk(cursor, split.sequence)
        cursor.execute(_sql.hold_tables)
        with opened() as share:
            return _written(cursor, share, split, bucket)

    return _retried(pool, work)


def compare(cursor: Cursor, share: Shared, split: Split, bucket: int) -> BucketCompared:
    """Compare a bucket with the tables, line by line and place by place.

    Args:
        cursor: In a transaction that sees one state of the tables.
        share: The bucket's rows.
        split: What is known of all of them.
        bucket: Which one.
    """
    snapshot = PostgresSnapshot(cursor)
    spelled = dialect(cursor)
    stored, filed = _Lines(), _Lines()
    if spelled is not None:
        cursor.copy_expert(_lines(spelled, split.buckets, bucket), cast("IO[bytes]", stored))
    for place, line in _lines_of(share):
        filed.take(place, line)
    _check(share, split, bucket)
    return BucketCompared(
        len(filed.found),
        len(stored.found),
        filed.sum.hex,
        stored.sum.hex,
        stored.differences(filed),
        snapshot.position(),
    )


def is_in_bucket(buckets: int, bucket: int, row_id: sql.Composable) -> sql.Composed:
    """Whether a row_id belongs to a bucket."""
    marks = {"buckets": sql.Literal(buckets), "bucket": sql.Literal(bucket)}
    return _sql.fill("is_in_bucket", row_id=row_id, **marks)


def is_respelled(cursor: Cursor, split: Split) -> bool:
    """Whether the file that the tables hold is spelled otherwise as a whole than the one that was split."""
    return dialect(cursor) != Dialect.from_json(split.dialect)


class _Lines:
    """Lines, of each of which no more is kept than eight bytes."""

    def __init__(self) -> None:
        self.sum = Sum()
        self.found = array("Q")

    def write(self, row: bytes) -> None:
        """Take a line behind its place, ended: COPY hands over one at a time."""
        place, line = row.split(b",", 1)
        self.take(int(place), line[:-1])

    def take(self, place: int, line: bytes) -> None:
        self.found.append(int.from_bytes(self.sum.add(place, line)[:8]))

    def differences(self, other: "_Lines") -> int:
        """Lines that one side has and the other has not."""
        if self.sum.hex == other.sum.hex and len(self.found) == len(other.found):
            return 0
        return len(np.setxor1d(np.asarray(self.found), np.asarray(other.found), assume_unique=True))


def _lines_of(share: Shared) -> Iterator[tuple[int, bytes]]:
    last = len(share.file.columns) - 1
    for block in share.file.blocks():
        begin = block.position - 1
        places = share.places[begin : begin + len(block)]
        yield from zip(map(int, places), block.spans(0, last), strict=True)


def _lines(spelled: Dialect, buckets: int, bucket: int) -> sql.Composed:
    ours = is_in_bucket(buckets, bucket, sql.SQL("coalesce(quarantine.row_id, record.row_id)"))
    cells = behind_a_place(spelled, lambda column: cell(column, spelled.quoting))
    return _sql.fill("lines", is_in_bucket=ours, **cells)


def _pass_fence(cursor: Cursor, state: State) -> None:
    cursor.execute(_state.read_for_share)
    if state_of(cursor.fetchone()) != state:
        raise stale_epoch(state.epoch)
    writing.carry(cursor, state)


def _check(share: Shared, split: Split, bucket: int) -> None:
    if (share.file.sha256, share.file.rows) != split.shares[bucket] or len(share.places) != share.file.rows:
        raise UnavailableError(
            "the share is not what was put there",
            code="share_damaged",
            hint="Nothing was written. Check the disk, and run the job again.",
        )


def _written(cursor: Cursor, share: Shared, split: Split, bucket: int) -> BucketSynced:
    file: Blocks = share.file
    stage_rows(cursor, file)
    _check(share, split, bucket)
    columns = in_contract_order(file)
    cursor.execute(_sql.create_place)
    copy_from(cursor, _sql.copy_place, _placed(share, split.above))
    marks: dict[str, Any] = {"write_id": str(uuid4()), "sequence": split.sequence}
    differs = expressions.any_differs(columns, "incoming", "record")
    cursor.execute(_sql.fill("find_changes", differs=differs), marks)
    cursor.execute(_sql.analyse)
    cursor.execute(_sql.fill("leave_quarantined"))
    cursor.execute(_sql.fill("leave_emptied", emptied=_emptied(columns)))
    updated = bulk_sync.update_people(cursor, columns, marks, pinned=True)
    cursor.execute(_sql.fill("insert_people", **bulk_sync.people_to_insert(columns)), marks)
    inserted = int(cursor.rowcount)
    cursor.execute(_sql.forget_overtaken, marks)
    bulk_sync.write_children(cursor, columns)
    cursor.execute(_sql.fill("count_left", differs=differs))
    return BucketSynced(file.rows, inserted, updated, int(fetch_one(cursor)[0]))


def _placed(share: Shared, above: int) -> Iterator[bytes]:
    return (
        b"%d\t%d\n" % (position, above + int(place) * GAP) for position, place in enumerate(share.places, 1)
    )


def _emptied(columns: Sequence[Column]) -> sql.Composed:
    """Whether a cell that holds text would be left without any."""
    lost = sql.SQL("(({} <> '') IS TRUE AND {} = '')")
    return sql.SQL(" OR ").join(
        lost.format(expressions.rendered(column), expressions.name(column, "staged")) for column in columns
    )


def _retried(pool: Pool, work: Callable[[Cursor], _Result]) -> _Result:
    for attempt in range(TRIES):
        with pool.timing() as timing, pool.connection() as connection, translated():
            try:
                with connection, connection.cursor() as cursor:
                    return work(cursor)
            except _BROKEN_OFF as error:
                timing.failed(error)
                connection.rollback()
        time.sleep(0.1 * 2**attempt)
    raise ProtectedError(
        f"PostgreSQL broke the transaction off {TRIES} times for others' sake",
        code="contended",
        hint="Nothing was written of this bucket. Run it again, or use more buckets.",
    )

"""The materialized views: refreshed while others read and write, and read; or counted of one bucket."""

import time
from collections.abc import Callable

from psycopg2 import sql

from ingestion_pipeline.domain.buckets import BucketReported
from ingestion_pipeline.domain.figures import (
    Counts,
    Figures,
    Outcome,
    Processing,
    Refreshed,
    Share,
    Storage,
    TypeCount,
    View,
)
from ingestion_pipeline.stores.postgres import buckets, queries
from ingestion_pipeline.stores.postgres.pool import Cursor, Pool, fetch_one
from ingestion_pipeline.stores.postgres.snapshot import PostgresSnapshot

_sql = queries.load("figures")

Source = Callable[[View], sql.Composable]
"""Where the rows of a view are read."""

_CONCURRENTLY = {True: sql.SQL("CONCURRENTLY"), False: sql.SQL("")}


def refresh(pool: Pool) -> tuple[Refreshed, ...]:
    """Count everything anew, in one state of the tables; who reads the views sees the old figures until then.

    Args:
        pool: Connections to the database, which has the schema.

    Raises:
        UnavailableError: PostgreSQL is away, or somebody else has been refreshing for too long.
        ProtectedError: The role may not: the views are another's.
    """
    with pool.transaction(bulk=True, snapshot=True) as cursor:
        cursor.execute(_sql.keep_others_out)
        return tuple(_refresh(cursor, view) for view in View)


def _refresh(cursor: Cursor, view: View) -> Refreshed:
    named = sql.Identifier("ingestion", view.value)
    cursor.execute(_sql.is_filled, {"view": _full_name(view)})
    [is_filled] = fetch_one(cursor)
    began = time.monotonic()
    # One that is empty can only be filled plainly; there is nothing in it yet that anybody could read.
    cursor.execute(_sql.fill("refresh", concurrently=_CONCURRENTLY[is_filled], view=named))
    seconds = round(time.monotonic() - began, 3)
    cursor.execute(_sql.fill("note", view=named), {"name": view.value, "seconds": seconds})
    return Refreshed(view, *fetch_one(cursor))


def read(pool: Pool) -> Figures | None:
    """The figures as they were last refreshed; None where they never were."""
    with pool.transaction(snapshot=True) as cursor:
        # First: who restores a dump comes before all of it or after.
        cursor.execute(_sql.refreshed)
        refreshed = tuple(Refreshed(View(name), *known) for name, *known in cursor.fetchall())
        cursor.execute(_sql.are_filled, {"views": [_full_name(view) for view in View]})
        if fetch_one(cursor) != (True,):
            return None
        counts, storage = _counts(cursor, _kept), _storage(cursor, _kept)
    return Figures(counts.processing, counts.types, counts.outcomes, storage, refreshed)


def count_bucket(cursor: Cursor, bucket: int, count: int) -> BucketReported:
    """Count what the views count, but for files, of the people of one bucket.

    Args:
        cursor: In a transaction that sees one state of the tables.
        bucket: Which one.
        count: How many buckets there are.
    """
    found = _counts(cursor, lambda view: _of_bucket(cursor, view, bucket, count))
    return BucketReported(count, found, PostgresSnapshot(cursor).position())


def count_files(cursor: Cursor) -> Storage:
    """Count everybody's files, which no bucket can: several people may have the same."""
    return _storage(cursor, lambda view: _of_bucket(cursor, view, 0, 1))


def _kept(view: View) -> sql.Identifier:
    return sql.Identifier("ingestion", view.value)


def _of_bucket(cursor: Cursor, view: View, bucket: int, count: int) -> sql.Composed:
    cursor.execute(_sql.definition, {"view": _full_name(view)})
    [definition] = fetch_one(cursor)
    return _sql.fill(
        "of_some",
        condition=buckets.is_in_bucket(count, bucket, sql.Identifier("row_id")),
        definition=sql.SQL(definition),
    )


def _counts(cursor: Cursor, source: Source) -> Counts:
    cursor.execute(_sql.fill("download_outcomes", counted=source(View.DOWNLOAD_OUTCOMES)))
    outcomes = tuple(Outcome(*row) for row in cursor.fetchall())
    cursor.execute(_sql.fill("processing_summary", counted=source(View.PROCESSING_SUMMARY)))
    processing = Processing(*fetch_one(cursor))
    cursor.execute(_sql.fill("type_distribution", counted=source(View.TYPE_DISTRIBUTION)))
    types = tuple(TypeCount(*row) for row in cursor.fetchall())
    return Counts(processing, types, outcomes)


def _full_name(view: View) -> str:
    return f"ingestion.{view}"


def _storage(cursor: Cursor, source: Source) -> Storage:
    cursor.execute(_sql.fill("storage_inventory", counted=source(View.STORAGE_INVENTORY)))
    found = cursor.fetchall()

    def shares(kind: str) -> tuple[Share, ...]:
        return tuple(Share(name, amount) for one, name, amount in found if one == kind)

    figures = {name: amount for kind, name, amount in found if kind == "figure"}
    return Storage(**figures, prefixes=shares("prefix"), endings=shares("ending"))

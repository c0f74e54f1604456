"""The materialized views: refreshed while others read and write, and read."""

import time

from psycopg2 import sql

from ingestion_pipeline.domain.figures import (
    Figures,
    Outcome,
    Processing,
    Refreshed,
    Share,
    Storage,
    TypeCount,
    View,
)
from ingestion_pipeline.stores.postgres import queries
from ingestion_pipeline.stores.postgres.pool import Cursor, Pool, fetch_one

_sql = queries.load("figures")

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
        cursor.execute(_sql.download_outcomes)
        outcomes = tuple(Outcome(*row) for row in cursor.fetchall())
        cursor.execute(_sql.processing_summary)
        processing = Processing(*fetch_one(cursor))
        storage = _storage(cursor)
        cursor.execute(_sql.type_distribution)
        types = tuple(TypeCount(*row) for row in cursor.fetchall())
    return Figures(processing, types, outcomes, storage, refreshed)


def _full_name(view: View) -> str:
    return f"ingestion.{view}"


def _storage(cursor: Cursor) -> Storage:
    cursor.execute(_sql.storage_inventory)
    found = cursor.fetchall()

    def shares(kind: str) -> tuple[Share, ...]:
        return tuple(Share(name, amount) for one, name, amount in found if one == kind)

    figures = {name: amount for kind, name, amount in found if kind == "figure"}
    return Storage(**figures, prefixes=shares("prefix"), endings=shares("ending"))

"""The figures of a server, and of the site on it: one round, and never for long."""

from collections.abc import Iterator, Sequence
from typing import Any

from ingestion_pipeline.domain.health import Signal
from ingestion_pipeline.stores.postgres import queries
from ingestion_pipeline.stores.postgres.pool import Cursor, Pool, fetch_one

LONGEST = 5.0
"""Seconds that a statement may take: who looks must not be one more burden."""

LOCK = 1.0
"""Seconds that it may wait for a lock."""

_sql = queries.load("signals")
_state = queries.load("state")


def signals(pool: Pool) -> list[Signal]:
    """The figures: counts, bytes and seconds, never a query's text.

    Args:
        pool: Connections to the database.

    Raises:
        UnavailableError: PostgreSQL is away, or busy.
    """
    with pool.transaction() as cursor:
        for name, seconds in (("statement_timeout", LONGEST), ("lock_timeout", LOCK)):
            cursor.execute("SELECT set_config(%s, %s, true)", (name, f"{seconds * 1000:.0f}"))
        found = [*_asked(cursor, _sql.server)]
        cursor.execute(_state.has_begun)
        if fetch_one(cursor)[0]:
            found += _asked(cursor, _sql.site)
    return found


def _asked(cursor: Cursor, query: Any) -> Iterator[Signal]:
    cursor.execute(query)
    for row in cursor.fetchall():
        yield from _signal(row)


def _signal(row: Sequence[Any]) -> Iterator[Signal]:
    name, label, about, value = row
    if value is not None:
        yield Signal(name, float(value), () if label is None else ((label, about),))

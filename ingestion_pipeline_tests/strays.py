"""Statements that somebody runs with psql: they carry no epoch, or one that is named."""

from collections.abc import Iterator
from contextlib import closing, contextmanager

import psycopg2

Rows = list[tuple[object, ...]]


def stray(database: str, statement: str, *values: object, epoch: int | None = None) -> Rows:
    """Run a statement in a session of its own, and commit it."""
    with closing(psycopg2.connect(database)) as connection, connection, connection.cursor() as cursor:
        if epoch is not None:
            cursor.execute("SELECT set_config('ingestion.epoch', %s, true)", (str(epoch),))
        cursor.execute(statement, values or None)
        return list(cursor.fetchall()) if cursor.description else []


CHECKS = """
    SELECT conrelid::regclass::text, conname::text, pg_get_constraintdef(oid) FROM pg_constraint
    WHERE contype = 'c' AND coninhcount = 0 AND (conname LIKE '%_is_flat' OR conname LIKE '%_has_text')
"""


@contextmanager
def unchecked(database: str) -> Iterator[None]:
    """The tables without the checks of migration 0008: what an older release may have let in."""
    checks = stray(database, CHECKS)
    stray(database, ";".join(f"ALTER TABLE {table} DROP CONSTRAINT {name}" for table, name, _ in checks))
    try:
        yield
    finally:
        for table, name, definition in checks:
            text = str(definition).removesuffix(" NOT VALID")
            stray(database, f"ALTER TABLE {table} ADD CONSTRAINT {name} {text} NOT VALID")

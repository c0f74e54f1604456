"""Statements that somebody runs with psql: they carry no epoch, or one that is named."""

from contextlib import closing

import psycopg2

Rows = list[tuple[object, ...]]


def stray(database: str, statement: str, *values: object, epoch: int | None = None) -> Rows:
    """Run a statement in a session of its own, and commit it."""
    with closing(psycopg2.connect(database)) as connection, connection, connection.cursor() as cursor:
        if epoch is not None:
            cursor.execute("SELECT set_config('ingestion.epoch', %s, true)", (str(epoch),))
        cursor.execute(statement, values or None)
        return list(cursor.fetchall()) if cursor.description else []

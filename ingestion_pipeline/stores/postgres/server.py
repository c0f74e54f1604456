"""Which PostgreSQL: the one that is named, or the embedded one with a database of our own in it."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import psycopg2
from psycopg2 import errors, extensions, sql

from ingestion_pipeline.stores.postgres.embedded import EmbeddedServer
from ingestion_pipeline.stores.postgres.pool import translated

DATABASE = "ingestion"
"""The embedded server's database."""


@contextmanager
def serving(url: str | None, state_dir: Path) -> Iterator[str]:
    """The URL of a database to use, for as long as it is used.

    Args:
        url: The named server's; None for the embedded one.
        state_dir: Where the embedded one lives.

    Raises:
        UnavailableError: The embedded server does not start.
    """
    if url is not None:
        yield url
        return
    with EmbeddedServer(state_dir) as server:
        with translated():
            _create_database(server.dsn("postgres"))
        yield server.dsn(DATABASE)


def _create_database(maintenance: str) -> None:
    connection = psycopg2.connect(maintenance)
    try:
        connection.set_isolation_level(extensions.ISOLATION_LEVEL_AUTOCOMMIT)
        with connection.cursor() as cursor:
            cursor.execute("SELECT FROM pg_database WHERE datname = %s", (DATABASE,))
            if cursor.fetchone() is None:
                _try_to_create(cursor)
    finally:
        connection.close()


def _try_to_create(cursor: extensions.cursor) -> None:
    try:
        cursor.execute(sql.SQL("CREATE DATABASE {}").format(sql.Identifier(DATABASE)))
    except (errors.DuplicateDatabase, errors.UniqueViolation):
        """Another process was quicker."""

"""A database to try things in, on the same server, that is gone afterwards."""

import re
import secrets
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager, suppress

import psycopg2
from psycopg2 import errors, extensions, sql

from ingestion_pipeline.domain.errors import PipelineError, UnavailableError
from ingestion_pipeline.stores.postgres import queries
from ingestion_pipeline.stores.postgres.dumping.clients import parameters
from ingestion_pipeline.stores.postgres.pool import Cursor, Pool, fetch_one, translated

_sql = queries.load("dumping")

PREFIX = "ingestion_drill_"
_NAME = re.compile(rf"{PREFIX}([0-9a-f]{{8}})[0-9a-f]{{8}}")
"""With the second it was made in, as the server does not keep that."""

LEFT_OVER = 24 * 3600.0
"""Seconds after which one that is still there was left behind."""


@contextmanager
def scratch_database(pool: Pool) -> Iterator[Pool]:
    """Connections to a new, empty database, which is dropped at the end, as are those left over for a day.

    Its encoding and order of texts are the site's. Besides its owner only superusers may enter it.

    Args:
        pool: Connections to the site's own database.

    Raises:
        UnavailableError: The role may not make databases (`no_createdb`), or PostgreSQL is away.
    """
    known = _parameters(pool)
    _sweep(known, pool)
    name = f"{PREFIX}{int(time.time()):08x}{secrets.token_hex(4)}"
    try:
        _create(known, pool, name)
        with closing(
            Pool(extensions.make_dsn(**known | {"dbname": name}), largest=2, waits=pool.waits)
        ) as made:
            yield made
    except BaseException:
        with suppress(PipelineError):  # the first error is the one to be told
            _drop(known, pool, name)
        raise
    _drop(known, pool, name)


def _parameters(pool: Pool) -> dict[str, str]:
    with pool.connection() as connection:
        return parameters(connection)


def _create(known: dict[str, str], pool: Pool, name: str) -> None:
    with _alone(known, pool) as cursor:
        cursor.execute(_sql.database)
        encoding, collate, ctype = map(sql.Literal, fetch_one(cursor))
        named = sql.Identifier(name)
        try:
            cursor.execute(
                _sql.fill("create_database", database=named, encoding=encoding, collate=collate, ctype=ctype)
            )
        except errors.InsufficientPrivilege:
            raise UnavailableError(
                "this role may not make databases, and a drill needs one of its own",
                code="no_createdb",
                hint="As an administrator: ALTER ROLE the_role CREATEDB",
            ) from None
        cursor.execute(_sql.fill("keep_to_owner", database=named))


def _drop(known: dict[str, str], pool: Pool, name: str) -> None:
    with _alone(known, pool) as cursor:
        cursor.execute(_sql.fill("drop_database", database=sql.Identifier(name)))


def _sweep(known: dict[str, str], pool: Pool) -> None:
    """Drop what killed processes have left."""
    with _alone(known, pool) as cursor:
        cursor.execute(_sql.scratch_databases, {"pattern": f"{PREFIX}%"})
        for (name,) in cursor.fetchall():
            found = _NAME.fullmatch(name)
            if found and time.time() - int(found[1], 16) > LEFT_OVER:
                cursor.execute(_sql.fill("drop_database", database=sql.Identifier(name)))


@contextmanager
def _alone(known: dict[str, str], pool: Pool) -> Iterator[Cursor]:
    """A cursor outside any transaction, which is where databases are made and dropped."""
    allowed = f"-c statement_timeout={round(1000 * pool.waits.bulk)}"
    with (
        translated(),
        closing(psycopg2.connect(extensions.make_dsn(**known | {"options": allowed}))) as connection,
    ):
        connection.set_isolation_level(extensions.ISOLATION_LEVEL_AUTOCOMMIT)
        with connection.cursor() as cursor:
            yield cursor

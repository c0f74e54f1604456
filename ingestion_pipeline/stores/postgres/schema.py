"""The schema: brought up, taken down, and asked which version it is."""

from collections.abc import Iterator
from contextlib import contextmanager
from importlib.resources import files
from pathlib import Path
from typing import TYPE_CHECKING

import psycopg2
from psycopg2 import sql

from ingestion_pipeline.domain.columns import Table
from ingestion_pipeline.domain.errors import ProtectedError, SettingsError, UnavailableError
from ingestion_pipeline.stores.postgres import queries
from ingestion_pipeline.stores.postgres.pool import Pool, fetch_one, translated

if TYPE_CHECKING:
    from alembic.config import Config

PEOPLE_FULL = "people_full"
"""The view in schema public: the columns of the full mode, in its order."""

_MIGRATIONS = files(__package__).joinpath("migrations")
_sql = queries.load("schema")


def head() -> str:
    """The newest revision this package knows."""
    names = (entry.name for entry in _MIGRATIONS.joinpath("versions").iterdir())
    return max(name.partition("_")[0] for name in names if name.endswith(".py"))


def current(pool: Pool) -> str | None:
    """The revision the database is at, None when it has no tables of ours."""
    with pool.transaction() as cursor:
        cursor.execute("SELECT to_regclass('ingestion.schema_version') IS NOT NULL")
        if not fetch_one(cursor)[0]:
            return None
        cursor.execute("SELECT version_num FROM ingestion.schema_version")
        row = cursor.fetchone()
    return None if row is None else str(row[0])


def ensure(pool: Pool) -> None:
    """See that the schema is the one this package knows; a database without any gets it.

    Raises:
        UnavailableError: It is of another revision.
        ProtectedError: There are tables of these names that are not this pipeline's.
    """
    if current(pool) is None:
        upgrade(pool)
    check(pool)


def check(pool: Pool) -> None:
    """See that the schema, where there is one, is the one this package knows.

    Raises:
        UnavailableError: It is of another revision.
    """
    found = current(pool)
    if found is not None and found != head():
        raise UnavailableError(
            f"the schema is at revision {found}, this program needs {head()}",
            code="schema_behind" if found < head() else "schema_ahead",
            hint="Run `ingest db upgrade`." if found < head() else "Use the newer version of this program.",
        )


def upgrade(pool: Pool, to: str = "head") -> None:
    """Bring the schema up to a revision. Safe to run again, and by several at once.

    Where roles were granted something, they are granted it again, on what is new too. Rows that were there
    before a constraint are looked at afterwards, see `validate`.
    """
    from alembic import command  # noqa: PLC0415 - half the start-up time of a command that needs it not

    if current(pool) is None:
        _refuse_strangers(pool)
    with _migrating(pool) as config:
        command.upgrade(config, to)
    validate(pool)


def validate(pool: Pool) -> list[str]:
    """Look whether rows that were there before a constraint keep to it, while others go on writing.

    Returns:
        The constraints that some old row breaks, by name: they hold for what is new, and for that row once it
        is mended.
    """
    with pool.transaction() as cursor:
        cursor.execute(_sql.not_validated)
        waiting = cursor.fetchall()
    return [name for table, name in waiting if not _is_kept(pool, table, name)]


def _is_kept(pool: Pool, table: str, name: str) -> bool:
    # Each in a transaction of its own: this lock lets writers pass, and those of the migration do not.
    statement = _sql.fill("validate", table=sql.Identifier("public", table), constraint=sql.Identifier(name))
    with pool.transaction(bulk=True) as cursor:
        try:
            cursor.execute(statement)
        except psycopg2.errors.CheckViolation:
            cursor.connection.rollback()
            return False
    return True


def downgrade(pool: Pool, to: str = "base") -> None:
    """Take the schema down to a revision. At `base` the tables and their rows are gone.

    Raises:
        SettingsError: There is no such revision below (`unknown_revision`).
    """
    from alembic import command  # noqa: PLC0415 - see upgrade

    with _migrating(pool) as config:
        command.downgrade(config, to)


def _refuse_strangers(pool: Pool) -> None:
    with pool.transaction() as cursor:
        cursor.execute(
            "SELECT name FROM unnest(%s::text[]) AS name WHERE to_regclass('public.' || name) IS NOT NULL",
            ([*Table, PEOPLE_FULL],),
        )
        strangers = [name for (name,) in cursor.fetchall()]
    if strangers and current(pool) is None:
        raise ProtectedError(
            f"this database has tables that are not this pipeline's: {', '.join(strangers)}",
            code="tables_in_the_way",
            hint="Name an empty database in database.name or DATABASE_URL.",
        )


@contextmanager
def _unwrapped() -> Iterator[None]:
    """The driver's errors as they were before SQLAlchemy wrapped them; and a revision that nobody knows."""
    from alembic.util import CommandError  # noqa: PLC0415 - see upgrade
    from sqlalchemy.exc import DBAPIError  # noqa: PLC0415 - see upgrade

    try:
        yield
    except DBAPIError as error:
        raise (error.orig or error) from None
    except CommandError:
        raise SettingsError(
            "there is no such revision of the schema to go to from here",
            code="unknown_revision",
            hint=f"Name one from 0001 to {head()}, or base.",
        ) from None


@contextmanager
def _migrating(pool: Pool) -> Iterator["Config"]:
    from alembic.config import Config  # noqa: PLC0415 - see upgrade
    from sqlalchemy import StaticPool, create_engine, text  # noqa: PLC0415 - see upgrade

    with pool.connection() as connection, translated(), _unwrapped():
        engine = create_engine("postgresql+psycopg2://", creator=lambda: connection, poolclass=StaticPool)
        with engine.connect() as sqlalchemy_connection:
            # Two programs starting at once must not both create the schema.
            sqlalchemy_connection.execute(text("SELECT pg_advisory_xact_lock(hashtext('ingestion schema'))"))
            found = sqlalchemy_connection.execute(text("SELECT to_regnamespace('ingestion') IS NOT NULL"))
            if not found.scalar():
                # Not even looked for otherwise by who may make none.
                sqlalchemy_connection.execute(text("CREATE SCHEMA ingestion"))
            config = Config()
            config.set_main_option("script_location", str(Path(str(_MIGRATIONS))))
            config.attributes["connection"] = sqlalchemy_connection
            yield config
            sqlalchemy_connection.execute(text(_sql.texts["grant_again"]))
            sqlalchemy_connection.commit()
            sqlalchemy_connection.detach()

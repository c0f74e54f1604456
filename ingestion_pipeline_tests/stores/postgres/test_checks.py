"""Checks of values in the tables, how they come to tables in use, and the time of every change."""

import threading
import time
from collections.abc import Iterator
from contextlib import closing

import psycopg2
import pytest

from ingestion_pipeline.domain.errors import UnavailableError
from ingestion_pipeline.domain.phase import Phase
from ingestion_pipeline.domain.receipt import checked
from ingestion_pipeline.domain.reports import State
from ingestion_pipeline.stores.postgres import schema
from ingestion_pipeline.stores.postgres.pool import Pool, Waits
from ingestion_pipeline.stores.postgres.tables import PostgresTables
from ingestion_pipeline_tests.conftest import Server
from ingestion_pipeline_tests.strays import stray

STATE = State(Phase.DATABASE_NATIVE, 2)
NEW = {"name": "Ada", "email": "", "type": "", "file_uuids": '{"a": "b"}', "last_download_attempt": ""}

NO_TEXT = {
    "a map with null": ("s3_metadata", """file_uuids = '{"a": null}'"""),
    "a map with a number": ("s3_metadata", """s3_paths = '{"a": 1}'"""),
    "a map of maps": ("s3_metadata", """s3_paths = '{"a": {"b": "c"}}'"""),
    "an endless time": ("processing_status", "last_download_attempt = 'infinity'"),
    "a time before all calendars": ("processing_status", "extraction_date = '0044-03-15 BC'"),
    "a year of five digits": ("processing_status", "extraction_date = '10000-01-01'"),
    "original text that is none": ("people", """verbatim = '{"processed": null}'"""),
}

TEXT = {
    "an empty map": ("s3_metadata", "file_uuids = '{}'"),
    "no map": ("s3_metadata", "file_uuids = NULL"),
    "the first time": ("processing_status", "extraction_date = '0001-01-01'"),
    "the last time": ("processing_status", "extraction_date = '9999-12-31 23:59:59.999999'"),
    "a status nobody knows": ("processing_status", "youtube_status = 'never heard of', drive_status = ''"),
    "no flag": ("processing_status", "processed = NULL"),
    "original text": ("people", """verbatim = '{"processed": "True"}'"""),
}


@pytest.fixture
def database(server: Server, template: str) -> Iterator[str]:
    """A database that nobody else uses, with one person, in database_native."""
    with server.new_database(template) as url:
        stray(url, "INSERT INTO ingestion.migration_state (phase, epoch) VALUES (%s, %s)", STATE.phase, 2)
        pool = Pool(url)
        PostgresTables(pool).write(STATE, "tester", [checked("1", NEW)])
        pool.close()
        yield url


@pytest.mark.parametrize(("table", "value"), NO_TEXT.values(), ids=NO_TEXT)
def test_a_value_that_no_text_means_is_refused(database: str, table: str, value: str) -> None:
    with pytest.raises(psycopg2.errors.CheckViolation):
        stray(database, f"UPDATE {table} SET {value}")


@pytest.mark.parametrize(("table", "value"), TEXT.values(), ids=TEXT)
def test_a_value_that_the_csv_may_hold_is_not(database: str, table: str, value: str) -> None:
    stray(database, f"UPDATE {table} SET {value}")


@pytest.mark.parametrize(("table", "value"), NO_TEXT.values(), ids=NO_TEXT)
def test_rows_from_before_are_named_and_do_not_stop_the_upgrade(
    database: str, pool: Pool, table: str, value: str
) -> None:
    schema.downgrade(pool, "0007")
    stray(database, f"UPDATE {table} SET {value}")

    schema.upgrade(pool)

    [broken] = schema.validate(pool)
    assert broken.startswith(f"{table}_")
    assert schema.current(pool) == schema.head()
    column = value.partition(" ")[0]
    stray(database, f"UPDATE {table} SET {column} = NULL")
    assert schema.validate(pool) == []
    assert stray(database, "SELECT count(*) FROM pg_constraint WHERE NOT convalidated") == [(0,)]


def test_writers_go_on_while_a_constraint_is_validated(database: str, pool: Pool) -> None:
    stray(database, "ALTER TABLE people ADD CONSTRAINT people_long CHECK (name <> 'x') NOT VALID")
    with closing(psycopg2.connect(database)) as validating, validating.cursor() as cursor:
        # What `validate` runs, held in the middle.
        cursor.execute("ALTER TABLE people VALIDATE CONSTRAINT people_long")

        hasty = Pool(database, waits=Waits(lock=0.2))
        [made], refused = PostgresTables(hasty).write(STATE, "tester", [checked("1", {"name": "Bob"})])

        hasty.close()
        assert (made.row_id, refused) == ("1", None)
        validating.rollback()
    assert schema.validate(pool) == []
    assert stray(
        database, "SELECT DISTINCT convalidated FROM pg_constraint WHERE conname = 'people_long'"
    ) == [(True,)]


def test_the_upgrade_waits_for_a_long_look_and_writers_do_not(database: str, pool: Pool) -> None:
    schema.downgrade(pool, "0007")
    upgraded = threading.Thread(target=schema.upgrade, args=(pool,))
    writer = Pool(database)
    pauses: list[float] = []
    with closing(psycopg2.connect(database)) as looking, looking.cursor() as cursor:
        cursor.execute("SELECT FROM people")
        upgraded.start()
        until = time.monotonic() + 1.0
        while time.monotonic() < until:
            began = time.monotonic()
            PostgresTables(writer).write(STATE, "tester", [checked("1", {"name": f"n{began}"})])
            pauses.append(time.monotonic() - began)
        assert schema.current(writer) == "0007"
        looking.rollback()
    upgraded.join(10)
    writer.close()

    assert schema.current(pool) == schema.head()
    assert max(pauses) < 0.6


def test_tables_that_stay_locked_leave_the_schema_as_it_was(database: str, pool: Pool) -> None:
    schema.downgrade(pool, "0007")
    short = str(stray(database, "SELECT pg_get_functiondef('ingestion.take_alone'::regproc)")[0][0])
    stray(database, short.replace("1..20", "1..2"))
    with closing(psycopg2.connect(database)) as looking, looking.cursor() as cursor:
        cursor.execute("SELECT FROM people")

        with pytest.raises(UnavailableError) as refused:
            schema.upgrade(pool)

    assert refused.value.code == "postgres_busy"
    assert schema.current(pool) == "0007"


UPDATED = "SELECT max(updated_at) FROM {}"


@pytest.mark.parametrize(
    ("table", "change", "none"),
    [
        ("people", "name = 'Eve'", None),
        ("processing_status", "document_text = 'x'", "document_text = document_text"),
        ("s3_metadata", """s3_paths = '{"b": "c"}'""", "s3_paths = s3_paths"),
    ],
)
def test_every_real_change_is_timed_whoever_makes_it(
    database: str, pool: Pool, table: str, change: str, none: str | None
) -> None:
    def updated() -> object:
        return stray(database, UPDATED.format(table))[0][0]

    made = updated()
    if none is not None:
        stray(database, f"UPDATE {table} SET {none}")
        assert updated() == made
    stray(database, f"UPDATE {table} SET {change}, updated_at = '2000-01-01'")
    by_hand = updated()
    assert by_hand > made  # type: ignore[operator]
    written = {"name": "Cy", "document_text": "y", "s3_paths": '{"d": "e"}'}
    PostgresTables(pool).write(STATE, "tester", [checked("1", written)])
    assert updated() > by_hand  # type: ignore[operator]

"""Migrations: each is taken down to where it began, and comes up again to the same."""

from collections.abc import Iterator

import pytest

from ingestion_pipeline.domain.errors import ProtectedError, UnavailableError
from ingestion_pipeline.domain.phase import Phase
from ingestion_pipeline.domain.receipt import checked
from ingestion_pipeline.domain.reports import State
from ingestion_pipeline.stores.postgres import partitioning, schema
from ingestion_pipeline.stores.postgres.pool import Pool
from ingestion_pipeline.stores.postgres.tables import PostgresTables
from ingestion_pipeline_tests.conftest import PARTS, Server
from ingestion_pipeline_tests.strays import Rows, stray

STATE = State(Phase.DATABASE_PRIMARY, 2)
OURS = "IN ('public'::regnamespace, 'ingestion'::regnamespace)"
EVERYTHING = f"""
    SELECT 'table', relname::text, relkind::text, '' FROM pg_class WHERE relnamespace {OURS}
    UNION ALL
    SELECT 'column', attrelid::regclass::text, attname, format_type(atttypid, atttypmod) || attnotnull
    FROM pg_attribute JOIN pg_class ON pg_class.oid = attrelid
    WHERE relnamespace {OURS} AND attnum > 0 AND NOT attisdropped
    UNION ALL
    SELECT 'constraint', conrelid::regclass::text, conname, pg_get_constraintdef(oid)
    FROM pg_constraint WHERE connamespace {OURS}
    UNION ALL
    SELECT 'trigger', tgrelid::regclass::text, tgname, pg_get_triggerdef(oid)
    FROM pg_trigger WHERE NOT tgisinternal
    UNION ALL
    SELECT 'function', proname, '', pg_get_functiondef(oid) FROM pg_proc WHERE pronamespace {OURS}
    ORDER BY 1, 2, 3, 4
"""
CONFLICT = """
    INSERT INTO ingestion.quarantine (scope, reason, row_id, column_name, raw, file_sha256)
    VALUES ('conflict', 'conflict', '1', 'name', '{"csv": "a", "postgres": "b"}', '')
"""
PEOPLE = "SELECT row_id, name, verbatim, revision FROM people ORDER BY row_id"


@pytest.fixture
def database(server: Server, template: str) -> Iterator[str]:
    """A database that nobody else uses."""
    with server.new_database(template) as url:
        yield url


def everything(database: str) -> Rows:
    return stray(database, EVERYTHING)


def test_writing_is_taken_down_and_comes_up_again(database: str, pool: Pool) -> None:
    tables = PostgresTables(pool)
    person = checked("1", {"name": "Ada", "email": "", "type": "", "processed": "TRUE"})
    stray(database, "INSERT INTO ingestion.migration_state (phase, epoch) VALUES (%s, %s)", STATE.phase, 2)
    tables.write(STATE, "tester", [person])
    stray(database, CONFLICT)
    head, people = everything(database), stray(database, PEOPLE)

    schema.downgrade(pool, "0001")

    assert schema.current(pool) == "0001"
    assert not [one for one in everything(database) if one[0] == "trigger"]
    assert stray(database, PEOPLE) == people
    stray(database, "UPDATE people SET name = 'unfenced', revision = revision + 1", epoch=1)
    with pytest.raises(UnavailableError, match=f"revision 0001, this program needs {schema.head()}"):
        schema.check(pool)

    schema.upgrade(pool)
    partitioning.partition(pool, PARTS)

    assert everything(database) == head
    assert (tables.history("1"), tables.quarantine(decided=True)) == ([], [])
    [made], _ = tables.write(STATE, "tester", [checked("1", {"name": "Bob"})])
    assert [one.revision for one in tables.history("1")] == [made.revision]
    with pytest.raises(ProtectedError):
        tables.write(State(STATE.phase, 1), "tester", [person])


def test_what_is_taken_down_is_what_came_up(database: str, pool: Pool) -> None:
    schema.downgrade(pool, "0001")
    first = everything(database)

    schema.upgrade(pool)
    assert everything(database) != first
    schema.downgrade(pool, "0001")

    assert everything(database) == first

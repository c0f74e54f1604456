"""The schema: what the contract declares, brought up, taken down, and refused where it does not fit."""
# ruff: noqa: E501, ISC004 - lists of statements

from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from urllib.parse import urlsplit

import psycopg2
import pytest

from ingestion_pipeline.domain.columns import COLUMNS, Table, of_table
from ingestion_pipeline.domain.errors import Exit, ProtectedError, UnavailableError
from ingestion_pipeline.stores.postgres import partitioning, schema
from ingestion_pipeline.stores.postgres.pool import Pool, Waits
from ingestion_pipeline_tests.conftest import PARTS, Server

Rows = list[tuple[object, ...]]

BESIDE = {
    Table.PEOPLE: {"id", "ordinal", "revision", "write_id", "verbatim", "created_at", "updated_at"},
    Table.PROCESSING_STATUS: {"id", "person_id", "created_at", "updated_at"},
    Table.S3_METADATA: {"id", "person_id", "created_at", "updated_at"},
}
"""What the tables hold beside the contract's columns."""

COLUMNS_OF = """
    SELECT attname, format_type(atttypid, atttypmod), attnotnull FROM pg_attribute
    WHERE attrelid = %s::regclass AND attnum > 0 AND NOT attisdropped
"""

EVERYTHING = """
    SELECT 'column', attrelid::regclass::text, attname, format_type(atttypid, atttypmod), attnotnull::text
    FROM pg_attribute JOIN pg_class ON pg_class.oid = attrelid
    WHERE relnamespace IN ('public'::regnamespace, 'ingestion'::regnamespace) AND attnum > 0 AND NOT attisdropped
    UNION ALL
    SELECT 'constraint', conrelid::regclass::text, conname, pg_get_constraintdef(oid), '' FROM pg_constraint
    WHERE connamespace IN ('public'::regnamespace, 'ingestion'::regnamespace)
    UNION ALL
    SELECT 'index', indrelid::regclass::text, indexrelid::regclass::text, pg_get_indexdef(indexrelid), ''
    FROM pg_index JOIN pg_class ON pg_class.oid = indrelid
    WHERE relnamespace IN ('public'::regnamespace, 'ingestion'::regnamespace)
    UNION ALL
    SELECT 'function', proname, '', '', '' FROM pg_proc WHERE pronamespace = 'ingestion'::regnamespace
    ORDER BY 1, 2, 3, 4
"""


@pytest.fixture
def own(server: Server, template: str) -> Iterator[Pool]:
    """A database that nobody else uses."""
    with server.new_database(template) as url:
        pool = Pool(url)
        yield pool
        pool.close()


def ask(pool: Pool, statement: str, *values: object) -> Rows:
    with pool.transaction() as cursor:
        cursor.execute(statement, values or None)
        return list(cursor.fetchall())


def do(pool: Pool, statement: str) -> None:
    with pool.transaction() as cursor:
        cursor.execute(statement)


@pytest.mark.parametrize("table", Table)
def test_tables_are_the_contracts(pool: Pool, table: Table) -> None:
    found = {name: (kind, required) for name, kind, required in ask(pool, COLUMNS_OF, str(table))}
    declared = ", ".join(f"{c.name} {c.sql_type} {'NOT NULL' if c.required else ''}" for c in of_table(table))
    with pool.transaction() as cursor:
        cursor.execute(f"CREATE TEMP TABLE declared ({declared}) ON COMMIT DROP")
        cursor.execute(COLUMNS_OF, ("declared",))
        expected = {name: (kind, required) for name, kind, required in cursor.fetchall()}

    assert {name: found.get(name) for name in expected} == expected
    assert set(found) - set(expected) == BESIDE[table]


def test_contract_is_held_whole(pool: Pool) -> None:
    found = {name for table in Table for (name, _, _) in ask(pool, COLUMNS_OF, str(table))}

    assert len(COLUMNS) == 22
    assert {column.name for column in COLUMNS} <= found


@pytest.mark.parametrize(
    ("table", "column"),
    [
        ("people", "row_id"),
        ("people", "ordinal"),
        ("processing_status", "person_id"),
        ("s3_metadata", "person_id"),
    ],
)
def test_keys_are_unique(pool: Pool, table: str, column: str) -> None:
    unique = ask(
        pool,
        """
        SELECT attname FROM pg_index JOIN pg_attribute ON attrelid = indrelid AND attnum = indkey[0]
        WHERE indisunique AND indrelid IN (
            %s::regclass,
            -- What a table in parts cannot see by itself.
            CASE %s WHEN 'people' THEN to_regclass('ingestion.person') END
        ) AND indnkeyatts = 1 AND indpred IS NULL
        """,
        table,
        table,
    )

    assert (column,) in unique


def test_no_two_indexes_on_the_same_columns(pool: Pool) -> None:
    repeated = ask(
        pool,
        """
        SELECT indrelid::regclass, count(*) FROM pg_index JOIN pg_class ON pg_class.oid = indrelid
        WHERE relnamespace IN ('public'::regnamespace, 'ingestion'::regnamespace)
        GROUP BY indrelid, indkey::text, coalesce(indexprs::text, '')
        HAVING count(*) > 1
        """,
    )

    assert repeated == []


def test_flags_are_false_unless_said(pool: Pool) -> None:
    do(pool, "INSERT INTO people (row_id, name, email, type) VALUES ('1', 'a', '', '')")
    do(pool, "INSERT INTO processing_status (person_id) SELECT id FROM people")

    assert ask(pool, "SELECT processed, permanent_failure FROM processing_status") == [(False, False)]


@pytest.mark.parametrize(
    "statement",
    [
        "UPDATE people SET row_id = ''",
        "UPDATE people SET verbatim = '[]'",
        "INSERT INTO s3_metadata (person_id, s3_paths) SELECT id, '[]' FROM people",
        "INSERT INTO s3_metadata (person_id, file_uuids) SELECT id, '\"x\"' FROM people",
        "INSERT INTO s3_metadata (person_id) VALUES (-1)",
        "INSERT INTO ingestion.migration_state (singleton, phase, epoch) VALUES (false, 'original', 1)",
        "INSERT INTO ingestion.migration_state (phase, epoch) VALUES ('other', 1)",
        "INSERT INTO ingestion.quarantine (scope, reason, row_id, column_name, raw, file_sha256)"
        " VALUES ('row', 'r', '', 'name', '{}', '')",
    ],
)
def test_refuses_what_cannot_be(pool: Pool, statement: str) -> None:
    do(pool, "INSERT INTO people (row_id, name, email, type) VALUES ('1', 'a', '', '')")

    with pytest.raises(ProtectedError) as refused:
        do(pool, statement)

    assert refused.value.code == "postgres_refused"


def test_new_people_arrive_on_top(pool: Pool) -> None:
    for key in "abc":
        do(pool, f"INSERT INTO people (row_id, name, email, type) VALUES ('{key}', '', '', '')")

    assert ask(pool, "SELECT row_id FROM people ORDER BY ordinal") == [("c",), ("b",), ("a",)]


def test_up_down_up(own: Pool) -> None:
    first = ask(own, EVERYTHING)
    do(own, "INSERT INTO people (row_id, name, email, type) VALUES ('1', 'a', '', '')")

    schema.downgrade(own)

    assert schema.current(own) is None
    assert ask(own, "SELECT relname FROM pg_class WHERE relnamespace = 'public'::regnamespace") == []
    left = ask(own, "SELECT relname FROM pg_class WHERE relnamespace = 'ingestion'::regnamespace")
    assert {str(name).removesuffix("_pkc") for (name,) in left} == {"schema_version"}

    schema.upgrade(own)
    partitioning.partition(own, PARTS)

    assert schema.current(own) == schema.head()
    assert ask(own, EVERYTHING) == first
    assert ask(own, "SELECT count(*) FROM people") == [(0,)]


def test_upgrade_again_changes_nothing(own: Pool) -> None:
    do(own, "INSERT INTO people (row_id, name, email, type) VALUES ('1', 'a', '', '')")
    before = ask(own, EVERYTHING)

    schema.upgrade(own)
    schema.ensure(own)

    assert ask(own, EVERYTHING) == before
    assert ask(own, "SELECT row_id FROM people") == [("1",)]


def test_several_may_upgrade_at_once(empty_database: str) -> None:
    pools = [Pool(empty_database) for _ in range(3)]

    with ThreadPoolExecutor() as threads:
        list(threads.map(schema.ensure, pools))

    assert [schema.current(pool) for pool in pools] == [schema.head()] * 3
    for pool in pools:
        pool.close()


@pytest.mark.parametrize(
    ("table", "bring_up"),
    [
        ("people", schema.upgrade),
        ("processing_status", schema.upgrade),
        ("s3_metadata", schema.ensure),
        ("people_full", schema.upgrade),
    ],
)
def test_table_in_the_way_is_refused(
    empty_database: str, table: str, bring_up: Callable[[Pool], None]
) -> None:
    pool = Pool(empty_database)
    do(pool, f"CREATE TABLE {table} AS SELECT 'theirs' AS whose")

    with pytest.raises(ProtectedError, match=table) as refused:
        bring_up(pool)

    assert (refused.value.code, refused.value.exit) == ("tables_in_the_way", Exit.PROTECTED)
    assert ask(pool, f"SELECT * FROM {table}") == [("theirs",)]
    assert ask(pool, "SELECT to_regnamespace('ingestion') IS NULL") == [(True,)]
    pool.close()


def test_view_of_others_stops_what_would_take_its_place(own: Pool) -> None:
    schema.downgrade(own, "0004")
    do(own, "CREATE VIEW people_full AS SELECT 'theirs' AS whose")

    with pytest.raises(ProtectedError, match="42P07"):
        schema.upgrade(own)

    assert schema.current(own) == "0004"
    assert ask(own, "SELECT * FROM people_full") == [("theirs",)]


@pytest.mark.parametrize(("found", "code"), [("0000", "schema_behind"), ("9999", "schema_ahead")])
def test_other_revision_is_refused(own: Pool, found: str, code: str) -> None:
    do(own, f"UPDATE ingestion.schema_version SET version_num = '{found}'")

    with pytest.raises(UnavailableError, match=found) as refused:
        schema.ensure(own)

    assert (refused.value.code, refused.value.exit) == (code, Exit.UNAVAILABLE)
    assert schema.current(own) == found


def test_empty_database_gets_the_schema(empty_database: str) -> None:
    pool = Pool(empty_database)
    assert schema.current(pool) is None

    schema.ensure(pool)

    assert schema.current(pool) == schema.head()
    pool.close()


def test_downgrade_waits_for_no_reader_for_ever(database: str, pool: Pool) -> None:
    hasty = Pool(database, waits=Waits(lock=0.2))
    with pool.transaction() as reader:
        reader.execute("SELECT FROM people")

        with pytest.raises(UnavailableError, match="a lock was not free"):
            schema.downgrade(hasty)

    assert schema.current(hasty) == schema.head()
    hasty.close()


def test_upgrade_without_the_right_to_is_refused_in_our_words(server: Server, empty_database: str) -> None:
    role = f"reader_{urlsplit(empty_database).path[1:]}"
    server.run(f"CREATE ROLE {role}")
    pool = Pool(empty_database, largest=1)
    try:
        with pool.connection() as connection, connection.cursor() as cursor:
            cursor.execute(f"SET SESSION AUTHORIZATION {role}")
            connection.commit()

        with pytest.raises(ProtectedError, match="42501") as refused:
            schema.upgrade(pool)
    finally:
        pool.close()
        server.run(f"DROP ROLE {role}")

    assert "CREATE" not in str(refused.value)
    assert not isinstance(refused.value.__cause__, psycopg2.Error)

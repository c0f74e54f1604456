"""Pending: whom the CSV has yet to get, until it has exactly what they are now."""

import time
from contextlib import closing

import psycopg2
import pytest

from ingestion_pipeline.domain.pending import Dirty, Pending
from ingestion_pipeline.domain.phase import Phase
from ingestion_pipeline.domain.receipt import checked
from ingestion_pipeline.domain.reports import State
from ingestion_pipeline.stores.postgres.pool import Pool
from ingestion_pipeline.stores.postgres.tables import PostgresTables
from ingestion_pipeline_tests.strays import stray

STATE = State(Phase.DATABASE_PRIMARY, 2)
COLUMNS = ("s3_paths", "name", "row_id")


@pytest.fixture
def tables(database: str, pool: Pool) -> PostgresTables:
    """Tables that lead, with three persons whom the CSV has."""
    state = "INSERT INTO ingestion.migration_state (phase, epoch) VALUES (%s, %s)"
    stray(database, state, STATE.phase, STATE.epoch)
    for row_id in "cba":
        stray(database, "INSERT INTO people (row_id, name, email, type) VALUES (%s, 'N', '', '')", row_id)
    stray(database, "DELETE FROM ingestion.pending")
    return PostgresTables(pool)


def write(tables: PostgresTables, row_id: str, **cells: str) -> int:
    [made], _ = tables.write(STATE, "tester", [checked(row_id, cells)])
    return made.revision


def dirty(tables: PostgresTables, limit: int | None = None) -> list[Dirty]:
    with tables.snapshot() as snapshot:
        return snapshot.dirty(COLUMNS, limit)


def pending(tables: PostgresTables) -> Pending:
    with tables.snapshot() as snapshot:
        return snapshot.pending()


def places(database: str) -> dict[object, int]:
    found = stray(database, "SELECT row_id, ordinal FROM people")
    return {row_id: int(str(ordinal)) for row_id, ordinal in found}


def test_nobody_is_pending_at_first(tables: PostgresTables) -> None:
    assert dirty(tables) == []
    assert pending(tables) == Pending(0, 0.0)


def test_people_are_given_as_they_are_now_in_the_files_order(database: str, tables: PostgresTables) -> None:
    write(tables, "c", name="First", s3_paths="{}")
    last = write(tables, "c", name="Last")
    first = write(tables, "a", name="Other")
    where = places(database)

    assert dirty(tables) == [
        Dirty("a", first, moved=False, ordinal=where["a"], cells=["", "Other", "a"]),
        Dirty("c", last, moved=False, ordinal=where["c"], cells=["{}", "Last", "c"]),
    ]
    assert [one.row_id for one in dirty(tables, 1)] == ["a"]


def test_one_who_is_gone_is_given_without_cells(database: str, tables: PostgresTables) -> None:
    stray(database, "DELETE FROM people WHERE row_id = 'b'")

    [one] = dirty(tables)

    assert (one.row_id, one.moved, one.ordinal, one.cells) == ("b", False, None, None)


def test_cleared_are_those_that_have_not_changed_since(tables: PostgresTables) -> None:
    write(tables, "a", name="First")
    write(tables, "b", name="First")
    copied = dirty(tables)
    write(tables, "b", name="Later")

    tables.clear(copied)

    assert [one.row_id for one in dirty(tables)] == ["b"]


def test_one_who_is_gone_is_cleared_too(database: str, tables: PostgresTables) -> None:
    stray(database, "DELETE FROM people WHERE row_id = 'b'")

    tables.clear(dirty(tables))

    assert dirty(tables) == []


def test_one_who_came_again_since_is_not_cleared(database: str, tables: PostgresTables) -> None:
    stray(database, "DELETE FROM people WHERE row_id = 'b'")
    copied = dirty(tables)
    stray(database, "INSERT INTO people (row_id, name, email, type) VALUES ('b', '', '', '')")

    tables.clear(copied)

    assert [one.row_id for one in dirty(tables)] == ["b"]


def test_one_who_is_being_written_is_not_waited_for(database: str, tables: PostgresTables) -> None:
    write(tables, "a", name="First")
    write(tables, "b", name="First")
    copied = dirty(tables)
    with closing(psycopg2.connect(database)) as other, other.cursor() as cursor:
        cursor.execute("UPDATE people SET name = 'Later' WHERE row_id = 'b'")

        tables.clear(copied)

        other.commit()
    assert [one.row_id for one in dirty(tables)] == ["b"]


def test_snapshot_sees_one_state(tables: PostgresTables) -> None:
    revision = write(tables, "a", name="First")
    with tables.snapshot() as snapshot:
        snapshot.pending()
        write(tables, "a", name="Later")
        write(tables, "b", name="Later")

        assert [(one.revision, one.cells) for one in snapshot.dirty(("name",))] == [(revision, ["First"])]


def test_how_many_wait_and_how_long_the_first_has(database: str, tables: PostgresTables) -> None:
    write(tables, "a", name="First")
    stray(database, "UPDATE ingestion.pending SET since = now() - interval '1 hour'")
    write(tables, "a", name="Later")
    write(tables, "b", name="First")

    found = pending(tables)

    assert found.rows == found.all == 2
    assert 3600 <= found.seconds < 3700


def test_first_line_that_the_csv_has(database: str, tables: PostgresTables) -> None:
    where = places(database)
    write(tables, "a", name="First")
    with tables.snapshot() as snapshot:
        assert snapshot.first_settled() == where["b"]

    entry = "INSERT INTO ingestion.quarantine (scope, reason, row_id, column_name, raw, ordinal, file_sha256)"
    stray(database, f"{entry} VALUES ('row', '', 'a', '', '{{}}', %s, '')", where["b"] - 1)
    with tables.snapshot() as snapshot:
        assert snapshot.first_settled() == where["b"] - 1


def test_first_line_of_a_file_that_has_none(database: str, tables: PostgresTables) -> None:
    stray(database, "UPDATE people SET name = 'X'")

    with tables.snapshot() as snapshot:
        assert snapshot.first_settled() > max(places(database).values())


def test_clearing_takes_a_moment_for_many(database: str, tables: PostgresTables) -> None:
    people = "INSERT INTO people (row_id, name, email, type, ordinal)"
    stray(database, f"{people} SELECT 'n' || n, '', '', '', n FROM generate_series(1, 3000) AS n")
    copied = dirty(tables)
    began = time.monotonic()

    tables.clear(copied)

    assert (len(copied), dirty(tables)) == (3000, [])
    assert time.monotonic() - began < 5

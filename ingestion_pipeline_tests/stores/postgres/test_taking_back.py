"""Taking back: what the CSV took in while PostgreSQL was away comes over once, or both texts wait."""

from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from dataclasses import replace
from uuid import uuid4

import psycopg2
import pytest

from ingestion_pipeline.domain.cells import Reason
from ingestion_pipeline.domain.errors import ProtectedError
from ingestion_pipeline.domain.journal import Kind, Record
from ingestion_pipeline.domain.phase import Phase
from ingestion_pipeline.domain.quarantine import Scope
from ingestion_pipeline.domain.receipt import checked
from ingestion_pipeline.domain.reports import State
from ingestion_pipeline.stores.postgres.pool import Pool
from ingestion_pipeline.stores.postgres.tables import PostgresTables
from ingestion_pipeline_tests.strays import Rows, stray

STATE = State(Phase.DATABASE_PRIMARY, 2)
CONFLICTS = "SELECT row_id, column_name, raw FROM ingestion.quarantine WHERE scope = 'conflict' ORDER BY id"
PENDING = "SELECT row_id FROM ingestion.pending ORDER BY row_id"


@pytest.fixture
def tables(database: str, pool: Pool) -> PostgresTables:
    """Tables that lead, with one person."""
    begun = PostgresTables(pool)
    state = "INSERT INTO ingestion.migration_state (phase, epoch) VALUES (%s, %s)"
    stray(database, state, STATE.phase, STATE.epoch)
    cells = {"name": "Ada", "email": "a@example.org", "type": "INTJ", "processed": "TRUE", "s3_paths": "{}"}
    begun.write(STATE, "earlier", [checked("1", cells)])
    stray(database, "DELETE FROM ingestion.pending")
    return begun


def taken(row_id: str, cells: Mapping[str, tuple[str | None, str]], by: str = "caller") -> Record:
    """A record of a write that the CSV has taken in."""
    return Record(9, 8, STATE.epoch, Kind.FALLBACK, uuid4(), row_id, cells, by=by)


def new(row_id: str) -> Record:
    return taken(row_id, {"name": (None, "New"), "email": (None, ""), "type": (None, "")})


def cells(tables: PostgresTables, row_id: str, *names: str) -> list[str]:
    found = tables.read(row_id)
    assert found is not None
    return [found[name] for name in names]


def took_back_after(database: str, tables: PostgresTables, statement: str, record: Record) -> int:
    """Take back while somebody else is in the midst of a change; gives the conflicts."""
    with ThreadPoolExecutor(1) as thread, closing(psycopg2.connect(database)) as other:
        with other.cursor() as cursor:
            cursor.execute(statement)
            taking = thread.submit(tables.take_back, STATE, [record])
            while not stray(database, "SELECT 1 FROM pg_locks WHERE NOT granted"):
                assert not taking.done()
        other.commit()
        return taking.result()


def conflicts(database: str) -> Rows:
    return stray(database, CONFLICTS)


def test_write_that_still_holds_is_made(database: str, tables: PostgresTables) -> None:
    record = taken("1", {"name": ("Ada", "Bob"), "processed": ("TRUE", "yes"), "link": ("", "l")})

    assert tables.take_back(STATE, [record]) == 0

    assert cells(tables, "1", "name", "processed", "link", "email") == ["Bob", "yes", "l", "a@example.org"]
    assert conflicts(database) == []
    assert stray(database, PENDING) == [("1",)]
    made = tables.history("1")[-1]
    assert (made.actor, made.write_id, made.epoch) == ("caller", record.write_id, STATE.epoch)


def test_new_person_is_made(database: str, tables: PostgresTables) -> None:
    tables.take_back(STATE, [new("n1"), new("n2")])

    assert [row["row_id"] for row in tables.rows()] == ["n2", "n1", "1"]
    assert stray(database, PENDING) == [("n1",), ("n2",)]
    assert stray(database, "SELECT DISTINCT whole FROM ingestion.record") == [(True,)]


def test_new_person_of_a_file_without_some_columns(tables: PostgresTables) -> None:
    tables.take_back(STATE, [taken("n1", {"name": (None, "New")})])

    assert cells(tables, "n1", "name", "email", "type") == ["New", "", ""]


def test_several_writes_to_one_person_come_in_order(tables: PostgresTables) -> None:
    records = [new("n1"), taken("n1", {"name": ("New", "Newer")}), taken("1", {"name": ("Ada", "Bob")})]

    assert tables.take_back(STATE, records) == 0

    assert (cells(tables, "n1", "name"), cells(tables, "1", "name")) == (["Newer"], ["Bob"])


def test_cell_that_both_sides_changed_waits_with_both_texts(database: str, tables: PostgresTables) -> None:
    tables.write(STATE, "other", [checked("1", {"name": "Theirs", "s3_paths": '{"a":"b"}'})])
    record = taken("1", {"name": ("Ada", "Ours"), "s3_paths": ("{}", ""), "link": ("", "l")})

    assert tables.take_back(STATE, [record]) == 2

    assert cells(tables, "1", "name", "s3_paths", "link") == ["Theirs", '{"a":"b"}', "l"]
    assert conflicts(database) == [
        ("1", "name", {"postgres": "Theirs", "csv": "Ours"}),
        ("1", "s3_paths", {"postgres": '{"a":"b"}', "csv": ""}),
    ]
    entry = tables.quarantine(decided=False)[0]
    assert (entry.scope, entry.reason, entry.decision) == (Scope.CONFLICT, Reason.CONFLICT, None)
    assert stray(database, PENDING) == [("1",)]


def test_cell_that_both_sides_changed_to_the_same_is_no_conflict(
    database: str, tables: PostgresTables
) -> None:
    tables.write(STATE, "other", [checked("1", {"name": "Same"})])

    assert tables.take_back(STATE, [taken("1", {"name": ("Ada", "Same")})]) == 0
    assert conflicts(database) == []


def test_person_whom_both_sides_made_is_reconciled(database: str, tables: PostgresTables) -> None:
    tables.write(STATE, "other", [checked("n1", {"name": "Theirs", "email": "", "type": ""})])

    assert tables.take_back(STATE, [new("n1")]) == 1
    assert conflicts(database) == [("n1", "name", {"postgres": "Theirs", "csv": "New"})]


def test_person_who_is_gone_stays_so_and_the_text_waits(database: str, tables: PostgresTables) -> None:
    stray(database, "DELETE FROM people")

    assert tables.take_back(STATE, [taken("1", {"name": ("Ada", "Bob")})]) == 1

    assert tables.read("1") is None
    assert conflicts(database) == [("1", "name", {"csv": "Bob"})]
    assert stray(database, PENDING) == [("1",)]


def test_nothing_is_taken_back_twice(database: str, tables: PostgresTables) -> None:
    tables.write(STATE, "other", [checked("1", {"link": "theirs"})])
    stray(database, "INSERT INTO people (row_id, name, email, type) VALUES ('gone', 'G', '', '')")
    records = [
        taken("1", {"name": ("Ada", "Bob"), "link": ("", "ours")}),
        new("n1"),
        taken("gone", {"name": ("G", "H")}),
    ]
    stray(database, "DELETE FROM people WHERE row_id = 'gone'")
    assert tables.take_back(STATE, records) == 2
    tables.write(STATE, "other", [checked("1", {"name": "Later"}), checked("n1", {"name": "Later"})])
    before = (conflicts(database), tables.last_revision())

    tables.take_back(STATE, records)

    assert (conflicts(database), tables.last_revision()) == before
    assert [row["name"] for row in tables.rows()] == ["Later", "Later"]


def test_write_that_postgres_had_made_after_all_is_not_made_again(tables: PostgresTables) -> None:
    write_id = uuid4()
    tables.write(STATE, "caller", [checked("1", {"name": "Bob"}, write_id)])
    tables.write(STATE, "caller", [checked("1", {"name": "Later"})])

    assert tables.take_back(STATE, [replace(taken("1", {"name": ("Ada", "Bob")}), write_id=write_id)]) == 0
    assert cells(tables, "1", "name") == ["Later"]


def test_write_that_comes_between_is_seen(database: str, tables: PostgresTables) -> None:
    record = taken("1", {"s3_paths": ("{}", "")})

    assert (
        took_back_after(database, tables, """UPDATE s3_metadata SET s3_paths = '{"a": "b"}'""", record) == 1
    )

    assert cells(tables, "1", "s3_paths") == ['{"a": "b"}']
    assert conflicts(database) == [("1", "s3_paths", {"postgres": '{"a": "b"}', "csv": ""})]


def test_person_who_comes_between_is_seen(database: str, tables: PostgresTables) -> None:
    statement = "INSERT INTO people (row_id, name, email, type, link) VALUES ('n1', 'Theirs', '', '', 'kept')"

    assert took_back_after(database, tables, statement, new("n1")) == 1

    assert cells(tables, "n1", "name", "link") == ["Theirs", "kept"]
    assert conflicts(database) == [("n1", "name", {"postgres": "Theirs", "csv": "New"})]
    assert tables.history("n1")[-1].actor == "caller"


def test_person_is_pending_though_nothing_was_applied(database: str, tables: PostgresTables) -> None:
    tables.write(STATE, "other", [checked("1", {"name": "Theirs"})])
    stray(database, "DELETE FROM ingestion.pending")

    tables.take_back(STATE, [taken("1", {"name": ("Ada", "Ours")})])

    assert stray(database, PENDING) == [("1",)]


def test_nobody_is_pending_where_no_csv_follows(database: str, tables: PostgresTables) -> None:
    stray(database, "UPDATE ingestion.migration_state SET phase = 'database_native'")

    tables.take_back(STATE, [taken("1", {"name": ("Ada", "Bob")}), new("n1")])

    assert stray(database, PENDING) == []


def test_epoch_that_is_over_takes_nothing_back(tables: PostgresTables) -> None:
    with pytest.raises(ProtectedError) as refused:
        tables.take_back(replace(STATE, epoch=1), [taken("1", {"name": ("Ada", "Bob")})])

    assert refused.value.code == "stale_epoch"
    assert cells(tables, "1", "name") == ["Ada"]

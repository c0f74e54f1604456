"""Writing while PostgreSQL leads: the named columns of one person, in one transaction, once."""

import threading
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, suppress
from datetime import datetime
from typing import Any
from urllib.parse import urlsplit
from uuid import UUID, uuid4

import psycopg2
import pytest
from psycopg2.errors import InsufficientPrivilege

from ingestion_pipeline.domain.columns import COLUMNS
from ingestion_pipeline.domain.errors import InputRefusedError, ProtectedError
from ingestion_pipeline.domain.phase import Phase
from ingestion_pipeline.domain.receipt import NEEDED_TO_CREATE, Made, Write, checked
from ingestion_pipeline.domain.reports import State
from ingestion_pipeline.stores.postgres import writing
from ingestion_pipeline.stores.postgres.pool import Pool
from ingestion_pipeline.stores.postgres.tables import PostgresTables
from ingestion_pipeline_tests.strays import stray

STATE = State(Phase.DATABASE_NATIVE, 2)
NEW = {"name": "Ada", "email": "ada@example.org", "type": "INTJ"}
CANARY = "canary.person@example.org"
FULL = NEW | {
    "link": "https://example.org/a",
    "extracted_links": "a|b",
    "youtube_playlist": "c",
    "google_drive": "d",
    "processed": "TRUE",
    "document_text": 'two "lines",\nand more',
    "youtube_status": "e",
    "youtube_files": "f",
    "youtube_media_id": "g",
    "drive_status": "h",
    "drive_files": "i",
    "drive_media_id": "j",
    "last_download_attempt": "2024-02-03 04:05:06Z",
    "download_errors": "k",
    "permanent_failure": "No",
    "file_uuids": '{"aa":"1","b":"2"}',
    "s3_paths": '{"b": "2"}',
    "extraction_date": "2024-02-03T04:05:06.000007",
}
ANOTHER = {
    "processed": "1",
    "last_download_attempt": "2025-01-01T00:00:00",
    "permanent_failure": "yes",
    "file_uuids": "{ }",
    "s3_paths": "",
    "extraction_date": "",
}
NAUGHTY = (
    "'; DROP TABLE people; --", "$1", "%s %(row_id)s", "{name}", "\\", "\\N", "'\"`", "\r\n\t", "NULL",
    "null", "\x7f\u200b\ufeff", "\U0001f469\u200d\U0001f52c", "-", "=1+1", "e\u0301", " lead and trail ",
)  # fmt: skip


@pytest.fixture
def tables(database: str, pool: Pool) -> PostgresTables:
    """Tables that lead, with a person who has everything and one who has nothing."""
    begun = PostgresTables(pool)
    state = "INSERT INTO ingestion.migration_state (phase, epoch) VALUES (%s, %s)"
    stray(database, state, STATE.phase, STATE.epoch)
    stray(database, "INSERT INTO people (row_id, name, email, type) VALUES ('bare', '', '', '')")
    write(begun, "full", FULL)
    return begun


def write(
    tables: PostgresTables, row_id: str, cells: Mapping[str, Any], write_id: UUID | None = None
) -> Made:
    [made] = write_all(tables, checked(row_id, cells, write_id))
    return made


def write_all(tables: PostgresTables, *writes: Write) -> list[Made]:
    made, refusal = tables.write(STATE, "tester", writes)
    assert refusal is None
    return made


def refused(tables: PostgresTables, *writes: Write) -> tuple[list[Made], InputRefusedError]:
    made, refusal = tables.write(STATE, "tester", writes)
    assert refusal is not None
    return made, refusal


def cells(tables: PostgresTables, row_id: str) -> dict[str, str]:
    found = tables.read(row_id)
    assert found is not None
    return found


def times_made(database: str, write_id: UUID) -> int:
    query = "SELECT 1 FROM ingestion.history WHERE write_id = %s AND table_name = 'people'"
    return len(stray(database, query, str(write_id)))


def test_only_the_named_column_is_touched(tables: PostgresTables) -> None:
    expected = {"row_id": "full", **FULL}
    for column in FULL:
        expected[column] = ANOTHER.get(column, "new")

        write(tables, "full", {column: expected[column]})

        assert cells(tables, "full") == expected


def test_only_the_tables_named_are_touched(database: str, tables: PostgresTables) -> None:
    lies = "SELECT (SELECT max(ctid) FROM processing_status), (SELECT max(ctid) FROM s3_metadata)"
    before = stray(database, lies)

    write(tables, "full", {"name": "Other"})

    assert stray(database, lies) == before
    write(tables, "full", {"s3_paths": "{}"})
    [(status, metadata)] = stray(database, lies)
    assert status == before[0][0]
    assert metadata != before[0][1]


def test_every_column_is_written_at_once(tables: PostgresTables) -> None:
    write(tables, "bare", FULL)

    assert cells(tables, "bare") == {"row_id": "bare", **FULL}


def test_text_comes_back_as_it_was(database: str, tables: PostgresTables) -> None:
    for text in NAUGHTY:
        write(tables, "bare", {"name": text, "document_text": text, "s3_paths": {text: text}})
        write(tables, text, NEW)

        found = cells(tables, "bare")
        assert (found["name"], found["document_text"]) == (text, text)
        stored = stray(database, "SELECT s3_paths FROM ingestion.record WHERE row_id = 'bare'")
        assert stored == [({text: text},)]
        assert cells(tables, text)["row_id"] == text


VALUES: dict[str, tuple[str, Any, str, object]] = {
    "flag": ("processed", True, "yes", True),
    "no flag": ("processed", False, "", False),
    "flag as nothing": ("permanent_failure", None, "", False),
    "flag spelled otherwise": ("permanent_failure", "1", "1", True),
    "time": (
        "extraction_date",
        datetime(2024, 1, 2, 3, 4, 5, 6),  # noqa: DTZ001 - the contract's are without
        "2024-01-02T03:04:05.000006",
        datetime(2024, 1, 2, 3, 4, 5, 6),  # noqa: DTZ001
    ),
    "time with a zone": (
        "last_download_attempt",
        "2024-01-02T03:04:05+02:00",
        "2024-01-02T03:04:05+02:00",
        datetime(2024, 1, 2, 1, 4, 5),  # noqa: DTZ001
    ),
    "no time": ("last_download_attempt", "", "", None),
    "map": ("file_uuids", {"bb": "1", "a": "2"}, '{"a": "2", "bb": "1"}', {"a": "2", "bb": "1"}),
    "empty map": ("file_uuids", {}, "{}", {}),
    "map spelled otherwise": ("s3_paths", '{"b":"1"}', '{"b":"1"}', {"b": "1"}),
    "no map": ("s3_paths", None, "", None),
    "no text": ("document_text", "", "", None),
    "no name": ("name", "", "", ""),
}


@pytest.mark.parametrize(("column", "value", "text", "stored"), VALUES.values(), ids=VALUES)
def test_value_is_stored_typed(
    database: str, tables: PostgresTables, column: str, value: object, text: str, stored: object
) -> None:
    write(tables, "full", {column: value})

    assert cells(tables, "full")[column] == text
    assert stray(database, f"SELECT {column} FROM ingestion.record WHERE row_id = 'full'") == [(stored,)]


def test_text_that_is_canonical_again_is_not_kept(database: str, tables: PostgresTables) -> None:
    coded = {column.name: "" for column in COLUMNS if not column.codec.is_text}

    write(tables, "full", coded)

    assert stray(database, "SELECT verbatim FROM people") == [(None,), (None,)]


def test_new_person_is_in_all_three_tables_and_on_top(database: str, tables: PostgresTables) -> None:
    made = write(tables, "another", NEW)

    assert (made.row_id, made.created) == ("another", True)
    assert made.revision == tables.last_revision()
    assert stray(database, "SELECT row_id, whole FROM ingestion.record ORDER BY ordinal LIMIT 1") == [
        ("another", True)
    ]
    assert [row["row_id"] for row in tables.rows()] == ["another", "full", "bare"]
    empty = dict.fromkeys((column.name for column in COLUMNS), "")
    assert cells(tables, "another") == empty | {"row_id": "another"} | NEW


def test_receipt_tells_new_from_known(tables: PostgresTables) -> None:
    first = write(tables, "new", NEW)
    second = write(tables, "new", NEW)

    assert (first.created, second.created) == (True, False)
    assert second.revision > first.revision


@pytest.mark.parametrize("lacking", NEEDED_TO_CREATE)
def test_unknown_person_is_refused_without(database: str, tables: PostgresTables, lacking: str) -> None:
    named = {name: CANARY for name in NEEDED_TO_CREATE if name != lacking}

    made, refusal = refused(tables, checked("unknown", named))

    assert made == []
    assert (refusal.code, refusal.place.row_id) == ("unknown_row_id", "unknown")
    assert refusal.hint == f"To add a new person, name {lacking} too."
    assert CANARY not in str(refusal)
    assert stray(database, "SELECT count(*) FROM people") == [(2,)]
    assert tables.history("unknown") == []


@pytest.mark.parametrize("table", ["processing_status", "s3_metadata"])
def test_child_that_somebody_took_away_is_made_anew(
    database: str, tables: PostgresTables, table: str
) -> None:
    stray(database, f"DELETE FROM {table}")

    write(tables, "full", {"processed": "yes", "s3_paths": "{}"})

    found = cells(tables, "full")
    assert (found["name"], found["processed"], found["s3_paths"]) == ("Ada", "yes", "{}")


def test_people_who_are_read_are_in_the_files_order_and_whole(tables: PostgresTables) -> None:
    assert list(tables.rows()) == [cells(tables, "full"), cells(tables, "bare")]
    assert tables.read("nobody") is None


def test_write_of_a_cell_in_quarantine_supersedes_it(database: str, tables: PostgresTables) -> None:
    entry = (
        "INSERT INTO ingestion.quarantine (scope, reason, row_id, column_name, raw, file_sha256)"
        " VALUES ('cell', '', %s, %s, jsonb_build_object(%s, 'maybe'), '')"
    )
    for row_id, column in (("full", "processed"), ("full", "permanent_failure"), ("bare", "processed")):
        stray(database, entry, row_id, column, column)

    write(tables, "full", {"processed": "yes", "name": "Other"})

    decided = "SELECT row_id, column_name FROM ingestion.quarantine WHERE decision = 'superseded'"
    assert stray(database, decided) == [("full", "processed")]


def test_write_that_is_brought_again_is_made_once(database: str, tables: PostgresTables) -> None:
    write_id = uuid4()
    first = write(tables, "new", NEW, write_id)
    write(tables, "new", {"name": "Later"})

    again = write(tables, "new", NEW, write_id)

    assert again == first
    assert first.created
    assert cells(tables, "new")["name"] == "Later"
    assert times_made(database, write_id) == 1


@pytest.mark.parametrize("row_id", ["full", "new"])
def test_write_that_is_brought_twice_at_once_is_made_once(
    database: str, tables: PostgresTables, row_id: str
) -> None:
    for _ in range(3):
        write_id, gate = uuid4(), threading.Barrier(4)

        def bring(write_id: UUID = write_id, gate: threading.Barrier = gate) -> Made:
            gate.wait()
            return write(tables, row_id, NEW, write_id)

        with ThreadPoolExecutor() as threads:
            runs = [threads.submit(bring) for _ in range(4)]
            made = {run.result() for run in runs}

        assert len(made) == 1
        assert times_made(database, write_id) == 1


def test_batch_is_written_in_order(tables: PostgresTables) -> None:
    made = write_all(
        tables,
        checked("new", NEW),
        checked("new", {"name": "Second", "link": "kept"}),
        checked("full", {"name": "Other"}),
        checked("new", {"name": "Third"}),
    )

    assert [one.row_id for one in made] == ["new", "new", "full", "new"]
    assert [one.created for one in made] == [True, False, False, False]
    revisions = [one.revision for one in made]
    assert revisions == sorted(set(revisions))
    assert (cells(tables, "new")["name"], cells(tables, "new")["link"]) == ("Third", "kept")


def test_batch_ends_at_the_first_refusal(database: str, tables: PostgresTables) -> None:
    made, refusal = refused(
        tables,
        checked("full", {"name": "Other", "processed": "yes"}),
        checked("unknown", {"name": "X", "processed": "yes"}),
        checked("bare", {"name": "X"}),
    )

    assert ([one.row_id for one in made], refusal.place.row_id) == (["full"], "unknown")
    names = stray(database, "SELECT row_id, name FROM people ORDER BY row_id")
    assert names == [("bare", ""), ("full", "Other")]
    assert times_made(database, made[0].write_id) == 1


def test_batch_with_a_write_brought_again(database: str, tables: PostgresTables) -> None:
    write_id = uuid4()
    first = write(tables, "full", {"name": "First"}, write_id)

    made = write_all(
        tables,
        checked("full", {"link": "a"}),
        checked("full", {"name": "First"}, write_id),
        checked("full", {"name": "First"}, write_id),
        checked("bare", {"link": "b"}),
    )

    assert made[1] == made[2] == first
    assert (cells(tables, "full")["link"], cells(tables, "bare")["link"]) == ("a", "b")
    assert times_made(database, write_id) == 1


def test_epoch_that_is_over_writes_nothing(database: str, tables: PostgresTables) -> None:
    stray(database, "UPDATE ingestion.migration_state SET epoch = epoch + 1")

    with pytest.raises(ProtectedError, match="in epoch 2, now is 3") as refused:
        tables.write(STATE, "tester", [checked("full", {"name": "X"}), checked("new", NEW)])

    assert refused.value.code == "stale_epoch"
    assert stray(database, "SELECT count(*) FROM people WHERE name = 'X' OR row_id = 'new'") == [(0,)]


def test_writes_to_different_columns_at_once_lose_nothing(tables: PostgresTables) -> None:
    columns = ("name", "document_text", "youtube_status", "s3_paths")

    def count(column: str) -> list[int]:
        texts = (f'{{"n": "{n}"}}' if column == "s3_paths" else str(n) for n in range(12))
        return [write(tables, "full", {column: text}).revision for text in texts]

    with ThreadPoolExecutor() as threads:
        revisions = [revision for found in threads.map(count, columns) for revision in found]

    last = {"name": "11", "document_text": "11", "youtube_status": "11", "s3_paths": '{"n": "11"}'}
    assert cells(tables, "full") == {"row_id": "full", **FULL, **last}
    assert len(set(revisions)) == len(columns) * 12
    noted = [one.revision for one in tables.history("full") if one.table == "people"][1:]
    assert sorted(noted) == sorted(revisions)


def test_new_people_at_once_all_get_a_place(tables: PostgresTables) -> None:
    with ThreadPoolExecutor() as threads:
        made = list(threads.map(lambda n: write(tables, f"n{n % 6}", NEW), range(24)))

    assert sum(one.created for one in made) == 6
    assert len(list(tables.rows())) == 8


@pytest.fixture
def impatient(database: str) -> Iterator[str]:
    """The database, in which a deadlock is found soon, where the user may say so."""
    setting = f"ALTER DATABASE {urlsplit(database).path[1:]} "
    with suppress(InsufficientPrivilege):
        stray(database, f"{setting} SET deadlock_timeout = '50ms'")
    yield database
    with suppress(InsufficientPrivilege):
        stray(database, f"{setting} RESET deadlock_timeout")


def deadlocked(database: str, tables: PostgresTables) -> list[Made]:
    """Write two persons in a batch whose transaction PostgreSQL breaks off."""
    lock = "SELECT FROM people WHERE row_id = %s FOR UPDATE"
    waiting = "SELECT 1 FROM pg_locks WHERE NOT granted"
    with ThreadPoolExecutor(1) as thread, closing(psycopg2.connect(database)) as other:
        with other.cursor() as cursor:
            with suppress(InsufficientPrivilege):
                cursor.execute("SET deadlock_timeout = '20s'")
            cursor.execute(lock, ("bare",))
            batch = thread.submit(
                write_all, tables, checked("full", {"name": "X"}), checked("bare", {"name": "X"})
            )
            while not stray(database, waiting):
                assert not batch.done()
            cursor.execute(lock, ("full",))
        other.commit()
        return batch.result()


def test_deadlock_is_tried_again(impatient: str, tables: PostgresTables) -> None:
    tables.write(STATE, "tester", [checked("full", {"link": "open the pool"})])

    made = deadlocked(impatient, tables)

    assert [one.row_id for one in made] == ["full", "bare"]
    assert [row["name"] for row in tables.rows()] == ["X", "X"]
    assert all(times_made(impatient, one.write_id) == 1 for one in made)


def test_deadlock_without_end_is_given_up(
    impatient: str, tables: PostgresTables, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(writing, "TRIES", 1)

    with pytest.raises(ProtectedError) as given_up:
        deadlocked(impatient, tables)

    assert given_up.value.code == "contended"
    assert [row["name"] for row in tables.rows()] == ["Ada", ""]


@pytest.fixture
def single(database: str, tables: PostgresTables) -> Iterator[Pool]:
    """A pool of one connection to tables that lead."""
    assert tables
    pool = Pool(database, largest=1)
    yield pool
    pool.close()


def prepared(pool: Pool) -> list[str]:
    with pool.transaction() as cursor:
        cursor.execute("SELECT name FROM pg_prepared_statements ORDER BY prepare_time")
        return [name for (name,) in cursor.fetchall()]


def test_statement_is_prepared_once_for_each_set_of_columns(single: Pool) -> None:
    tables = PostgresTables(single)
    for _ in range(3):
        write(tables, "full", {"name": "a", "processed": "yes"})
        write(tables, "bare", {"processed": "", "name": "b"})
    assert [name.rpartition("_")[0] for name in prepared(single)] == ["update_person"]

    write(tables, "full", {"name": "c"})
    write(tables, "new", NEW)
    write(tables, "newer", NEW)

    kinds = [name.rpartition("_")[0] for name in prepared(single)]
    assert kinds == ["update_person", "update_person", "update_person", "insert_person"]


def test_statement_outlives_a_transaction_that_was_rolled_back(database: str, single: Pool) -> None:
    tables = PostgresTables(single)
    for _ in range(2):
        with pytest.raises(ProtectedError, match="in epoch 1"):
            tables.write(State(STATE.phase, 1), "tester", [checked("new", NEW)])

    assert write(tables, "new", NEW).created
    assert write(tables, "newer", NEW).created
    assert stray(database, "SELECT count(*) FROM people") == [(4,)]


def test_connection_that_was_lost_takes_its_statements_with_it(database: str, single: Pool) -> None:
    tables = PostgresTables(single)
    write(tables, "full", {"name": "a"})
    stray(
        database,
        "SELECT pg_terminate_backend(pid, 5000) FROM pg_stat_activity"
        " WHERE datname = current_database() AND application_name = 'ingestion_pipeline'",
    )

    write(tables, "full", {"name": "b"})

    assert cells(tables, "full")["name"] == "b"

"""The tables while nobody else writes them: who waits, who is refused, and what has changed since."""

import threading
import time
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import closing, contextmanager
from typing import Any

import psycopg2
import pytest

from ingestion_pipeline.app import Pipeline
from ingestion_pipeline.domain.errors import ProtectedError, UnavailableError
from ingestion_pipeline.domain.phase import Phase
from ingestion_pipeline.domain.receipt import checked
from ingestion_pipeline.domain.reports import State
from ingestion_pipeline.stores.postgres import fence as fencing
from ingestion_pipeline.stores.postgres.pool import Pool
from ingestion_pipeline.stores.postgres.tables import PostgresTables
from ingestion_pipeline_tests.conftest import Site
from ingestion_pipeline_tests.files import people, person, spelled
from ingestion_pipeline_tests.proxy import Cut, Proxy, eventually, through
from ingestion_pipeline_tests.strays import stray

BEGAN = State(Phase.DATABASE_PRIMARY, 2)
ENDS = State(Phase.DATABASE_NATIVE, 3)
WAITING = (
    "SELECT count(*) FROM pg_stat_activity WHERE wait_event_type = 'Lock' AND datname = current_database()"
)
PAST_TRIGGERS = "SET session_replication_role = replica; "


@pytest.fixture
def tables(database: str, pool: Pool) -> PostgresTables:
    """Tables that lead, with four persons."""
    state = "INSERT INTO ingestion.migration_state (phase, epoch) VALUES (%s, %s)"
    stray(database, state, BEGAN.phase, BEGAN.epoch)
    for row_id in "dcba":
        stray(database, "INSERT INTO people (row_id, name, email, type) VALUES (%s, '', '', '')", row_id)
    for table in ("processing_status", "s3_metadata"):
        stray(database, f"INSERT INTO {table} (person_id) SELECT id FROM people")
    stray(database, "DELETE FROM ingestion.pending")
    return PostgresTables(pool)


def write(tables: PostgresTables, state: State = BEGAN) -> object:
    return tables.write(state, "tester", [checked("a", {"name": "written"})])


def names(database: str) -> set[object]:
    return {name for (name,) in stray(database, "SELECT name FROM people")}


@contextmanager
def waits_for_the_fence(database: str, tables: PostgresTables) -> Iterator["Future[object]"]:
    """Somebody who writes and has to wait."""
    with ThreadPoolExecutor(1) as threads:
        writing = threads.submit(write, tables)
        eventually(lambda: stray(database, WAITING) == [(1,)])
        assert not writing.done()
        yield writing


def test_writer_waits_and_is_refused_once_the_phase_has_changed(
    database: str, tables: PostgresTables
) -> None:
    with tables.fenced(BEGAN) as fence, waits_for_the_fence(database, tables) as writing:
        fence.change(ENDS, "tester")
        with pytest.raises(ProtectedError) as refused:
            writing.result(10)

    assert refused.value.code == "stale_epoch"
    assert (tables.state(), names(database)) == (ENDS, {""})
    write(tables, ENDS)


def test_writer_waits_and_goes_on_when_the_phase_stays(database: str, tables: PostgresTables) -> None:
    with ThreadPoolExecutor(1) as threads:
        with tables.fenced(BEGAN):
            writing = threads.submit(write, tables)
            eventually(lambda: stray(database, WAITING) == [(1,)])
            assert names(database) == {""}
        writing.result(10)

    assert (tables.state(), names(database)) == (BEGAN, {"", "written"})


def test_whoever_asks_for_the_phase_waits_and_hears_of_the_new_one(
    database: str, tables: PostgresTables
) -> None:
    with ThreadPoolExecutor(1) as threads, tables.fenced(BEGAN) as fence:
        asking = threads.submit(tables.begin, Phase.DUAL_WRITE, known=BEGAN)
        eventually(lambda: stray(database, WAITING) == [(1,)])
        fence.change(ENDS, "tester")
        assert asking.result(10) == ENDS


def test_who_changed_it_and_when_is_kept(database: str, tables: PostgresTables) -> None:
    with tables.fenced(BEGAN) as fence:
        fence.change(ENDS, "somebody")

    kept = stray(
        database, "SELECT phase, epoch, changed_by, changed_at <= now() FROM ingestion.migration_state"
    )
    assert kept == [("database_native", 3, "somebody", True)]


def test_stray_writers_of_every_table_wait(database: str, tables: PostgresTables) -> None:
    waited = "SET lock_timeout = '20ms'; "
    with tables.fenced(BEGAN):
        for statement in (
            "UPDATE people SET name = 'x'",
            "DELETE FROM processing_status",
            "UPDATE s3_metadata SET s3_paths = NULL",
        ):
            with pytest.raises(psycopg2.errors.LockNotAvailable):
                stray(database, waited + statement)
            with pytest.raises(psycopg2.errors.LockNotAvailable):
                stray(database, waited + PAST_TRIGGERS + statement)
        assert stray(database, waited + "SELECT count(*) FROM people") == [(4,)]


@pytest.mark.parametrize(
    "state", [State(Phase.DATABASE_PRIMARY, 1), State(Phase.DUAL_WRITE, 2), ENDS], ids=str
)
def test_another_state_is_refused_and_nobody_is_kept_out(tables: PostgresTables, state: State) -> None:
    with pytest.raises(ProtectedError) as refused, tables.fenced(state):
        raise AssertionError

    assert refused.value.code == "stale_epoch"
    write(tables)


def test_failure_leaves_the_phase_and_lets_writers_in(database: str, tables: PostgresTables) -> None:
    with pytest.raises(RuntimeError), tables.fenced(BEGAN) as fence:  # noqa: PT012 - on the way out
        fence.note_pending(["a"])
        raise RuntimeError

    assert tables.state() == BEGAN
    assert stray(database, "SELECT row_id FROM ingestion.pending") == []
    write(tables)


@contextmanager
def transaction(database: str, *statements: str) -> Iterator[Any]:
    """A session that has done these and goes on."""
    with closing(psycopg2.connect(database)) as connection, connection.cursor() as cursor:
        for statement in statements:
            cursor.execute(statement)
        yield cursor


def test_long_transaction_has_it_give_up_with_writers_let_through_between(
    database: str, tables: PostgresTables, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(fencing, "TRIES", 6)
    monkeypatch.setattr(fencing, "WAITS", 0.1)
    over = threading.Event()
    waited: list[float] = []

    def go_on() -> None:
        while not over.is_set():
            began = time.monotonic()
            stray(database, "UPDATE people SET name = 'through' WHERE row_id = 'a'")
            waited.append(time.monotonic() - began)

    with (
        transaction(database, "UPDATE people SET name = 'long' WHERE row_id = 'b'"),
        ThreadPoolExecutor(1) as threads,
    ):
        writing = threads.submit(go_on)
        try:
            with pytest.raises(UnavailableError) as busy, tables.fenced(BEGAN):
                raise AssertionError
        finally:
            over.set()
        writing.result(10)

    assert busy.value.code == "postgres_busy"
    assert "pg_stat_activity" in busy.value.hint
    assert len(waited) > 3
    assert max(waited) < 2
    assert tables.state() == BEGAN
    with tables.fenced(BEGAN) as fence:
        fence.change(ENDS, "tester")


def end_later(cursor: Any) -> None:
    time.sleep(0.4)
    cursor.connection.commit()


def test_it_comes_after_a_transaction_that_ends_in_time(database: str, tables: PostgresTables) -> None:
    with (
        transaction(database, "UPDATE people SET name = 'long' WHERE row_id = 'b'") as cursor,
        ThreadPoolExecutor(1) as threads,
    ):
        ending = threads.submit(end_later, cursor)
        with tables.fenced(BEGAN) as fence:
            assert ending.done()
            fence.change(ENDS, "tester")

    assert names(database) == {"", "long"}


def test_stray_transaction_that_goes_the_other_way_round_is_not_the_victim(
    database: str, tables: PostgresTables
) -> None:
    with (
        transaction(database, "UPDATE processing_status SET document_text = 'x'") as cursor,
        ThreadPoolExecutor(1) as threads,
    ):
        fenced = threads.submit(lambda: change(tables))
        eventually(lambda: stray(database, WAITING) == [(1,)])
        cursor.execute("UPDATE people SET name = 'other way'")
        cursor.connection.commit()
        fenced.result(20)

    assert (tables.state(), names(database)) == (ENDS, {"other way"})


def change(tables: PostgresTables) -> None:
    with tables.fenced(BEGAN) as fence:
        fence.change(ENDS, "tester")


def test_site_without_tables_is_said_to_have_none(empty_database: str) -> None:
    pool = Pool(empty_database)
    try:
        with pytest.raises(UnavailableError) as missing, PostgresTables(pool).fenced(BEGAN):
            raise AssertionError
    finally:
        pool.close()
    assert missing.value.code == "schema_missing"


@pytest.fixture
def proxy(database: str) -> Iterator[Proxy]:
    with through(database) as opened:
        yield opened


@pytest.mark.parametrize("cut", Cut)
def test_lost_answer_to_the_change_is_an_outage_of_this_package(
    tables: PostgresTables, proxy: Proxy, cut: Cut
) -> None:
    lossy = Pool(proxy.url)
    proxy.decide = lambda statement: cut if statement == b"COMMIT" else None
    try:
        with pytest.raises(UnavailableError), PostgresTables(lossy).fenced(BEGAN) as fence:  # noqa: PT012
            with pytest.raises(UnavailableError) as lost:
                fence.change(ENDS, "tester")
            raise lost.value
    finally:
        lossy.close()
    expected = BEGAN if cut in (Cut.NOT_SENT, Cut.HALF_SENT) else ENDS
    eventually(lambda: tables.state() == expected)


# What has changed since.


def seen(tables: PostgresTables) -> str:
    with tables.snapshot() as snapshot:
        return snapshot.seen()


def changed(tables: PostgresTables, since: str, limit: int = 10) -> set[str] | None:
    with tables.fenced(BEGAN) as fence:
        return fence.changed_since(since, limit)


OF = "WHERE person_id = (SELECT id FROM people WHERE row_id = '{}')"
CHANGES = {
    "nobody": ("SELECT 1", set()),
    "a person": ("UPDATE people SET name = 'x' WHERE row_id = 'a'", {"a"}),
    "a new person": ("INSERT INTO people (row_id, name, email, type) VALUES ('n', '', '', '')", {"n"}),
    "a status": (f"UPDATE processing_status SET processed = true {OF.format('b')}", {"b"}),
    "a map": (f"UPDATE s3_metadata SET s3_paths = '{{}}' {OF.format('c')}", {"c"}),
    "all three": (
        f"""
            UPDATE people SET name = 'x' WHERE row_id = 'a';
            UPDATE processing_status SET processed = true {OF.format("b")};
            UPDATE s3_metadata SET s3_paths = '{{}}' {OF.format("c")}
        """,
        {"a", "b", "c"},
    ),
    "everyone": ("UPDATE people SET name = 'x'", set("abcd")),
    "without a difference": ("UPDATE people SET name = name WHERE row_id = 'd'", {"d"}),
    "one who is gone": ("DELETE FROM people WHERE row_id = 'd'", set()),
}
PAST = {
    "with triggers": "{}",
    "as a replica": PAST_TRIGGERS + "{}",
    "with triggers disabled": (
        "ALTER TABLE people DISABLE TRIGGER ALL; ALTER TABLE processing_status DISABLE TRIGGER ALL; "
        "ALTER TABLE s3_metadata DISABLE TRIGGER ALL; {}; ALTER TABLE people ENABLE TRIGGER ALL; "
        "ALTER TABLE processing_status ENABLE TRIGGER ALL; ALTER TABLE s3_metadata ENABLE TRIGGER ALL"
    ),
}


@pytest.mark.parametrize("past", PAST.values(), ids=PAST)
@pytest.mark.parametrize(("statement", "expected"), CHANGES.values(), ids=CHANGES)
def test_changed_are_those_who_changed_and_nobody_else(
    database: str, tables: PostgresTables, statement: str, expected: set[str], past: str
) -> None:
    stray(database, "UPDATE people SET name = 'before'")
    since = seen(tables)
    stray(database, past.format(statement))

    assert changed(tables, since) == expected


def test_change_that_was_under_way_is_among_them(database: str, tables: PostgresTables) -> None:
    with transaction(database, "UPDATE people SET name = 'unseen' WHERE row_id = 'a'") as cursor:
        since = seen(tables)
        stray(database, "UPDATE people SET name = 'later' WHERE row_id = 'b'")
        cursor.connection.commit()

    assert changed(tables, since) == {"a", "b"}


def test_more_than_the_limit_are_not_named(database: str, tables: PostgresTables) -> None:
    since = seen(tables)
    stray(database, "UPDATE people SET name = 'x'")

    assert changed(tables, since, limit=4) == set("abcd")
    assert changed(tables, since, limit=3) is None


@pytest.mark.parametrize(
    "statement",
    [
        "INSERT INTO ingestion.duplicate (ordinal, person_id) SELECT 1, id FROM people WHERE row_id = 'a'",
        """
        INSERT INTO ingestion.quarantine (scope, reason, row_id, column_name, raw, ordinal, file_sha256)
        VALUES ('row', 'no_key', '', '', '{}', 1, '')
        """,
    ],
)
def test_line_that_is_nobody_s_own_is_not_named(
    database: str, tables: PostgresTables, statement: str
) -> None:
    since = seen(tables)
    stray(database, statement)

    assert changed(tables, since) is None


def position(tables: PostgresTables) -> str:
    with tables.snapshot() as snapshot:
        return snapshot.position()


LOST = {
    "nothing": ("SELECT 1", False),
    "a status": (PAST_TRIGGERS + f"DELETE FROM processing_status {OF.format('a')}", True),
    "a map": (PAST_TRIGGERS + f"DELETE FROM s3_metadata {OF.format('a')}", True),
    "a status of one who has changed": (f"DELETE FROM processing_status {OF.format('a')}", False),
    "a status, and a new person without": (
        PAST_TRIGGERS + f"DELETE FROM processing_status {OF.format('a')}; "
        "INSERT INTO people (row_id, name, email, type) VALUES ('n', '', '', '')",
        True,
    ),
    "a new person without": (
        "INSERT INTO people (row_id, name, email, type) VALUES ('n', '', '', '')",
        False,
    ),
    "a whole person": ("DELETE FROM people WHERE row_id = 'a'", False),
}


@pytest.mark.parametrize("lone", [False, True], ids=["all have all", "one has none before"])
@pytest.mark.parametrize(("statement", "lost"), LOST.values(), ids=LOST)
def test_row_that_somebody_unchanged_has_lost_is_noticed(
    database: str,
    tables: PostgresTables,
    statement: str,
    lost: bool,  # noqa: FBT001 - a column of the table
    lone: bool,  # noqa: FBT001 - parametrized
) -> None:
    if lone:
        stray(database, f"DELETE FROM processing_status {OF.format('d')}")
        stray(database, f"DELETE FROM s3_metadata {OF.format('d')}")
    before, since = position(tables), seen(tables)
    stray(database, statement)

    with tables.fenced(BEGAN) as fence:
        assert fence.has_lost_rows(before, since) is lost


ROWS = [
    person(6, name='Müller, "quoted"', document_text="two\nlines"),
    person(5, processed="TRUE", file_uuids='{"b":"c"}', s3_paths="[1]"),
    person(4),
    person("", name="nobody"),
    person(3),
    person(4),
    person(2, permanent_failure="yes"),
    person(3, name="another"),
    person(4),
    person(1),
]
"""With cells spelled otherwise, one in quarantine, lines repeated, and rows in quarantine."""


@pytest.mark.parametrize("narrow", [False, True], ids=["all columns", "two columns"])
def test_people_stand_where_the_csv_has_them(site: Site, pipeline: Pipeline, *, narrow: bool) -> None:
    header = ("row_id", "name")
    site.put(spelled([row[:2] for row in ROWS], header) if narrow else spelled(ROWS))
    pipeline.sync()
    row_ids = {"1", "2", "3", "4", "5", "6", "nobody", ""}

    with pipeline.csv.held() as held:
        held.refresh(None)
        with pipeline.tables.fenced(State(Phase.DUAL_WRITE, 1)) as fence:
            assert fence.lines() == held.file[2] == len(ROWS)
            placed = fence.placed(row_ids, held.columns)
            assert placed == held.placed(row_ids)
            assert fence.placed((), held.columns) == held.placed(()) == {}
            assert fence.placed(["2"], held.columns) == {"2": placed["2"]}

    assert {row_id: one.place for row_id, one in placed.items()} == {
        "6": 0, "5": 1, "4": 2, "3": 4, "2": 6, "1": 9,
    }  # fmt: skip


def test_place_of_a_file_without_lines_is_nobody_s(site: Site, pipeline: Pipeline) -> None:
    site.put(spelled(people("1")))
    pipeline.sync()
    site.execute("DELETE FROM people")

    with pipeline.tables.fenced(State(Phase.DUAL_WRITE, 1)) as fence:
        assert (fence.lines(), fence.placed(["1"], ("row_id",))) == (0, {})


def test_pending_is_noted_and_cleared_with_the_phase(database: str, tables: PostgresTables) -> None:
    with tables.fenced(BEGAN) as fence:
        fence.note_pending(["a", "nobody"])
        assert fence.pending().rows == 1
        assert [one.row_id for one in fence.dirty(("row_id",))] == ["a"]
        fence.note_pending(["a", "b"])
        fence.clear_pending()
        assert fence.pending().rows == 0
        fence.note_pending(["c"])

    assert stray(database, "SELECT row_id FROM ingestion.pending") == [("c",)]

"""History: every change of every person, whoever made it, with what was there before."""

import time
from contextlib import closing
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID, uuid4

import pytest
from psycopg2 import connect

from ingestion_pipeline.app import Pipeline
from ingestion_pipeline.app.pipeline import who
from ingestion_pipeline.domain.change import Change
from ingestion_pipeline.domain.phase import Phase
from ingestion_pipeline.domain.receipt import checked
from ingestion_pipeline.domain.reports import State
from ingestion_pipeline.stores.postgres.pool import Pool
from ingestion_pipeline.stores.postgres.tables import PostgresTables
from ingestion_pipeline_tests.conftest import CARRY, Site
from ingestion_pipeline_tests.files import person, spelled
from ingestion_pipeline_tests.phases import lead
from ingestion_pipeline_tests.strays import stray

EPOCH = 3
STATE = State(Phase.DATABASE_PRIMARY, EPOCH)
NEW = {"name": "Ada", "email": "ada@example.org", "type": "INTJ"}
ID = UUID("6f7b2c1e-0000-4000-8000-000000000001")
ALL = "SELECT row_id, table_name, operation, changed FROM ingestion.history ORDER BY id"

Changed = dict[str, Any]


def put(database: str, phase: Phase = STATE.phase, epoch: int = EPOCH) -> None:
    """Put two persons into the tables, forget about it, and then begin."""
    for row_id in "12":
        person = "INSERT INTO people (row_id, name, email, type, write_id) VALUES (%s, 'N', 'M', 'T', %s)"
        stray(database, person, row_id, str(uuid4()))
    status = "INSERT INTO processing_status (person_id, processed, drive_status)"
    stray(database, f"{status} SELECT id, true, 'ok' FROM people")
    stray(database, """INSERT INTO s3_metadata (person_id, s3_paths) SELECT id, '{"a": "b"}' FROM people""")
    stray(database, "DELETE FROM ingestion.history; DELETE FROM ingestion.pending")
    stray(database, "INSERT INTO ingestion.migration_state (phase, epoch) VALUES (%s, %s)", phase, epoch)


@pytest.fixture
def tables(database: str, pool: Pool) -> PostgresTables:
    put(database)
    return PostgresTables(pool)


def write(tables: PostgresTables, row_id: str, **cells: Any) -> int:
    [made], refusal = tables.write(STATE, "caller", [checked(row_id, cells, ID)])
    assert refusal is None
    return made.revision


def changes(found: list[Change]) -> list[tuple[str, str, Any]]:
    return [(one.table, one.operation, one.changed) for one in found]


def marks(found: list[Change]) -> set[tuple[int, int | None, UUID | None, str]]:
    return {(one.revision, one.epoch, one.write_id, one.actor) for one in found}


def test_update_through_the_pipeline(tables: PostgresTables) -> None:
    revision = write(tables, "1", name="Other", processed=False, drive_status="", s3_paths={"c": "d"})

    found = tables.history("1")

    assert sorted(changes(found)) == [
        ("people", "update", {"name": ("N", "Other")}),
        ("processing_status", "update", {"processed": (True, False), "drive_status": ("ok", None)}),
        ("s3_metadata", "update", {"s3_paths": ({"a": "b"}, {"c": "d"})}),
    ]
    assert marks(found) == {(revision, EPOCH, ID, "caller")}
    assert all(datetime.now(UTC) - one.at < timedelta(minutes=1) for one in found)


def test_new_person_through_the_pipeline(tables: PostgresTables) -> None:
    revision = write(tables, "new", **NEW, processed="TRUE", s3_paths={})

    found = tables.history("new")

    by_table = {one.table: dict(one.changed or {}) for one in found}
    ordinal = by_table["people"].pop("ordinal")
    assert ordinal[0] is None
    assert by_table == {
        "people": {
            **{name: (None, text) for name, text in NEW.items()},
            "verbatim": (None, {"processed": "TRUE"}),
        },
        "processing_status": {"processed": (None, True), "permanent_failure": (None, False)},
        "s3_metadata": {"s3_paths": (None, {})},
    }
    assert {one.operation for one in found} == {"insert"}
    assert marks(found) == {(revision, EPOCH, ID, "caller")}


def test_only_what_is_written_is_noted(tables: PostgresTables) -> None:
    write(tables, "1", drive_status="ok")

    assert changes(tables.history("1")) == [("people", "update", {})]
    assert tables.history("2") == []


TOUCHED: tuple[str, str, Changed] = ("people", "update", {})
FLAGS = {"processed": (None, False), "permanent_failure": (None, False)}
FORGET = "DELETE FROM ingestion.history; DELETE FROM ingestion.pending;"
STATUS = "INSERT INTO processing_status (person_id, youtube_status)"
METADATA = "INSERT INTO s3_metadata (person_id, file_uuids)"
UPSERT = f"{STATUS} SELECT {{}}, 'y' ON CONFLICT (person_id) DO UPDATE"

STRAYS: dict[str, tuple[str, list[tuple[str, str, Changed]]]] = {
    "person updated": (
        "UPDATE people SET name = 'X', link = 'L' WHERE row_id = '1'",
        [("people", "update", {"name": ("N", "X"), "link": (None, "L")})],
    ),
    "status updated": (
        "UPDATE processing_status SET processed = NULL, drive_status = 'x' WHERE person_id = {}",
        [
            TOUCHED,
            ("processing_status", "update", {"processed": (True, None), "drive_status": ("ok", "x")}),
        ],
    ),
    "status updated to what it was": (
        "UPDATE processing_status SET drive_status = 'ok' WHERE person_id = {}",
        [TOUCHED],
    ),
    "status deleted": (
        "DELETE FROM processing_status WHERE person_id = {}",
        [
            TOUCHED,
            (
                "processing_status",
                "delete",
                {"processed": (True, None), "drive_status": ("ok", None), "permanent_failure": (False, None)},
            ),
        ],
    ),
    "status made": (
        f"DELETE FROM processing_status WHERE person_id = {{0}}; {FORGET} {STATUS} SELECT {{0}}, 'y'",
        [TOUCHED, ("processing_status", "insert", {"youtube_status": (None, "y"), **FLAGS})],
    ),
    "status upserted": (
        f"{UPSERT} SET youtube_status = excluded.youtube_status",
        [TOUCHED, ("processing_status", "update", {"youtube_status": (None, "y")})],
    ),
    "metadata updated": (
        "UPDATE s3_metadata SET s3_paths = NULL, file_uuids = '{{}}' WHERE person_id = {}",
        [
            TOUCHED,
            ("s3_metadata", "update", {"s3_paths": ({"a": "b"}, None), "file_uuids": (None, {})}),
        ],
    ),
    "metadata deleted": (
        "DELETE FROM s3_metadata WHERE person_id = {}",
        [TOUCHED, ("s3_metadata", "delete", {"s3_paths": ({"a": "b"}, None)})],
    ),
    "metadata made": (
        f"DELETE FROM s3_metadata WHERE person_id = {{0}}; {FORGET} {METADATA} SELECT {{0}}, '{{{{}}}}'",
        [TOUCHED, ("s3_metadata", "insert", {"file_uuids": (None, {})})],
    ),
}
"""Somebody's statement, and what is noted of it."""


@pytest.mark.parametrize(("statement", "noted"), STRAYS.values(), ids=STRAYS)
def test_stray_change_is_noted_with_who_made_it(
    database: str, tables: PostgresTables, statement: str, noted: list[tuple[str, str, Changed]]
) -> None:
    before = tables.last_revision()
    stray(database, statement.format("(SELECT id FROM people WHERE row_id = '1')"))

    found = tables.history("1")

    assert changes(found) == noted
    [(revision, epoch, write_id, actor)] = marks(found)
    assert revision > before
    assert (epoch, write_id) == (None, None)
    assert stray(database, "SELECT session_user::text") == [(actor,)]
    assert tables.history("2") == []
    stands = stray(
        database, "SELECT revision, write_id, updated_at > created_at FROM people WHERE row_id = '1'"
    )
    assert stands == [(revision, None, True)]
    assert stray(database, "SELECT row_id, revision, moved FROM ingestion.pending") == [
        ("1", revision, False)
    ]


def test_stray_person_is_noted(database: str, tables: PostgresTables) -> None:
    stray(database, "INSERT INTO people (row_id, name, email, type) VALUES ('9', 'A', 'B', 'C')")

    [one] = tables.history("9")

    changed = dict(one.changed or {})
    assert changed.pop("ordinal")[1] < 0
    assert (one.table, one.operation) == ("people", "insert")
    assert changed == {"name": (None, "A"), "email": (None, "B"), "type": (None, "C")}
    assert stray(database, "SELECT row_id, revision, moved FROM ingestion.pending") == [
        ("9", one.revision, False)
    ]


def test_stray_deletion_keeps_the_whole_record(database: str, tables: PostgresTables) -> None:
    write(tables, "1", permanent_failure="TRUE", document_text="long", extraction_date="2024-01-02T03:04:05")
    before = tables.last_revision()
    [(ordinal,)] = stray(database, "SELECT ordinal FROM people WHERE row_id = '1'")
    stray(database, "DELETE FROM ingestion.history; DELETE FROM people WHERE row_id = '1'")

    [gone] = tables.history("1")

    assert changes([gone]) == [
        (
            "people",
            "delete",
            {
                "name": ("N", None),
                "email": ("M", None),
                "type": ("T", None),
                "processed": (True, None),
                "document_text": ("long", None),
                "drive_status": ("ok", None),
                "permanent_failure": (True, None),
                "extraction_date": ("2024-01-02T03:04:05", None),
                "s3_paths": ({"a": "b"}, None),
                "ordinal": (ordinal, None),
                "verbatim": ({"permanent_failure": "TRUE"}, None),
            },
        )
    ]
    assert gone.revision > before
    assert stray(database, "SELECT row_id, revision FROM ingestion.pending") == [("1", gone.revision)]
    assert stray(database, "SELECT count(*) FROM processing_status") == [(1,)]


def test_one_statement_is_noted_for_each_person(database: str, tables: PostgresTables) -> None:
    stray(database, "UPDATE people SET name = name || row_id")
    stray(database, "UPDATE s3_metadata SET s3_paths = NULL")

    for row_id in "12":
        assert changes(tables.history(row_id)) == [
            ("people", "update", {"name": ("N", f"N{row_id}")}),
            ("people", "update", {}),
            ("s3_metadata", "update", {"s3_paths": ({"a": "b"}, None)}),
        ]
    assert stray(database, "SELECT count(DISTINCT revision) FROM people") == [(2,)]


MANY = 6000


@pytest.mark.parametrize(
    "change", ["UPDATE people SET type = type || '%s'", "UPDATE processing_status SET document_text = '%s'"]
)
@pytest.mark.usefixtures("tables")
def test_change_of_many_after_one_of_nobody_costs_what_it_costs_first(database: str, change: str) -> None:
    # A session keeps its plans; one made for nobody would compare each of many with each.
    people = "INSERT INTO people (row_id, name, email, type)"
    stray(database, f"{people} SELECT n, 'N', 'M', 'T' FROM generate_series(10, %s) n", MANY)
    stray(
        database,
        "INSERT INTO processing_status (person_id) SELECT id FROM people WHERE row_id NOT IN ('1', '2')",
    )
    first = seconds(database, change % 1)
    again = seconds(database, f"{change % 2} WHERE false", change % 3)
    assert again < 4 * first


def seconds(database: str, *statements: str) -> float:
    """How long they take in a session of their own."""
    with closing(connect(database)) as session, session, session.cursor() as cursor:
        cursor.execute(CARRY)
        began = time.monotonic()
        for statement in statements:
            cursor.execute(statement)
        return time.monotonic() - began


def test_new_row_id_leaves_the_old_one_pending_too(database: str, tables: PostgresTables) -> None:
    stray(database, "UPDATE people SET row_id = 'new' WHERE row_id = '1'")

    assert changes(tables.history("new")) == [("people", "update", {"row_id": ("1", "new")})]
    pending = stray(database, "SELECT row_id, moved FROM ingestion.pending ORDER BY row_id")
    assert pending == [("1", True), ("new", True)]


def test_row_id_taken_over_from_one_who_is_gone(database: str, tables: PostgresTables) -> None:
    stray(database, f"DELETE FROM people WHERE row_id = '2'; {FORGET}")

    stray(database, "UPDATE people SET row_id = '2' WHERE row_id = '1'")

    assert stray(database, "SELECT row_id FROM ingestion.pending ORDER BY row_id") == [("1",), ("2",)]
    assert (tables.read("1"), tables.read("2") is None) == (None, False)


def test_place_is_noted_as_moved(database: str, tables: PostgresTables) -> None:
    stray(database, "UPDATE people SET ordinal = ordinal - 1 WHERE row_id = '1'")
    stray(database, "UPDATE people SET name = 'later' WHERE row_id = '1'")

    [first, _] = tables.history("1")

    assert [*(first.changed or {})] == ["ordinal"]
    assert stray(database, "SELECT row_id, moved FROM ingestion.pending") == [("1", True)]


def test_status_handed_to_another_person_is_a_change_of_both(database: str, tables: PostgresTables) -> None:
    write(tables, "1", permanent_failure="No")
    second = "(SELECT id FROM people WHERE row_id = '2')"
    stray(database, f"DELETE FROM processing_status WHERE person_id = {second}; {FORGET}")

    stray(database, f"UPDATE processing_status SET person_id = {second}")

    assert stray(database, "SELECT row_id FROM ingestion.pending ORDER BY row_id") == [("1",), ("2",)]
    assert [(tables.read(key) or {})["permanent_failure"] for key in "12"] == ["", ""]


def test_revision_rises_with_every_change(database: str, tables: PostgresTables) -> None:
    revisions = [tables.last_revision(), write(tables, "1", name="Other")]
    for statement in (
        "UPDATE people SET link = link WHERE row_id = '1'",
        "UPDATE processing_status SET processed = NOT processed",
        "UPDATE s3_metadata SET file_uuids = '{}'",
    ):
        stray(database, statement)
        revisions.append(tables.history("1")[-1].revision)
    stray(database, "DELETE FROM people WHERE row_id = '1'")
    revisions.append(tables.history("1")[-1].revision)

    assert revisions == sorted(set(revisions))
    assert tables.last_revision() == revisions[-1]


@pytest.mark.parametrize("phase", Phase)
def test_pending_is_only_what_the_csv_follows_in(database: str, pool: Pool, phase: Phase) -> None:
    put(database, phase)

    for statement in (
        "UPDATE people SET name = 'X' WHERE row_id = '1'",
        "INSERT INTO people (row_id, name, email, type) VALUES ('9', '', '', '')",
        "DELETE FROM people WHERE row_id = '2'",
    ):
        stray(database, statement, epoch=EPOCH)

    pending = stray(database, "SELECT row_id FROM ingestion.pending ORDER BY row_id")
    assert pending == ([("1",), ("2",), ("9",)] if phase is Phase.DATABASE_PRIMARY else [])
    assert len(stray(database, ALL)) == 3
    assert PostgresTables(pool).history("1")[0].epoch == EPOCH


def test_sync_notes_who_came_without_what(site: Site, pipeline: Pipeline) -> None:
    site.put(spelled([person(1, processed="yes"), person(2)]))
    pipeline.sync()

    [one] = pipeline.history("1")

    assert (one.table, one.operation, one.changed, one.epoch) == ("people", "insert", None, 1)
    assert one.write_id is not None
    assert one.write_id == pipeline.history("2")[0].write_id


def test_sync_notes_what_it_changes(site: Site, pipeline: Pipeline) -> None:
    site.put(spelled([person(1, processed="yes"), person(2)]))
    pipeline.sync()
    site.put(spelled([person(1, name="Other", s3_paths="{}")]))
    pipeline.sync(accept_loss=True)

    assert changes(pipeline.history("1")[1:]) == [
        ("people", "update", {"name": ("Name 1", "Other")}),
        ("processing_status", "update", {"processed": (True, False)}),
        ("s3_metadata", "update", {"s3_paths": (None, {})}),
    ]
    [gone] = pipeline.history("2")[1:]
    assert (gone.operation, (gone.changed or {})["name"]) == ("delete", ("Name 2", None))


@pytest.mark.parametrize("phase", [Phase.DUAL_WRITE, Phase.DATABASE_PRIMARY])
def test_caller_is_noted_in_every_phase(site: Site, pipeline: Pipeline, phase: Phase) -> None:
    site.put(spelled([person(1)]))
    pipeline.sync()
    if phase is not Phase.DUAL_WRITE:
        lead(pipeline, phase)

    receipt = pipeline.write("1", {"name": "Other"})

    one = pipeline.history("1")[-1]
    assert (one.actor, one.write_id, one.revision) == (who(), receipt.write_id, receipt.revision)
    assert one.changed == {"name": ("Name 1", "Other")}


ODD = {"processed": "TRUE", "permanent_failure": "No", "last_download_attempt": "2024-02-03 04:05:06"}
KEPT = "SELECT row_id, verbatim FROM people ORDER BY row_id"
ENTRIES = "SELECT column_name, decision, decided_by FROM ingestion.quarantine ORDER BY row_id"
OF_ONE = "WHERE person_id = (SELECT id FROM people WHERE row_id = '1')"


@pytest.fixture
def odd(site: Site, pipeline: Pipeline) -> Site:
    """A site where PostgreSQL leads, with cells spelled otherwise, and one in quarantine."""
    site.put(spelled([person(key, **ODD, file_uuids='{"b":"c"}', s3_paths="[1]") for key in "12"]))
    pipeline.sync()
    lead(pipeline, Phase.DATABASE_PRIMARY)
    return site


STALE = {
    f"UPDATE processing_status SET processed = true {OF_ONE}": [],
    "UPDATE people SET name = 'X' WHERE row_id = '1'": [],
    f"UPDATE processing_status SET processed = false {OF_ONE}": ["processed"],
    f"UPDATE s3_metadata SET file_uuids = NULL {OF_ONE}": ["file_uuids"],
    f"UPDATE processing_status SET last_download_attempt = now() {OF_ONE}": ["last_download_attempt"],
    f"DELETE FROM processing_status {OF_ONE}": ["permanent_failure"],
}
"""One after the other, with the cells whose text is given up."""


def test_text_kept_of_what_a_stray_has_changed_is_given_up(odd: Site) -> None:
    kept = {**ODD, "file_uuids": '{"b":"c"}', "s3_paths": "[1]"}
    left = dict(kept)
    for statement, gone in STALE.items():
        stray(odd.database, statement)

        for name in gone:
            del left[name]
        assert stray(odd.database, KEPT) == [("1", left), ("2", kept)]


def test_cell_in_quarantine_that_a_stray_has_changed_is_superseded(odd: Site) -> None:
    stray(odd.database, f"UPDATE s3_metadata SET s3_paths = '{{}}' {OF_ONE}")

    [one, other] = stray(odd.database, ENTRIES)
    assert one[:2] == ("s3_paths", "superseded")
    assert [one[2:]] == stray(odd.database, "SELECT session_user::text")
    assert other == ("s3_paths", None, None)


def test_accepted_cell_is_superseded_too(odd: Site) -> None:
    accept = "UPDATE ingestion.quarantine SET decision = 'accept', decided_at = now(), decided_by = 'x'"
    stray(odd.database, accept)

    stray(odd.database, f"DELETE FROM s3_metadata {OF_ONE}")

    assert [one[1] for one in stray(odd.database, ENTRIES)] == ["superseded", "accept"]


def test_cell_in_quarantine_stands_while_others_change(odd: Site) -> None:
    stray(odd.database, f"UPDATE s3_metadata SET file_uuids = '{{}}' {OF_ONE}")
    stray(odd.database, "UPDATE people SET name = 'X'")

    assert stray(odd.database, ENTRIES) == [("s3_paths", None, None)] * 2

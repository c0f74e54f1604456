"""Sync: what differs is written, everything else is left untouched, and what does not fit is kept."""

import random
import string
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from datetime import datetime

import psycopg2
import pytest

from ingestion_pipeline.app import Pipeline, open_pipeline
from ingestion_pipeline.domain.errors import InputRefusedError, ProtectedError, UnavailableError
from ingestion_pipeline.domain.phase import Phase
from ingestion_pipeline.domain.quarantine import Decision
from ingestion_pipeline.domain.reports import State
from ingestion_pipeline_tests.conftest import Site
from ingestion_pipeline_tests.files import (
    COLUMNS,
    TABLES,
    assert_agree,
    content,
    people,
    person,
    rendered,
    spelled,
    versions_of_rows,
)

RICH = {
    "link": "https://example.org/a?b=c",
    "processed": "yes",
    "document_text": 'two "lines",\nand more',
    "last_download_attempt": "2024-02-03T04:05:06.000007",
    "file_uuids": '{"a": "b"}',
    "s3_paths": '{"b": "2", "aa": "1"}',
}
ODD = {
    "processed": "TRUE",
    "permanent_failure": "no",
    "last_download_attempt": "2024-02-03 04:05:06Z",
    "file_uuids": '{"aa":"1","b":"2"}',
}
BAD = {
    "processed": "maybe",
    "permanent_failure": " yes",
    "last_download_attempt": "2024-02-30T00:00:00",
    "file_uuids": "[1]",
    "s3_paths": '{"a": 1}',
}


def pairs(site: Site, query: str) -> dict[object, object]:
    return {key: value for key, value in site.execute(query)}  # noqa: C416 - of any width, to mypy


def ordinals(site: Site) -> dict[object, object]:
    return pairs(site, "SELECT row_id, ordinal FROM people")


def entries(site: Site) -> list[tuple[object, ...]]:
    return site.execute(
        "SELECT scope, reason, row_id, column_name, decision FROM ingestion.quarantine ORDER BY id"
    )


# Idempotence and what is written


def test_second_sync_touches_no_row(site: Site, pipeline: Pipeline) -> None:
    first = pipeline.sync()
    before = content(site)

    second = pipeline.sync()

    assert content(site) == before
    assert (second.inserted, second.updated, second.deleted, second.moved) == (0, 0, 0, 0)
    assert second.unchanged == first.inserted == 509


def test_second_sync_touches_no_row_in_quarantine_either(site: Site, pipeline: Pipeline) -> None:
    rows = [person(1, **RICH), person(2, **ODD), person(3, **BAD), person(3), person(""), person(1, **RICH)]
    site.put(spelled(rows))
    pipeline.sync()
    before = content(site)

    report = pipeline.sync()

    assert content(site) == before
    assert (report.unchanged, report.repeated) == (3, 1)
    assert (report.quarantined_rows, report.quarantined_cells) == (2, 5)


def test_counts(site: Site, pipeline: Pipeline) -> None:
    site.put(spelled(people(range(40))))
    first = pipeline.sync()
    rows = people(range(1, 42))
    rows[5] = person(6, **RICH)
    rows[6] = person(7, email="another@example.org")
    site.put(spelled([*rows, rows[0]]))

    second = pipeline.sync()

    assert (first.rows_read, first.inserted, first.updated, first.unchanged, first.deleted) == (
        40,
        40,
        0,
        0,
        0,
    )
    assert (second.rows_read, second.inserted, second.updated) == (42, 2, 2)
    assert (second.unchanged, second.deleted, second.repeated) == (37, 1, 1)
    assert (second.people, second.changed) == (41, 5)
    assert_agree(site, pipeline)


@pytest.mark.parametrize(
    ("column", "text", "written"),
    [
        ("name", "Other", {"people"}),
        ("link", "https://example.org", {"people"}),
        ("document_text", "Other", {"people", "processing_status"}),
        ("processed", "yes", {"people", "processing_status"}),
        ("processed", "YES", {"people", "processing_status"}),
        ("processed", "0", {"people"}),
        ("file_uuids", '{"a": "b"}', {"people", "s3_metadata"}),
    ],
)
def test_only_what_changed_is_written(
    site: Site, pipeline: Pipeline, column: str, text: str, written: set[str]
) -> None:
    site.put(spelled(people(range(5))))
    pipeline.sync()
    before = versions_of_rows(site)
    of_person = "SELECT id, person_id FROM ingestion.record JOIN {} USING (person_id) WHERE row_id = '2'"
    ids = {table: site.execute(of_person.format(table))[0][0] for table in TABLES[1:]}
    [(ids["people"],)] = site.execute("SELECT id FROM people WHERE row_id = '2'")
    rows = people(range(5))
    rows[2] = person(2, **{column: text})
    site.put(spelled(rows))

    report = pipeline.sync()

    after = versions_of_rows(site)
    assert report.updated == 1
    assert {key for key in before if before[key] != after[key]} == {(table, ids[table]) for table in written}
    assert_agree(site, pipeline)


def test_revision_rises_with_what_is_written_only(site: Site, pipeline: Pipeline) -> None:
    site.put(spelled(people(range(3))))
    pipeline.sync()
    before = pairs(site, "SELECT row_id, (revision, updated_at)::text FROM people")
    site.put(spelled([person(0), person(1, name="Other"), person(2)]))

    pipeline.sync()

    after = pairs(site, "SELECT row_id, (revision, updated_at)::text FROM people")
    assert {key for key in before if before[key] != after[key]} == {"1"}
    assert site.execute("SELECT row_id FROM people ORDER BY revision DESC LIMIT 1") == [("1",)]


def test_absent_columns_are_left_as_they_are(site: Site, pipeline: Pipeline) -> None:
    whole = spelled([person(1, **RICH), person(2, **ODD), person(3, **BAD)])
    site.put(whole)
    pipeline.sync()
    kept = site.execute("SELECT row_id, document_text, processed, s3_paths, verbatim FROM ingestion.record")
    quarantined = entries(site)
    site.put(spelled([["1", "Name 1"], ["2", "Other"], ["3", "Other"]], ("row_id", "name")))

    report = pipeline.sync()

    assert (report.updated, report.unchanged) == (2, 1)
    query = "SELECT row_id, document_text, processed, s3_paths, verbatim FROM ingestion.record"
    assert sorted(map(repr, site.execute(query))) == sorted(map(repr, kept))
    assert entries(site) == quarantined
    assert_agree(site, pipeline)
    site.put(whole)
    pipeline.sync()
    assert entries(site) == quarantined
    assert_agree(site, pipeline)


def test_new_people_without_a_column_get_its_empty_value(site: Site, pipeline: Pipeline) -> None:
    site.put(b"name,row_id\nAda,1\n")

    pipeline.sync()

    assert site.execute(
        "SELECT email, type, link, processed, file_uuids, verbatim FROM ingestion.record"
    ) == [("", "", None, False, None, None)]
    assert_agree(site, pipeline)


def test_typed_values(site: Site, pipeline: Pipeline) -> None:
    site.put(spelled([person(1, **RICH), person(2, **ODD), person(3, **BAD), person(4)]))

    pipeline.sync()

    assert site.execute(
        "SELECT row_id, link, processed, permanent_failure, last_download_attempt, file_uuids, s3_paths"
        " FROM ingestion.record ORDER BY row_id"
    ) == [
        ("1", RICH["link"], True, False, datetime(2024, 2, 3, 4, 5, 6, 7), {"a": "b"}, {"b": "2", "aa": "1"}),  # noqa: DTZ001 - stored without zone
        ("2", None, True, False, datetime(2024, 2, 3, 4, 5, 6), {"aa": "1", "b": "2"}, None),  # noqa: DTZ001 - stored without zone
        ("3", None, None, None, None, None, None),
        ("4", None, False, False, None, None, None),
    ]
    kept = pairs(site, "SELECT row_id, verbatim FROM people")
    assert kept == {"1": None, "2": ODD, "3": BAD, "4": None}


def test_mended_spelling_is_forgotten(site: Site, pipeline: Pipeline) -> None:
    site.put(spelled([person(1, **ODD)]))
    pipeline.sync()
    site.put(spelled([person(1, **(ODD | {"processed": "yes"}))]))

    report = pipeline.sync()

    assert report.updated == 1
    [(kept,)] = site.execute("SELECT verbatim FROM people")
    assert kept == {name: text for name, text in ODD.items() if name != "processed"}
    assert_agree(site, pipeline)


def test_dialect_alone_may_change(site: Site, pipeline: Pipeline) -> None:
    site.put(spelled(people(range(3))))
    pipeline.sync()
    before = versions_of_rows(site)
    site.put(
        spelled(people(range(3)), end="\r\n", quoting="all", header_quoting="all", bom=True, final=False)
    )

    report = pipeline.sync()

    assert report.unchanged == 3
    assert versions_of_rows(site) == before
    assert_agree(site, pipeline)


def test_file_without_rows(site: Site, pipeline: Pipeline) -> None:
    site.put(spelled([], final=False))

    assert pipeline.sync().rows_read == 0
    assert_agree(site, pipeline)


# Order


@pytest.mark.parametrize("at", [0, 3, 6])
def test_new_row_moves_no_other(site: Site, pipeline: Pipeline, at: int) -> None:
    rows = people(range(6))
    site.put(spelled(rows))
    pipeline.sync()
    before, written = ordinals(site), versions_of_rows(site)
    site.put(spelled([*rows[:at], person("new"), *rows[at:]]))

    report = pipeline.sync()

    after = ordinals(site)
    assert (report.inserted, report.moved, report.unchanged) == (1, 0, 6)
    assert {key: after[key] for key in before} == before
    assert versions_of_rows(site).items() >= written.items()
    assert_agree(site, pipeline)


def test_moved_row_moves_alone(site: Site, pipeline: Pipeline) -> None:
    rows = people(range(6))
    site.put(spelled(rows))
    pipeline.sync()
    before = ordinals(site)
    site.put(spelled([*rows[:1], *rows[2:], rows[1]]))

    report = pipeline.sync()

    after = ordinals(site)
    assert (report.moved, report.updated, report.unchanged) == (1, 0, 6)
    assert {key for key in before if before[key] != after[key]} == {"1"}
    assert_agree(site, pipeline)


def test_reversed_file(site: Site, pipeline: Pipeline) -> None:
    rows = people(range(8))
    site.put(spelled(rows))
    pipeline.sync()
    site.put(spelled(rows[::-1]))

    assert pipeline.sync().moved == 7
    assert_agree(site, pipeline)


def test_where_no_room_is_left_every_row_is_placed_anew(site: Site, pipeline: Pipeline) -> None:
    site.put(spelled(people(range(3))))
    pipeline.sync()
    site.execute("UPDATE people SET ordinal = row_id::bigint")
    site.put(spelled([person(0), person("new"), person(1), person(2)]))

    assert pipeline.sync().moved == 3
    assert_agree(site, pipeline)
    assert min(int(str(ordinal)) for ordinal in ordinals(site).values()) > 2


# Repeated rows


def test_identical_rows_are_remembered_in_their_places(site: Site, pipeline: Pipeline) -> None:
    one, two = person(1, **ODD), person(2)
    site.put(spelled([one, two, one, person(3), one]))

    report = pipeline.sync()

    assert (report.inserted, report.repeated, report.quarantined_rows) == (3, 2, 0)
    assert_agree(site, pipeline)
    site.put(spelled([two, one, person(3), one, two]))
    report = pipeline.sync()
    assert (report.repeated, report.unchanged, report.deleted) == (2, 3, 0)
    assert_agree(site, pipeline)
    site.put(spelled([two, one, person(3)]))
    assert pipeline.sync().repeated == 0
    assert site.execute("SELECT count(*) FROM ingestion.duplicate") == [(0,)]
    assert_agree(site, pipeline)


def test_repeats_follow_the_person(site: Site, pipeline: Pipeline) -> None:
    site.put(spelled([person(1), person(1)]))
    pipeline.sync()
    changed = person(1, name="Other")
    site.put(spelled([changed, changed]))

    report = pipeline.sync()

    assert (report.updated, report.repeated, report.quarantined_rows) == (1, 1, 0)
    assert_agree(site, pipeline)


def test_repeats_go_with_the_person(site: Site, pipeline: Pipeline) -> None:
    site.put(spelled([person(1), person(2), person(1)]))
    pipeline.sync()
    site.put(spelled([person(2)]))

    assert pipeline.sync().deleted == 1
    assert_agree(site, pipeline)


# Rows in quarantine


def long_key() -> str:
    return "".join(random.Random(7).choices(string.ascii_letters, k=9000))  # noqa: S311 - text that does not compress


@pytest.mark.parametrize(
    ("row", "reason", "column"),
    [
        (person(1, name="Other"), "duplicate_row_id", "row_id"),
        (person(1, processed="no"), "duplicate_row_id", "row_id"),
        (person(""), "missing_row_id", "row_id"),
        (["", *[""] * (len(COLUMNS) - 1)], "missing_row_id", "row_id"),
        (person("x" * 51), "too_long", "row_id"),
        (person(long_key()), "too_long", "row_id"),
        (person(9, name="é" * 256), "too_long", "name"),
        (person(9, email="e" * 256), "too_long", "email"),
        (person(9, type="t" * 101, processed="maybe"), "too_long", "type"),
    ],
)
@pytest.mark.parametrize("at", [1, 2])
def test_row_that_cannot_be_loaded_is_kept_in_its_place(
    site: Site, pipeline: Pipeline, row: list[str], reason: str, column: str, at: int
) -> None:
    rows = people([1, 2])
    site.put(spelled([*rows[:at], row, *rows[at:]]))

    report = pipeline.sync()

    assert (report.inserted, report.quarantined_rows, report.quarantined_cells) == (2, 1, 0)
    assert entries(site) == [("row", reason, row[0], column, None)]
    assert_agree(site, pipeline)
    assert pipeline.sync().quarantined_rows == 1
    assert len(entries(site)) == 1


@pytest.mark.parametrize(
    "row",
    [
        person("x" * 50),
        person("🜀" * 50),
        person(9, name="é" * 255),
        person(9, email="🜀" * 255),
        person(9, type="t" * 100),
        person(9, name=" " * 255),
    ],
)
def test_row_as_long_as_it_may_be_is_loaded(site: Site, pipeline: Pipeline, row: list[str]) -> None:
    site.put(spelled([row]))

    assert pipeline.sync().inserted == 1
    assert_agree(site, pipeline)


def test_person_whose_row_no_longer_fits_leaves(site: Site, pipeline: Pipeline) -> None:
    site.put(spelled(people([1, 2])))
    pipeline.sync()
    site.put(spelled([person(1, name="n" * 256), person(2)]))

    report = pipeline.sync()

    assert (report.deleted, report.quarantined_rows, report.unchanged) == (1, 1, 1)
    assert_agree(site, pipeline)
    site.put(spelled(people([1, 2])))
    report = pipeline.sync()
    assert (report.inserted, report.quarantined_rows) == (1, 0)
    assert entries(site) == [("row", "too_long", "1", "name", "superseded")]
    assert_agree(site, pipeline)


def test_rows_in_quarantine_move_and_go(site: Site, pipeline: Pipeline) -> None:
    bad, other = person("", name="a"), person("", name="b")
    site.put(spelled([bad, person(1), other, bad, person(2)]))
    pipeline.sync()
    assert_agree(site, pipeline)
    site.put(spelled([person(1), other, bad, person(2), bad, bad]))

    pipeline.sync()

    assert_agree(site, pipeline)
    assert len(entries(site)) == 4
    site.put(spelled([person(2), person(1)]))
    pipeline.sync()
    assert {decision for *_, decision in entries(site)} == {"superseded"}
    assert_agree(site, pipeline)


def test_only_rows_in_quarantine(site: Site, pipeline: Pipeline) -> None:
    for rows in ([person("")], [person("", name="b"), person("")], [person(""), person(1), person("")]):
        site.put(spelled(rows))
        pipeline.sync()
        assert_agree(site, pipeline)


def test_a_first_person_moves_every_row_in_quarantine(site: Site, pipeline: Pipeline) -> None:
    site.put(spelled([person(""), person("")]))
    pipeline.sync()
    site.put(spelled([person(1), person(""), person("")]))

    pipeline.sync()

    assert_agree(site, pipeline)


# Cells in quarantine


@pytest.mark.parametrize(("column", "text"), BAD.items())
def test_cell_that_does_not_fit_is_kept(site: Site, pipeline: Pipeline, column: str, text: str) -> None:
    site.put(spelled([person(1, **{column: text}), person(2)]))

    report = pipeline.sync()

    assert (report.inserted, report.quarantined_rows, report.quarantined_cells) == (2, 0, 1)
    found = site.execute(f"SELECT {column}, verbatim FROM ingestion.record WHERE row_id = '1'")
    assert found == [(None, {column: text})]
    [(scope, reason, row_id, named, decision)] = entries(site)
    assert (scope, row_id, named, decision) == ("cell", "1", column, None)
    assert str(reason).startswith("not_a_")
    assert site.execute("SELECT raw FROM ingestion.quarantine") == [({column: text},)]
    assert_agree(site, pipeline)


def test_mended_cell_is_superseded(site: Site, pipeline: Pipeline) -> None:
    site.put(spelled([person(1, processed="maybe")]))
    pipeline.sync()
    site.put(spelled([person(1, processed="yes")]))

    pipeline.sync()

    assert entries(site) == [("cell", "not_a_flag", "1", "processed", "superseded")]
    assert site.execute(
        "SELECT decided_by IS NOT NULL, decided_at IS NOT NULL FROM ingestion.quarantine"
    ) == [(True, True)]
    assert_agree(site, pipeline)


def test_other_bad_text_is_another_entry(site: Site, pipeline: Pipeline) -> None:
    site.put(spelled([person(1, processed="maybe")]))
    pipeline.sync()
    site.put(spelled([person(1, processed="perhaps")]))

    pipeline.sync()

    assert [decision for *_, decision in entries(site)] == ["superseded", None]
    assert_agree(site, pipeline)


def test_cell_of_a_person_who_left_is_superseded(site: Site, pipeline: Pipeline) -> None:
    site.put(spelled([person(1, processed="maybe"), person(2, processed="maybe")]))
    pipeline.sync()
    site.put(b"row_id,name\n2,Name 2\n")

    pipeline.sync()

    assert [(row_id, decision) for _, _, row_id, _, decision in entries(site)] == [
        ("1", "superseded"),
        ("2", None),
    ]


def test_sync_keeps_decisions(site: Site, pipeline: Pipeline) -> None:
    site.put(spelled([person(1, processed="maybe"), person(""), person(2)]))
    pipeline.sync()
    for entry in pipeline.quarantine():
        pipeline.decide(entry.id, Decision.ACCEPT, {})
    before = site.execute("SELECT xmin::text, * FROM ingestion.quarantine ORDER BY id")
    site.put(spelled([person(3), person(2), person(""), person(1, processed="maybe")]))

    report = pipeline.sync()

    assert (report.quarantined_rows, report.quarantined_cells) == (1, 1)
    assert pipeline.quarantine() == []
    after = site.execute("SELECT decision, decided_by, decided_at FROM ingestion.quarantine ORDER BY id")
    assert after == [tuple(row[-3:]) for row in before]
    assert_agree(site, pipeline)


# Text that other formats would read as something else


@pytest.mark.parametrize("end", ["\n", "\r\n"])
def test_ends_and_nulls_of_copy_are_text(site: Site, pipeline: Pipeline, end: str) -> None:
    line = f"a{end}\\.{end}b"
    rows = [
        [r"\.", r"\.", r"\."],
        ["1", line, f"{end}\\.{end}"],
        [r"\N", r"\N", r"\N"],
        ["NULL", "\\", '"'],
        ["2", "\\.", ""],
        ["3", '""', "\r"],
    ]
    for quoting in ("minimal", "nonempty", "all"):
        site.put(spelled(rows, ("row_id", "name", "link"), end=end, quoting=quoting))

        assert pipeline.sync().people == 6
        assert_agree(site, pipeline)
        assert pairs(site, "SELECT row_id, link FROM people") == {row[0]: row[2] or None for row in rows}


# What stops a sync


@pytest.mark.parametrize(
    "tail",
    [b'9,"open', b"9\n", b"9,a,b,c\n", b'9,"quoted"\n', b"9,\xff\n", b"9,a\r\n", b"\n9,a\n", b"9,\0\n"],
)
def test_refused_file_leaves_everything(site: Site, pipeline: Pipeline, tail: bytes) -> None:
    rows = [[str(key), f"Name {key}"] for key in range(600)]
    good = spelled(rows, ("row_id", "name"))
    site.put(good)
    pipeline.sync()
    before = content(site)
    site.put(good.replace(b"Name 5\n", b"Other\n") + tail)

    with pytest.raises(InputRefusedError) as refused:
        pipeline.sync()

    assert content(site) == before
    assert refused.value.place.file == str(site.csv)
    site.put(good)
    assert_agree(site, pipeline)


def test_other_epoch_is_refused(site: Site, pipeline: Pipeline) -> None:
    pipeline.sync()
    before = content(site)
    site.put(spelled([person(1)]))

    began = State(Phase.DUAL_WRITE, 2)
    with pytest.raises(ProtectedError) as refused:
        pipeline.tables.sync(
            pipeline.csv.reading, began=began, brakes=None, dry_run=False, step=lambda _: None
        )

    assert refused.value.code == "stale_epoch"
    assert content(site) == before


@pytest.mark.parametrize("at", ["reading", "comparing", "placing", "writing"])
def test_killed_backend_leaves_the_old_state(site: Site, pipeline: Pipeline, at: str) -> None:
    pipeline.sync()
    before = content(site)
    site.put(spelled(people(f"new {number}" for number in range(5))))

    def kill(step: str) -> None:
        if step == at:
            killed = site.execute(
                "SELECT pg_terminate_backend(pid, 5000) FROM pg_stat_activity"
                " WHERE datname = current_database() AND pid <> pg_backend_pid()"
            )
            assert killed == [(True,)]

    with pytest.raises(UnavailableError):
        pipeline.sync(accept_loss=True, step=kill)

    assert content(site) == before
    assert pipeline.sync(accept_loss=True).inserted == 5
    assert_agree(site, pipeline)


@pytest.mark.parametrize(
    ("setting", "seconds", "said"),
    [("LOCK_TIMEOUT", "0.2", "lock was not free"), ("BULK_TIMEOUT", "0.3", "longer than it may")],
)
def test_wait_for_another_writer_ends(
    site: Site, monkeypatch: pytest.MonkeyPatch, setting: str, seconds: str, said: str
) -> None:
    monkeypatch.setenv(f"INGESTION__DATABASE__{setting}", seconds)
    with open_pipeline(site.config) as pipeline:
        pipeline.sync()
        before = content(site)
        site.put(spelled([person("new")]))
        with closing(psycopg2.connect(site.database)) as other, other.cursor() as holder:
            holder.execute("LOCK people IN ROW EXCLUSIVE MODE")

            with pytest.raises(UnavailableError, match=said):
                pipeline.sync(accept_loss=True)

        assert content(site) == before
        assert pipeline.sync(accept_loss=True).inserted == 1


def test_readers_go_on_meanwhile(site: Site, pipeline: Pipeline) -> None:
    pipeline.sync()
    old = site.csv.read_bytes()
    site.put(spelled([person(1)]))
    read = []

    def look(step: str) -> None:
        if step == "writing":
            read.append(rendered(pipeline))

    pipeline.sync(accept_loss=True, step=look)

    assert read == [old]


@pytest.fixture
def opened(site: Site) -> Iterator[Callable[[], Pipeline]]:
    contexts = [open_pipeline(site.config) for _ in range(2)]
    waiting = [context.__enter__() for context in contexts]
    yield waiting.pop
    for context in contexts:
        context.__exit__(None, None, None)


def test_two_at_once_both_end_well(site: Site, opened: Callable[[], Pipeline]) -> None:
    one, other = opened(), opened()
    one.status()
    site.execute("INSERT INTO ingestion.migration_state (phase, epoch) VALUES ('dual_write', 1)")
    other.status()
    waiting = "SELECT count(*) FROM pg_locks WHERE NOT granted AND relation = 'people'::regclass"
    with ThreadPoolExecutor() as threads, closing(psycopg2.connect(site.database)) as gate:
        with gate.cursor() as cursor:
            cursor.execute("LOCK people IN ROW EXCLUSIVE MODE")
            runs = [threads.submit(pipeline.sync) for pipeline in (one, other)]
            while site.execute(waiting) != [(1,)]:
                assert not any(run.done() for run in runs)
        gate.rollback()
        inserted = sorted(run.result(timeout=30).inserted for run in runs)

    assert inserted == [0, 509]
    assert_agree(site, one)


def test_file_replaced_while_it_is_read_is_not_taken_over(site: Site, pipeline: Pipeline) -> None:
    site.put(spelled(people(range(1, 4))))
    pipeline.sync()
    before = content(site)
    newer = site.csv.with_name("newer.csv")
    newer.write_bytes(spelled(people(range(1, 6))))
    site.put(spelled(people(range(1, 3))))

    def replace(step: str) -> None:
        if step == "placing":
            newer.replace(site.csv)

    with pytest.raises(UnavailableError, match="while it was being read"):
        pipeline.sync(step=replace)

    assert content(site) == before
    assert pipeline.sync().inserted == 2
    assert_agree(site, pipeline)


def test_file_is_opened_when_other_writers_are_kept_out(site: Site, pipeline: Pipeline) -> None:
    pipeline.sync()
    refused = []

    def write(step: str) -> None:
        if step == "reading":
            with pytest.raises(psycopg2.errors.LockNotAvailable):
                site.execute("SET lock_timeout = '50ms'; UPDATE people SET name = 'x'")
            refused.append(step)

    pipeline.sync(step=write)

    assert refused == ["reading"]


def test_a_dry_run_begins_no_phase(site: Site, pipeline: Pipeline) -> None:
    assert pipeline.sync(dry_run=True).inserted == 509

    assert site.execute("SELECT count(*) FROM ingestion.migration_state") == [(0,)]
    assert site.execute("SELECT count(*) FROM people") == [(0,)]


def test_what_only_postgres_holds_does_not_go_with_a_row_in_quarantine(
    site: Site, pipeline: Pipeline
) -> None:
    site.put(spelled([person(1, document_text="read"), person(2)]))
    pipeline.sync()
    names = ("row_id", "name")
    site.put(spelled([["1", "x" * 256], ["2", "Name 2"]], names))

    with pytest.raises(ProtectedError, match="lose columns that the file has not") as stopped:
        pipeline.sync()

    assert stopped.value.code == "brake"
    site.put(spelled([["1", "y"], ["2", "Name 2"]], names))
    pipeline.sync()
    assert site.execute("SELECT name, document_text FROM ingestion.record WHERE row_id = '1'") == [
        ("y", "read")
    ]


def test_a_lost_row_and_a_text_nobody_knows_are_mended(site: Site, pipeline: Pipeline) -> None:
    pipeline.sync()
    site.execute("DELETE FROM s3_metadata WHERE person_id = (SELECT id FROM people WHERE row_id = '500')")
    site.execute("UPDATE people SET verbatim = '{\"link\": \"x\"}' WHERE row_id = '499'")

    assert pipeline.sync().updated == 2

    assert_agree(site, pipeline)
    assert site.execute("SELECT count(*) FROM ingestion.record WHERE NOT whole") == [(0,)]

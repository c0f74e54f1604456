"""Comparison: whatever is changed behind the pipeline's back is found, and named without its value."""
# ruff: noqa: E501, ISC004 - lists of statements

from collections.abc import Callable

import pytest

from ingestion_pipeline.app import Pipeline
from ingestion_pipeline.domain.difference import Kind
from ingestion_pipeline_tests.conftest import Site
from ingestion_pipeline_tests.files import COLUMNS, person, rendered, spelled
from ingestion_pipeline_tests.strays import unchecked

Named = set[tuple[str | None, str | None, Kind]]

CANARY = "canary.person@example.org"
CHANGED, MISSING, EXTRA, ORDER, SPELLING = Kind.CHANGED, Kind.MISSING, Kind.EXTRA, Kind.ORDER, Kind.SPELLING

ROWS = [
    person(
        1,
        email=CANARY,
        link="https://example.org",
        processed="yes",
        document_text="one\ntwo",
        last_download_attempt="2024-02-03T04:05:06.000007",
        file_uuids='{"a": "b", "cc": "d"}',
        s3_paths='{"b": "path/one"}',
    ),
    person(2),
    person(3, processed="TRUE", last_download_attempt="2024-02-03 04:05:06"),
    person(4, processed="maybe", s3_paths="[]"),
    person(2),
    person("", name="Nobody"),
    person(5),
]


@pytest.fixture
def synced(site: Site, pipeline: Pipeline) -> Pipeline:
    site.put(spelled(ROWS))
    pipeline.sync()
    return pipeline


def named(pipeline: Pipeline) -> Named:
    """What a comparison finds; it shows no value and stamps what it says."""
    report = pipeline.compare()
    proof = pipeline.tables.last_proof()
    assert proof is not None
    assert (proof.differences, proof.bytes_equal) == (report.counted, report.bytes_equal)
    assert report.equal == (not report.counted) == (not report.differences)
    assert report.counted == len(report.differences)
    assert CANARY not in repr(report)
    return {(one.row_id, one.column, one.kind) for one in report.differences}


def test_clean(synced: Pipeline, site: Site) -> None:
    report = synced.compare()

    assert (report.equal, report.bytes_equal, report.rows) == (True, True, 7)
    assert (report.missing, report.extra, report.changed, report.counted) == (0, 0, 0, 0)
    assert rendered(synced) == site.csv.read_bytes()


IN_TABLES = {
    "case": ("UPDATE people SET name = lower(name) WHERE row_id = '1'", {("1", "name", CHANGED)}),
    "zero-width space": ("UPDATE people SET name = name || U&'\\200B' WHERE row_id = '2'", {("2", "name", CHANGED)}),
    "space": ("UPDATE people SET type = type || ' ' WHERE row_id = '2'", {("2", "type", CHANGED)}),
    "decomposed": ("UPDATE people SET name = U&'e\\0301' WHERE row_id = '2'", {("2", "name", CHANGED)}),
    "empty text": ("UPDATE people SET link = '' WHERE row_id = '2'", {("2", "link", CHANGED)}),
    "no text": ("UPDATE people SET link = NULL WHERE row_id = '1'", {("1", "link", CHANGED)}),
    "line end": (
        "UPDATE processing_status SET document_text = replace(document_text, E'\\n', E'\\r\\n')",
        {("1", "document_text", CHANGED)},
    ),
    "empty map": (
        "UPDATE s3_metadata SET s3_paths = '{}' WHERE person_id = (SELECT id FROM people WHERE row_id = '2')",
        {("2", "s3_paths", CHANGED)},
    ),
    "no map": ("UPDATE s3_metadata SET file_uuids = NULL", {("1", "file_uuids", CHANGED)}),
    "map value": (
        "UPDATE s3_metadata SET file_uuids = file_uuids || '{\"a\": \"c\"}' WHERE file_uuids IS NOT NULL",
        {("1", "file_uuids", CHANGED)},
    ),
    "microsecond": (
        "UPDATE processing_status SET last_download_attempt = last_download_attempt + interval '1 microsecond'"
        " WHERE processed AND document_text IS NOT NULL",
        {("1", "last_download_attempt", CHANGED)},
    ),
    "flag": ("UPDATE processing_status SET permanent_failure = true WHERE document_text IS NOT NULL",
             {("1", "permanent_failure", CHANGED)}),
    "no flag": ("UPDATE processing_status SET permanent_failure = NULL WHERE document_text IS NOT NULL",
                {("1", "permanent_failure", CHANGED)}),
    "endless time": (
        "UPDATE processing_status SET last_download_attempt = 'infinity'"
        " WHERE person_id = (SELECT id FROM people WHERE row_id = '2')",
        {("2", "last_download_attempt", CHANGED)},
    ),
    "time before all calendars, under kept text": (
        "UPDATE processing_status SET last_download_attempt = '0044-03-15 BC'"
        " WHERE person_id = (SELECT id FROM people WHERE row_id = '3')",
        {("3", "last_download_attempt", CHANGED)},
    ),
    "swapped columns": (
        "UPDATE people SET name = email, email = name WHERE row_id = '2'",
        {("2", "name", CHANGED), ("2", "email", CHANGED)},
    ),
    "swapped people": (
        "UPDATE people p SET name = o.name FROM people o WHERE (p.row_id, o.row_id) IN (('2', '5'), ('5', '2'))",
        {("2", "name", CHANGED), ("5", "name", CHANGED)},
    ),
    "value under kept text": (
        "UPDATE processing_status SET last_download_attempt = '2000-01-01'"
        " WHERE person_id = (SELECT id FROM people WHERE row_id = '3')",
        {("3", "last_download_attempt", CHANGED)},
    ),
    "flag under kept text": (
        "UPDATE processing_status SET processed = NOT processed"
        " WHERE person_id = (SELECT id FROM people WHERE row_id = '3')",
        {("3", "processed", CHANGED)},
    ),
    "value under quarantined text": (
        "UPDATE processing_status SET processed = true"
        " WHERE person_id = (SELECT id FROM people WHERE row_id = '4')",
        {("4", "processed", CHANGED)},
    ),
    "kept text": (
        "UPDATE people SET verbatim = verbatim || '{\"processed\": \"true\"}' WHERE row_id = '3'",
        {("3", "processed", CHANGED)},
    ),
    "no kept text": (
        "UPDATE people SET verbatim = NULL WHERE row_id = '3'",
        {("3", "processed", CHANGED), ("3", "last_download_attempt", CHANGED)},
    ),
    "kept text of no column": (
        "UPDATE people SET verbatim = '{\"nonsense\": \"x\"}' WHERE row_id = '2'", {("2", "nonsense", CHANGED)}
    ),
    "missing": ("DELETE FROM people WHERE row_id = '5'", {("5", None, MISSING)}),
    "extra": (
        "INSERT INTO people (row_id, name, email, type) VALUES ('6', '', '', '')", {("6", None, EXTRA)}
    ),
    "other key": (
        "UPDATE people SET row_id = '05' WHERE row_id = '5'", {("5", None, MISSING), ("05", None, EXTRA)}
    ),
    "no status": (
        "DELETE FROM processing_status WHERE document_text IS NOT NULL",
        {
            ("1", name, CHANGED)
            for name in ("processed", "document_text", "last_download_attempt", "permanent_failure")
        },
    ),
    "no metadata": (
        "DELETE FROM s3_metadata WHERE file_uuids IS NOT NULL",
        {("1", "file_uuids", CHANGED), ("1", "s3_paths", CHANGED)},
    ),
    "order": (
        "UPDATE people SET ordinal = (SELECT max(ordinal) + 1 FROM people) WHERE row_id = '1'",
        {("1", None, ORDER)},
    ),
    "repeat missing": ("DELETE FROM ingestion.duplicate", {("2", None, MISSING)}),
    "repeat extra": (
        "INSERT INTO ingestion.duplicate SELECT ordinal + 1, id FROM people WHERE row_id = '3'",
        {("3", None, EXTRA)},
    ),
    "row in quarantine missing": (
        "DELETE FROM ingestion.quarantine WHERE scope = 'row'", {(None, None, MISSING)}
    ),
    "row in quarantine changed": (
        "UPDATE ingestion.quarantine SET raw = raw || '{\"name\": \"Somebody\"}' WHERE scope = 'row'",
        {(None, None, MISSING), (None, None, EXTRA)},
    ),
    "spelling": (
        "UPDATE ingestion.csv_file SET dialect = dialect || '{\"quoting\": \"all\"}'", {(None, None, SPELLING)}
    ),
}  # fmt: skip


@pytest.mark.parametrize(("statement", "expected"), IN_TABLES.values(), ids=IN_TABLES)
def test_change_in_the_tables_is_named(site: Site, synced: Pipeline, statement: str, expected: Named) -> None:
    with unchecked(site.database):
        site.execute(statement.replace("%", "%%"))

    assert named(synced) == expected


def test_what_is_found_is_what_sync_mends(site: Site, synced: Pipeline) -> None:
    site.execute("UPDATE processing_status SET permanent_failure = NULL, processed = NULL")
    site.execute("UPDATE people SET link = '' WHERE link IS NULL")
    assert named(synced)

    synced.sync()

    assert named(synced) == set()


@pytest.mark.parametrize("quoting", ["minimal", "nonempty", "all"])
def test_empty_text_is_not_null_however_it_is_quoted(site: Site, pipeline: Pipeline, quoting: str) -> None:
    site.put(spelled([person(1)], quoting=quoting))
    pipeline.sync()
    site.execute("UPDATE people SET link = ''")

    assert named(pipeline) == {("1", "link", CHANGED)}


def edited(row: int, **cells: str) -> Callable[[], bytes]:
    def edit() -> bytes:
        rows = [list(one) for one in ROWS]
        for name, text in cells.items():
            rows[row][COLUMNS.index(name)] = text
        return spelled(rows)

    return edit


IN_FILE = {
    "case": (edited(6, name="name 5"), {("5", "name", CHANGED)}),
    "repeat that is none any more": (
        edited(1, name="name 2"),
        {("2", "name", CHANGED), ("2", None, MISSING), ("2", None, EXTRA)},
    ),
    "key order of a map": (
        edited(0, file_uuids='{"cc": "d", "a": "b"}'), {("1", "file_uuids", CHANGED)}
    ),
    "space in a map": (edited(0, file_uuids='{"a":"b", "cc": "d"}'), {("1", "file_uuids", CHANGED)}),
    "flag spelled otherwise": (edited(0, processed="Yes"), {("1", "processed", CHANGED)}),
    "flag of false": (edited(6, processed="no"), {("5", "processed", CHANGED)}),
    "microsecond": (
        edited(0, last_download_attempt="2024-02-03T04:05:06.000008"),
        {("1", "last_download_attempt", CHANGED)},
    ),
    "time spelled otherwise": (
        edited(0, last_download_attempt="2024-02-03T04:05:06.000007Z"),
        {("1", "last_download_attempt", CHANGED)},
    ),
    "other bad flag": (edited(3, processed="perhaps"), {("4", "processed", CHANGED)}),
    "row missing in the file": (lambda: spelled(ROWS[:-1]), {("5", None, EXTRA)}),
    "row missing in the tables": (lambda: spelled([*ROWS, person(6)]), {("6", None, MISSING)}),
    "row repeated": (lambda: spelled([*ROWS, ROWS[0]]), {("1", None, MISSING)}),
    "repeat that conflicts": (
        lambda: spelled([*ROWS, person(5, name="Other")]), {("5", None, MISSING)}
    ),
    "swapped rows": (
        lambda: spelled([ROWS[1], ROWS[0], *ROWS[2:]]), {("2", None, ORDER)}
    ),
    "swapped cells": (
        edited(6, name="mail5@example.org", email="Name 5"), {("5", "name", CHANGED), ("5", "email", CHANGED)}
    ),
    "CRLF": (lambda: spelled(ROWS, end="\r\n"), {(None, None, SPELLING)}),
    "quotes": (lambda: spelled(ROWS, quoting="nonempty"), {(None, None, SPELLING)}),
    "quoted header": (lambda: spelled(ROWS, header_quoting="all"), {(None, None, SPELLING)}),
    "byte order mark": (lambda: spelled(ROWS, bom=True), {(None, None, SPELLING)}),
    "last line not ended": (lambda: spelled(ROWS, final=False), {(None, None, SPELLING)}),
    "columns in another order": (
        lambda: spelled([row[::-1] for row in ROWS], COLUMNS[::-1]), {(None, None, SPELLING)}
    ),
}  # fmt: skip


@pytest.mark.parametrize(("edit", "expected"), IN_FILE.values(), ids=IN_FILE)
def test_change_in_the_file_is_named(
    site: Site, synced: Pipeline, edit: Callable[[], bytes], expected: Named
) -> None:
    site.put(edit())

    assert named(synced) == expected


def test_missing_and_extra_are_seen_from_the_follower(site: Site, synced: Pipeline) -> None:
    site.execute("DELETE FROM people WHERE row_id IN ('1', '5')")
    site.execute("INSERT INTO people (row_id, name, email, type) VALUES ('6', '', '', '')")
    csv_leads = synced.compare()
    site.execute("UPDATE ingestion.migration_state SET phase = 'database_primary'")

    postgres_leads = synced.compare()

    assert (csv_leads.missing, csv_leads.extra, csv_leads.changed) == (2, 1, 0)
    assert (postgres_leads.missing, postgres_leads.extra) == (1, 2)
    assert named(synced) == {("1", None, EXTRA), ("5", None, EXTRA), ("6", None, MISSING)}


def test_all_are_counted_and_the_first_are_named(site: Site, synced: Pipeline) -> None:
    site.execute("UPDATE people SET name = 'x', email = 'y'")
    site.execute("DELETE FROM people WHERE row_id = '4'")

    for limit, expected in ((0, 0), (3, 3), (100, 9)):
        report = synced.compare(limit=limit)
        assert len(report.differences) == expected
        assert (report.counted, report.changed, report.missing, report.extra) == (9, 4, 1, 0)
    first = synced.compare(limit=3).differences
    assert [one.row_id for one in first] == ["1", "1", "2"]


def test_limit_holds_for_every_kind(site: Site, synced: Pipeline) -> None:
    site.execute("UPDATE people SET ordinal = -ordinal")
    order = synced.compare(limit=1)
    site.execute("UPDATE people SET ordinal = -ordinal")
    site.execute("UPDATE processing_status SET permanent_failure = NULL")
    values = synced.compare(limit=1)

    assert (len(order.differences), order.counted, order.changed) == (1, 4, 4)
    assert (len(values.differences), values.counted, values.changed) == (1, 5, 5)
    assert values.bytes_equal


def test_unequal_orders_of_repeats_are_not_equal(site: Site, synced: Pipeline) -> None:
    site.execute("UPDATE ingestion.duplicate SET ordinal = (SELECT max(ordinal) + 1 FROM people)")

    assert named(synced) == {(None, None, SPELLING)}


def test_comparison_leaves_nothing_but_its_proof(site: Site, synced: Pipeline) -> None:
    site.put(spelled(ROWS[:-1]))
    synced.compare()
    synced.compare()

    assert site.execute("SELECT count(*) FROM ingestion.proof") == [(2,)]
    assert site.execute("SELECT count(*) FROM pg_class WHERE relpersistence = 't'") == [(0,)]


def test_a_column_the_file_has_not_is_no_difference(site: Site, synced: Pipeline) -> None:
    site.put(spelled([["1", "Name"]], ("row_id", "name")))
    synced.sync(accept_loss=True)
    site.execute("UPDATE processing_status SET processed = NULL")
    site.execute('UPDATE people SET verbatim = \'{"processed": "True"}\'')

    assert synced.compare().equal


@pytest.mark.parametrize("verbatim", ['{"name": "x"}', '{"foo": "x"}', '{"processed": null}'])
def test_a_kept_text_that_cannot_be_is_named_and_mended(site: Site, synced: Pipeline, verbatim: str) -> None:
    with unchecked(site.database):
        site.execute("UPDATE people SET verbatim = %s WHERE row_id = '1'", verbatim)

    assert not synced.compare().equal
    synced.sync()
    assert synced.compare().equal

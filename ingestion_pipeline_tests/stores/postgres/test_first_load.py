"""The first load: what it makes of a file is what a sync by way of staging makes of it."""

from collections.abc import Sequence
from dataclasses import replace

import pytest
from psycopg2 import errors

from ingestion_pipeline.app import Pipeline
from ingestion_pipeline.domain.columns import COLUMNS as CONTRACT
from ingestion_pipeline.domain.errors import InputRefusedError
from ingestion_pipeline.domain.ports import Blocks
from ingestion_pipeline.domain.reports import SyncReport
from ingestion_pipeline.stores.postgres import first_load
from ingestion_pipeline.stores.postgres.pool import Cursor
from ingestion_pipeline_tests.conftest import Site
from ingestion_pipeline_tests.files import COLUMNS, TABLES, assert_agree, person, spelled

WHOLE = tuple(column.name for column in CONTRACT)
RICH = {
    "link": "https://example.org/a?b=c",
    "processed": "yes",
    "document_text": 'two "lines",\n\\.\nand \\N more\r\n',
    "last_download_attempt": "2024-02-03T04:05:06.000007",
    "file_uuids": '{"a": "b"}',
    "s3_paths": '{"b": "2", "aa": "1"}',
}
ODD = {
    "processed": "TRUE",
    "permanent_failure": "no",
    "last_download_attempt": "2024-02-03 04:05:06Z",
    "file_uuids": '{"aa":"1","b":"2"}',
    "s3_paths": "{}",
}
BAD = {
    "processed": "maybe",
    "permanent_failure": " yes",
    "last_download_attempt": "2024-02-30T00:00:00",
    "file_uuids": '["\\n"]',
    "s3_paths": '{"a": 1}',
}
ROWS = [
    person(5, **RICH),
    person("a,\"b'", **ODD),
    person(3, **BAD, document_text="\\."),
    person("\\.", name="", email=' "', type="\\N", link="\n"),
    person("é\u2028", **RICH | {"processed": ""}),
]


def by_name(rows: Sequence[Sequence[str]], header: Sequence[str]) -> list[list[str]]:
    return [[dict(zip(COLUMNS, row, strict=True)).get(name, "") for name in header] for row in rows]


def stored(site: Site) -> list[list[tuple[object, ...]]]:
    """Everything but numbers and times that no two loads have in common."""
    left_out = "{id,person_id,write_id,created_at,updated_at,revision,found_at,synced_at,at}"
    tables = (
        *TABLES,
        "ingestion.quarantine",
        "ingestion.duplicate",
        "ingestion.csv_file",
        "ingestion.history",
    )
    rows = [site.execute(f"SELECT to_jsonb(t) - '{left_out}'::text[] FROM {table} t") for table in tables]
    joined = site.execute(
        "SELECT to_jsonb(r) - '{person_id,revision}'::text[] FROM ingestion.record r ORDER BY ordinal"
    )
    return [sorted(table, key=str) for table in rows] + [joined]


def empty(site: Site) -> None:
    for table in ("people", "ingestion.quarantine", "ingestion.csv_file", "ingestion.history"):
        site.execute(f"DELETE FROM {table}")


def two_ways(
    site: Site, pipeline: Pipeline, monkeypatch: pytest.MonkeyPatch
) -> tuple[SyncReport, SyncReport]:
    """Load the file straight, see that it agrees, and again by way of staging; both make the same."""
    straight = pipeline.sync()
    assert_agree(site, pipeline)
    made = stored(site)
    empty(site)
    monkeypatch.setattr(first_load, "is_empty", lambda _cursor: False)
    staged = pipeline.sync()
    assert stored(site) == made
    assert replace(staged, seconds=straight.seconds) == straight
    return straight, staged


def loads(monkeypatch: pytest.MonkeyPatch) -> list[first_load.Loaded | None]:
    """What came of each file that was to be loaded straight."""
    found: list[first_load.Loaded | None] = []

    def load(cursor: Cursor, file: Blocks) -> first_load.Loaded | None:
        found.append(LOAD(cursor, file))
        return found[-1]

    monkeypatch.setattr(first_load, "load", load)
    return found


LOAD = first_load.load
HEADERS = {
    "known": COLUMNS,
    "whole": WHOLE,
    "turned": tuple(reversed(WHOLE)),
    "mixed": WHOLE[1::2] + WHOLE[0::2],
    "least": ("name", "row_id"),
    "no maps": tuple(name for name in WHOLE if name not in ("file_uuids", "s3_paths")),
}


@pytest.mark.parametrize("header", HEADERS.values(), ids=HEADERS)
@pytest.mark.parametrize("quoting", ["minimal", "nonempty", "all"])
def test_it_makes_what_staging_makes(
    header: tuple[str, ...],
    quoting: str,
    site: Site,
    pipeline: Pipeline,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    end = "\r\n" if quoting == "all" else "\n"
    site.put(spelled(by_name(ROWS, header), header, quoting=quoting, end=end, final=quoting != "nonempty"))
    found = loads(monkeypatch)
    report, _ = two_ways(site, pipeline, monkeypatch)
    assert found == [first_load.Loaded(len(ROWS), report.quarantined_cells)]
    assert report.inserted == len(ROWS)


@pytest.mark.parametrize("odd", [person(5, **RICH), person(5), person(""), person("x" * 51)])
def test_a_file_with_rows_to_set_aside_goes_by_way_of_staging(
    odd: list[str], site: Site, pipeline: Pipeline, monkeypatch: pytest.MonkeyPatch
) -> None:
    site.put(spelled([*ROWS, odd]))
    found = loads(monkeypatch)
    report, _ = two_ways(site, pipeline, monkeypatch)
    assert found == [None]
    assert report.repeated + report.quarantined_rows == 1


def test_rows_in_quarantine_alone_are_not_nothing(
    site: Site, pipeline: Pipeline, monkeypatch: pytest.MonkeyPatch
) -> None:
    site.put(spelled([person("")]))
    pipeline.sync()
    found = loads(monkeypatch)
    site.put(spelled([person(""), person(1)]))
    pipeline.sync()
    assert found == []
    assert_agree(site, pipeline)


def test_new_people_get_numbers_after_those_loaded(site: Site, pipeline: Pipeline) -> None:
    site.put(spelled(ROWS))
    pipeline.sync()
    pipeline.write("new", {"name": "N", "email": "", "type": ""})
    assert site.execute("SELECT count(*), count(DISTINCT id) FROM people WHERE id > 0") == [(6, 6)]
    assert_agree(site, pipeline)


def test_a_refused_file_leaves_nothing(site: Site, pipeline: Pipeline) -> None:
    site.put(spelled(ROWS) + b"1,2\n")
    with pytest.raises(InputRefusedError):
        pipeline.sync()
    assert site.execute("SELECT count(*) FROM people") == [(0,)]


def test_children_of_nobody_are_refused_at_once_elsewhere(site: Site, pipeline: Pipeline) -> None:
    pipeline.sync()
    with pytest.raises(errors.ForeignKeyViolation):
        site.execute("INSERT INTO processing_status (person_id) VALUES (-1); SELECT 1")

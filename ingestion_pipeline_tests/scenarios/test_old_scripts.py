"""Scripts that read the whole CSV, work a while and write the whole CSV back, between writes of ours."""

import csv
import os
from collections.abc import Callable
from pathlib import Path

import pytest

from ingestion_pipeline.app import Pipeline, open_pipeline
from ingestion_pipeline.domain.errors import ProtectedError
from ingestion_pipeline.domain.phase import Phase
from ingestion_pipeline_tests.conftest import Site
from ingestion_pipeline_tests.files import COLUMNS, assert_agree, people, spelled
from ingestion_pipeline_tests.phases import lead

Rows = list[dict[str, str]]


def read(path: Path) -> Rows:
    with path.open(newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))


def rewrite(path: Path, rows: Rows) -> None:
    """As the old scripts do it: a temporary file, no fsync, no lock anybody heeds."""
    beside = path.with_name("temporary.csv")
    with beside.open("w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, COLUMNS, lineterminator="\n")
        writer.writeheader()
        writer.writerows(rows)
    os.replace(beside, path)  # noqa: PTH105 - as they do


def rewrite_in_place(path: Path, rows: Rows) -> None:
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, COLUMNS, lineterminator="\n")
        writer.writeheader()
        writer.writerows(rows)


def cell(rows: Rows, row_id: str, column: str) -> str:
    [found] = [row[column] for row in rows if row["row_id"] == row_id]
    return found


@pytest.fixture(params=["original", "dual_write"])
def leading(request: pytest.FixtureRequest, site: Site) -> str:
    phase = str(request.param)
    site.config.write_text(f"migration:\n  phase: {phase}\n")
    site.put(spelled(people(range(40, 0, -1))))
    if phase == "dual_write":
        with open_pipeline(site.config) as opened:
            opened.sync()
    return phase


@pytest.fixture(params=[rewrite, rewrite_in_place], ids=["replaced", "in place"])
def save(request: pytest.FixtureRequest) -> Callable[[Path, Rows], None]:
    saving: Callable[[Path, Rows], None] = request.param
    return saving


def agree(site: Site, pipeline: Pipeline, phase: str) -> None:
    pipeline.settle()
    if phase == "dual_write":
        assert_agree(site, pipeline)


def test_a_script_between_two_writes_loses_nothing(
    site: Site, leading: str, save: Callable[[Path, Rows], None], pipeline: Pipeline
) -> None:
    pipeline.write("7", {"document_text": "written before"})
    rows = read(site.csv)
    for row in rows:
        row["type"] = "ENTP" if row["row_id"] == "9" else row["type"]
    save(site.csv, rows)

    pipeline.write("8", {"document_text": "written after"})

    now = read(site.csv)
    assert cell(now, "7", "document_text") == "written before"
    assert cell(now, "8", "document_text") == "written after"
    assert cell(now, "9", "type") == "ENTP"
    agree(site, pipeline, leading)
    merged = pipeline.status().merged
    assert merged is not None
    assert (merged.restored, merged.gone) == (0, 0)


def test_a_script_that_read_before_our_writes_undoes_none_of_them(
    site: Site, leading: str, save: Callable[[Path, Rows], None], pipeline: Pipeline
) -> None:
    rows = read(site.csv)
    for number in range(1, 6):
        pipeline.write(str(number), {"document_text": f"written meanwhile {number}", "processed": "yes"})
    pipeline.write("77", {"name": "New", "email": "new@example.org", "type": "INTJ"})
    rows[-1]["type"] = "ENTP"
    save(site.csv, rows)

    receipt = pipeline.write("20", {"type": "ISFP"})

    now = read(site.csv)
    assert [cell(now, str(n), "document_text") for n in range(1, 6)] == [
        f"written meanwhile {n}" for n in range(1, 6)
    ]
    assert cell(now, "77", "name") == "New"
    assert cell(now, "1", "type") == "ENTP"
    assert cell(now, "20", "type") == "ISFP"
    agree(site, pipeline, leading)
    merged = pipeline.status().merged
    assert merged is not None
    assert merged.restored == 6
    assert receipt.row_id == "20"


def test_another_process_notices_too(site: Site, leading: str) -> None:
    with open_pipeline(site.config) as one:
        rows = read(site.csv)
        one.write("3", {"type": "ENFJ"})
        rewrite(site.csv, rows)
    with open_pipeline(site.config) as other:
        assert (other.read("3") or {})["type"] == "ENFJ"
        agree(site, other, leading)


def test_half_a_file_is_not_written_to(site: Site, leading: str, pipeline: Pipeline) -> None:
    pipeline.write("7", {"document_text": "kept"})
    whole = site.csv.read_bytes()
    site.csv.write_bytes(b"".join(whole.splitlines(keepends=True)[:10]))

    for _ in range(2):
        with pytest.raises(ProtectedError, match="rows are gone") as caught:
            pipeline.write("8", {"document_text": "refused"})
        assert caught.value.code == "brake"
    site.csv.write_bytes(whole)
    pipeline.write("8", {"document_text": "written"})
    agree(site, pipeline, leading)


def test_rows_may_go_where_that_is_meant(site: Site, leading: str, pipeline: Pipeline) -> None:
    pipeline.write("40", {"document_text": "kept"})
    site.csv.write_bytes(b"".join(site.csv.read_bytes().splitlines(keepends=True)[:11]))

    pipeline.settle(accept_loss=True)

    assert len(read(site.csv)) == 10
    agree(site, pipeline, leading)
    pipeline.write("40", {"document_text": "and on"})
    agree(site, pipeline, leading)


def test_a_script_before_the_first_write_of_ours_is_brought_over_too(site: Site, pipeline: Pipeline) -> None:
    site.put(spelled(people(range(9, 0, -1))))
    pipeline.sync()
    rows = read(site.csv)
    rows[0]["type"] = "ENTP"
    rewrite(site.csv, rows)

    pipeline.write("1", {"type": "ISFP"})

    assert_agree(site, pipeline)


def test_status_words_are_no_evidence_of_what_a_script_has_seen(
    site: Site, leading: str, pipeline: Pipeline
) -> None:
    rows = read(site.csv)
    pipeline.write("1", {"document_text": "acknowledged"})
    pipeline.write("2", {"link": "completed"})
    pipeline.write("3", {"link": "completed"})
    for row in rows:
        row["link"] = "completed" if row["row_id"] in ("2", "3") else row["link"]
    rewrite(site.csv, rows)

    pipeline.write("9", {"type": "ISFP"})

    assert cell(read(site.csv), "1", "document_text") == "acknowledged"
    agree(site, pipeline, leading)


def test_what_postgres_wrote_while_it_led_is_not_undone(site: Site, pipeline: Pipeline) -> None:
    site.put(spelled(people(range(4))))
    pipeline.sync()
    pipeline.write("1", {"link": "first text"})
    pipeline.write("1", {"link": "second text"})
    lead(pipeline, Phase.DATABASE_PRIMARY)
    pipeline.write("1", {"link": "first text"})
    lead(pipeline, Phase.DUAL_WRITE)
    rows = read(site.csv)
    rows[0]["type"] = "ENTP"
    rewrite(site.csv, rows)

    pipeline.write("3", {"type": "ISFP"})

    assert cell(read(site.csv), "1", "link") == "first text"
    assert_agree(site, pipeline)

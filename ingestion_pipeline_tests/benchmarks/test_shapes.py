"""The made-up files: the same each time, two that are not alike, and all within the contract."""

import csv
from pathlib import Path

import pytest

from benchmarks.shapes import COLUMNS, DOCUMENTS, FILLED, LARGE, SHAPES, Shape, changed, planted
from ingestion_pipeline.app import Pipeline
from ingestion_pipeline_tests.conftest import Site

shapes = pytest.mark.parametrize("shape", SHAPES.values(), ids=SHAPES)


def made(shape: Shape, path: Path, rows: int, **given: object) -> bytes:
    shape.write(path, rows, **given)  # type: ignore[arg-type]
    return path.read_bytes()


@shapes
def test_a_file_is_the_same_each_time(shape: Shape, tmp_path: Path) -> None:
    assert made(shape, tmp_path / "one", 50) == made(shape, tmp_path / "two", 50)


@shapes
def test_a_sync_takes_every_row_and_the_same_bytes_come_back(
    shape: Shape, site: Site, pipeline: Pipeline
) -> None:
    shape.write(site.csv, 60)

    report = pipeline.sync()

    assert (report.inserted, report.quarantined_rows, report.quarantined_cells, report.repeated) == (
        60,
        0,
        0,
        0,
    )
    assert pipeline.compare().bytes_equal


def test_the_shapes_are_not_alike(tmp_path: Path) -> None:
    one, other = (made(shape, tmp_path / shape.name, 1000) for shape in (DOCUMENTS, FILLED))

    assert len(one) > 2.5 * len(other)
    assert (b"\r\n" in one, b"\r\n" in other) == (False, True)
    assert (one.isascii(), other.isascii()) == (True, False)
    filled = [share_filled(tmp_path / shape.name) for shape in (DOCUMENTS, FILLED)]
    assert filled[0] < 0.4
    assert filled[1] > 0.8


def share_filled(path: Path) -> float:
    with path.open(newline="", encoding="utf-8") as file:
        row = list(csv.reader(file))[1]
    return sum(map(bool, row)) / len(COLUMNS)


def test_documents_are_as_long_as_they_are_said_to_be_and_a_third_of_them_is_quoted(tmp_path: Path) -> None:
    content = made(DOCUMENTS, tmp_path / "csv", 600)

    assert 1500 < len(content) / 600 < 1750
    with (tmp_path / "csv").open(newline="", encoding="utf-8") as file:
        texts = [row["document_text"] for row in csv.DictReader(file)]
    assert sum('"' in text and "\n" in text for text in texts) == 200


def test_some_cells_are_large(tmp_path: Path) -> None:
    FILLED.write(tmp_path / "csv", 1000)

    with (tmp_path / "csv").open(newline="", encoding="utf-8") as file:
        longest = max(len(row["document_text"]) for row in csv.DictReader(file))
    assert LARGE * 0.5 < longest <= LARGE


@shapes
def test_an_edit_changes_no_other_row(shape: Shape, tmp_path: Path) -> None:
    before = made(shape, tmp_path / "one", 100).split(shape.end.encode())
    after = made(shape, tmp_path / "two", 100, edits=changed(100, 5, type="other")).split(shape.end.encode())

    assert len(before) == len(after)
    assert sum(one != other for one, other in zip(before, after, strict=True)) == 5


@shapes
def test_what_is_planted_is_what_a_comparison_names(shape: Shape, site: Site, pipeline: Pipeline) -> None:
    known = planted(shape, 100, 4)
    shape.write(site.csv, 100)
    pipeline.sync()
    shape.write(site.csv, 100, known.edits)

    report = pipeline.compare(limit=100)

    assert {(one.row_id, one.column, one.kind.value) for one in report.differences} == known.differences
    assert len(known.differences) == 12

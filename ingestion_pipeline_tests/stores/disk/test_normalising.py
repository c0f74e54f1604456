"""A normalised copy: no cell is changed, and every row that is spelled otherwise is named."""

import csv
import io
import stat
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ingestion_pipeline.domain.dialect import LineEnd
from ingestion_pipeline.domain.errors import InputRefusedError, ProtectedError
from ingestion_pipeline.domain.reports import Respelled
from ingestion_pipeline.stores.disk.csv_reading import CsvReading
from ingestion_pipeline.stores.disk.normalising import normalise
from ingestion_pipeline_tests.stores.disk.strategies import CELLS

HEAD = b"row_id,name,email\n"


def normalised(folder: Path, content: bytes) -> tuple[bytes, tuple[Respelled, ...]]:
    source, target = folder / "source.csv", folder / "target.csv"
    source.write_bytes(content)
    target.unlink(missing_ok=True)
    report = normalise(source, target)
    assert report.path == str(target)
    return target.read_bytes(), report.changes


def test_a_normal_file_is_copied_without_a_change(tmp_path: Path) -> None:
    content = HEAD + b'1,"a,b",\n2,"\r","c\nd"\n'
    assert normalised(tmp_path, content) == (content, ())


@pytest.mark.parametrize(
    ("body", "copy", "changes"),
    [
        (b'1,"a",\n', b"1,a,\n", [(2, "name")]),
        (b'"1",a,\n', b"1,a,\n", [(2, "row_id")]),
        (b'1,a,""\n', b"1,a,\n", [(2, "email")]),
        (b"1,a,\r\n2,b,\n", b"1,a,\n2,b,\n", [(2, "email")]),
        (b"1,a,\n2,b,", b"1,a,\n2,b,\n", [(3, "email")]),
        (b'1,"a\nb",\n2,"c",\n', b'1,"a\nb",\n2,c,\n', [(4, "name")]),
        (b'1,a"b,\n', b'1,"a""b",\n', [(2, "name")]),
        (b'1,"a\r\nb",\r\n', b'1,"a\r\nb",\n', [(2, "email")]),
        (b'1,"a",""\n2,b,\n3,"c",\n', b"1,a,\n2,b,\n3,c,\n", [(2, "name"), (4, "name")]),
        (b"1,a,b\r2,c,d\n", b"1,a,b\n2,c,d\n", [(2, "email")]),
    ],
)
def test_rows_are_respelled_and_named(
    body: bytes, copy: bytes, changes: list[tuple[int, str]], tmp_path: Path
) -> None:
    expected = tuple(Respelled(line, column) for line, column in changes)
    assert normalised(tmp_path, HEAD + body) == (HEAD + copy, expected)


@pytest.mark.parametrize(
    "head",
    [b"\xef\xbb\xbf" + HEAD, HEAD[:-1] + b"\r\n", b'"row_id","name","email"\n', HEAD[:-1]],
    ids=["bom", "crlf", "quoted", "no newline"],
)
def test_the_header_is_respelled_and_named(head: bytes, tmp_path: Path) -> None:
    assert normalised(tmp_path, head) == (HEAD, (Respelled(1, None),))


ANY_CELL = st.tuples(CELLS, st.booleans()).map(
    lambda spelled: (
        '"' + spelled[0].replace('"', '""') + '"'
        if spelled[1] or set(spelled[0]) & set(',"\r\n')
        else spelled[0]
    )
)
MIXED = st.lists(
    st.tuples(ANY_CELL, ANY_CELL, ANY_CELL, st.sampled_from(LineEnd)).map(
        lambda row: ",".join(row[:3]) + str(row[3])
    ),
    max_size=6,
).map("".join)


@settings(deadline=None, max_examples=100)
@given(MIXED)
def test_a_normalised_copy_passes_and_holds_the_same_cells(
    tmp_path_factory: pytest.TempPathFactory, body: str
) -> None:
    folder = tmp_path_factory.getbasetemp()
    normalised(folder, HEAD + body.encode())
    with CsvReading(folder / "target.csv") as file:
        rows = [row for block in file.blocks() for row in block.rows]
        assert file.dialect.line_end is LineEnd.LF
    assert rows == list(csv.reader(io.StringIO(body, newline=""), strict=True))


@settings(deadline=None, max_examples=60)
@given(MIXED)
def test_a_second_normalising_changes_nothing(tmp_path_factory: pytest.TempPathFactory, body: str) -> None:
    folder = tmp_path_factory.getbasetemp()
    copy, _ = normalised(folder, HEAD + body.encode())
    assert normalised(folder, copy) == (copy, ())


def test_the_copy_is_its_owners_and_made_once(tmp_path: Path) -> None:
    normalised(tmp_path, HEAD)
    normalise(tmp_path / "source.csv", tmp_path / "target.csv")
    assert stat.S_IMODE((tmp_path / "target.csv").stat().st_mode) == 0o600


def test_another_file_in_its_place_is_left_alone(tmp_path: Path) -> None:
    source, target = tmp_path / "source.csv", tmp_path / "target.csv"
    source.write_bytes(HEAD)
    target.write_bytes(b"another")
    with pytest.raises(ProtectedError, match="another file"):
        normalise(source, target)
    assert target.read_bytes() == b"another"


@pytest.mark.parametrize("body", [b"1,a\n", b'1,"a"b,\n', b"1,\xff,\n", b"1,a,\n\n", b"1,\0,\n"])
def test_what_is_not_this_table_is_not_normalised(body: bytes, tmp_path: Path) -> None:
    with pytest.raises(InputRefusedError):
        normalised(tmp_path, HEAD + b'1,"a",\n' + body)
    assert [path.name for path in tmp_path.iterdir()] == ["source.csv"]


def test_a_symbolic_link_is_not_replaced(tmp_path: Path) -> None:
    source, target = tmp_path / "source.csv", tmp_path / "target.csv"
    source.write_bytes(HEAD)
    target.symlink_to("source.csv")
    with pytest.raises(ProtectedError, match="symbolic link"):
        normalise(source, target)

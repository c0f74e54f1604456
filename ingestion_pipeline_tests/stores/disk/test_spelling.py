"""Spelling: one text per dialect, the same on every Python version, and back to where two texts part."""

import csv
import io

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from ingestion_pipeline.domain.dialect import Dialect, LineEnd, Quoting
from ingestion_pipeline.stores.disk.spelling import parting, spell, spell_cell
from ingestion_pipeline_tests.stores.disk.strategies import CELLS, spelled_by_hand

COLUMNS = ("row_id", "name", "email")
ROWS = st.lists(st.lists(CELLS, min_size=3, max_size=3), max_size=6)
QUOTINGS = st.sampled_from(Quoting)
LINE_ENDS = st.sampled_from(LineEnd)


@pytest.mark.parametrize(
    ("quoting", "text"),
    [
        (Quoting.MINIMAL, 'a,,"b,"\n'),
        (Quoting.NONEMPTY, '"a",,"b,"\n'),
        (Quoting.ALL, '"a","","b,"\n'),
    ],
)
def test_cells_are_quoted_as_the_dialect_says(quoting: Quoting, text: str) -> None:
    assert spell([["a", "", "b,"]], quoting, LineEnd.LF) == text


@pytest.mark.parametrize("line_end", LineEnd)
@pytest.mark.parametrize("cell", [",", '"', "\n", "\r", "\r\n", "a\rb", "a,b"])
def test_a_cell_that_would_not_read_back_is_quoted(cell: str, line_end: LineEnd) -> None:
    quoted = '"' + cell.replace('"', '""') + '"'
    assert spell([["1", cell]], Quoting.MINIMAL, line_end) == f"1,{quoted}{line_end}"


@pytest.mark.parametrize("line_end", LineEnd)
@pytest.mark.parametrize("cell", [" ", "\t", "'", ";", "\x0b", "\x85", "\u2028", "\\", "#", " a "])
def test_nothing_else_is_quoted(cell: str, line_end: LineEnd) -> None:
    assert spell([["1", cell]], Quoting.MINIMAL, line_end) == f"1,{cell}{line_end}"


def test_every_line_is_ended() -> None:
    assert spell([["1", "a"], ["2", "b"]], Quoting.MINIMAL, LineEnd.CRLF) == "1,a\r\n2,b\r\n"
    assert spell([], Quoting.MINIMAL, LineEnd.LF) == ""


@settings(deadline=None, max_examples=300)
@given(ROWS, QUOTINGS, LINE_ENDS)
@example([["\r", "a", ""], ["", "", ""]], Quoting.MINIMAL, LineEnd.LF)
def test_rows_are_spelled_by_the_rule(rows: list[list[str]], quoting: Quoting, line_end: LineEnd) -> None:
    dialect = Dialect(COLUMNS, line_end, quoting)
    expected = spelled_by_hand(dialect, rows)[len(dialect.header()) :]
    assert spell(rows, quoting, line_end).encode() == expected


@settings(deadline=None, max_examples=200)
@given(ROWS, QUOTINGS, LINE_ENDS)
def test_rows_read_back(rows: list[list[str]], quoting: Quoting, line_end: LineEnd) -> None:
    text = io.StringIO(spell(rows, quoting, line_end), newline="")
    assert list(csv.reader(text, strict=True)) == rows


@settings(deadline=None, max_examples=200)
@given(CELLS, CELLS, QUOTINGS, LINE_ENDS)
def test_a_cell_alone_is_spelled_as_in_its_row(one: str, other: str, quoting: Quoting, end: LineEnd) -> None:
    row = ",".join(spell_cell(cell, quoting) for cell in (one, other)) + end
    assert spell([[one, other]], quoting, end) == row


ROWS_HERE = [["1", "a,b", ""], ["2", "c", "d"]]


@pytest.mark.parametrize(
    ("source", "parts"),
    [
        ('1,"a,b",\n2,c,d\n', (2, 0, 15)),
        ('"1","a,b",\n2,c,d\n', (0, 0, 0)),
        ('1,"a,b",""\n2,c,d\n', (0, 2, 8)),
        ('1,"a,b",\r\n2,c,d\n', (0, 2, 8)),
        ('1,"a,b",\n2,"c",d\n', (1, 1, 11)),
        ('1,"a,b",\n2,c,d', (1, 2, 14)),
        ('1,"a,b",\n2,c,d\r\n', (1, 2, 14)),
        ('1,"a,b",\n"2",c,d\n', (1, 0, 9)),
    ],
)
def test_the_parting_is_found(source: str, parts: tuple[int, int, int]) -> None:
    assert parting(ROWS_HERE, source, Quoting.MINIMAL, LineEnd.LF) == parts


@settings(deadline=None, max_examples=200)
@given(ROWS, QUOTINGS, QUOTINGS, LINE_ENDS, LINE_ENDS)
def test_texts_part_where_their_common_beginning_ends(
    rows: list[list[str]], quoting: Quoting, other: Quoting, line_end: LineEnd, other_end: LineEnd
) -> None:
    source, spelled = spell(rows, other, other_end), spell(rows, quoting, line_end)
    common = next(
        (i for i, (a, b) in enumerate(zip(source, spelled, strict=False)) if a != b),
        min(len(source), len(spelled)),
    )
    row, cell, offset = parting(rows, source, quoting, line_end)
    assert offset == common
    before = spell(rows[:row], quoting, line_end) + "".join(
        spell_cell(text, quoting) + "," for text in (rows[row][:cell] if row < len(rows) else [])
    )
    assert spelled.startswith(before)
    assert len(before) <= offset

"""Spreadsheets: no cell is run as a formula, and every cell comes back."""

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from ingestion_pipeline.domain.errors import InputRefusedError
from ingestion_pipeline.domain.spreadsheet import escape, unescape

RUN = ("=", "+", "-", "@", "\t", "\r")
cells = st.text() | st.text(alphabet="'=+-@\t\r\nx", max_size=6)


@given(cells)
@example("'")
@example("''=")
def test_every_cell_comes_back(cell: str) -> None:
    assert unescape(escape(cell)) == cell


@given(cells)
def test_no_escaped_cell_is_run(cell: str) -> None:
    assert not escape(cell).startswith(RUN)


@pytest.mark.parametrize("cell", ["=1+1", "-x", "@a", "\t", "+"])
def test_cell_that_lost_its_apostrophe_is_refused(cell: str) -> None:
    with pytest.raises(InputRefusedError):
        unescape(cell)


@given(cells)
def test_other_cells_are_as_they_were(cell: str) -> None:
    if not cell.lstrip("'").startswith(RUN):
        assert escape(cell) == cell == unescape(cell)


@given(cells)
def test_quotes_are_needed_as_before(cell: str) -> None:
    tells = set(',"\r\n')
    assert (set(escape(cell)) & tells, bool(escape(cell))) == (set(cell) & tells, bool(cell))


@pytest.mark.parametrize(
    ("cell", "escaped"),
    [
        ("=1+1", "'=1+1"),
        ("-5", "'-5"),
        ("'=1", "''=1"),
        ("'x", "'x"),
        ("a=b", "a=b"),
        ("", ""),
        (" =1", " =1"),
    ],
)
def test_how_it_is_written(cell: str, escaped: str) -> None:
    assert (escape(cell), unescape(escaped)) == (escaped, cell)

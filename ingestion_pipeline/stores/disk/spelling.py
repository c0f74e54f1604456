"""Rows to CSV text, and back to the cell where two texts part."""

import csv
import io
from collections.abc import Sequence
from typing import Literal, assert_never

from ingestion_pipeline.domain.dialect import LineEnd, Quoting

_TELLS = frozenset(',"\r\n')
_STYLES: dict[Quoting, Literal[0, 1]] = {Quoting.MINIMAL: csv.QUOTE_MINIMAL, Quoting.ALL: csv.QUOTE_ALL}


def spell(rows: Sequence[Sequence[str]], quoting: Quoting, line_end: LineEnd) -> str:
    """The text of these rows, every line ended, the same on every Python version.

    The csv module's writer is used where its answer does not depend on the version: before 3.13 it
    leaves a carriage return unquoted when lines end with LF.
    """
    if quoting is Quoting.NONEMPTY:
        return _spell_plainly(rows, quoting, line_end)
    text = io.StringIO(newline="")
    csv.writer(text, lineterminator=line_end, quoting=_STYLES[quoting]).writerows(rows)
    spelled = text.getvalue()
    if line_end is LineEnd.LF and quoting is Quoting.MINIMAL and "\r" in spelled:
        return _spell_plainly(rows, quoting, line_end)
    return spelled


def spell_cell(cell: str, quoting: Quoting) -> str:
    """One cell's text in the file."""
    match quoting:
        case Quoting.ALL:
            quoted = True
        case Quoting.NONEMPTY:
            quoted = bool(cell)
        case Quoting.MINIMAL:
            quoted = not _TELLS.isdisjoint(cell)
        case _:
            assert_never(quoting)
    return '"' + cell.replace('"', '""') + '"' if quoted else cell


def _spell_plainly(rows: Sequence[Sequence[str]], quoting: Quoting, line_end: LineEnd) -> str:
    return "".join(",".join(spell_cell(cell, quoting) for cell in row) + line_end for row in rows)


def parting(
    rows: Sequence[Sequence[str]], source: str, quoting: Quoting, line_end: LineEnd
) -> tuple[int, int, int]:
    """Where the source first parts from the spelling of its own rows.

    Returns:
        The row's index, the cell's index, and the character's offset in the source.
    """
    start = 0
    for row_index, row in enumerate(rows):
        for cell_index, cell in enumerate(row):
            last = cell_index == len(row) - 1
            expected = spell_cell(cell, quoting) + (line_end if last else ",")
            if not source.startswith(expected, start):
                found = source[start : start + len(expected)]
                return row_index, cell_index, start + _common(expected, found)
            start += len(expected)
    return len(rows), 0, start


def _common(one: str, other: str) -> int:
    pairs = zip(one, other, strict=False)
    return next((index for index, (a, b) in enumerate(pairs) if a != b), min(len(one), len(other)))

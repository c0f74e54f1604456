"""What each table gets of a file's rows, cut out of the file's own bytes, as COPY reads it."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from psycopg2 import sql

from ingestion_pipeline.domain.columns import BY_NAME, COLUMNS, Codec, Column, Table
from ingestion_pipeline.domain.ports import RowBlock
from ingestion_pipeline.domain.record import Correction
from ingestion_pipeline.stores.postgres import expressions

Corrections = Mapping[int, Correction]
"""By row, counted from 0 in its block, the cells to load otherwise than they are spelled."""


def quoted(text: str) -> bytes:
    """A text as one cell for COPY."""
    return ('"' + text.replace('"', '""') + '"').encode()


class TableTexts:
    """One table's columns of a file.

    Args:
        names: The file's header.
        table: The table.
    """

    def __init__(self, names: Sequence[str], table: Table) -> None:
        self.table = table
        self._parts = _parts([BY_NAME[name] for name in names], table)
        absent = [column for column in COLUMNS if column.name not in names]
        self._blank = [column for column in absent if column.table is table and column.required]

    @property
    def columns(self) -> list[Column]:
        """The columns, in the order of their texts; last those that are never NULL and not in the file."""
        return [*(column for part in self._parts for column in part.columns), *self._blank]

    def of(self, block: RowBlock, corrections: Corrections) -> list[list[bytes]]:
        """The texts of one or more columns side by side, each a list by row."""
        blank = ([b""] * len(block) for _ in self._blank)
        return [*(part.texts(block, corrections) for part in self._parts), *blank]

    def options(self) -> sql.Composed:
        """How COPY is to read an empty cell, in quotes or not: as NULL wherever the column knows one."""
        known = (
            ("FORCE_NOT_NULL", [column for column in self.columns if column.required]),
            ("FORCE_NULL", [column for column in self.columns if not column.required]),
        )
        named = (
            sql.SQL(", {} ({})").format(sql.SQL(option), expressions.names(columns))
            for option, columns in known
            if columns
        )
        return sql.SQL("").join(named)


@dataclass(frozen=True, slots=True)
class _Part:
    """Columns that stand side by side in the file: any number of texts, or one that is coded."""

    first: int
    columns: tuple[Column, ...]

    def is_joined_by(self, place: int, column: Column) -> bool:
        follows = place == self.first + len(self.columns)
        return follows and column.codec.is_text and self.columns[0].codec.is_text

    def texts(self, block: RowBlock, corrections: Corrections) -> list[bytes]:
        column = self.columns[0]
        if column.codec is Codec.FLAG:
            texts = [b"no"] * len(block)
            for row, _ in block.filled(self.first):
                texts[row] = b"yes"
        else:
            texts = block.spans(self.first, self.first + len(self.columns) - 1)
        for row, correction in corrections.items():
            if column.name in correction.verbatim:
                texts[row] = _corrected(column, correction)
        return texts


def _corrected(column: Column, correction: Correction) -> bytes:
    if column.name in correction.reasons:
        return b""
    canonical = correction.canonical[column.name]
    return b"no" if column.codec is Codec.FLAG and not canonical else quoted(canonical)


def _parts(columns: Sequence[Column], table: Table) -> list[_Part]:
    parts: list[_Part] = []
    for place, column in enumerate(columns):
        if column.table is not table:
            continue
        if parts and parts[-1].is_joined_by(place, column):
            parts[-1] = _Part(parts[-1].first, (*parts[-1].columns, column))
        else:
            parts.append(_Part(place, (column,)))
    return parts

"""Staging: a file's rows in temporary tables, as typed records, for one transaction."""

import csv
import json
import tempfile
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Self, TextIO, cast

from psycopg2 import sql

from ingestion_pipeline.domain.columns import BY_NAME, Column
from ingestion_pipeline.domain.ports import Blocks
from ingestion_pipeline.domain.record import Correction, Examination, Rejection
from ingestion_pipeline.stores.postgres import expressions, queries
from ingestion_pipeline.stores.postgres.copying import IN_MEMORY, copy_from
from ingestion_pipeline.stores.postgres.pool import Cursor

_sql = queries.load("staging")


@dataclass(frozen=True, slots=True)
class Staged:
    """What lies in the temporary tables.

    Attributes:
        columns: The file's columns, in contract order.
        rows: Rows staged, set aside or not.
    """

    columns: tuple[Column, ...]
    rows: int


def stage(cursor: Cursor, file: Blocks) -> Staged:
    """Stage a file's rows; they are gone when the transaction ends.

    Raises:
        InputRefusedError: From the file, when a row does not keep the contract.
    """
    columns = [BY_NAME[name] for name in file.columns]
    coded = [column for column in columns if not column.codec.is_text]
    with _Exceptions(coded) as exceptions:
        _create(cursor, columns, coded)
        copy = _sql.fill("copy_staged", columns=expressions.names(columns))
        rows = copy_from(cursor, copy, _watched(file, exceptions))
        exceptions.copy(cursor)
    cursor.execute(_sql.analyse_staged)
    cursor.execute(
        _sql.fill(
            "set_repeats_aside",
            again=expressions.names(columns, "again"),
            first=expressions.names(columns, "first"),
        )
    )
    present = set(file.columns)
    return Staged(tuple(column for name, column in BY_NAME.items() if name in present), rows)


def _create(cursor: Cursor, columns: Sequence[Column], coded: Sequence[Column]) -> None:
    cursor.execute(_sql.fill("create_staged", definitions=expressions.text_columns(columns)))
    definitions = expressions.each(", {name} text", coded, separator="")
    cursor.execute(_sql.fill("create_correction", definitions=definitions))
    cursor.execute(_sql.create_set_aside)
    typed = sql.SQL(", ").join(
        sql.SQL("{} AS {}").format(expressions.typed(column), expressions.name(column)) for column in columns
    )
    cursor.execute(_sql.fill("create_incoming", typed=typed))
    cells = expressions.each("{label}, staged.{name}", columns)
    cursor.execute(_sql.fill("create_rejected", cells=cells))


def _watched(file: Blocks, exceptions: "_Exceptions") -> Iterator[bytes]:
    examination = Examination(file.columns)
    for block in file.blocks():
        exceptions.keep(examination.examine(block, block.position))
        yield block.raw


class _Exceptions:
    """Corrections and rejections, kept aside while the rows take the connection."""

    def __init__(self, coded: Sequence[Column]) -> None:
        self._coded = coded
        self._corrections = _spool()
        self._rejections = _spool()
        self._to_corrections = csv.writer(self._corrections, lineterminator="\n")
        self._to_rejections = csv.writer(self._rejections, lineterminator="\n")

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._corrections.close()
        self._rejections.close()

    def keep(self, found: Iterable[Correction | Rejection]) -> None:
        """Keep what an examination found."""
        for one in found:
            match one:
                case Rejection(position, column, reason):
                    self._to_rejections.writerow((position, column, reason))
                case Correction(position, canonical, verbatim, reasons):
                    cells = (canonical.get(column.name) for column in self._coded)
                    self._to_corrections.writerow((position, _json(verbatim), _json(reasons), *cells))

    def copy(self, cursor: Cursor) -> None:
        """Send all that was kept."""
        columns = expressions.each(", {name}", self._coded, separator="")
        for spool, statement in (
            (self._corrections, _sql.fill("copy_correction", columns=columns)),
            (self._rejections, _sql.copy_set_aside),
        ):
            spool.seek(0)
            cursor.copy_expert(statement, spool)


def _spool() -> TextIO:
    spool = tempfile.SpooledTemporaryFile(  # noqa: SIM115 - closed with the exceptions it holds
        max_size=IN_MEMORY, mode="w+", encoding="utf-8", newline=""
    )
    return cast("TextIO", spool)


def _json(entries: dict[str, Any]) -> str:
    return json.dumps(entries, ensure_ascii=False)

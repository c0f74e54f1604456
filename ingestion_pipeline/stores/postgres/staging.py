"""Staging: a file's rows in temporary tables, as typed records, for one transaction."""

import csv
import json
import tempfile
from array import array
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Self, TextIO, cast

from psycopg2 import sql

from ingestion_pipeline.domain.columns import BY_NAME, Column
from ingestion_pipeline.domain.dialect import Dialect
from ingestion_pipeline.domain.ordering import UNPLACED
from ingestion_pipeline.domain.ports import Blocks, RowBlock
from ingestion_pipeline.domain.record import Correction, Examination, ParsedRows, Rejection
from ingestion_pipeline.stores.postgres import expressions, queries
from ingestion_pipeline.stores.postgres.aligning import Alignment, is_alignable
from ingestion_pipeline.stores.postgres.copying import IN_MEMORY, copy_from
from ingestion_pipeline.stores.postgres.pool import Cursor, fetch_one
from ingestion_pipeline.stores.postgres.rendering import dialect

_sql = queries.load("staging")


@dataclass(frozen=True, slots=True)
class Staged:
    """What lies in the temporary tables.

    Attributes:
        file: The file, read.
        columns: Its columns, in contract order.
        known: By place in the file, the ordinal of the same line as it is stored; such a line is not staged.
            UNPLACED for one that is.
        missed: How many people are named in the temporary table missed, where rows were told apart.
        rendered: The digest of the file that is stored, where that was read.
    """

    file: Blocks
    columns: tuple[Column, ...]
    known: "array[int]"
    missed: int = 0
    rendered: str | None = None


def stage(cursor: Cursor, open_file: Callable[[], Blocks]) -> Staged:
    """Stage a file's rows, only those that differ where that can be told; they are gone with the transaction.

    Args:
        cursor: In a transaction of its own.
        open_file: Opens the file, not yet read; asked again where the rows cannot be told apart.

    Raises:
        InputRefusedError: From the file, when a row does not keep the contract.
    """
    file = open_file()
    spelled = alignable(cursor, file)
    if spelled is None:
        return stage_all(cursor, file)
    return stage_differing(cursor, file, spelled) or stage_all(cursor, open_file())


def alignable(cursor: Cursor, file: Blocks) -> Dialect | None:
    """How the file is spelled that is stored, if its lines can be met by the other's; None if they cannot."""
    spelled = dialect(cursor)
    fits = spelled is not None and spelled.columns == file.columns
    return spelled if fits and is_alignable(cursor) else None


def stage_all(cursor: Cursor, file: Blocks) -> Staged:
    """Stage every row; see `stage`."""
    rows = stage_rows(cursor, file)
    cursor.execute(_sql.miss_all)
    return Staged(file, in_contract_order(file), array("q", [UNPLACED]) * rows)


def stage_rows(cursor: Cursor, file: Blocks) -> int:
    """Stage every row, whoever else is stored; gives how many there are."""
    columns = [BY_NAME[name] for name in file.columns]
    with _Exceptions(_coded(columns)) as exceptions:
        _create(cursor, columns)
        copy = _sql.fill("copy_staged", columns=expressions.names(columns))
        rows = copy_from(cursor, copy, (block.raw for block in _watched(file, exceptions)))
        exceptions.copy(cursor)
    cursor.execute(_sql.analyse_staged)
    cursor.execute(
        _sql.fill(
            "set_repeats_aside",
            again=expressions.names(columns, "again"),
            first=expressions.names(columns, "first"),
        )
    )
    return rows


def stage_differing(cursor: Cursor, file: Blocks, spelled: Dialect) -> Staged | None:
    """Stage the rows that are not stored to the letter, and name the people who are stored otherwise.

    None, and nothing is staged, where the file holds more than people, or the two have too little in common.

    Args:
        cursor: In a transaction of its own.
        file: The file, not yet read.
        spelled: As `alignable` gives it.
    """
    columns = [BY_NAME[name] for name in file.columns]
    with _Exceptions(_coded(columns)) as exceptions:
        rows = _Rows(file, exceptions)
        with Alignment(rows.lines(), rows.speaks, spelled) as alignment:
            if not alignment.run(cursor) or rows.rejected:
                return None
            _create(cursor, columns)
            copy = _sql.fill("copy_differing", columns=expressions.names(columns))
            copy_from(cursor, copy, (b"%d,%b\n" % (place + 1, line) for place, line in alignment.left()))
            exceptions.copy(cursor)
            copy_from(cursor, _sql.copy_missed, (b"%d\n" % ordinal for ordinal in alignment.missed))
    cursor.execute(_sql.analyse_staged)
    cursor.execute(_sql.is_repeated)
    if fetch_one(cursor)[0]:
        cursor.execute(_sql.drop)
        return None
    missed, rendered = len(alignment.missed), alignment.rendered.sha256
    return Staged(file, in_contract_order(file), alignment.known, missed, rendered)


def in_contract_order(file: Blocks) -> tuple[Column, ...]:
    """The file's columns, in the contract's order."""
    present = set(file.columns)
    return tuple(column for name, column in BY_NAME.items() if name in present)


class _Rows:
    """The file's rows, line by line."""

    def __init__(self, file: Blocks, exceptions: "_Exceptions") -> None:
        self._file = file
        self._examination = Examination(file.columns)
        self._exceptions = exceptions
        self.rejected = False

    def lines(self) -> Iterator[bytes]:
        """Each line without its end."""
        last = len(self._file.columns) - 1
        for block in self._file.blocks():
            self.rejected = self.rejected or bool(self._examination.rejections(block, block.position))
            yield from block.spans(0, last)

    def speaks(self, place: int, line: bytes) -> bool:
        """Whether a line's bytes say what its values are; what they say otherwise is kept."""
        row = ParsedRows(list(csv.reader([line.decode()], strict=True)))
        odd = self._examination.corrections(row, place + 1)
        self._exceptions.keep(odd.values())
        return not odd


def _coded(columns: Sequence[Column]) -> list[Column]:
    return [column for column in columns if not column.codec.is_text]


def _create(cursor: Cursor, columns: Sequence[Column]) -> None:
    cursor.execute(_sql.fill("create_staged", definitions=expressions.text_columns(columns)))
    definitions = expressions.each(", {name} text", _coded(columns), separator="")
    cursor.execute(_sql.fill("create_correction", definitions=definitions))
    cursor.execute(_sql.create_set_aside)
    typed = sql.SQL(", ").join(
        sql.SQL("{} AS {}").format(expressions.typed(column), expressions.name(column)) for column in columns
    )
    cursor.execute(_sql.fill("create_incoming", typed=typed))
    cells = expressions.each("{label}, staged.{name}", columns)
    cursor.execute(_sql.fill("create_rejected", cells=cells))
    cursor.execute(_sql.create_missed)


def _watched(file: Blocks, exceptions: "_Exceptions") -> Iterator[RowBlock]:
    examination = Examination(file.columns)
    for block in file.blocks():
        exceptions.keep(examination.examine(block, block.position))
        yield block


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

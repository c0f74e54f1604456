"""The first load: empty tables filled straight from the file, with nothing staged in between.

Most of a row is its document's text, and it is moved once: while the file is read, processing_status takes
its cells as they stand there, and the little that goes elsewhere is kept aside until the file has been read.
"""

import json
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from typing import IO
from uuid import uuid4

from psycopg2 import errors, sql

from ingestion_pipeline.domain.columns import Table
from ingestion_pipeline.domain.ordering import GAP
from ingestion_pipeline.domain.ports import Blocks, RowBlock
from ingestion_pipeline.domain.record import Correction, Examination
from ingestion_pipeline.stores.postgres import expressions, queries
from ingestion_pipeline.stores.postgres.copying import IN_MEMORY, copy_from
from ingestion_pipeline.stores.postgres.pool import Cursor, fetch_one
from ingestion_pipeline.stores.postgres.table_texts import Corrections, TableTexts, quoted

_sql = queries.load("first_load")


@dataclass(frozen=True, slots=True)
class Loaded:
    """What was loaded.

    Attributes:
        rows: People, each a row of the file.
        cells: Cells of theirs that go to quarantine; they stand in the temporary table found_cell.
    """

    rows: int
    cells: int


class _SetAside(Exception):  # noqa: N818 - nothing is wrong: the file goes another way
    """A row cannot be loaded."""


def is_empty(cursor: Cursor) -> bool:
    """Whether nothing is stored that a load would have to be compared with."""
    cursor.execute(_sql.is_empty)
    return bool(fetch_one(cursor)[0])


def load(cursor: Cursor, file: Blocks) -> Loaded | None:
    """Fill the empty tables; None, and they are empty still, where a row has to be set aside.

    Raises:
        InputRefusedError: The file does not keep the contract.
    """
    cursor.execute(_sql.begin)
    try:
        return _loaded(cursor, file)
    except (_SetAside, errors.UniqueViolation):
        cursor.execute(_sql.take_back)
        return None


def _loaded(cursor: Cursor, file: Blocks) -> Loaded:
    cursor.execute(_sql.last_id)
    (last,) = fetch_one(cursor)
    with ExitStack() as stack:
        split = _Split(file, last, *(stack.enter_context(_spool()) for _ in range(3)))
        with _children(cursor):
            rows = copy_from(cursor, _into("copy_child", split.status), split.status_lines())
            _copy(cursor, _into("copy_child", split.maps), split.map_lines)
        _copy(cursor, _into("copy_people", split.people), split.people_lines)
        cursor.execute(_sql.create_found_cell)
        _copy(cursor, _sql.copy_found_cell, split.cell_lines)
        cells = int(cursor.rowcount)
    _check_children(cursor)
    cursor.execute(_sql.go_on_from, {"last": last + rows})
    return Loaded(rows, cells)


@contextmanager
def _children(cursor: Cursor) -> Iterator[None]:
    """Rows of children come in, before their people."""
    cursor.execute(_sql.let_children_come_first)
    cursor.execute(_sql.may_pass_triggers)
    if not fetch_one(cursor)[0]:
        yield
        return
    cursor.execute(_sql.pass_triggers)
    yield
    cursor.execute(_sql.heed_triggers)


def _check_children(cursor: Cursor) -> None:
    cursor.execute(_sql.check_children)
    cursor.execute(_sql.has_orphans)
    if fetch_one(cursor)[0]:
        raise AssertionError("a row was loaded that is nobody's")


def _into(name: str, texts: TableTexts) -> sql.Composed:
    return _sql.fill(
        name,
        table=sql.Identifier(texts.table),
        columns=expressions.each(", {name}", texts.columns, separator=""),
        options=texts.options(),
    )


def _spool() -> IO[bytes]:
    return tempfile.SpooledTemporaryFile(max_size=IN_MEMORY)


def _copy(cursor: Cursor, statement: sql.Composable, spool: IO[bytes]) -> None:
    spool.seek(0)
    cursor.copy_expert(statement, spool, size=64 * 1024)


class _Split:
    """One pass over the file, its cells sent three ways."""

    def __init__(
        self, file: Blocks, last_id: int, people: IO[bytes], maps: IO[bytes], cells: IO[bytes]
    ) -> None:
        self.people_lines, self.map_lines, self.cell_lines = people, maps, cells
        self.people, self.status, self.maps = (TableTexts(file.columns, table) for table in Table)
        self._file = file
        self._last_id = last_id
        self._key = file.columns.index("row_id")
        self._write_id = str(uuid4()).encode()

    def status_lines(self) -> Iterator[bytes]:
        """The lines of processing_status; those of the others are kept.

        Raises:
            _SetAside: A row cannot be loaded.
        """
        examination = Examination(self._file.columns)
        for block in self._file.blocks():
            corrections = _corrections(examination, block)
            ids = [b"%d" % (self._last_id + block.position + row) for row in range(len(block))]
            self._keep_people(block, corrections, ids)
            self.map_lines.write(_lines(ids, *self.maps.of(block, corrections)))
            self._keep_cells(block, corrections)
            yield _lines(ids, *self.status.of(block, corrections))

    def _keep_people(self, block: RowBlock, corrections: Corrections, ids: list[bytes]) -> None:
        ordinals = [b"%d" % ((block.position + row) * GAP) for row in range(len(block))]
        verbatim = [b""] * len(block)
        for row, correction in corrections.items():
            verbatim[row] = _json(correction.verbatim)
        texts = self.people.of(block, corrections)
        write_ids = [self._write_id] * len(block)
        self.people_lines.write(_lines(ids, ordinals, write_ids, verbatim, *texts))

    def _keep_cells(self, block: RowBlock, corrections: Corrections) -> None:
        if not any(correction.reasons for correction in corrections.values()):
            return
        keys = block.cells(self._key)
        for row, correction in corrections.items():
            for name, reason in correction.reasons.items():
                raw = _json({name: correction.verbatim[name]})
                line = b",".join((quoted(keys[row]), quoted(name), quoted(reason), raw))
                self.cell_lines.write(line + b"\n")


def _corrections(examination: Examination, block: RowBlock) -> dict[int, Correction]:
    if examination.rejections(block, 0):
        raise _SetAside
    return examination.corrections(block, 0)


def _lines(*texts: list[bytes]) -> bytes:
    return b"\n".join(map(b",".join, zip(*texts, strict=True))) + b"\n"


def _json(entries: object) -> bytes:
    return quoted(json.dumps(entries, ensure_ascii=False))

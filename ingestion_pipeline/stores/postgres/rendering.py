"""Rendering: the CSV that PostgreSQL holds, byte for byte."""

from collections.abc import Callable
from typing import IO, cast

from psycopg2 import sql

from ingestion_pipeline.domain.columns import BY_NAME, Column
from ingestion_pipeline.domain.dialect import Dialect, Quoting
from ingestion_pipeline.domain.errors import UnavailableError
from ingestion_pipeline.domain.ports import Sink
from ingestion_pipeline.stores.postgres import expressions, queries
from ingestion_pipeline.stores.postgres.pool import Cursor

_sql = queries.load("render")


def dialect(cursor: Cursor) -> Dialect | None:
    """How the file is spelled that the tables were last made equal to; None before the first sync."""
    cursor.execute(_sql.dialect)
    row = cursor.fetchone()
    return None if row is None else Dialect.from_json(row[0])


def render(cursor: Cursor, sink: Sink) -> tuple[int, Dialect]:
    """Write the CSV that PostgreSQL holds; gives its rows and how it is spelled.

    Raises:
        UnavailableError: Nothing has been synced yet, so that there is no file to render.
    """
    spelled = dialect(cursor)
    if spelled is None:
        raise UnavailableError(
            "PostgreSQL holds no file yet", code="nothing_synced", hint="Run `ingest sync` first."
        )
    lines = Lines(sink, spelled)
    lines.begin()
    cursor.copy_expert(_statement(spelled), cast("IO[bytes]", lines))
    lines.end()
    return lines.rows, spelled


def _statement(spelled: Dialect) -> sql.Composed:
    cells = (cell(BY_NAME[name], spelled.quoting) for name in spelled.columns)
    options = sql.SQL("" if spelled.quoting is Quoting.MINIMAL else ", FORCE_QUOTE *")
    return _sql.fill("lines", cells=sql.SQL(", ").join(cells), options=options)


def cell(column: Column, quoting: Quoting) -> sql.Composed:
    """A cell of a line, a person's or one in quarantine, so that COPY spells it as the quoting does."""
    raw = sql.SQL("nullif(quarantine.raw->>{}, '')").format(sql.Literal(column.name))
    text = sql.SQL("coalesce({}, {})").format(raw, expressions.rendered(column))
    return quotable(text, quoting)


def quotable(text: sql.Composed, quoting: Quoting) -> sql.Composed:
    """A cell's text, NULL where it is empty, so that COPY spells it as the quoting does."""
    # COPY quotes an empty string but not a NULL.
    return sql.SQL("coalesce({}, '')").format(text) if quoting is Quoting.ALL else text


def behind_a_place(spelled: Dialect, cell_of: Callable[[Column], sql.Composed]) -> dict[str, sql.Composable]:
    """The cells and options of a COPY of lines that stand behind something else, which is never in quotes."""
    columns = [BY_NAME[name] for name in spelled.columns]
    named = (sql.SQL("{} AS {}").format(cell_of(column), expressions.name(column)) for column in columns)
    quoted = sql.SQL(", FORCE_QUOTE ({})").format(expressions.names(columns))
    return {
        "cells": sql.SQL(", ").join(named),
        "options": sql.SQL("") if spelled.quoting is Quoting.MINIMAL else quoted,
    }


_TOGETHER = 256 * 1024
"""Bytes passed on at a time, about."""


class Lines:
    """Passes COPY's lines on, spelled as the dialect says. COPY hands over one row at a time.

    Args:
        sink: Takes the file's bytes.
        spelled: How they are spelled.
    """

    def __init__(self, sink: Sink, spelled: Dialect) -> None:
        self._sink = sink
        self._spelled = spelled
        self._end = spelled.line_end.encode()
        self._held: list[bytes] = []
        self._size = 0
        self.rows = 0

    def begin(self) -> None:
        """Write the header."""
        self._held = [self._spelled.header()[: -len(self._end)] + b"\n"]

    def write(self, row: bytes) -> None:
        """Take one row, ended by a newline; passed on together with others."""
        self._held.append(row)
        self._size += len(row)
        self.rows += 1
        if self._size >= _TOGETHER:
            # The last one waits: whether a line end follows it is known at the end.
            last = self._held.pop()
            self._sink.write(self._ended())
            self._held, self._size = [last], len(last)

    def end(self) -> None:
        """Write what ends the file."""
        ended = self._ended()
        self._sink.write(ended if self._spelled.final_newline else ended[: -len(self._end)])

    def _ended(self) -> bytes:
        """The rows that are held, each with the file's own line end."""
        if self._end == b"\n":
            return b"".join(self._held)
        return b"".join(row[:-1] + self._end for row in self._held)

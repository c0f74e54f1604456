"""The statements that write one person, one for each set of columns, prepared once per connection."""

import hashlib
import json
import re
from collections.abc import Mapping, Sequence
from functools import cache
from typing import Any
from uuid import UUID
from weakref import WeakKeyDictionary

from psycopg2 import sql

from ingestion_pipeline.domain.cells import read
from ingestion_pipeline.domain.columns import BY_NAME, COLUMNS, Codec, Column, Table, of_table
from ingestion_pipeline.stores.postgres import expressions, queries
from ingestion_pipeline.stores.postgres.pool import Connection, Cursor, is_pooled

_sql = queries.load("write")
_FIRST = 5
"""The number of the first cell's parameter, after row_id, write_id, revision and verbatim."""

_PARAMETER = re.compile(r"\$(\d+)")

_KEY = BY_NAME["row_id"]

UPDATE, INSERT = "update_person", "insert_person"
"""The two kinds of statement."""

_prepared: WeakKeyDictionary[Connection, set[str]] = WeakKeyDictionary()

_Columns = tuple[Column, ...]


def run(
    cursor: Cursor,
    kind: str,
    row_id: str,
    write_id: UUID,
    revision: int | None,
    cells: Mapping[str, str],
    by: str | None = None,
) -> int | None:
    """Write a person's cells.

    Args:
        cursor: In a transaction that carries the epoch.
        kind: UPDATE or INSERT.
        row_id: The person.
        write_id: The write's own.
        revision: The row's new revision; None for the next there is.
        cells: The text of each column that is written.
        by: Who writes; None for whom the transaction names.

    Returns:
        The revision; None where the person is not there, or is already.
    """
    columns = _columns(cells)
    given = _given(row_id, write_id, revision, columns, cells)
    if is_pooled(cursor.connection):
        # What is prepared is one session's, and the next transaction may be another's.
        if by is not None:
            cursor.execute(_sql.name_actor, {"actor": by})
        cursor.execute(_unprepared(kind, columns, cursor), {f"p{n}": text for n, text in enumerate(given, 1)})
        return _revision(cursor)
    name = _prepare(cursor, kind, columns)
    if by is None:
        cursor.execute(_executing("execute", name, len(given)), given)
    else:
        cursor.execute(_executing("execute_as", name, len(given)), (by, *given))
    return _revision(cursor)


def prepare(cursor: Cursor, kind: str, cells: Mapping[str, str]) -> None:
    """Prepare the statement that writes these columns, where that is not done."""
    _prepare(cursor, kind, _columns(cells))


def run_alone(
    cursor: Cursor, kind: str, row_id: str, write_id: UUID, cells: Mapping[str, str], carried: tuple[str, str]
) -> int | None:
    """Write a person's cells in a transaction of its own, in one exchange with the server.

    Args:
        cursor: In no transaction, of a connection that has prepared the statement.
        kind: UPDATE or INSERT.
        row_id: The person.
        write_id: The write's own.
        cells: The text of each column that is written.
        carried: The epoch, and who writes.

    Returns:
        As `run`. What has a revision is committed.
    """
    columns = _columns(cells)
    name, _ = _statement(kind, columns)
    given = _given(row_id, write_id, None, columns, cells)
    cursor.execute(_executing("write_alone", name, len(given)), (*carried, *given))
    return _revision(cursor)


def _columns(cells: Mapping[str, str]) -> _Columns:
    return tuple(column for column in COLUMNS if column.name in cells)


def _given(
    row_id: str, write_id: UUID, revision: int | None, columns: _Columns, cells: Mapping[str, str]
) -> list[str | None]:
    verbatim, values = _values(columns, cells)
    number = None if revision is None else str(revision)
    return [row_id, str(write_id), number, json.dumps(verbatim) if verbatim else "{}", *values]


@cache
def _executing(query: str, name: str, count: int) -> str:
    """The text of a query that executes a prepared statement, whose name is of our own making."""
    marks = ", ".join(["%s"] * count)
    return _sql.texts[query].format(statement=name, values=marks, epoch="%s", actor="%s")


def _revision(cursor: Cursor) -> int | None:
    row = cursor.fetchone()
    return None if row is None else int(row[0])


def _prepare(cursor: Cursor, kind: str, columns: tuple[Column, ...]) -> str:
    name, statement = _statement(kind, columns)
    known = _prepared.setdefault(cursor.connection, set())
    if name not in known:
        cursor.execute(statement)
        known.add(name)
    return name


def _unprepared(kind: str, columns: tuple[Column, ...], cursor: Cursor) -> str:
    """The same statement, with its values put in by the driver: each is text, as it would be prepared."""
    _, _, body = _statement(kind, columns)[1].as_string(cursor).partition(" AS\n")
    return _PARAMETER.sub(r"%(p\1)s::text", body.replace("%", "%%"))


@cache
def _statement(kind: str, columns: tuple[Column, ...]) -> tuple[str, sql.Composed]:
    marks = {column: _mark(column, _FIRST + number) for number, column in enumerate(columns)}
    digest = hashlib.sha256(",".join(column.name for column in columns).encode()).hexdigest()
    name = f"{kind}_{digest[:16]}"
    people = [column for column in columns if column.table is Table.PEOPLE]
    children = [table for table in Table if table is not Table.PEOPLE]
    if kind == UPDATE:
        children = [table for table in children if any(column.table is table for column in columns)]
    coded = [column for column in columns if not column.codec.is_text]
    parts = [_child(table, {c: mark for c, mark in marks.items() if c.table is table}) for table in children]
    if coded:
        parts.append(_sql.fill("supersede_cells", coded=expressions.labels(coded)))
    absent = [
        column for column in of_table(Table.PEOPLE) if column.required and column not in (*people, _KEY)
    ]
    statement = _sql.fill(
        kind,
        statement=sql.Identifier(name),
        types=sql.SQL(", ").join([sql.SQL("text")] * (_FIRST - 1 + len(columns))),
        assignments=_assignments({c: marks[c] for c in people}, coded),
        columns=expressions.each(", {name}", (*people, *absent), separator=""),
        values=sql.SQL("").join(
            [*(sql.SQL(", ") + marks[c] for c in people), *(sql.SQL(", ''") for _ in absent)]
        ),
        children=sql.SQL("").join(parts),
    )
    return name, statement


def _mark(column: Column, number: int) -> sql.Composable:
    mark = sql.SQL(f"${number}")  # a number of ours, no data
    return mark if column.codec.is_text else mark + sql.SQL(f"::{column.sql_type}")


def _assignments(marks: Mapping[Column, sql.Composable], coded: Sequence[Column]) -> sql.Composed:
    parts = [sql.SQL("{} = {},").format(expressions.name(column), mark) for column, mark in marks.items()]
    if coded:
        kept = sql.SQL("verbatim = nullif((coalesce(verbatim, '{{}}') - {}) || $4::jsonb, '{{}}'),")
        parts.append(kept.format(expressions.labels(coded)))
    return sql.SQL(" ").join(parts)


def _child(table: Table, marks: Mapping[Column, sql.Composable]) -> sql.Composed:
    return _sql.fill(
        "upsert_child",
        table=sql.Identifier(table),
        columns=expressions.each(", {name}", marks, separator=""),
        values=sql.SQL("").join(sql.SQL(", ") + mark for mark in marks.values()),
        assignments=expressions.each("{name} = excluded.{name},", marks, separator=" "),
    )


def _values(columns: Sequence[Column], cells: Mapping[str, str]) -> tuple[dict[str, str], list[Any]]:
    """What is kept of the text, and the values as text."""
    verbatim: dict[str, str] = {}
    values: list[Any] = []
    for column in columns:
        cell = read(column, cells[column.name])
        if cell.verbatim is not None:
            verbatim[column.name] = cell.verbatim
        values.append(_value(column, cell.value, cell.canonical))
    return verbatim, values


def _value(column: Column, value: object, canonical: str) -> str | None:
    match column.codec:
        case Codec.TEXT:
            return canonical
        case Codec.FLAG:
            return None if value is None else str(value).lower()
        case Codec.NULLABLE_TEXT | Codec.TIMESTAMP | Codec.MAP:
            return canonical or None

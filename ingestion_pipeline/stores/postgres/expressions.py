"""SQL expressions that follow from the contract: a cell's text to its value, and back."""

from collections.abc import Iterable, Sequence
from typing import assert_never

from psycopg2 import sql

from ingestion_pipeline.domain.columns import Codec, Column

_ISO = 'YYYY-MM-DD"T"HH24:MI:SS'


def names(columns: Iterable[Column], alias: str | None = None) -> sql.Composed:
    """The columns' names, separated by commas."""
    return sql.SQL(", ").join(name(column, alias) for column in columns)


def name(column: Column, alias: str | None = None) -> sql.Identifier:
    """One column's name."""
    return sql.Identifier(column.name) if alias is None else sql.Identifier(alias, column.name)


def each(template: str, columns: Iterable[Column], separator: str = ", ") -> sql.Composed:
    """A template with `{name}` and `{label}` filled in per column, joined."""
    filled = (
        sql.SQL(template).format(name=sql.Identifier(c.name), label=sql.Literal(c.name)) for c in columns
    )
    return sql.SQL(separator).join(filled)


def text_columns(columns: Iterable[Column]) -> sql.Composed:
    """Definitions that hold every cell as its text."""
    return each('{name} text COLLATE "C"', columns)


def typed(column: Column) -> sql.Composed:
    """The typed value of a staged cell, taking the correction where there is one."""
    bare = name(column, "staged")
    corrected = sql.SQL(
        "CASE WHEN correction.verbatim ? {label} THEN correction.{name} ELSE staged.{name} END"
    )
    cell = corrected.format(label=sql.Literal(column.name), name=sql.Identifier(column.name))
    match column.codec:
        case Codec.TEXT:
            return sql.Composed([bare])
        case Codec.NULLABLE_TEXT:
            return sql.SQL("nullif({}, '')").format(bare)
        case Codec.FLAG:
            return sql.SQL("CASE WHEN correction.reasons ? {} THEN NULL ELSE {} = 'yes' END").format(
                sql.Literal(column.name), cell
            )
        case Codec.TIMESTAMP | Codec.MAP:
            return sql.SQL("nullif({}, '')::{}").format(cell, sql.SQL(column.sql_type))
        case _:
            assert_never(column.codec)


def rendered(column: Column, alias: str = "record") -> sql.Composed:
    """The text of a stored cell, NULL where it is empty."""
    value = name(column, alias)
    match column.codec:
        case Codec.TEXT:
            return sql.SQL("nullif({}, '')").format(value)
        case Codec.NULLABLE_TEXT:
            return sql.Composed([value])
        case Codec.FLAG:
            text = sql.SQL("CASE WHEN {} THEN 'yes' END").format(value)
        case Codec.TIMESTAMP:
            text = iso(column, alias)
        case Codec.MAP:
            text = sql.SQL("{}::text").format(value)
        case _:
            assert_never(column.codec)
    return sql.SQL("coalesce({}->>{}, {})").format(
        sql.Identifier(alias, "verbatim"), sql.Literal(column.name), text
    )


def texts(columns: Iterable[Column], alias: str = "record") -> sql.Composed:
    """The text of every stored cell, '' where it is empty."""
    return sql.SQL(", ").join(sql.SQL("coalesce({}, '')").format(rendered(c, alias)) for c in columns)


def each_text(columns: Iterable[Column], alias: str = "record") -> sql.Composed:
    """The same, each after a comma."""
    return sql.SQL("").join(sql.SQL(", coalesce({}, '')").format(rendered(c, alias)) for c in columns)


def iso(column: Column, alias: str = "record") -> sql.Composed:
    """A stored timestamp as Python's isoformat gives it."""
    return sql.SQL("to_char({0}, CASE WHEN date_trunc('second', {0}) = {0} THEN {1} ELSE {2} END)").format(
        name(column, alias), sql.Literal(_ISO), sql.Literal(f"{_ISO}.US")
    )


def unmeant(column: Column, alias: str = "record") -> sql.Composed:
    """Whether a stored value is one that no text means, although it is rendered like another."""
    value = name(column, alias)
    match column.codec:
        case Codec.TEXT:
            return sql.Composed([sql.SQL("false")])
        case Codec.MAP:
            # Not strict, a path looks into lists, and takes one of texts for text.
            return sql.SQL("""jsonb_path_exists({}, 'strict $.* ? (@.type() != "string")')""").format(value)
        case Codec.NULLABLE_TEXT:
            return sql.SQL("{} = ''").format(value)
        case Codec.FLAG:
            # A row that psql has made in people alone has no value yet, and is rendered as if it had.
            return sql.SQL("{} AND {} IS NULL AND {}->>{} IS NULL").format(
                sql.Identifier(alias, "whole"),
                value,
                sql.Identifier(alias, "verbatim"),
                sql.Literal(column.name),
            )
        case Codec.TIMESTAMP:
            return sql.SQL("NOT {0} BETWEEN '0001-01-01' AND '9999-12-31 23:59:59.999999'").format(value)
        case _:
            assert_never(column.codec)


def differs(column: Column, one: str, other: str) -> sql.Composed:
    """Whether two records differ in a column, in its value or in how it is spelled."""
    differ = sql.SQL("{} IS DISTINCT FROM {}").format(name(column, one), name(column, other))
    if column.codec.is_text:
        return differ
    return sql.SQL("({} OR {}->>{} IS DISTINCT FROM {}->>{})").format(
        differ,
        sql.Identifier(one, "verbatim"),
        sql.Literal(column.name),
        sql.Identifier(other, "verbatim"),
        sql.Literal(column.name),
    )


def any_differs(columns: Sequence[Column], one: str, other: str) -> sql.Composed:
    """Whether two records differ in any of the columns."""
    return sql.SQL(" OR ").join(differs(column, one, other) for column in columns)


def labels(columns: Iterable[Column]) -> sql.Composed:
    """The columns' names as an array of text."""
    return sql.SQL("ARRAY[{}]::text[]").format(sql.SQL(", ").join(sql.Literal(c.name) for c in columns))

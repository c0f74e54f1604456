"""How often each rule of the contract is broken in the tables."""

from psycopg2 import sql

from ingestion_pipeline.domain.columns import of_table
from ingestion_pipeline.domain.rules import Rule
from ingestion_pipeline.stores.postgres import expressions, queries
from ingestion_pipeline.stores.postgres.pool import Cursor, fetch_one

_sql = queries.load("rules")


def breaches(cursor: Cursor, rule: Rule) -> int:
    """How many rows (or columns, or entries of a map) break the rule."""
    columns = of_table(rule.table)
    marks = {"columns": [column.name for column in columns], "types": [column.sql_type for column in columns]}
    cursor.execute(_statement(rule), marks)
    return int(fetch_one(cursor)[0])


def _statement(rule: Rule) -> sql.Composed:
    columns = of_table(rule.table)
    return _sql.fill(
        rule.name,
        table=sql.Literal(f"public.{rule.table}"),
        child=sql.Identifier(rule.table),
        nulls=expressions.each("{name} IS NULL", [c for c in columns if c.required], " OR "),
        too_long=sql.SQL(" OR ").join(
            sql.SQL("length({}) > {}").format(expressions.name(column), sql.Literal(column.limit))
            for column in columns
            if column.limit is not None
        ),
    )

"""psycopg2: execute_values, as the books say."""

import csv
from itertools import islice
from pathlib import Path
from typing import Any

import psycopg2
from psycopg2.extras import execute_values

from benchmarks.peers import FLAGS, OF, key_of
from ingestion_pipeline.domain.columns import Column, Table

GROUP = 1000


def values(url: str, path: str) -> dict[str, Any]:
    """The file into the three tables, a thousand rows in a statement."""
    connection = psycopg2.connect(url)
    count = 0
    with connection, connection.cursor() as cursor, Path(path).open(newline="", encoding="utf-8") as file:
        rows = csv.DictReader(file)
        while group := list(islice(rows, GROUP)):
            for table in Table:
                names = [key_of(table), *(column.name for column in OF[table])]
                if table is Table.PEOPLE:
                    names.append("ordinal")
                execute_values(
                    cursor,
                    f"INSERT INTO {table} ({', '.join(names)}) VALUES %s",  # noqa: S608 - our own names
                    [_row(table, number, row) for number, row in enumerate(group, count + 1)],
                    page_size=GROUP,
                )
            count += len(group)
    connection.close()
    return {"rows": count}


def _row(table: Table, number: int, row: dict[str, str]) -> tuple[object, ...]:
    ordinal = (number,) if table is Table.PEOPLE else ()
    return (number, *(_value(column, row[column.name]) for column in OF[table]), *ordinal)


def _value(column: Column, cell: str) -> object:
    if column.name in FLAGS:
        return cell == "yes"
    return cell if cell or column.required else None

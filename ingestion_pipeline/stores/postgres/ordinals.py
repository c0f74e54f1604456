"""Ordinals from PostgreSQL, a million of them in eight megabytes."""

from array import array
from typing import IO, cast

from psycopg2 import sql

from ingestion_pipeline.stores.postgres.pool import Cursor


def fill_in(known: "array[int]", cursor: Cursor, statement: sql.Composable) -> None:
    """Put the ordinals that a COPY gives in their places; each stands behind its position, counted from 1."""
    cursor.copy_expert(statement, cast("IO[bytes]", _Ordinals(known)))


class _Ordinals:
    def __init__(self, known: "array[int]") -> None:
        self._known = known

    def write(self, line: str | bytes) -> None:
        """Take one line: COPY hands over one row at a time."""
        position, ordinal = line.split()
        self._known[int(position) - 1] = int(ordinal)

"""Ordinals from PostgreSQL, a million of them in eight megabytes."""

from array import array
from typing import IO, cast

from psycopg2 import sql

from ingestion_pipeline.domain.ordering import UNPLACED
from ingestion_pipeline.stores.postgres.pool import Cursor


def copy_ordinals(cursor: Cursor, statement: sql.Composable) -> "array[int]":
    """The numbers that a COPY of one column gives, UNPLACED for NULL."""
    numbers = _Numbers()
    cursor.copy_expert(statement, cast("IO[bytes]", numbers))
    return numbers.numbers


class _Numbers:
    def __init__(self) -> None:
        self.numbers = array("q")

    def write(self, line: str | bytes) -> None:
        """Take one line: COPY hands over one row at a time."""
        self.numbers.append(UNPLACED if line[:2] in ("\\N", b"\\N") else int(line))

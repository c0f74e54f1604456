"""COPY from chunks that are made while it runs."""

from collections.abc import Iterator
from typing import IO, cast

import psycopg2
from psycopg2 import sql

from ingestion_pipeline.stores.postgres.pool import Cursor

IN_MEMORY = 4 * 1024 * 1024
"""Bytes kept for a COPY in memory before they go to an unlinked file, readable by nobody else."""


def copy_from(cursor: Cursor, statement: sql.Composable, chunks: Iterator[bytes]) -> int:
    """Send the chunks to a COPY; gives its rows.

    Raises:
        BaseException: Whatever the chunks raise.
    """
    source = _Source(chunks)
    try:
        cursor.copy_expert(statement, cast("IO[bytes]", source))
    except psycopg2.Error:
        if source.error is not None:
            raise source.error from None
        raise
    return int(cursor.rowcount)


class _Source:
    """Chunks as the readable file that COPY asks for; keeps the error that COPY would swallow."""

    def __init__(self, chunks: Iterator[bytes]) -> None:
        self._chunks = chunks
        self.error: BaseException | None = None

    def read(self, _size: int = -1) -> bytes:
        """The next chunk, whatever its size; empty at the end."""
        try:
            return next(self._chunks, b"")
        except BaseException as error:
            self.error = error
            raise

"""One state of the tables, as the operations look at it."""

from collections.abc import Sequence
from typing import Any

from ingestion_pipeline.domain.columns import BY_NAME
from ingestion_pipeline.domain.dialect import Dialect
from ingestion_pipeline.domain.errors import UnavailableError
from ingestion_pipeline.domain.pending import Dirty, Pending
from ingestion_pipeline.domain.phase import Phase, Side
from ingestion_pipeline.domain.ports import Csv, Progress, Sink
from ingestion_pipeline.domain.quarantine import Count
from ingestion_pipeline.domain.reports import Compared, Found, State
from ingestion_pipeline.stores.postgres import comparison, expressions, queries, rendering
from ingestion_pipeline.stores.postgres.pool import Cursor, fetch_one

_state = queries.load("state")
_compare = queries.load("compare")
_write = queries.load("write")


class PostgresSnapshot:
    """One state of the tables, however long it is looked at."""

    def __init__(self, cursor: Cursor) -> None:
        self._cursor = cursor

    def columns(self) -> tuple[str, ...]:
        """The columns of the CSV that the tables hold; none before the first sync."""
        spelled = rendering.dialect(self._cursor)
        return () if spelled is None else spelled.columns

    def render(self, sink: Sink) -> tuple[int, Dialect]:
        """Write the CSV that the tables hold; gives its rows and how it is spelled."""
        return rendering.render(self._cursor, sink)

    def rendered_digest(self) -> tuple[str, int]:
        """The sha256 of the CSV that the tables hold, and its rows."""
        return comparison.rendered_digest(self._cursor)

    def misspelled(self, limit: int) -> Found:
        """Cells whose kept original text no longer means their value."""
        return comparison.misspelled(self._cursor, limit)

    def compare(self, csv: Csv, authority: Side, limit: int, progress: Progress | None) -> Compared:
        """The file beside the tables, by bytes and by rows; see `comparison.compare`."""
        return comparison.compare(self._cursor, csv, authority, limit, progress)

    def state(self) -> State:
        """The phase in force."""
        state = read_state(self._cursor)
        if state is None:
            raise _not_begun()
        return state

    def position(self) -> str:
        """The state of the tables: another one after every write that was committed."""
        self._cursor.execute(_compare.position)
        return str(fetch_one(self._cursor)[0])

    def seen(self) -> str:
        """Which transactions are in this state."""
        self._cursor.execute(_compare.seen)
        return str(fetch_one(self._cursor)[0])

    def pending(self) -> Pending:
        """How much the CSV that follows has yet to get."""
        self._cursor.execute(_write.pending)
        rows, seconds = fetch_one(self._cursor)
        return Pending(int(rows), float(seconds))

    def dirty(self, columns: Sequence[str], limit: int | None = None) -> list[Dirty]:
        """People whose present row the CSV has yet to get, in the file's order."""
        cells = expressions.each_text(BY_NAME[name] for name in columns)
        self._cursor.execute(_write.fill("dirty", cells=cells), {"limit": limit})
        return [
            Dirty(row_id, revision, moved, ordinal, None if ordinal is None else cells)
            for row_id, revision, moved, ordinal, *cells in self._cursor.fetchall()
        ]

    def first_settled(self) -> int:
        """The ordinal of the first line the CSV has already."""
        self._cursor.execute(_write.lowest)
        return int(fetch_one(self._cursor)[0])

    def quarantine_count(self) -> Count:
        """How many quarantine entries stand."""
        self._cursor.execute(_state.count_quarantine)
        return Count(*fetch_one(self._cursor))


def read_state(cursor: Cursor) -> State | None:
    """The phase in force; None on a site that has not begun."""
    cursor.execute(_state.read)
    return state_of(cursor.fetchone())


def state_of(row: tuple[Any, ...] | None) -> State | None:
    """The phase in force, as a row of it."""
    return None if row is None else State(Phase(row[0]), int(row[1]))


def _not_begun() -> UnavailableError:
    return UnavailableError(
        "this site has not begun: no phase is in force", code="not_begun", hint="Run `ingest sync` first."
    )

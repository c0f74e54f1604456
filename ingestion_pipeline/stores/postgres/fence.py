"""The fence: the tables while nobody else writes them, for as long as a change of phase takes."""

import random
import time
from collections.abc import Collection, Iterator
from contextlib import ExitStack, contextmanager

import psycopg2

from ingestion_pipeline.domain.columns import BY_NAME
from ingestion_pipeline.domain.errors import PipelineError, UnavailableError, stale_epoch
from ingestion_pipeline.domain.pending import Placed
from ingestion_pipeline.domain.reports import State
from ingestion_pipeline.stores.postgres import expressions, queries
from ingestion_pipeline.stores.postgres.pool import Cursor, Pool, fetch_one, translated
from ingestion_pipeline.stores.postgres.snapshot import PostgresSnapshot, state_of

_fence = queries.load("fence")
_write = queries.load("write")

TRIES = 20
"""How often the lock is asked for."""

WAITS = 0.3
"""Seconds it is waited for each time: meanwhile those who write wait too."""

LONG_WAITS = 1.3
"""Every fifth time: longer than the server's deadlock_timeout, after which autovacuum makes way."""

_TAKEN = (psycopg2.errors.LockNotAvailable, psycopg2.errors.DeadlockDetected)


class PostgresFence(PostgresSnapshot):
    """The tables, which nobody else writes; also while it is looked at what they are to become."""

    def changed_since(self, seen: str, limit: int) -> set[str] | None:
        """Who was changed by transactions that a snapshot had not seen, but for those who are gone.

        Returns:
            Their row_ids; None where there are more than `limit`, lines that are nobody's own changed, or a
            decision has rewritten the CSV.
        """
        self._cursor.execute(_fence.other_lines_changed_since, {"snapshot": seen})
        if fetch_one(self._cursor)[0]:
            return None
        self._cursor.execute(_fence.changed_since, {"snapshot": seen, "limit": limit + 1})
        row_ids = {str(row_id) for (row_id,) in self._cursor.fetchall()}
        return None if len(row_ids) > limit else row_ids

    def has_lost_rows(self, position: str, seen: str) -> bool:
        """Whether people who have not changed since have lost their rows in another table."""
        people, *others = (int(part.partition("/")[0]) for part in position.split()[:3])
        before = tuple(people - rows for rows in others)
        self._cursor.execute(_fence.without_rows)
        if fetch_one(self._cursor) == before:
            return False
        self._cursor.execute(_fence.unchanged_without_rows, {"snapshot": seen})
        return any(now > then for now, then in zip(fetch_one(self._cursor), before, strict=True))

    def lines(self) -> int:
        """How many lines the CSV has that the tables hold."""
        self._cursor.execute(_fence.lines)
        return int(fetch_one(self._cursor)[0])

    def placed(self, row_ids: Collection[str], columns: Collection[str]) -> dict[str, Placed]:
        """Where several persons stand in the CSV that the tables hold, and their cells."""
        if not row_ids:
            return {}
        cells = expressions.each_text(BY_NAME[name] for name in columns)
        self._cursor.execute(_fence.fill("placed", cells=cells), {"row_ids": list(row_ids)})
        return {row_id: Placed(int(place), tuple(cells)) for row_id, place, *cells in self._cursor.fetchall()}

    def last_revision(self) -> int:
        """The highest revision given so far."""
        self._cursor.execute(_write.last_revision)
        return int(fetch_one(self._cursor)[0])

    def note_pending(self, row_ids: Collection[str]) -> None:
        """Note that the CSV has yet to get these people."""
        self._cursor.execute(_fence.note_pending, {"row_ids": list(row_ids)})

    def clear_pending(self) -> None:
        """Note that the CSV has everybody."""
        self._cursor.execute(_fence.clear_pending)

    def change(self, state: State, by: str) -> None:
        """Put another phase in force: what cannot be taken back any more.

        Raises:
            UnavailableError: PostgreSQL went away, and it is not known whether it did it.
        """
        marks = {"phase": state.phase, "epoch": state.epoch, "by": by}
        with translated():
            self._cursor.execute(_fence.change_phase, marks)
            self._cursor.connection.commit()


@contextmanager
def fenced(pool: Pool, state: State) -> Iterator[PostgresFence]:
    """The tables while nobody else writes them.

    Args:
        pool: Connections to the database.
        state: The phase that is to be in force.

    Raises:
        UnavailableError: PostgreSQL is away, or somebody keeps the tables locked.
        ProtectedError: Another phase is in force.
    """
    told: PipelineError | None = None
    try:
        with ExitStack() as stack:
            cursor = _locked(pool, stack)
            found = state_of(cursor.fetchone())
            if found != state:
                raise stale_epoch(state.epoch)
            try:
                yield PostgresFence(cursor)
            except PipelineError as error:
                told = error
                raise
    except UnavailableError as error:
        # A line that is lost cannot be rolled back either, which is no news.
        raise (told or error) from None


def _locked(pool: Pool, stack: ExitStack) -> Cursor:
    """A transaction that holds the tables and the phase; it never waits long, as it keeps others out."""
    for attempt in range(1, TRIES + 1):
        wait = min(WAITS if attempt % 5 else LONG_WAITS, pool.waits.lock)
        waits = {"milliseconds": str(round(1000 * wait))}
        with ExitStack() as tried:
            cursor = tried.enter_context(pool.transaction(bulk=True))
            try:
                cursor.execute(_fence.wait_shortly, waits)
                cursor.execute(_fence.keep_writers_out)
                cursor.execute(_fence.hold_state)
            except _TAKEN:
                cursor.connection.rollback()
            else:
                stack.enter_context(tried.pop_all())
                return cursor
        time.sleep(random.uniform(0, WAITS))  # noqa: S311 - no secret
    raise UnavailableError(
        "somebody keeps the tables locked, so the phase cannot be changed",
        code="postgres_busy",
        hint="Nothing was changed. End the long transaction (pg_stat_activity shows it), and try again.",
    )

"""The read replica: read only once it has replayed all that the primary had when the question was asked."""

import time
from collections.abc import Iterator
from contextlib import contextmanager

from ingestion_pipeline.domain.errors import PipelineError, UnavailableError
from ingestion_pipeline.domain.phase import Side
from ingestion_pipeline.domain.ports import Csv, Progress
from ingestion_pipeline.domain.reports import Compared
from ingestion_pipeline.stores.postgres import queries
from ingestion_pipeline.stores.postgres.pool import Pool, fetch_one
from ingestion_pipeline.stores.postgres.snapshot import PostgresSnapshot
from ingestion_pipeline.stores.postgres.tables import PostgresTables

_compare = queries.load("compare")
_sql = queries.load("replica")

PAUSE = 0.02
"""Seconds between two questions how far it is."""

WITH_WRITERS_WAITING = 1.0
"""Seconds it is waited for at most while the CSV is held."""

_ITS_OWN = {"postgres_unavailable", "postgres_busy", "postgres_refused", "not_permitted", "schema_missing"}
"""Codes of errors that a replica may have where the primary has none."""


class ReplicaUnfitError(UnavailableError):
    """The replica cannot answer this; the primary can."""


class Replica:
    """A streaming replica of the primary.

    Args:
        primary: Connections to the primary.
        pool: Connections to the replica.
        seconds: How long it is waited for.
    """

    def __init__(self, primary: Pool, pool: Pool, seconds: float) -> None:
        self.pool = pool
        self._primary = primary
        self._seconds = seconds

    def check_level(self, at_most: float | None = None) -> None:
        """Wait until it has replayed whatever the primary had when this was called.

        Args:
            at_most: Seconds, if less than it is waited for anyway.

        Raises:
            ReplicaUnfitError: It has not in time, it cannot be reached, or it replays another server's log.
            UnavailableError: The primary is away.
        """
        marks = self._at_primary()
        seconds = self._seconds if at_most is None else min(at_most, self._seconds)
        until = time.monotonic() + seconds
        while not self._has(marks):
            if time.monotonic() > until:
                raise unfit(f"it was not level with the primary after {seconds:g} s")
            time.sleep(PAUSE)

    @contextmanager
    def asked(self) -> Iterator[None]:
        """What goes wrong within is the replica's own: the primary may know better."""
        try:
            yield
        except ReplicaUnfitError:
            raise
        except PipelineError as error:
            if error.code not in _ITS_OWN:
                raise
            raise unfit(error.message) from None

    def _at_primary(self) -> dict[str, object]:
        marks, is_all = self._on_disk()
        if not is_all:
            with self._primary.transaction() as cursor:
                cursor.execute(_sql.bring_to_disk)
            marks, _ = self._on_disk()
        return marks

    def _on_disk(self) -> tuple[dict[str, object], bool]:
        with self._primary.transaction() as cursor:
            cursor.execute(_sql.at_primary)
            lsn, is_all, system, timeline, database = fetch_one(cursor)
        return {"lsn": lsn, "system": system, "timeline": timeline, "database": database}, bool(is_all)

    def _has(self, marks: dict[str, object]) -> bool:
        with self.asked(), self.pool.transaction() as cursor:
            cursor.execute(_sql.at_replica, marks)
            replays, of_this, is_level = fetch_one(cursor)
        if not replays:
            raise unfit("it is no replica: it replays nothing")
        if not of_this:
            raise unfit("it is no replica of this primary, or of an earlier life of it")
        return bool(is_level)


class ReplicaTables(PostgresTables):
    """The three tables: written and asked for the phase on the primary, looked at on the replica.

    Args:
        pool: Connections to the primary.
        replica: The replica.
    """

    def __init__(self, pool: Pool, replica: Replica) -> None:
        super().__init__(pool)
        self._replica = replica

    @contextmanager
    def snapshot(self) -> Iterator["ReplicaSnapshot"]:
        """One state of the tables, with all that the primary has now."""
        self._replica.check_level(WITH_WRITERS_WAITING)
        with (
            self._replica.asked(),
            self._replica.pool.transaction(bulk=True, snapshot=True) as cursor,
        ):
            yield ReplicaSnapshot(cursor)
            cursor.connection.rollback()


class ReplicaSnapshot(PostgresSnapshot):
    """One state of the tables, on a server that takes no temporary tables."""

    def compare(
        self,
        csv: Csv,
        authority: Side,  # noqa: ARG002 - as on the primary
        limit: int,
        progress: Progress | None,  # noqa: ARG002
    ) -> Compared:
        """The file beside the tables, by bytes; where they differ, the file has to be staged on the primary.

        Raises:
            ReplicaUnfitError: They differ.
        """
        rendered, rows = self.rendered_digest()
        if csv.sha256() != rendered:
            raise unfit("the bytes differ, and only the primary can say where")
        return Compared(rendered, rendered, rows, self.misspelled(limit))

    def seen(self) -> str:
        """Which transactions are in this state at least.

        A replica's own list leaves out which of the later ones are still under way.
        """
        self._cursor.execute(_compare.seen_at_least)
        return str(fetch_one(self._cursor)[0])


def unfit(why: str) -> ReplicaUnfitError:
    """The replica cannot answer this."""
    return ReplicaUnfitError(
        f"the replica was not read: {why}", code="replica_unfit", hint="The primary answers in its place."
    )

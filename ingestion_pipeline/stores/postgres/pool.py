"""Connections: few, bounded in every wait, and checked before they are handed out."""

import os
import re
import select
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from typing import Any

import psycopg2
from psycopg2 import extensions
from psycopg2.pool import PoolError, ThreadedConnectionPool

from ingestion_pipeline.domain.columns import Table
from ingestion_pipeline.domain.errors import PipelineError, ProtectedError, UnavailableError
from ingestion_pipeline.domain.timing import Kind
from ingestion_pipeline.stores.timings import Recorder, Timing

Connection = extensions.connection
Cursor = extensions.cursor

FRESH = 5.0
"""Seconds after its last use in which a connection that says nothing is taken for a good one, unasked."""


@dataclass(frozen=True, slots=True)
class Waits:
    """How long anything may take, in seconds.

    Attributes:
        connect: Making a connection.
        free: Waiting for a connection that is free.
        statement: One statement of ordinary work.
        bulk: One statement of bulk work.
        lock: Waiting for a lock.
        idle_in_transaction: A transaction that does nothing.
    """

    connect: float = 10.0
    free: float = 30.0
    statement: float = 30.0
    bulk: float = 3600.0
    lock: float = 10.0
    idle_in_transaction: float = 60.0


_SESSION = {
    "synchronous_commit": "on",
    "timezone": "UTC",
    "datestyle": "ISO",
    "search_path": "public",
    "jit": "off",
}
"""What every session is asked for, whatever the configuration."""


class Pool:
    """A pool of psycopg2 connections to one database; safe to share between threads.

    Args:
        dsn: A libpq URL or keyword string. Never shown.
        smallest: Connections kept open.
        largest: Connections open at most.
        waits: How long anything may take.
        timings: Takes how long transactions and queries took; by default they are forgotten.
    """

    def __init__(
        self,
        dsn: str,
        *,
        smallest: int = 1,
        largest: int = 10,
        waits: Waits | None = None,
        timings: Recorder | None = None,
    ) -> None:
        self.waits = waits or Waits()
        self._timings = timings or Recorder()
        self._dsn = dsn
        self._smallest = smallest
        self._largest = largest
        self._free = threading.BoundedSemaphore(largest)
        self._opening = threading.Lock()
        self._process = os.getpid()
        self._pool: ThreadedConnectionPool | None = None

    @contextmanager
    def connection(self, *, alone: bool = False) -> Iterator[Connection]:
        """A healthy connection, given back at the end; what is not committed is rolled back.

        Args:
            alone: Whether what is sent at once is a transaction of its own.

        Raises:
            UnavailableError: The server cannot be reached, or no connection became free in time.
        """
        if not self._free.acquire(timeout=self.waits.free):
            raise UnavailableError(
                f"no connection became free within {self.waits.free:g} s",
                code="pool_exhausted",
                hint="Raise database.connection_pool.max_connections, or write with fewer threads.",
            )
        try:
            with translated():
                pool = self._opened()
            connection = _healthy(pool, self._largest)
            connection.cursor_factory = self._timed_cursor
            connection.autocommit = alone
            try:
                yield connection
            finally:
                _give_back(pool, connection)
        finally:
            self._free.release()

    @contextmanager
    def transaction(self, *, bulk: bool = False, snapshot: bool = False) -> Iterator[Cursor]:
        """A cursor in a transaction of its own, committed at the end and rolled back on any error.

        Args:
            bulk: Allow each statement the time of bulk work.
            snapshot: See one state of the database throughout (REPEATABLE READ).
        """
        with (
            self.timing(),
            self.connection() as connection,
            translated(),
            connection,
            connection.cursor() as cursor,
        ):
            if snapshot:
                cursor.execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ")
            if bulk:
                cursor.execute("SET LOCAL statement_timeout = %s", (_milliseconds(self.waits.bulk),))
            yield cursor

    def timing(self) -> Timing:
        """Time a transaction; `transaction` does so itself."""
        return self._timings.timing(Kind.TRANSACTION)

    def _timed_cursor(self, connection: Connection, *named: Any, **how: Any) -> "TimedCursor":
        cursor = TimedCursor(connection, *named, **how)
        cursor.timings = self._timings
        return cursor

    def close(self) -> None:
        """Close every connection. The pool opens anew when used again."""
        with self._opening:
            if self._pool is not None:
                self._pool.closeall()
                self._pool = None

    def _opened(self) -> ThreadedConnectionPool:
        with self._opening:
            if self._process != os.getpid():
                # Forked: the connections are the parent's, who goes on using them.
                self._pool, self._process = None, os.getpid()
            if self._pool is None:
                self._pool = ThreadedConnectionPool(
                    self._smallest,
                    self._largest,
                    self._dsn,
                    connect_timeout=max(1, round(self.waits.connect)),
                    connection_factory=PooledConnection,
                    application_name="ingestion_pipeline",
                    client_encoding="utf8",
                    keepalives_idle=30,
                    keepalives_interval=10,
                    keepalives_count=3,
                    # A server that has vanished is noticed although an answer is still waited for.
                    tcp_user_timeout=_milliseconds(self.waits.connect + self.waits.statement),
                    options=self._session(),
                )
            return self._pool

    @property
    def session(self) -> dict[str, str]:
        """The settings that each session is asked for, with times in milliseconds."""
        waits = {
            "statement_timeout": self.waits.statement,
            "lock_timeout": self.waits.lock,
            "idle_in_transaction_session_timeout": self.waits.idle_in_transaction,
        }
        return {name: str(_milliseconds(seconds)) for name, seconds in waits.items()} | _SESSION

    def _session(self) -> str:
        return " ".join(f"-c {name}={value}" for name, value in self.session.items())


class PooledConnection(Connection):
    """A connection that knows when it was last used, and whether a pooler lies between. Made by the pool."""

    used_at = -FRESH
    is_pooled = False

    def is_fresh(self) -> bool:
        """Whether it was good a moment ago, and the server has not said since that it is going."""
        if time.monotonic() - self.used_at > FRESH:
            return False
        line = select.poll()
        line.register(self.fileno(), select.POLLIN)
        return not line.poll(0)


class TimedCursor(Cursor):
    """A cursor whose queries are timed. Made by the pool."""

    timings: Recorder

    def execute(self, *query: Any) -> None:
        """Run a query; see psycopg2."""
        with self.timings.timing(Kind.QUERY):
            super().execute(*query)

    def executemany(self, *query: Any) -> None:
        """Run a query with several sets of values; see psycopg2."""
        with self.timings.timing(Kind.QUERY):
            super().executemany(*query)

    def copy_expert(self, *query: Any, **how: Any) -> None:
        """Run a COPY; see psycopg2."""
        with self.timings.timing(Kind.QUERY):
            super().copy_expert(*query, **how)


def _healthy(pool: ThreadedConnectionPool, tries: int) -> PooledConnection:
    for _ in range(tries + 1):
        try:
            connection: PooledConnection = pool.getconn()  # type: ignore[assignment]
        except psycopg2.OperationalError as error:
            raise _unreachable(_first_line(error)) from None
        except PoolError:
            raise _unreachable("its connections were closed meanwhile") from None
        if connection.is_fresh() or _answers(connection):
            _refuse_without_session(connection)
            return connection
        with suppress(PoolError):
            pool.putconn(connection, close=True)
    raise _unreachable("every connection was lost")


def _give_back(pool: ThreadedConnectionPool, connection: PooledConnection) -> None:
    with suppress(psycopg2.Error):
        connection.rollback()
        connection.used_at = time.monotonic()
    # A pool that was closed meanwhile has closed its connections too.
    with suppress(PoolError):
        pool.putconn(connection, close=bool(connection.closed))


def _milliseconds(seconds: float) -> int:
    return max(1, round(seconds * 1000))


def _answers(connection: PooledConnection) -> bool:
    try:
        # Without a transaction it is one question, not three.
        connection.autocommit = True
        with connection.cursor(cursor_factory=Cursor) as cursor:
            cursor.execute("SELECT pg_backend_pid()")
            # A pooler between is who was connected to, and gives a number of its own.
            connection.is_pooled = fetch_one(cursor)[0] != connection.info.backend_pid
    except psycopg2.Error:
        return False
    return True


def is_pooled(connection: Connection) -> bool:
    """Whether a pooler lies between, so that the next transaction may be another session's."""
    return isinstance(connection, PooledConnection) and connection.is_pooled


def _refuse_without_session(connection: Connection) -> None:
    """Refuse a connection whose session is not as was asked for; the time zone, told unasked, shows it."""
    if connection.info.parameter_status("TimeZone") != _SESSION["timezone"]:
        raise UnavailableError(
            "PostgreSQL cannot be used: what lies between leaves out the settings of the session",
            code="session_settings",
            hint="Behind pgbouncer they are set for the database or user: see docs/scaling.md.",
        )


@contextmanager
def translated() -> Iterator[None]:
    """Driver errors as this package's own, without the row that a server's detail line may quote."""
    try:
        yield
    except PipelineError:
        raise
    except psycopg2.errors.QueryCanceled:
        raise _busy("a statement took longer than it may") from None
    except psycopg2.errors.LockNotAvailable:
        raise _busy("a lock was not free in time: somebody else is writing") from None
    except psycopg2.errors.UndefinedTable:
        raise schema_missing() from None
    except psycopg2.Error as error:
        raise (_unreachable(_first_line(error)) if is_lost(error) else _refused(error)) from None


def is_lost(error: psycopg2.Error) -> bool:
    """Whether the connection broke, so that nobody answered."""
    # A server that ends at once may leave a bare DatabaseError, without a SQLSTATE.
    lost = isinstance(error, psycopg2.OperationalError | psycopg2.InterfaceError)
    return lost or (type(error) is psycopg2.DatabaseError and error.pgcode is None)


def is_undone(error: psycopg2.Error) -> bool:
    """Whether the server itself has said that it did not do what it was told, and not merely gone away."""
    # What stands between, such as a pooler, says 08: it does not know. Who panics may have committed, and who
    # is told to end is heard no more.
    answered = error.pgcode is not None and not error.pgcode.startswith("08")
    return answered and error.diag.severity_nonlocalized == "ERROR"


_FENCED = {"IP001": "fenced", "IP002": "stale_epoch"}
"""What the fence refuses with, by SQLSTATE; its messages name phases, epochs and tables only."""


def _refused(error: psycopg2.Error) -> ProtectedError:
    if isinstance(error, psycopg2.errors.InsufficientPrivilege):
        return _forbidden(error)
    if error.pgcode in _FENCED:
        return ProtectedError(
            error.diag.message_primary or "",
            code=_FENCED[error.pgcode],
            hint=error.diag.message_hint or "",
        )
    # The server's own message may quote a value; its code and the names of what stands in the way do not.
    named = (error.diag.constraint_name, error.diag.table_name, error.diag.column_name)
    about = ", ".join(_IN_PART.sub("", name) for name in named if name)
    return ProtectedError(
        f"PostgreSQL refused: SQLSTATE {error.pgcode}" + (f" ({about})" if about else ""),
        code="postgres_refused",
        hint="Nothing was changed; the transaction was rolled back.",
    )


_IN_PART = re.compile(r"_\d+_of_\d+")
"""What the name of a part has more than that of the whole table."""

_DENIED = re.compile(r"permission denied for [a-z ]+ (\w+)")
_WRITERS = {
    *(*Table, "csv_file", "duplicate", "history", "pending", "proof", "quarantine"),
    *("revision", "held_phase", "begin_site"),
}
"""What the writer has a right to and the reader has not."""


def _forbidden(error: psycopg2.Error) -> ProtectedError:
    # The message names an object of the schema and no value; in another language it names none here.
    denied = _DENIED.search(error.diag.message_primary or "")
    name = "" if denied is None else denied[1]
    part = "writer" if name in _WRITERS else "owner"
    return ProtectedError(
        f"this database user may not do that (SQLSTATE 42501{f', {name}' if name else ''}): "
        f"it takes the role of the {part}",
        code="not_permitted",
        hint=f"Nothing was changed. Use a member of the {part}'s role: `ingest db roles` names it.",
    )


def _first_line(error: BaseException) -> str:
    return str(error).strip().partition("\n")[0]


def _unreachable(message: str) -> UnavailableError:
    return UnavailableError(
        f"PostgreSQL cannot be used: {message}",
        code="postgres_unavailable",
        hint="`ingest doctor` says what is reachable and what is not.",
    )


def _busy(message: str) -> UnavailableError:
    return UnavailableError(
        f"PostgreSQL cannot be used: {message}",
        code="postgres_busy",
        hint="Nothing was changed. Try again, or raise database.lock_timeout and query_timeout.",
    )


def schema_missing() -> UnavailableError:
    """PostgreSQL has not got the tables yet."""
    return UnavailableError(
        "the database has no tables of this pipeline yet",
        code="schema_missing",
        hint="Run `ingest db upgrade`.",
    )


def fetch_one(cursor: Cursor) -> tuple[Any, ...]:
    """The next row of a query that has one."""
    row = cursor.fetchone()
    if row is None:
        raise AssertionError("a query that always has a row had none")
    return row

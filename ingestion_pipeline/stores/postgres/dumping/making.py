"""Making a dump: of one instant, together with what is to be known of it, and never held in memory."""

from dataclasses import dataclass

from ingestion_pipeline.domain.columns import Table
from ingestion_pipeline.domain.dialect import Dialect
from ingestion_pipeline.domain.errors import PipelineError, ProtectedError, UnavailableError
from ingestion_pipeline.domain.phase import Phase
from ingestion_pipeline.domain.ports import Sink
from ingestion_pipeline.stores.digest import Digest
from ingestion_pipeline.stores.postgres import queries, schema
from ingestion_pipeline.stores.postgres.dumping import clients
from ingestion_pipeline.stores.postgres.pool import Cursor, Pool, fetch_one
from ingestion_pipeline.stores.postgres.snapshot import PostgresSnapshot

_sql = queries.load("dumping")

OWN = rf"(({'|'.join(Table)})(_id_seq\d*)?|{schema.PEOPLE_FULL})"
"""The names in schema public that are this pipeline's, as a regular expression."""

_BLOCK = 1024 * 1024

_WORDS = (
    *("--format=custom", "--no-password", "--no-owner", "--no-privileges"),
    *("--no-tablespaces", "--no-security-labels", "--no-publications", "--no-subscriptions", "--no-comments"),
    # With --table it would leave the functions out.
    *("--schema=ingestion", "--schema=public"),
    # The search index is made again from the people.
    *(f"--exclude-table-data=ingestion.{name}" for name in ("search_index", "file", "indexed")),
)


@dataclass(frozen=True, slots=True)
class Dumped:
    """What a dump holds, found out in the very state of the database that it is of.

    Attributes:
        sha256: Hex digest of the CSV that the database renders.
        size: That CSV's bytes.
        rows: Its rows, without the header.
        dialect: How it is spelled, with its columns in order.
        phase: The phase in force.
        epoch: The epoch in force.
        made_by: With what, such as `pg_dump 18.1, schema 0003`.
        position: The state of the tables; another one after every write.
    """

    sha256: str
    size: int
    rows: int
    dialect: Dialect
    phase: Phase
    epoch: int
    made_by: str
    position: str

    @property
    def columns(self) -> tuple[str, ...]:
        """The CSV's columns, in order."""
        return self.dialect.columns


def dump(pool: Pool, sink: Sink) -> Dumped:
    """Dump what is the pipeline's, while others go on writing.

    Args:
        pool: Connections to the database.
        sink: Gets the dump in order, in pieces of 1 MiB at most. It is worth nothing unless this returns.

    Raises:
        UnavailableError: PostgreSQL or a fitting pg_dump is missing (`pg_dump_missing`, `pg_dump_too_old`),
            somebody keeps a table locked, there is no schema, nothing was ever synced, or it failed.
        ProtectedError: The role may not read all of it.
    """
    schema.check(pool)
    programs = clients.find(pool)
    with pool.transaction(bulk=True, snapshot=True) as cursor:
        cursor.execute(_sql.export_snapshot)
        snapshot = str(fetch_one(cursor)[0])
        dumped = _facts(cursor, programs)
        locked = f"--lock-wait-timeout={round(1000 * pool.waits.lock)}"
        _write(programs, sink, (*_WORDS, locked, f"--snapshot={snapshot}", *_left_out(cursor)))
    return dumped


def _facts(cursor: Cursor, programs: clients.Clients) -> Dumped:
    found = PostgresSnapshot(cursor)
    state = found.state()
    digest = Digest()
    rows, dialect = found.render(digest)
    made_by = f"pg_dump {programs.version}, schema {schema.head()}"
    return Dumped(
        digest.sha256, digest.size, rows, dialect, state.phase, state.epoch, made_by, found.position()
    )


def _left_out(cursor: Cursor) -> list[str]:
    """The words that leave out what others keep in public."""
    cursor.execute(_sql.others, {"own": f"^{OWN}$"})
    return [f"--exclude-table={pattern}" for (pattern,) in cursor.fetchall()]


def _write(programs: clients.Clients, sink: Sink, words: tuple[str, ...]) -> None:
    with programs.started("pg_dump", *words) as program:
        while block := program.output.read(_BLOCK):
            sink.write(block)
        status = program.ended()
        if program.late:
            raise clients.late("pg_dump", programs.seconds)
        if status:
            raise _failed(status, program.said)


def _failed(status: int, said: str) -> PipelineError:
    """What is known of a failure; what the program said may quote a value, and is only looked through."""
    ended = f"pg_dump ended with status {status}"
    if "permission denied" in said:
        return ProtectedError(
            f"{ended}: this role may not read all that is the pipeline's",
            code="postgres_refused",
            hint="Dump as the role that owns the tables.",
        )
    if "LOCK TABLE" in said or "lock timeout" in said:
        return UnavailableError(
            f"{ended}: somebody keeps a table locked",
            code="postgres_busy",
            hint="Try again, or raise database.lock_timeout.",
        )
    if "connection to server" in said or "server closed the connection" in said:
        return UnavailableError(
            f"{ended}: PostgreSQL cannot be used",
            code="postgres_unavailable",
            hint="`ingest doctor` says what is reachable and what is not.",
        )
    return UnavailableError(
        ended, code="dump_failed", hint="The server's log says why; nothing in the database was changed."
    )

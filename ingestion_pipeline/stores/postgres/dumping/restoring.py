"""Restoring a dump: into an empty database, or in place of what the site's own holds; all of it or nothing.

pg_restore writes SQL, and psql carries it out between statements of our own. COMMIT comes last, and only once
pg_restore has ended well: whatever is killed before that, the server rolls back.
"""

import re
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import IO

from psycopg2 import sql

from ingestion_pipeline.domain.brake import Brakes
from ingestion_pipeline.domain.errors import (
    InputRefusedError,
    PipelineError,
    Place,
    ProtectedError,
    UnavailableError,
)
from ingestion_pipeline.domain.reports import State
from ingestion_pipeline.stores.postgres import queries, schema
from ingestion_pipeline.stores.postgres.dumping import clients
from ingestion_pipeline.stores.postgres.dumping.clients import Clients, Program
from ingestion_pipeline.stores.postgres.dumping.making import OWN
from ingestion_pipeline.stores.postgres.pool import Pool
from ingestion_pipeline.stores.postgres.tables import PostgresTables

_sql = queries.load("dumping")
_compare = queries.load("compare")

_BLOCK = 1024 * 1024

_OURS = re.compile(rf"\d+; \d+ \d+ (SCHEMA - ingestion|[A-Z ]+ (ingestion|public {OWN})|INDEX public \S+) ")
"""An entry of a dump's contents that is the pipeline's; of others' tables there is no index in our dumps."""

_KNOWN = re.compile(r";|\d+; \d+ \d+ [A-Z ]+ (-|public|ingestion) |$")
"""Any line of a list of contents that is whole."""

_NEEDED = (
    re.compile(r" TABLE DATA (public people|ingestion people_\d+_of_\d+) "),
    re.compile(r" TABLE DATA ingestion schema_version "),
)

_WORDS = ("--format=custom", "--file=-", "--no-owner", "--no-privileges")

_PSQL = (
    *("--no-psqlrc", "--no-password", "--quiet", "--file=-", "--set=ON_ERROR_STOP=1"),
    # Of an error only the SQLSTATE: what else the server says may quote a value.
    *("--set=VERBOSITY=sqlstate", "--set=SHOW_CONTEXT=never"),
)
_SQLSTATE = re.compile(r"(?:ERROR|FATAL|PANIC): +([0-9A-Z]{5})")

_BUSY = ("55P03", "40P01", "57014")
_AWAY = ("57P", "08", "53")
"""What these begin with: the server stops, the line broke, or it has no room."""

_PREAMBLE = 40
"""Lines at the beginning of what pg_restore writes, all of them settings and definitions."""

_WAIT_FOR_EVER = b"SET lock_timeout = 0;\n"
_TRANSACTION_TIMEOUT = b"SET transaction_timeout = 0;\n"
_TRANSACTION_TIMEOUT_SINCE = 17


@dataclass(frozen=True, slots=True)
class _Script:
    """What psql is to carry out around what pg_restore writes.

    Attributes:
        begin: Before it.
        words: How pg_restore is to write it.
        end: After it, with COMMIT.
    """

    begin: bytes
    words: tuple[str, ...]
    end: bytes


def restore_into(pool: Pool, path: Path) -> None:
    """Restore a dump into an empty database.

    Args:
        pool: Connections to it.
        path: The dump.

    Raises:
        InputRefusedError: It is no dump of this pipeline's, or a damaged one (`dump_unreadable`), or one of
            another schema revision (`dump_other_schema`). The database stays empty.
        ProtectedError: The database is not empty, or the server refused something.
        UnavailableError: PostgreSQL or a fitting pg_restore is missing, or it took too long.
    """
    begin = _text(pool, sql.SQL("BEGIN"))
    end = _text(pool, _refuse_other_revision(), _sql.analyse, sql.SQL("COMMIT"))
    if not _carried_out(clients.find(pool), path, _Script(begin, (), end)):
        raise _away("whether the dump was restored is not known")


def replace(
    pool: Pool, path: Path, state: State, *, brakes: Brakes | None = None, position: str | None = None
) -> None:
    """Make the site's own database what a dump holds, in one transaction; whoever writes waits for its end.

    A CSV that follows is to be rendered afterwards; nothing else is pending. Numbers go on from the highest
    ever given, here or in the dump. What was granted to others on the tables is granted again; the tables
    belong to the role that restores them.

    Args:
        pool: Connections to the database; its tables may be missing.
        path: The dump.
        state: The phase and epoch to be in force then. The epoch must be higher than the one before, so that
            writers of that one are refused.
        brakes: How many people may vanish; None for any number.
        position: The position of the tables that were kept before; None where whatever is there may go.

    Raises:
        InputRefusedError: It is no dump of this pipeline's, or a damaged one (`dump_unreadable`), or one of
            another schema revision (`dump_other_schema`). Nothing was changed.
        ProtectedError: The epoch is not higher (`stale_epoch`), something else depends on the tables
            (`others_depend`), too many people would vanish (`brake`), somebody has
            written since that position (`written_meanwhile`), or the server refused something.
            Nothing was changed.
        UnavailableError: PostgreSQL or a fitting pg_restore is missing, the tables stay locked, or it took
            too long, and nothing was changed; or `outcome_unknown`: PostgreSQL went away at the very end.
    """
    script = _Script(_beginning(pool, state, position), ("--clean", "--if-exists"), _end(pool, state, brakes))
    if not _carried_out(clients.find(pool), path, script):
        _find_out(pool, state)


def _beginning(pool: Pool, state: State, position: str | None) -> bytes:
    own = sql.Literal(f"^{OWN}$")
    return _text(
        pool,
        _sql.notice_dead_client,
        sql.SQL("BEGIN"),
        _sql.fill("keep_others_out", own=own),
        _sql.fill("refuse_old_epoch", epoch=sql.Literal(state.epoch)),
        *(() if position is None else (_refuse_moved(position),)),
        _sql.fill("keep_numbers", own=own),
        _sql.keep_known,
        _sql.fill("keep_grants", own=own),
        _sql.keep_roles,
        _sql.fill("drop_parts", own=own),
    )


def _end(pool: Pool, state: State, brakes: Brakes | None) -> bytes:
    return _text(
        pool,
        _refuse_other_revision(),
        *(() if brakes is None else (_brake(brakes),)),
        _sql.raise_numbers,
        _sql.grant_again,
        _sql.put_roles,
        _sql.note_gap,
        _sql.clear_pending,
        _sql.fill("put_state", phase=sql.Literal(state.phase.value), epoch=sql.Literal(state.epoch)),
        _sql.have_rendered,
        _sql.analyse,
        sql.SQL("COMMIT"),
    )


def _refuse_other_revision() -> sql.Composed:
    return _sql.fill("refuse_other_revision", revision=sql.Literal(schema.head()))


def _refuse_moved(position: str) -> sql.Composed:
    return _sql.fill("refuse_moved", position=_compare.position, kept=sql.Literal(position))


def _brake(brakes: Brakes) -> sql.Composed:
    return _sql.fill("brake", rows=sql.Literal(brakes.rows), percent=sql.Literal(brakes.percent))


def _text(pool: Pool, *statements: sql.Composable) -> bytes:
    """Statements as psql reads them."""
    with pool.connection() as connection:
        return "".join(f"{one.as_string(connection)};\n" for one in statements).encode()


def _carried_out(programs: Clients, path: Path, script: _Script) -> bool:
    """Restore all of it or nothing; False where the line was lost around COMMIT, so that either may be."""
    path = path.absolute()  # never like an option
    with (
        _contents(programs, path) as contents,
        programs.started("psql", *_PSQL, fed=True) as psql,
        programs.started(
            "pg_restore", *script.words, *_WORDS, f"--use-list={contents}", str(path)
        ) as restore,
    ):
        committing = False
        with suppress(BrokenPipeError):  # psql has given up; its end says why
            psql.input.write(script.begin)
            _pass_on(restore.output, psql.input, programs.server)
            if restore.ended():
                raise clients.late("pg_restore", programs.seconds) if restore.late else _unreadable(path)
            committing = True
            psql.input.write(script.end)
            psql.input.close()
        return _ended_well(psql, programs.seconds, committing=committing)


@contextmanager
def _contents(programs: Clients, path: Path) -> Iterator[Path]:
    """A file with what of the dump is to be restored."""
    with programs.started("pg_restore", "--list", "--format=custom", str(path)) as program:
        listed = program.output.read().decode(errors="replace").splitlines(keepends=True)
        status = program.ended()
        if program.late:
            raise clients.late("pg_restore", programs.seconds)
        if status:
            raise _too_new(path, programs) if "unsupported version" in program.said else _unreadable(path)
    ours = "".join(line for line in listed if _OURS.match(line))
    if not all(map(_KNOWN.match, listed)) or not all(entry.search(ours) for entry in _NEEDED):
        raise _unreadable(path)
    with tempfile.NamedTemporaryFile(prefix="ingestion_dump_") as file:
        file.write(ours.encode())
        file.flush()
        yield Path(file.name)


def _pass_on(source: IO[bytes], target: IO[bytes], server: int) -> None:
    """Pass SQL on, without settings that are not to be made."""
    # While it waits for one lock, it keeps others waiting with those that it holds.
    left_out = [_WAIT_FOR_EVER]
    if server < _TRANSACTION_TIMEOUT_SINCE:
        # Newer programs write it for older servers too, which do not know it.
        left_out.append(_TRANSACTION_TIMEOUT)
    for _ in range(_PREAMBLE):
        line = source.readline()
        if line not in left_out:
            target.write(line)
    shutil.copyfileobj(source, target, _BLOCK)


def _ended_well(psql: Program, seconds: float, *, committing: bool) -> bool:
    if psql.ended() == 0:
        return True
    found = _SQLSTATE.search(psql.said)
    lost = found is None or found[1].startswith(_AWAY)
    if lost and committing:
        return False
    if psql.late:
        raise clients.late("psql", seconds)
    if found is None or lost:
        raise _away("nothing was changed")
    raise _refused(found[1])


def _find_out(pool: Pool, state: State) -> None:
    """Whether a transaction was committed whose answer was lost; its locks are waited for."""
    try:
        found = PostgresTables(pool).state()
    except UnavailableError:
        raise UnavailableError(
            "PostgreSQL went away at the very end, so it is not known whether the dump was restored",
            code="outcome_unknown",
            hint=f"Once it is back: it was if PostgreSQL is in epoch {state.epoch}. Otherwise restore again.",
        ) from None
    if found is None or (found.phase, found.epoch) != (state.phase, state.epoch):
        raise _away("nothing was changed")


def _unreadable(path: Path) -> InputRefusedError:
    return InputRefusedError(
        "this is no dump of a pipeline's tables, or it is damaged",
        code="dump_unreadable",
        place=Place(file=str(path)),
        hint="Nothing was changed. Take another backup.",
    )


def _too_new(path: Path, programs: Clients) -> UnavailableError:
    return UnavailableError(
        f"this dump was made by a newer PostgreSQL than pg_restore {programs.version}",
        code="pg_dump_too_old",
        place=Place(file=str(path)),
        hint="Restore into a server of the version that it was made on, or a newer one.",
    )


def _away(outcome: str) -> UnavailableError:
    return UnavailableError(
        f"PostgreSQL went away: {outcome}",
        code="postgres_unavailable",
        hint="`ingest doctor` says what is reachable and what is not.",
    )


def _refused(sqlstate: str) -> PipelineError:
    """What the server refused with, by SQLSTATE."""
    if sqlstate in _BUSY:
        return UnavailableError(
            "PostgreSQL cannot be used: a lock was not free in time: somebody else uses the tables",
            code="postgres_busy",
            hint="Nothing was changed. Try again, or raise database.lock_timeout.",
        )
    if sqlstate == "IP003":
        return InputRefusedError(
            f"the dump's schema is not at revision {schema.head()}, which this program needs",
            code="dump_other_schema",
            hint="Nothing was changed. Restore it with the release that made it, then install this one "
            "and run `ingest db upgrade`.",
        )
    code, message, hint = _PROTECTED.get(sqlstate, _REFUSED)
    return ProtectedError(message.format(sqlstate), code=code, hint=f"Nothing was changed. {hint}")


_PROTECTED = {
    "IP002": (
        "stale_epoch",
        "the phase changed meanwhile: the epoch in force is not lower than the new one",
        "Run it again.",
    ),
    "IP004": (
        "brake",
        "more people would vanish than the brakes allow",
        "If that is meant, run it again with --accept-loss.",
    ),
    "IP005": (
        "written_meanwhile",
        "somebody has written to PostgreSQL since what it holds was dumped",
        "Stop those who write, and run it again; --accept-loss gives up what they wrote.",
    ),
    "2BP01": (
        "others_depend",
        "something that is not the pipeline's depends on its tables, such as a view",
        "Drop it, restore, and make it again.",
    ),
}
_REFUSED = ("postgres_refused", "PostgreSQL refused: SQLSTATE {}", "The transaction was rolled back.")
"""By SQLSTATE: the error's code, what is the matter, and what next."""

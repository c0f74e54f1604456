"""PostgreSQL's client programs: found in a version that fits the server, and run.

How they reach the database goes to them by environment variables, which other users cannot see; what they
complain of is kept from everybody, as it may quote a value.
"""

import os
import re
import shutil
import signal
import subprocess
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from operator import attrgetter
from pathlib import Path
from typing import IO

from ingestion_pipeline.domain.errors import UnavailableError
from ingestion_pipeline.stores.postgres.embedded.programs import in_wheel
from ingestion_pipeline.stores.postgres.pool import Connection, Pool, is_pooled

PACKAGED = Path("/usr/lib/postgresql")
"""Where Debian keeps each major version in a folder of its own."""

_NAMES = ("pg_dump", "pg_restore", "psql")
_VERSION = re.compile(r"\(PostgreSQL\) ((\d+)\S*)")
_VERSION_SECONDS = 30

_NAMED_OTHERWISE = {
    "dbname": "PGDATABASE",
    "application_name": "PGAPPNAME",
    "connect_timeout": "PGCONNECT_TIMEOUT",
}
# What a service says is among the connection's own parameters, and would be put over them.
_LEFT_OUT = frozenset({"service", "servicefile"})

_KEPT = 4096  # bytes of what a program says; more is read and forgotten
_LAST_WORDS_SECONDS = 5  # for what is still to be read of them once it has ended


class Program:
    """A program at work. Made by `Clients.started`."""

    def __init__(self, process: subprocess.Popen[bytes], seconds: float) -> None:
        self.late = False
        self._process = process
        self._heard = b""
        self._listening = threading.Thread(target=self._listen, daemon=True)
        self._listening.start()
        self._alarm = threading.Timer(seconds, self._be_late)
        self._alarm.daemon = True
        self._alarm.start()

    @property
    def input(self) -> IO[bytes]:
        """What it reads, if it was started to be fed."""
        return _given(self._process.stdin)

    @property
    def output(self) -> IO[bytes]:
        """What it writes, if it was not."""
        return _given(self._process.stdout)

    def ended(self) -> int:
        """Wait for its end; gives its status, 0 for done, below 0 for killed."""
        status = self._process.wait()
        self._alarm.cancel()
        self._listening.join(_LAST_WORDS_SECONDS)
        return status

    @property
    def said(self) -> str:
        """The first of what it complained of: to look for known words in, never to be shown."""
        return self._heard.decode(errors="replace")

    def close(self) -> None:
        """Kill it unless it has ended."""
        self._kill()
        self.ended()
        for pipe in (self._process.stdin, self._process.stdout, self._process.stderr):
            with suppress(OSError):  # what it was still to be fed
                if pipe is not None:
                    pipe.close()

    def _be_late(self) -> None:
        self.late = True
        self._kill()

    def _kill(self) -> None:
        if self._process.poll() is None:
            with suppress(ProcessLookupError):
                os.killpg(self._process.pid, signal.SIGKILL)  # where it is a script, what that started too

    def _listen(self) -> None:
        descriptor = _given(self._process.stderr).fileno()
        with suppress(OSError):  # closed under its hands, where somebody else holds the other end
            while said := os.read(descriptor, _KEPT):
                self._heard = (self._heard + said)[:_KEPT]


@dataclass(frozen=True, slots=True)
class Clients:
    """pg_dump, pg_restore and psql of one version, for one database.

    Attributes:
        folder: Where they lie.
        version: Theirs, such as 18.1.
        server: The first number of the server's version.
        environment: How they reach the database; never shown.
        seconds: How long each may take.
    """

    folder: Path
    version: str
    server: int
    environment: dict[str, str] = field(repr=False)
    seconds: float

    @contextmanager
    def started(self, name: str, *words: str, fed: bool = False) -> Iterator[Program]:
        """One of them at work; at the end of the block it is killed unless it has ended.

        Args:
            name: Which.
            words: Its arguments, which every user of the machine can see.
            fed: Whether it reads `input` and its output is nobody's, rather than the other way round.

        Raises:
            UnavailableError: It cannot be run.
        """
        try:
            process = subprocess.Popen(  # noqa: S603 - PostgreSQL's own program, no shell
                [self.folder / name, *words],
                env=self.environment,
                stdin=subprocess.PIPE if fed else subprocess.DEVNULL,
                stdout=subprocess.DEVNULL if fed else subprocess.PIPE,
                stderr=subprocess.PIPE,
                start_new_session=True,  # so that a Ctrl-C reaches it only through this process
            )
        except OSError as error:
            raise _not_run(name, error) from None
        program = Program(process, self.seconds)
        try:
            yield program
        finally:
            program.close()


@dataclass(frozen=True, slots=True)
class _Found:
    folder: Path
    version: str
    major: int


def find(pool: Pool) -> Clients:
    """The programs that are closest in version to the server, and not older.

    Closest, as older servers do not take all that newer programs write. Looked for on PATH, in Debian's
    folders, and in the wheel with the embedded server.

    Raises:
        UnavailableError: There are none (`pg_dump_missing`), or older ones only (`pg_dump_too_old`); or a
            pooler lies between (`needs_direct`).
    """
    with pool.connection() as connection:
        if is_pooled(connection):
            raise UnavailableError(
                "a pooler lies between, and PostgreSQL's programs need a session of their own",
                code="needs_direct",
                hint="Name the server itself in DATABASE_URL for this: see docs/scaling.md.",
            )
        environment = _environment(connection)
        server = connection.info.server_version // 10000
    found = [one for folder in _folders() if (one := _look(folder, environment)) is not None]
    fitting = [one for one in found if one.major >= server]
    if not fitting:
        raise _unfit(found, server)
    chosen = min(fitting, key=attrgetter("major"))
    return Clients(chosen.folder, chosen.version, server, environment, pool.waits.bulk)


def parameters(connection: Connection) -> dict[str, str]:
    """How a connection was made, by libpq's keywords; with the password."""
    info = connection.info
    # The driver's own libpq may look for a socket elsewhere than the programs' does.
    known = {"host": info.host, **info.dsn_parameters, "password": info.password}
    return {name: value for name, value in known.items() if value and name not in _LEFT_OUT}


def late(name: str, seconds: float) -> UnavailableError:
    """A program took longer than it may."""
    return UnavailableError(
        f"{name} took longer than {seconds:g} s and was stopped",
        code="postgres_busy",
        hint="Try again, or raise database.bulk_timeout.",
    )


def _environment(connection: Connection) -> dict[str, str]:
    named = {name: value for name, value in os.environ.items() if not name.startswith("PG")}
    for name, value in parameters(connection).items():
        named[_NAMED_OTHERWISE.get(name, f"PG{name.replace('_', '').upper()}")] = value
    return named | {"LC_ALL": "C"}


def _folders() -> Iterator[Path]:
    on_path = shutil.which(_NAMES[0])
    if on_path is not None:
        yield Path(on_path).parent
    yield from PACKAGED.glob("*/bin")
    with suppress(UnavailableError):
        yield in_wheel() / "bin"


def _look(folder: Path, environment: dict[str, str]) -> _Found | None:
    if not all(os.access(folder / name, os.X_OK) for name in _NAMES):
        return None
    try:
        done = subprocess.run(  # noqa: S603 - PostgreSQL's own program, no shell
            [folder / _NAMES[0], "--version"],
            # Debian's wrapper chooses the version by it.
            env=environment,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            encoding="utf-8",
            errors="replace",
            timeout=_VERSION_SECONDS,
            check=False,
        )
    except (OSError, subprocess.SubprocessError):
        return None
    said = _VERSION.search(done.stdout)
    return None if said is None else _Found(folder, said[1], int(said[2]))


def _unfit(found: list[_Found], server: int) -> UnavailableError:
    hint = (
        f"Install the client programs of PostgreSQL {server}; Debian calls them postgresql-client-{server}."
    )
    if not found:
        return UnavailableError(
            "pg_dump, pg_restore and psql are not installed", code="pg_dump_missing", hint=hint
        )
    newest = max(found, key=attrgetter("major"))
    return UnavailableError(
        f"pg_dump {newest.version} is too old for the server, which is PostgreSQL {server}",
        code="pg_dump_too_old",
        hint=hint,
    )


def _not_run(name: str, error: OSError) -> UnavailableError:
    return UnavailableError(
        f"{name} cannot be run: {error.strerror}",
        code="pg_dump_missing",
        hint="Install PostgreSQL's client programs again.",
    )


def _given(pipe: IO[bytes] | None) -> IO[bytes]:
    if pipe is None:
        raise AssertionError("the program was not started with this pipe")
    return pipe

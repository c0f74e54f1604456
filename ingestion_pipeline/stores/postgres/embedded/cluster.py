"""A cluster and its server: initdb, start, stop, and what a crash leaves of them."""

import hashlib
import os
import re
import secrets
import shlex
import shutil
import stat
import subprocess
import time
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import NoReturn
from urllib.parse import quote

from ingestion_pipeline.domain.errors import Place, ProtectedError, UnavailableError
from ingestion_pipeline.stores.atomic import sync_folder
from ingestion_pipeline.stores.postgres.embedded.holds import sole
from ingestion_pipeline.stores.postgres.embedded.programs import run

_SECONDS = 60  # for a start or a stop
_LAST_PROCESS_SECONDS = 5  # a killed server's children end once they notice

_SOCKET = ".s.PGSQL.5432"
# Not too long for sun_path; libpq takes a comma for a list of hosts, SQLAlchemy a colon for a port.
_SOCKET_PATH = re.compile(r"[A-Za-z0-9_./-]{1,100}")

_INITDB = (
    *("--username=postgres", "--auth-local=trust", "--auth-host=reject"),
    *("--encoding=UTF8", "--locale=C", "--locale-provider=builtin", "--builtin-locale=C.UTF-8"),
)
_SETTINGS = (
    *("--listen_addresses=", "--port=5432", "--unix_socket_permissions=0700"),
    *("--max_connections=60", "--shared_buffers=128MB", "--jit=off"),
    *("--timezone=UTC", "--log_timezone=UTC", "--log_checkpoints=off"),
    # An error's message, detail or statement may quote a cell; "log" ranks above "error".
    *("--log_min_messages=log", "--log_min_error_statement=panic"),
    *("--log_parameter_max_length_on_error=0", "--log_error_verbosity=terse"),
)


class Cluster:
    """One folder's cluster. Who changes it holds its state folder alone; its server holds a lock too."""

    def __init__(self, folder: Path, options: Mapping[str, str], lock: Path) -> None:
        self.folder = folder
        self._options = options
        self._lock = lock
        self._data = folder / "data"
        self._log = folder / "server.log"
        self._pid_file = self._data / "postmaster.pid"
        self._name = f"ingestion-{hashlib.sha256(os.fsencode(folder)).hexdigest()[:12]}"

    def socket_dir(self) -> Path | None:
        """Where the server's socket lies, if one runs."""
        return next(map(Path, self._postmaster()[4:5]), None)

    def url(self, database: str) -> str:
        """The URL of a database on the running server."""
        socket_dir = self.socket_dir()
        if socket_dir is None:
            raise UnavailableError(
                "the embedded server does not run",
                code="embedded_not_running",
                hint="start it with: ingest db start",
            )
        # Empty hostaddr and options keep PGHOSTADDR and PGOPTIONS of the environment out.
        place = f"host={quote(str(socket_dir))}&port=5432&hostaddr=&options="
        return f"postgresql://postgres@/{quote(database, safe='')}?{place}"

    def ensure_running(self) -> None:
        """Start the server unless it can be reached, after initdb if need be."""
        self._settle()
        socket_dir = self.socket_dir()
        if socket_dir is None or not (socket_dir / _SOCKET).exists():
            self.stop()  # if its socket was swept away, nobody can reach it any more
            self._ensure_data()
            self._start()
            if not self._postmaster():
                self._fail("start")

    def stop(self) -> None:
        """Stop the server, if it runs; open transactions roll back."""
        self._settle()
        if socket_dir := self.socket_dir():
            run("pg_ctl", "stop", "-s", "-w", "-mfast", f"-t{_SECONDS}", cluster=self.folder)
            if self.socket_dir():
                self._fail("stop")
            with suppress(OSError):  # not empty, if it is the cluster's
                socket_dir.rmdir()

    def _postmaster(self) -> list[str]:
        """What postmaster.pid says, if the process it names is this cluster's server."""
        with suppress(OSError, ValueError):
            lines = self._pid_file.read_text(encoding="utf-8", errors="surrogateescape").splitlines()
            if lines and f"--cluster_name={self._name}" in _command(int(lines[0])):
                return lines
        return []

    def _settle(self) -> None:
        """Wait for a start or stop that a killed process left under way."""
        deadline = time.monotonic() + _SECONDS
        while (lines := self._postmaster()) and [line.strip() for line in lines[7:]] != ["ready"]:
            if time.monotonic() > deadline:
                self._fail("start")
            time.sleep(0.02)

    def _start(self) -> None:
        socket_dir = _socket_dir(self.folder, self._name)
        options = [f"--cluster_name={self._name}", f"--unix_socket_directories={socket_dir}", *_SETTINGS]
        options += [f"--{name}={value}" for name, value in self._options.items()]
        # pg_ctl hands its words to a shell and quotes none: the data's path goes by PGDATA.
        words = ["-s", "-w", f"-t{_SECONDS}", f"-l{self._log.name}", f"-o{shlex.join(options)}"]
        # The server inherits the lock and holds it to its last process; had, no other one lives.
        try:
            with sole(self._lock, _LAST_PROCESS_SECONDS) as descriptor:
                self._drop_stale_pid_files(socket_dir)
                run("pg_ctl", "start", *words, cluster=self.folder, pass_fds=(descriptor,))
        except UnavailableError:
            if not self._postmaster():  # a killed process may have left its start at work
                raise
        self._settle()

    def _drop_stale_pid_files(self, socket_dir: Path) -> None:
        """Remove pid files whose process is a zombie or no server; the server would take it for one."""
        for file in (self._pid_file, socket_dir / f"{_SOCKET}.lock"):
            with suppress(OSError, ValueError):
                pid, _, _ = file.read_text(encoding="utf-8", errors="replace").partition("\n")
                if "postgres" not in _command(abs(int(pid))):
                    file.unlink()

    def _ensure_data(self) -> None:
        """Run initdb beside the place and rename, so that an interrupted one leaves no half cluster."""
        for leftover in self.folder.glob("data.new-*"):
            shutil.rmtree(leftover, ignore_errors=True)  # a killed process may have left its initdb at work
        if not self._data.exists():
            new = self.folder / f"data.new-{secrets.token_hex(4)}"
            safe = self._options.get("fsync") != "off"
            words = _INITDB if safe else (*_INITDB, "--no-sync")
            done = run("initdb", f"--pgdata={new}", *words, cluster=self.folder)
            if done.returncode != 0:
                self._fail("start", done.stdout)
            new.rename(self._data)
            if safe:
                sync_folder(self.folder)

    def _fail(self, what: str, said: str = "") -> NoReturn:
        with suppress(OSError):
            said = said or self._log.read_text(encoding="utf-8", errors="replace")
        last = (said.strip().splitlines() or ["it left no log"])[-1]
        raise UnavailableError(
            f"the embedded server does not {what}: {last}",
            code=f"embedded_{what}",
            place=Place(file=str(self._log)),
            hint="see to what it says, and to the folder's space and rights",
        )


def _socket_dir(folder: Path, name: str) -> Path:
    """The cluster's own folder if a socket's address can hold it, else a short one, made if need be."""
    if _SOCKET_PATH.fullmatch(str(folder / _SOCKET)):
        return folder
    # Not TMPDIR: that may be long, and differ between processes.
    short = Path("/tmp") / f"{name}-{os.geteuid()}"  # noqa: S108 - checked
    with suppress(FileExistsError):
        short.mkdir(mode=0o700)
    found = short.lstat()
    if found.st_mode != stat.S_IFDIR | stat.S_IRWXU or found.st_uid != os.geteuid():
        raise ProtectedError(
            "the short folder for the server's socket is not a private folder of this user",
            code="embedded_socket_dir",
            place=Place(file=str(short)),
            hint="someone else may have put it there: look at it, then remove it",
        )
    return short


def _command(pid: int) -> str:
    """A process's command line; empty for a zombie and for none."""
    if Path("/proc/self").exists():
        with suppress(OSError):
            return os.fsdecode(Path(f"/proc/{pid}/cmdline").read_bytes())
        return ""
    words = ["/bin/ps", "-ww", "-o", "args=", "-p", str(pid)]
    return subprocess.run(words, capture_output=True, check=False, encoding="utf-8").stdout  # noqa: S603

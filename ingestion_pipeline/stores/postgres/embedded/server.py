"""The embedded server as its users see it: the first starts it, the last stops it."""

import atexit
import os
import shutil
from collections.abc import Mapping
from contextlib import AbstractContextManager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Self

from ingestion_pipeline.domain.errors import Place, ProtectedError, UnavailableError
from ingestion_pipeline.stores.atomic import make_folder
from ingestion_pipeline.stores.postgres.embedded import account
from ingestion_pipeline.stores.postgres.embedded.cluster import Cluster
from ingestion_pipeline.stores.postgres.embedded.holds import Holds, sole

_HOLDING: list["EmbeddedServer"] = []


@dataclass(frozen=True, slots=True)
class ServerStatus:
    """What is known of the embedded server.

    Attributes:
        running: Whether it takes connections or is about to.
        kept: Whether it outlives its last user.
        users: Processes that hold it, or None where the system does not tell.
        folder: Where cluster and log lie.
    """

    running: bool
    kept: bool
    users: int | None
    folder: Path


class EmbeddedServer:
    """The embedded PostgreSQL of one state folder.

    Works as a context manager: `with EmbeddedServer(state_dir) as server: ... server.dsn("orders")`.

    Args:
        state_dir: The folder that names the server; everything of a normal user's server lies in it.
        options: Server settings over the defaults, taken up when this process starts the server.

    Whatever cannot be done raises an UnavailableError; a trap for the socket, a ProtectedError.
    """

    def __init__(self, state_dir: Path, options: Mapping[str, str] | None = None) -> None:
        self._state = Path(state_dir).resolve() / "postgres"
        self._keep_file = self._state / "keep"
        self._options = dict(options or {})
        self._holds = Holds(self._state / "users")
        self._held: Cluster | None = None

    def __enter__(self) -> Self:
        self.acquire()
        return self

    def __exit__(self, *_: object) -> None:
        self.release()

    @property
    def folder(self) -> Path:
        """Where cluster and log lie; outside the state folder once root has made them."""
        return self._cluster().folder

    def exists(self) -> bool:
        """Whether there is a cluster, running or not."""
        return self._state.exists() and self.folder.exists()

    def dsn(self, database: str) -> str:
        """The URL of a database on the running server, for libpq and SQLAlchemy."""
        return self._cluster().url(database)

    def acquire(self) -> str:
        """Start the server or attach to it, and hold it until `release` or the process's end.

        Acquiring again takes as many releases; a server that died meanwhile is started anew.

        Returns:
            The URL of the maintenance database `postgres`.
        """
        with self._transition():
            cluster = self._cluster_in(account.make_folder(self._state))
            cluster.ensure_running()
            self._holds.add()
            self._held = cluster
            _HOLDING.append(self)
            return cluster.url("postgres")

    def release(self) -> None:
        """Let go once; the last user's last release stops a server that is not kept.

        Does nothing in a process that does not hold the server, such as a forked child of one that does.
        """
        if self._holds:
            with self._transition():
                cluster = self._cluster()
                self._drop_hold()
                if not self._holds and not self._keep_file.exists() and self._holds.alone():
                    cluster.stop()

    def start_and_keep(self) -> None:
        """Start the server, if need be, and leave it running until `stop`."""
        with self._transition():
            self._cluster_in(account.make_folder(self._state)).ensure_running()
            self._keep_file.touch(mode=0o600)

    def stop(self, *, force: bool = False) -> None:
        """Stop the server, kept or not; nothing to do is no error.

        Args:
            force: Stop it under others' hands too; their transactions roll back.

        Raises:
            ProtectedError: Others hold the server (`server_in_use`); nothing was changed.
        """
        if self._state.exists():
            with self._transition():
                self._end(force=force)

    def destroy(self) -> None:
        """Stop the server and remove its cluster with all data; raises what `stop` does."""
        if self._state.exists():
            with self._transition():
                self._end(force=False)
                shutil.rmtree(self.folder, ignore_errors=True)
                shutil.rmtree(self._state, ignore_errors=True)

    def status(self) -> ServerStatus:
        """Look at the server without touching it."""
        if self._state.exists():
            self._check_state()
        cluster = self._cluster()
        return ServerStatus(
            running=cluster.socket_dir() is not None,
            kept=self._keep_file.exists(),
            users=self._holds.count(),
            folder=cluster.folder,
        )

    def _cluster(self) -> Cluster:
        """The one held here, though its state folder be gone, or the one the state folder names."""
        if self._held is not None and self._holds:
            return self._held
        return self._cluster_in(account.find_folder(self._state))

    def _cluster_in(self, folder: Path) -> Cluster:
        return Cluster(folder, self._options, self._state / "server")

    def _transition(self) -> AbstractContextManager[int]:
        """What every start, stop, acquire and release holds."""
        with suppress(OSError, UnavailableError):
            make_folder(self._state.parent)
            self._state.mkdir(mode=0o700, exist_ok=True)
        self._check_state()
        return sole(self._state / "lock", seconds=90)  # longer than any start or stop

    def _check_state(self) -> None:
        mine = os.access(self._state, os.W_OK) and self._state.lstat().st_uid == os.geteuid()
        if not mine or self._state.is_symlink():
            raise UnavailableError(
                "the embedded server's folder cannot be made or written, or is another user's",
                code="embedded_folder",
                place=Place(file=str(self._state)),
                hint="run as its owner, or choose a state folder this user may write",
            )

    def _end(self, *, force: bool) -> None:
        if not force and not self._holds.alone():
            raise ProtectedError(
                "others use the embedded server",
                code="server_in_use",
                place=Place(file=str(self.folder)),
                hint="end them first, or force the stop",
            )
        self._cluster().stop()
        self._keep_file.unlink(missing_ok=True)
        while self._holds:
            self._drop_hold()

    def _drop_hold(self) -> None:
        self._holds.drop()
        _HOLDING.remove(self)


@atexit.register
def _release_all() -> None:
    for server in _HOLDING[:]:
        server.release()

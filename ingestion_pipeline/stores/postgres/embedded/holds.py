"""Flocks, in which the users of a server are counted: the kernel drops them with the process."""

import fcntl
import os
import re
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from io import BufferedWriter
from pathlib import Path
from weakref import WeakSet

from ingestion_pipeline.domain.errors import Place, UnavailableError

_OPEN: WeakSet[BufferedWriter] = WeakSet()


def _open(path: Path) -> BufferedWriter:
    """Open for a lock; two of one process exclude each other too."""
    file = path.open("ab")
    _OPEN.add(file)
    return file


def _forget() -> None:
    """In a forked child: the locks are the parent's; closing the copies leaves them locked."""
    for file in list(_OPEN):
        file.close()


os.register_at_fork(after_in_child=_forget)


def _taken(file: BufferedWriter, seconds: float = 0) -> bool:
    deadline = time.monotonic() + seconds
    while True:
        with suppress(BlockingIOError):
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            return True
        if time.monotonic() > deadline:
            return False
        time.sleep(0.02)


@contextmanager
def sole(path: Path, seconds: float) -> Iterator[int]:
    """A lock held alone, as a descriptor to inherit."""
    with _open(path) as file:
        if not _taken(file, seconds):
            raise UnavailableError(
                f"another process has held this lock for {seconds} s",
                code="embedded_busy",
                place=Place(file=str(path)),
                hint="find it with fuser -v on this file; it may run in another container that shares it",
            )
        yield file.fileno()


class Holds:
    """The users of a server, each with a shared lock on one file.

    Turning a shared flock into a sole one is not atomic: all but `count` need a sole lock on another file.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._own: list[BufferedWriter] = []

    def __len__(self) -> int:
        """Those taken here; a forked child has none of its parent's."""
        self._own = [file for file in self._own if not file.closed]
        return len(self._own)

    def add(self) -> None:
        """Hold once more."""
        file = _open(self._path)
        fcntl.flock(file, fcntl.LOCK_SH)
        self._own.append(file)

    def drop(self) -> None:
        """Hold once less."""
        with self._own.pop() as file:
            # A child in the middle of its start may have a copy, which closing alone would leave locked.
            fcntl.flock(file, fcntl.LOCK_UN)

    def alone(self) -> bool:
        """Whether nobody else holds."""
        own = len(self)
        while self:
            self.drop()
        with _open(self._path) as file:
            free = _taken(file)
        for _ in range(own):
            self.add()
        return free

    def count(self) -> int | None:
        """The processes that hold, or None where no /proc/locks shows them."""
        try:
            locks = Path("/proc/locks").read_text(encoding="ascii")
            inode = self._path.stat().st_ino
        except OSError:
            return None if self._path.exists() else 0
        # Not by device: Btrfs and overlays show another one here than stat does.
        return len(set(re.findall(rf"FLOCK\s+ADVISORY\s+READ\s+(\d+)\s+\w+:\w+:{inode}\s", locks)))

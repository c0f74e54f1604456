"""The files of timings: one a process that runs, and one for all that have ended.

Nothing here is fsynced: what a power cut takes away are timings.
"""

import fcntl
import json
import os
import time
from collections.abc import Collection, Iterator
from contextlib import contextmanager, suppress
from functools import cache
from pathlib import Path
from typing import Any

from ingestion_pipeline.domain.errors import PipelineError
from ingestion_pipeline.domain.timing import BOUNDS, Histogram, Timed, Timings, added, plain, read
from ingestion_pipeline.stores.atomic import make_folder, write_all

ENDED = "ended.json"
"""The timings of processes that have ended."""

UNREADABLE = (ValueError, TypeError, KeyError, AttributeError, RecursionError)
"""What reading a damaged file may come up with; the last where it is nested without end."""

PAUSE = 0.005

_BEGAN = str(time.time_ns())


class Busy(Exception):  # noqa: N818 - nobody is told; whoever records goes on
    """Somebody else works on the files."""


AMISS = (OSError, PipelineError, Busy)
"""Whatever the disk, or somebody else's files, come up with: no verb fails for it."""


class Files:
    """The files in one folder.

    Args:
        folder: Where they lie; made when it is first needed.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    @contextmanager
    def locked(self, seconds: float) -> Iterator[None]:
        """While nobody else puts files together.

        Args:
            seconds: How long to wait for them.

        Raises:
            Busy: Somebody else did so all the time.
            OSError: The disk refuses.
        """
        make_folder(self.folder)
        flags = os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW
        descriptor = os.open(self.folder / "lock", flags, 0o600)
        try:
            _wait(descriptor, time.monotonic() + seconds)
            yield
        finally:
            # For children too that were forked meanwhile.
            with suppress(OSError):
                fcntl.flock(descriptor, fcntl.LOCK_UN)
            os.close(descriptor)

    def put(self, name: str, data: bytes) -> None:
        """Put something in a file's place, whole or not at all."""
        path = self.folder / name
        new = path.with_suffix(".tmp")
        _write(new, data, os.O_TRUNC)
        new.replace(path)

    def append(self, name: str, data: bytes) -> None:
        """Put something at a file's end."""
        _write(self.folder / name, data, os.O_APPEND)

    def write(self, name: str, timings: Timings, folded: Collection[str] = ()) -> None:
        """Put timings in a file's place.

        Args:
            name: The file's.
            timings: What it is to hold.
            folded: Other files that are in it already.
        """
        held = {"bounds": BOUNDS, "folded": sorted(folded), "timings": plain(timings)}
        self.put(name, as_json(held))

    def exists(self, name: str) -> bool:
        """Whether there is such a file."""
        return (self.folder / name).exists()

    def read(self) -> dict[Timed, Histogram]:
        """The timings of all processes, as the files have them."""
        ended, folded = self.held(ENDED)
        running = (self.held(name)[0] for name in self._running() if name not in folded)
        return added((ended, *running))

    def fold(self, own: str | None = None) -> None:
        """Put the timings of processes that have ended into one file, and one's own if it is named.

        Killed anywhere, nothing is counted twice: that file names those that are in it already.
        """
        ended, before = self.held(ENDED)
        left = [name for name in self._running() if name not in before]
        over = [name for name in left if name == own or not is_running(name)]
        if over:
            timings = added((ended, *(self.held(name)[0] for name in over)))
            self.write(ENDED, timings, {*before, *over} & set(self._running()))
        for name in {*before, *over}:
            (self.folder / name).unlink(missing_ok=True)
        for path in self.folder.glob("*-*.tmp"):
            if not is_running(path.name):
                path.unlink(missing_ok=True)

    def held(self, name: str) -> tuple[Timings, set[str]]:
        """The timings in a file, and the others that are in it; nothing of one that cannot be read."""
        with suppress(OSError, *UNREADABLE):
            held: dict[str, Any] = json.loads((self.folder / name).read_bytes())
            if tuple(held["bounds"]) == BOUNDS:
                return read(held["timings"]), set(held["folded"])
        return {}, set()

    def _running(self) -> list[str]:
        return sorted(path.name for path in self.folder.glob("*-*.json"))


def as_json(held: object) -> bytes:
    """On one line, without a space too many."""
    return json.dumps(held, separators=(",", ":")).encode()


def _write(path: Path, data: bytes, how: int) -> None:
    flags = os.O_WRONLY | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW | how
    descriptor = os.open(path, flags, 0o600)
    try:
        write_all(descriptor, data)
    finally:
        os.close(descriptor)


def _wait(descriptor: int, until: float) -> None:
    while True:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            if time.monotonic() >= until:
                raise Busy from None
            time.sleep(PAUSE)
        else:
            return


def name_of_this(turn: int) -> str:
    """The name of this process's file.

    Args:
        turn: Counts the files that it has begun.
    """
    return f"{os.getpid()}-{began(os.getpid()) or _BEGAN}-{turn}.json"


def is_running(name: str) -> bool:
    """Whether the process of a file still runs; a number that is given again is told by its beginning."""
    pid, start, *_ = name.split("-")
    if not pid.isdecimal():
        return False
    if _has_proc():
        return began(int(pid)) == start
    try:
        os.kill(int(pid), 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True


def began(pid: int) -> str | None:
    """When a process began, as the kernel counts; None where there is none, or nobody says."""
    with suppress(OSError, IndexError):
        # The program's name, in brackets, may hold anything.
        return Path(f"/proc/{pid}/stat").read_text("utf-8", "replace").rpartition(")")[2].split()[19]
    return None


@cache
def _has_proc() -> bool:
    return Path("/proc/self/stat").exists()

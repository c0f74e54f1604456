"""The file lock: one writer of the CSV at a time, or several readers who need it to stand still."""

import fcntl
import os
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from ingestion_pipeline.domain.errors import Place, UnavailableError
from ingestion_pipeline.stores.atomic import make_folder

_SHARE_OF_WAIT = 0.25
_SHORTEST = 0.0005

_NEXT = 0.005
"""Seconds between two looks at most of the one whose turn is next."""

_POLITE = 2.0
"""Seconds the turn is waited for: a program that was stopped while it had it must not stop all others."""


class _TimeUpError(Exception):
    """Neither came in time."""


class FileLock:
    """A lock that the system lets go of when its holder dies, however it dies.

    Taken anew each time, it keeps threads apart as well as processes. Who waits takes the turn first, a
    second lock, so that nobody who comes later goes before.

    Args:
        path: The file that is locked; never the CSV itself, which is replaced.
        timeout: Seconds to wait for it.
        check_interval: Seconds between two looks at most; waiting begins with shorter ones.
        what: What is locked, as an error calls it.
    """

    def __init__(
        self, path: Path, timeout: float = 30.0, check_interval: float = 0.1, what: str = "the CSV"
    ) -> None:
        self.path = path
        self._what = what
        self.timeout = timeout
        self._turn = path.with_name(f"{path.name}.turn")
        self._check_interval = check_interval

    @contextmanager
    def exclusive(self) -> Iterator[None]:
        """Hold it alone.

        Raises:
            UnavailableError: Somebody else held it all the time.
        """
        with self._held(fcntl.LOCK_EX):
            yield

    @contextmanager
    def shared(self) -> Iterator[None]:
        """Hold it together with other readers, while nobody writes.

        Raises:
            UnavailableError: A writer held it all the time.
        """
        with self._held(fcntl.LOCK_SH):
            yield

    def at_once(self) -> int | None:
        """The descriptor that holds the lock, to be given to `release`; None when others have it, or wait."""
        with self._turning() as turn:
            if not self._taken(turn, self._turn, fcntl.LOCK_EX):
                return None
            descriptor = self._opened(self.path)
            taken = False
            try:
                taken = self._taken(descriptor, self.path, fcntl.LOCK_EX)
            finally:
                if not taken:
                    release(descriptor)
            return descriptor if taken else None

    def wait(self, done: Callable[[], bool] = lambda: False, kind: int = fcntl.LOCK_EX) -> int | None:
        """Wait for the lock, or for something that makes it unnecessary.

        Args:
            done: Whether it is unnecessary.
            kind: fcntl.LOCK_EX, or LOCK_SH to share it.

        Returns:
            The descriptor that holds the lock, to be given to `release`; None when `done` came first.

        Raises:
            UnavailableError: Neither came in time.
        """
        began = time.monotonic()
        until = began + self.timeout
        with self._turning() as turn:
            with suppress(_TimeUpError):
                polite = min(until, began + _POLITE)
                if not self._acquired(turn, self._turn, fcntl.LOCK_EX, self._check_interval, polite, done):
                    return None
            descriptor = self._opened(self.path)
            taken = False
            try:
                taken = self._acquired(descriptor, self.path, kind, _NEXT, until, done)
            except _TimeUpError:
                raise UnavailableError(
                    f"somebody else held the lock of {self._what} for {self.timeout:g} s",
                    code="locked",
                    place=Place(file=str(self.path)),
                    hint="Try again when the other program is done, or raise file_locking.timeout.",
                ) from None
            finally:
                if not taken:
                    release(descriptor)
            return descriptor if taken else None

    @contextmanager
    def _turning(self) -> Iterator[int]:
        descriptor = self._opened(self._turn)
        try:
            yield descriptor
        finally:
            release(descriptor)

    @contextmanager
    def _held(self, kind: int) -> Iterator[None]:
        descriptor = self.wait(kind=kind)
        if descriptor is None:
            raise AssertionError("a lock that was waited for without end is not held")
        try:
            yield
        finally:
            release(descriptor)

    def _opened(self, path: Path) -> int:
        make_folder(path.parent)
        flags = os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW
        try:
            return os.open(path, flags, 0o600)
        except OSError as error:
            raise self._unusable(error) from None

    def _taken(self, descriptor: int, path: Path, kind: int) -> bool:
        try:
            fcntl.flock(descriptor, kind | fcntl.LOCK_NB)
        except BlockingIOError:
            return False
        except OSError as error:
            raise self._unusable(error) from None
        if _names(path, descriptor):
            return True
        raise UnavailableError(
            "the lock's file was taken away while it was waited for",
            code="locked",
            place=Place(file=str(self.path)),
            hint="Leave the files beside the CSV alone, and try again.",
        )

    def _unusable(self, error: OSError) -> UnavailableError:
        return UnavailableError(
            f"the lock cannot be used: {error.strerror}",
            code="disk",
            place=Place(file=str(self.path)),
            hint="Run this as the user who owns the CSV, on a disk that can lock files.",
        )

    def _acquired(
        self,
        descriptor: int,
        path: Path,
        kind: int,
        longest: float,
        until: float,
        done: Callable[[], bool],
    ) -> bool:
        began = time.monotonic()
        while True:
            if done():
                return False
            if self._taken(descriptor, path, kind):
                return True
            now = time.monotonic()
            if now >= until:
                raise _TimeUpError
            pause = min(longest, max(_SHORTEST, (now - began) * _SHARE_OF_WAIT))
            time.sleep(min(pause, until - now + _SHORTEST))


def _names(path: Path, descriptor: int) -> bool:
    """Whether others who open the path now open the same file."""
    try:
        return os.path.samestat(os.fstat(descriptor), path.stat())
    except FileNotFoundError:
        return False


def release(descriptor: int) -> None:
    """Let go of a lock, for children too that were forked while it was held."""
    try:
        # Closing lets go of it too, but for such children.
        with suppress(OSError):
            fcntl.flock(descriptor, fcntl.LOCK_UN)
    finally:
        os.close(descriptor)

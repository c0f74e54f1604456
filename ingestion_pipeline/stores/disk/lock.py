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


class FileLock:
    """A lock that the system lets go of when its holder dies, however it dies.

    Taken anew each time, it keeps threads apart as well as processes.

    Args:
        path: The file that is locked; never the CSV itself, which is replaced.
        timeout: Seconds to wait for it.
        check_interval: Seconds between two looks at most; waiting begins with shorter ones.
    """

    def __init__(self, path: Path, timeout: float = 30.0, check_interval: float = 0.1) -> None:
        self.path = path
        self.timeout = timeout
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
        """The descriptor that holds the lock, to be given to `release`; None when somebody else has it."""
        descriptor = self._opened()
        try:
            taken = self._taken(descriptor, fcntl.LOCK_EX)
        except BaseException:
            release(descriptor)
            raise
        if not taken:
            release(descriptor)
        return descriptor if taken else None

    def wait(self, done: Callable[[], bool]) -> int | None:
        """Wait for the lock, or for something that makes it unnecessary.

        Returns:
            The descriptor that holds the lock, to be given to `release`; None when `done` came first.

        Raises:
            UnavailableError: Neither came in time.
        """
        descriptor = self._opened()
        try:
            if self._acquired(descriptor, fcntl.LOCK_EX, done):
                return descriptor
        except BaseException:
            release(descriptor)
            raise
        release(descriptor)
        return None

    @contextmanager
    def _held(self, kind: int) -> Iterator[None]:
        descriptor = self._opened()
        try:
            self._acquired(descriptor, kind, lambda: False)
            yield
        finally:
            release(descriptor)

    def _opened(self) -> int:
        make_folder(self.path.parent)
        flags = os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW
        try:
            return os.open(self.path, flags, 0o600)
        except OSError as error:
            raise self._unusable(error) from None

    def _taken(self, descriptor: int, kind: int) -> bool:
        try:
            fcntl.flock(descriptor, kind | fcntl.LOCK_NB)
        except BlockingIOError:
            return False
        except OSError as error:
            raise self._unusable(error) from None
        if self._is_the_one(descriptor):
            return True
        raise UnavailableError(
            "the lock's file was taken away while it was waited for",
            code="locked",
            place=Place(file=str(self.path)),
            hint="Leave the files beside the CSV alone, and try again.",
        )

    def _is_the_one(self, descriptor: int) -> bool:
        """Whether others who open the lock now open the same file."""
        try:
            return os.path.samestat(os.fstat(descriptor), self.path.stat())
        except FileNotFoundError:
            return False

    def _unusable(self, error: OSError) -> UnavailableError:
        return UnavailableError(
            f"the lock cannot be used: {error.strerror}",
            code="disk",
            place=Place(file=str(self.path)),
            hint="Run this as the user who owns the CSV, on a disk that can lock files.",
        )

    def _acquired(self, descriptor: int, kind: int, done: Callable[[], bool]) -> bool:
        began = time.monotonic()
        while True:
            if done():
                return False
            if self._taken(descriptor, kind):
                return True
            waited = time.monotonic() - began
            if waited >= self.timeout:
                raise UnavailableError(
                    f"somebody else held the CSV's lock for {self.timeout:g} s",
                    code="locked",
                    place=Place(file=str(self.path)),
                    hint="Try again when the other program is done, or raise file_locking.timeout.",
                )
            pause = min(self._check_interval, max(_SHORTEST, waited * _SHARE_OF_WAIT))
            time.sleep(min(pause, self.timeout - waited + _SHORTEST))


def release(descriptor: int) -> None:
    """Let go of a lock, for children too that were forked while it was held."""
    try:
        # Closing lets go of it too, but for such children.
        with suppress(OSError):
            fcntl.flock(descriptor, fcntl.LOCK_UN)
    finally:
        os.close(descriptor)

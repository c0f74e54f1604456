"""A gate through which every writer passes for each write; shut while somebody looks at what is there."""

import fcntl
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

NEXT = 0.002
"""Seconds between two looks at a gate that is shut."""


class Gate:
    """A lock that the system lets go of when its holder dies, and two files that say what is asked for.

    Args:
        folder: Where its files are.
    """

    def __init__(self, folder: Path) -> None:
        self._lock = folder / "gate"
        self._shut = folder / "shut"
        self._over = folder / "over"

    @contextmanager
    def passed(self) -> Iterator[None]:
        """Keep it open for one write."""
        while self._shut.exists():
            time.sleep(NEXT)
        with self._lock.open("wb") as file:
            fcntl.flock(file, fcntl.LOCK_SH)
            yield

    @contextmanager
    def shut(self) -> Iterator[None]:
        """Nobody writes."""
        self._shut.touch()
        try:
            with self._lock.open("wb") as file:
                fcntl.flock(file, fcntl.LOCK_EX)
                yield
        finally:
            self._shut.unlink()

    def end(self) -> None:
        """Have everybody go home."""
        self._over.touch()

    @property
    def is_over(self) -> bool:
        return self._over.exists()

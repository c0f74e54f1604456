"""Progress: what is done, how much of it, how quickly and how long yet, for whoever has waited for it."""

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from ingestion_pipeline.cli.drawing import Drawing

SLOW = 2.0
"""Seconds after which a person wants to see that something happens."""

LEAST = 1000
"""What is less than one part in so many is a file's header, and says nothing of how far it is."""

_AGAIN = " again"


@dataclass(frozen=True, slots=True)
class Standing:
    """How far a step is.

    Attributes:
        step: What is being done.
        done: How much of it, in bytes or in what is counted; None where nobody measures it.
        total: How much there is, where that is known.
    """

    step: str
    done: int | None = None
    total: int | None = None


class Bar:
    """What is being done; drawn on standard error as soon as it has taken a while.

    Args:
        step: The first step's name.
        total: How much there is to read, where that is known.
        unit: What is counted; bytes by default.
    """

    def __init__(self, step: str, total: int | None = None, unit: str | None = None) -> None:
        self._began = time.monotonic()
        self._total = total
        self._unit = unit
        self._standing = Standing(step)
        self._changing = threading.Lock()
        self._drawing: Drawing | None = None

    def whole(self, total: int) -> None:
        """There is so much to read."""
        self._total = total

    def step(self, name: str) -> None:
        """A step has begun; how long it will be is known once it reads."""
        self._show(Standing(name))

    def read(self, size: int) -> None:
        """So much has been read of it all. Who begins once more, begins from 0."""
        if self._total is not None and size * LEAST < self._total:
            return
        before = self._standing
        name = before.step
        if size < (before.done or 0):
            name = f"{before.step.removesuffix(_AGAIN)}{_AGAIN}"
        # What grows while it is read has no end that is known.
        total = self._total if self._total is None or size <= self._total else None
        self._show(Standing(name, size, total))

    def count(self, more: int) -> None:
        """So many more are done."""
        self.read((self._standing.done or 0) + more)

    def _show(self, standing: Standing) -> None:
        with self._changing:
            self._standing = standing
            if self._drawing is not None:
                self._drawing.show(standing)

    def draw(self) -> None:
        """Draw it from now on."""
        # Who ends sooner does not wait for it.
        from ingestion_pipeline.cli.drawing import Drawing  # noqa: PLC0415 - see above

        with self._changing:
            self._drawing = Drawing(self._standing, self._began, self._unit)

    def wipe(self) -> None:
        """Leave nothing of it."""
        with self._changing:
            if self._drawing is not None:
                self._drawing.stop()
                self._drawing = None


@contextmanager
def bar(step: str, *, total: int | None = None, unit: str | None = None, hidden: bool) -> Iterator[Bar]:
    """A bar for what takes a while; nothing is drawn where nobody watches, nor for what is soon done.

    Args:
        step: The first step's name.
        total: How much there is to read, where that is known.
        unit: What is counted; bytes by default.
        hidden: Whether nobody watches.
    """
    shown = Bar(step, total, unit)
    if hidden:
        yield shown
        return
    waiting = threading.Timer(SLOW, shown.draw)
    waiting.daemon = True
    waiting.start()
    try:
        yield shown
    finally:
        waiting.cancel()
        # It may be about to draw.
        waiting.join()
        shown.wipe()


def size_of(path: Path) -> int | None:
    """A file's bytes; None where there is none."""
    return path.stat().st_size if path.is_file() else None

"""Settling in the background, so that nobody who writes waits for the other side."""

import threading
import time
from collections.abc import Callable
from contextlib import suppress

from ingestion_pipeline.domain.errors import PipelineError

IDLE = 9.0
"""Times as long as the last settling took that the next one waits, so that the disk can do other things."""

LEAST = 0.2
"""Seconds between two settlings at least; writes of the meantime are settled together."""


class Settler:
    """One thread that settles whenever it has been told that something is pending.

    Args:
        settle: Settles once.
    """

    def __init__(self, settle: Callable[[], object]) -> None:
        self._settle = settle
        self._pending = threading.Event()
        self._closing = threading.Event()
        self._starting = threading.Lock()
        self._thread: threading.Thread | None = None

    def soon(self) -> None:
        """Settle before long; returns at once."""
        self._pending.set()
        if self._thread is None or not self._thread.is_alive():
            self._start()

    def close(self) -> None:
        """Settle what is pending, once, and end."""
        self._closing.set()
        self._pending.set()
        if self._thread is not None:
            self._thread.join()
            self._thread = None

    def _start(self) -> None:
        with self._starting:
            if (self._thread is None or not self._thread.is_alive()) and not self._closing.is_set():
                self._thread = threading.Thread(target=self._run, name="settler", daemon=True)
                self._thread.start()

    def _run(self) -> None:
        while True:
            self._pending.wait()
            # Those who write at the same time are settled together.
            self._closing.wait(LEAST)
            self._pending.clear()
            began = time.monotonic()
            # What fails is still pending: status and the check nothing_pending say so, and the next write
            # tries again.
            with suppress(PipelineError):
                self._settle()
            if self._closing.is_set() and not self._pending.is_set():
                return
            self._closing.wait(IDLE * (time.monotonic() - began))

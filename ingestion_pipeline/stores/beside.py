"""A sink that works beside whoever writes to it, in a thread of its own."""

from collections import deque
from concurrent.futures import Future, ThreadPoolExecutor
from types import TracebackType
from typing import Self

from ingestion_pipeline.domain.ports import Sink

AHEAD = 4
"""Pieces that may wait."""


class Beside:
    """Passes bytes on to a sink, in their order, while the caller makes more. Use as a context manager.

    Args:
        sink: Takes the bytes; nobody else writes to it meanwhile.
    """

    def __init__(self, sink: Sink) -> None:
        self._sink = sink
        self._thread = ThreadPoolExecutor(1)
        self._waiting: deque[Future[object]] = deque()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._thread.shutdown(cancel_futures=True)

    def write(self, data: bytes, /) -> None:
        """Take some bytes.

        Raises:
            BaseException: What the sink raised at earlier ones.
        """
        if len(self._waiting) >= AHEAD:
            self._take_first()
        self._waiting.append(self._thread.submit(self._sink.write, data))

    def end(self) -> None:
        """Wait until the sink has taken all.

        Raises:
            BaseException: What it raised.
        """
        while self._waiting:
            self._take_first()

    def _take_first(self) -> None:
        # One that failed stays the first, so that whoever goes on all the same is told again.
        self._waiting[0].result()
        self._waiting.popleft()

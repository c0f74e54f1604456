"""Bytes counted on their way."""

from ingestion_pipeline.domain.ports import Progress, Sink


class Counted:
    """Passes bytes on, and tells how many have come.

    Args:
        sink: Takes them.
        progress: Told how many; None where nobody asks.
    """

    def __init__(self, sink: Sink, progress: Progress | None) -> None:
        self._sink = sink
        self._progress = progress
        self._size = 0

    def write(self, data: bytes, /) -> None:
        """Pass some bytes on."""
        self._sink.write(data)
        self._size += len(data)
        if self._progress is not None:
            self._progress(self._size)

"""rehearse: render the CSV on its own disk, as rolling back would, and keep nothing of it."""

import hashlib
from collections.abc import Callable
from contextlib import ExitStack

from ingestion_pipeline.domain.errors import UnavailableError
from ingestion_pipeline.domain.ports import Csv, Scratch, Snapshot


def rehearse(csv: Csv, snapshot: Snapshot) -> tuple[str, int, str | None]:
    """Render the CSV that PostgreSQL holds into a scratch file on the CSV's disk, and read it back.

    Where the disk refuses, what PostgreSQL renders is still known by its digest.

    Returns:
        The digest and rows of what PostgreSQL rendered, and why the disk did not take it; None when it did.
    """
    with ExitStack() as stack:
        sink = _Sink()
        try:
            sink.scratch = stack.enter_context(csv.scratch())
        except UnavailableError as error:
            sink.failed = error.message
        rows, _ = snapshot.render(sink)
        sink.settle()
        return sink.sha256, rows, sink.failed


class _Sink:
    """Takes all bytes, also those that the disk does not take any more."""

    def __init__(self) -> None:
        self.scratch: Scratch | None = None
        self.failed: str | None = None
        self._digest = hashlib.sha256()

    @property
    def sha256(self) -> str:
        return self._digest.hexdigest()

    def write(self, data: bytes, /) -> None:
        self._digest.update(data)
        self._try(lambda scratch: scratch.write(data))

    def settle(self) -> None:
        self._try(lambda scratch: scratch.settle())

    def _try(self, use: Callable[[Scratch], object]) -> None:
        if self.failed is None and self.scratch is not None:
            try:
                use(self.scratch)
            except (OSError, UnavailableError) as error:
                self.failed = _why(error)


def _why(error: OSError | UnavailableError) -> str:
    if isinstance(error, UnavailableError):
        return error.message
    return f"the CSV's disk does not take it: {error.strerror}"

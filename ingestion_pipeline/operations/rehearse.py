"""rehearse: render the CSV on its own disk, as rolling back would, and keep nothing of it."""

import hashlib
from contextlib import ExitStack
from dataclasses import dataclass

from ingestion_pipeline.domain.errors import UnavailableError
from ingestion_pipeline.domain.ports import Csv, Scratch, Snapshot


@dataclass(frozen=True, slots=True)
class Rehearsal:
    """What came of it.

    Attributes:
        sha256: Hex digest of what PostgreSQL rendered.
        rows: Its rows.
        failed: Why the disk did not take it; None when it did.
    """

    sha256: str
    rows: int
    failed: str | None


def rehearse(csv: Csv, snapshot: Snapshot) -> Rehearsal:
    """Render the CSV that PostgreSQL holds into a scratch file on the CSV's disk, and read it back.

    Where the disk refuses, what PostgreSQL renders is still known by its digest.
    """
    with ExitStack() as stack:
        sink = _Sink()
        try:
            sink.scratch = stack.enter_context(csv.scratch())
        except UnavailableError as error:
            sink.failed = error.message
        rows, _ = snapshot.render(sink)
        sink.settle()
        return Rehearsal(sink.sha256, rows, sink.failed)


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
        if self.failed is None and self.scratch is not None:
            try:
                self.scratch.write(data)
            except OSError as error:
                self.failed = _why(error)

    def settle(self) -> None:
        if self.failed is None and self.scratch is not None:
            try:
                self.scratch.settle()
            except OSError as error:
                self.failed = _why(error)
            except UnavailableError as error:
                self.failed = error.message


def _why(error: OSError) -> str:
    return f"the CSV's disk does not take it: {error.strerror}"

"""Batches: several writes that are made durable together."""

from collections.abc import Callable, Mapping, Sequence
from uuid import UUID

from ingestion_pipeline.domain.cells import Value
from ingestion_pipeline.domain.errors import SettingsError
from ingestion_pipeline.domain.receipt import Answered, Write, WriteReceipt, checked

WriteAll = Callable[[Sequence[Write]], Answered]


class Batch:
    """Writes that are collected, and written when the block ends without an error.

    Attributes:
        receipts: In the order of the writes, once they are durable.
    """

    def __init__(self, write_all: WriteAll) -> None:
        self._write_all = write_all
        self._writes: list[Write] = []
        self._over = False
        self.receipts: tuple[WriteReceipt, ...] = ()

    def write(self, row_id: str, cells: Mapping[str, Value], *, write_id: UUID | str | None = None) -> None:
        """Add a write; see `Pipeline.write`.

        Raises:
            InputRefusedError: A cell does not fit its column; the batch is as it was.
            SettingsError: The batch has been written already.
        """
        if self._over:
            raise SettingsError("the batch is over; begin another", code="batch_over")
        self._writes.append(checked(row_id, cells, write_id))

    def finish(self) -> None:
        """Write what was collected."""
        self._over = True
        if self._writes:
            answered = self._write_all(self._writes)
            self.receipts = answered.receipts
            if answered.error is not None:
                raise answered.error

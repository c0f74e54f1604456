"""A file that is received beside the CSV, before anybody decides to put it in its place."""

from collections.abc import Callable

from ingestion_pipeline.domain.brake import Brakes
from ingestion_pipeline.domain.reports import Weighed
from ingestion_pipeline.stores.atomic import Draft
from ingestion_pipeline.stores.disk import row_index
from ingestion_pipeline.stores.disk.csv_reading import CsvReading
from ingestion_pipeline.stores.disk.locked_csv import LockedCsv
from ingestion_pipeline.stores.disk.row_index import RowIndex


class Incoming:
    """The file; made by `CsvStore.incoming`, and gone at the end unless it took the CSV's place.

    Args:
        new: Where it is written.
        csv: The CSV, to be used under its lock.
    """

    def __init__(self, new: Draft, csv: LockedCsv) -> None:
        self._new = new
        self._csv = csv
        self._index: RowIndex | None = None

    def write(self, data: bytes, /) -> None:
        """Append bytes."""
        self._new.write(data)

    def reading(self, progress: Callable[[int], None] | None = None) -> CsvReading:
        """One pass over it, through the gate."""
        return CsvReading(self._new.path, progress)

    def look(self, progress: Callable[[int], None] | None = None) -> int:
        """See that it keeps the contract, and where its rows lie; gives how many there are.

        Nobody need wait meanwhile.

        Raises:
            InputRefusedError: It does not keep it.
        """
        self._index = row_index.build(self._new.path, 0, progress)
        return len(self._index.hashes)

    @property
    def columns(self) -> tuple[str, ...]:
        """Its columns, once it was looked at."""
        return self._looked_at.dialect.columns

    def weigh(self, brakes: Brakes | None) -> Weighed:
        """What it would change of the CSV, which is locked.

        Raises:
            ProtectedError: Too many rows of the CSV would be gone, or a column.
        """
        return self._csv.weigh(self._new.path, self._looked_at, brakes)

    def take_place(self, epoch: int) -> None:
        """Make the CSV, which is locked, this file; see `LockedCsv.restore`."""
        self._csv.restore(self._new, self._looked_at, epoch)

    @property
    def _looked_at(self) -> RowIndex:
        if self._index is None:
            raise AssertionError("what is received is used before it was looked at")
        return self._index

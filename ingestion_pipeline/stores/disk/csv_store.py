"""The CSV that is one of the two sides."""

from collections.abc import Callable, Collection, Mapping, Sequence
from pathlib import Path

from ingestion_pipeline.domain.dialect import Dialect
from ingestion_pipeline.domain.errors import Place, ProtectedError, UnavailableError
from ingestion_pipeline.domain.ports import Sink
from ingestion_pipeline.domain.reports import Normalised
from ingestion_pipeline.stores.atomic import Written, digest, draft, make_folder
from ingestion_pipeline.stores.disk.csv_reading import CsvReading
from ingestion_pipeline.stores.disk.normalising import normalise
from ingestion_pipeline.stores.disk.spelling import spell


class CsvStore:
    """One CSV file.

    Args:
        path: Where it lies; it need not be there yet.
    """

    def __init__(self, path: Path) -> None:
        self.path = path

    @property
    def place(self) -> str:
        """Where the file lies, for people."""
        return str(self.path)

    def exists(self) -> bool:
        """Whether there is a file."""
        return self.path.is_file()

    def reading(self, progress: Callable[[int], None] | None = None) -> CsvReading:
        """One pass over the file, through the gate; see CsvReading."""
        return CsvReading(self.path, progress)

    def sha256(self) -> str:
        """Hex digest of the file as it lies there.

        Raises:
            UnavailableError: There is no file.
        """
        try:
            return digest(self.path).sha256
        except OSError as error:
            raise UnavailableError(
                f"the file cannot be read: {error.strerror}",
                code="csv_missing",
                place=Place(file=self.place),
                hint="Name the CSV in paths.output_csv of the configuration.",
            ) from None

    def replace(self, write: Callable[[Sink], object]) -> Written:
        """Put what `write` writes in the file's place, all of it or nothing."""
        make_folder(self.path.parent)
        with draft(self.path) as new:
            write(new)
            return new.replace()

    def normalised(self) -> tuple["CsvStore", Normalised]:
        """A normalised copy beside the file, and what it spells otherwise."""
        copy = CsvStore(self.path.with_suffix(".normalised.csv"))
        return copy, normalise(self.path, copy.path)

    def rewrite_rows(
        self, sha256: str, positions: Collection[int], cells: Mapping[str, str] | None
    ) -> Written:
        """Put other cells in the rows at these positions, or with None leave the rows out.

        Args:
            sha256: Hex digest of the file that is meant.
            positions: The rows' places in it, from 1.
            cells: The text of every column of the header.

        Raises:
            ProtectedError: The file has become another one meanwhile; it is left as it is.
        """
        with self.reading() as file:
            dialect = _dialect_of(self.path)
            row = None if cells is None else [cells[name] for name in file.columns]

            with draft(self.path) as new:
                _copy_with(file, dialect, positions, row, new)
                return new.replace(lambda: _check_meant(file, sha256, self.path))


def _check_meant(file: CsvReading, sha256: str, path: Path) -> None:
    try:
        file.check_current()
    except UnavailableError:
        meant = False
    else:
        meant = file.sha256 == sha256
    if not meant:
        raise ProtectedError(
            "the file has been changed meanwhile; it is left as it is",
            code="csv_changed",
            place=Place(file=str(path)),
            hint="`ingest sync` reads it anew; then decide again.",
        )


def _dialect_of(path: Path) -> Dialect:
    with CsvReading(path) as file:
        for _ in file.blocks():
            pass
        return file.dialect


def _copy_with(
    file: CsvReading, dialect: Dialect, positions: Collection[int], cells: Sequence[str] | None, sink: Sink
) -> None:
    """Copy the file, row by row only in the blocks that hold the positions."""
    held = file.head
    for block in file.blocks():
        raw = block.raw
        held_here = {position - block.position for position in positions} & set(range(len(block.rows)))
        if held_here:
            kept = (cells if index in held_here else row for index, row in enumerate(block.rows))
            rows = [row for row in kept if row is not None]
            raw = spell(rows, dialect.quoting, dialect.line_end).encode()
        if raw:
            sink.write(held)
            held = raw
    end = dialect.line_end.encode()
    bare = held.removesuffix(end)
    sink.write(bare + end if dialect.final_newline else bare)

"""Any other CSV file, read and written whole: under a lock, durably, and as it is."""

import csv
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from io import StringIO
from itertools import islice
from pathlib import Path

import pandas as pd

from ingestion_pipeline.domain.errors import InputRefusedError, Place, UnavailableError
from ingestion_pipeline.legacy.frames import copy_name, frame_of, rows_of, text
from ingestion_pipeline.stores.atomic import Draft, draft
from ingestion_pipeline.stores.disk.backups import Backups
from ingestion_pipeline.stores.disk.lock import FileLock

Row = dict[str, str]

_BLOCK = 1_000
"""Rows spelled at once."""


class PlainTable:
    """One CSV file that is not the pipeline's own.

    Args:
        path: Where it lies; it need not be there yet.
        timeout: Seconds to wait for others who write it.
        encoding: Its encoding.
    """

    def __init__(self, path: Path, *, timeout: float = 30.0, encoding: str = "utf-8") -> None:
        self.path = path
        self._encoding = encoding
        self._lock = FileLock(path.with_name(f".{path.name}.lock"), timeout)

    def columns(self) -> tuple[str, ...]:
        """The header's names."""
        with self._reader() as reader:
            return tuple(reader.fieldnames or ())

    def frame(self) -> pd.DataFrame:
        """All rows."""
        return frame_of(self.rows(), self.columns())

    def rows(self) -> Iterator[Row]:
        """All rows, one after another."""
        with self._reader() as reader:
            for row in reader:
                if None in row or None in row.values():
                    raise InputRefusedError(
                        f"a row has not as many cells as the header: {len(self.columns())}",
                        code="width",
                        place=Place(file=str(self.path), line=reader.line_num),
                    )
                yield row

    def row(self, row_id: str) -> Row | None:
        """The first row with this row_id."""
        return next((row for row in self.rows() if row.get("row_id") == row_id), None)

    def replace(self, frame: pd.DataFrame) -> None:
        """Write the frame in the file's place."""
        self.write([str(name) for name in frame.columns], rows_of(frame))

    def write(self, columns: Sequence[str], rows: Iterable[Mapping[str, object]]) -> int:
        """Write rows in the file's place; gives how many there were."""
        with self._lock.exclusive():
            return self._write(columns, rows)

    def put(self, rows: Iterable[Mapping[str, object]]) -> None:
        """Change rows by row_id, and append those that are not there."""
        with self._lock.exclusive():
            known = dict(enumerate(self.rows() if self.path.exists() else ()))
            places = {row["row_id"]: index for index, row in known.items() if "row_id" in row}
            columns = dict.fromkeys(self.columns() if known or self.path.exists() else ())
            for row in rows:
                cells = {name: text(cell) for name, cell in row.items()}
                place = places.setdefault(cells.get("row_id", ""), len(known))
                known[place] = known.get(place, {}) | cells
                columns |= dict.fromkeys(cells)
            self._write(list(columns), known.values())

    def work_off(self, size: int, work: Callable[[list[Row]], Iterable[Mapping[str, object]]]) -> int:
        """Write what some work makes of the rows, so many at a time, in the file's place."""
        count = 0

        def worked() -> Iterator[Mapping[str, object]]:
            nonlocal count
            rows = self.rows()
            while chunk := list(islice(rows, size)):
                count += len(chunk)
                yield from work(chunk)

        with self._lock.exclusive():
            self._write(self.columns(), worked())
        return count

    def add_columns(self, names: Iterable[str]) -> None:
        """Append empty columns for those that are not there yet."""
        with self._lock.exclusive():
            columns = self.columns()
            lacking = [name for name in names if name not in columns]
            if lacking:
                self._write([*columns, *lacking], self.rows())

    def back_up(self, operation: str) -> Path:
        """Copy the file beside itself."""
        try:
            return Backups(self.path.parent, 0, compress=True).copy(
                self.path, copy_name(self.path, operation)
            )
        except FileNotFoundError:
            raise self._missing() from None

    def _write(self, columns: Sequence[str], rows: Iterable[Mapping[str, object]]) -> int:
        with draft(self.path) as new:
            count = self._spell(new, columns, rows)
            new.replace()
        return count

    def _spell(self, new: Draft, columns: Sequence[str], rows: Iterable[Mapping[str, object]]) -> int:
        count, held = 0, StringIO(newline="")
        writer = csv.DictWriter(held, columns, lineterminator="\n", extrasaction="ignore")
        writer.writeheader()
        for count, row in enumerate(rows, start=1):
            writer.writerow({name: text(row.get(name)) for name in columns})
            if count % _BLOCK == 0:
                new.write(_taken(held).encode(self._encoding))
        new.write(_taken(held).encode(self._encoding))
        return count

    @contextmanager
    def _reader(self) -> Iterator["csv.DictReader[str]"]:
        try:
            file = self.path.open(newline="", encoding=self._encoding)
        except FileNotFoundError:
            raise self._missing() from None
        with file:
            yield csv.DictReader(file, strict=True)

    def _missing(self) -> UnavailableError:
        return UnavailableError(
            "there is no such file",
            code="csv_missing",
            place=Place(file=str(self.path)),
            hint="Check the path.",
        )


def _taken(held: StringIO) -> str:
    found = held.getvalue()
    held.seek(0)
    held.truncate()
    return found

"""Any other CSV file, read and written whole: under a lock, durably, and as it is."""

import csv
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from io import StringIO
from itertools import islice
from pathlib import Path

import pandas as pd

from ingestion_pipeline.domain.errors import InputRefusedError, Place, ProtectedError, UnavailableError
from ingestion_pipeline.legacy.frames import check_names, copy_name, frame_of, rows_of, text
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
        check_names(frame)
        self.write([str(name) for name in frame.columns], rows_of(frame))

    def write(self, columns: Sequence[str], rows: Iterable[Mapping[str, object]]) -> int:
        """Write rows in the file's place; gives how many there were."""
        with self._lock.exclusive():
            return self._write(columns, rows)

    def put(self, rows: Iterable[Mapping[str, object]]) -> None:
        """Change rows by row_id, and append those that are not there, or have none."""
        with self._lock.exclusive():
            known = dict(enumerate(self.rows() if self.path.exists() else ()))
            places = {row["row_id"]: at for at, row in reversed(known.items()) if row.get("row_id")}
            columns = dict.fromkeys(self.columns() if known or self.path.exists() else ())
            for row in rows:
                cells = {name: text(cell) for name, cell in row.items()}
                row_id = cells.get("row_id")
                place = places.setdefault(row_id, len(known)) if row_id else len(known)
                known[place] = known.get(place, {}) | cells
                columns |= dict.fromkeys(cells)
            self._write(list(columns), known.values())

    def work_off(self, size: int, work: Callable[[list[Row]], Iterable[Mapping[str, object]]]) -> int:
        """Write what some work makes of the rows, so many at a time, in the file's place.

        Raises:
            InputRefusedError: It makes a column that the file has not; nothing is written.
        """
        count = 0

        def worked(columns: Sequence[str]) -> Iterator[Mapping[str, object]]:
            nonlocal count
            rows = self.rows()
            while chunk := list(islice(rows, size)):
                count += len(chunk)
                for row in work(chunk):
                    self._check_known(row, columns)
                    yield row

        with self._lock.exclusive():
            columns = self.columns()
            self._write(columns, worked(columns))
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
        if self.path.with_name(f".{self.path.name}.ingestion").exists():
            raise ProtectedError(
                "this is the CSV of a pipeline, which is not this process's own",
                code="not_ours",
                place=Place(file=str(self.path)),
                hint="Run this in the folder of its config, or name that in INGESTION_CONFIG.",
            )
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
                new.write(self._encoded(held))
        new.write(self._encoded(held))
        return count

    def _encoded(self, held: StringIO) -> bytes:
        found = held.getvalue()
        held.seek(0)
        held.truncate()
        try:
            return found.encode(self._encoding)
        except UnicodeEncodeError:
            raise self._unreadable(f"a cell cannot be written in {self._encoding}") from None

    def _check_known(self, row: Mapping[str, object], columns: Sequence[str]) -> None:
        for name in row.keys() - set(columns):
            raise InputRefusedError(
                "the file has no such column", code="unknown_column", place=Place(column=name[:80])
            )

    @contextmanager
    def _reader(self) -> Iterator["csv.DictReader[str]"]:
        # Else a BOM would be part of the first column's name.
        encoding = "utf-8-sig" if self._encoding.lower() in ("utf-8", "utf8") else self._encoding
        try:
            with self.path.open(newline="", encoding=encoding) as file:
                reader = csv.DictReader(file, strict=True)
                names = reader.fieldnames or ()
                if len(set(names)) < len(names):
                    raise self._unreadable("two columns have the same name")
                yield reader
        except FileNotFoundError:
            raise self._missing() from None
        except UnicodeDecodeError:
            raise self._unreadable(f"it is not in {self._encoding}") from None
        except csv.Error:
            raise self._unreadable("it is no CSV: quotes that do not fit, or too long a cell") from None
        except OSError as error:
            raise UnavailableError(
                f"the file cannot be read: {error.strerror}", code="disk", place=Place(file=str(self.path))
            ) from None

    def _unreadable(self, why: str) -> InputRefusedError:
        return InputRefusedError(why, code="bad_file", place=Place(file=str(self.path)))

    def _missing(self) -> UnavailableError:
        return UnavailableError(
            "there is no such file",
            code="csv_missing",
            place=Place(file=str(self.path)),
            hint="Check the path.",
        )

"""CSVManager, as the old scripts know it."""

import csv
import logging
import os
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from itertools import islice
from pathlib import Path
from typing import Any

import pandas as pd

from ingestion_pipeline.domain.columns import BY_NAME, Mode, Table, header, of_table
from ingestion_pipeline.domain.errors import InputRefusedError, PipelineError, SettingsError
from ingestion_pipeline.legacy import downloads, records
from ingestion_pipeline.legacy.downloads import DownloadResult, RowContext
from ingestion_pipeline.legacy.frames import frame_of, text
from ingestion_pipeline.legacy.plain_table import PlainTable
from ingestion_pipeline.legacy.table import Row, table_of
from ingestion_pipeline.legacy.writer import Writer

_log = logging.getLogger(__name__)

REQUIRED = ("row_id", "name", "processed")
"""The columns without which a table is none of the old scripts'."""

_KINDS = {
    "basic": header(Mode.BASIC),
    "text": header(Mode.TEXT),
    "full": header(Mode.FULL),
    "tracking": tuple(name for name in header(Mode.FULL) if name not in header(Mode.BASIC)),
    "status": ("youtube_status", "drive_status"),
    "youtube": ("youtube_playlist", "youtube_status", "youtube_files", "youtube_media_id"),
    "drive": ("google_drive", "drive_status", "drive_files", "drive_media_id"),
    "links": ("link", "extracted_links", "youtube_playlist", "google_drive"),
    "s3": tuple(column.name for column in of_table(Table.S3_METADATA)),
}


class CSVManager:
    """The table of a path, in every phase; see docs/adopting.md for what differs from the old module.

    With the pipeline's own CSV, the default, reads come from the side that leads, and writes go through the
    pipeline. Any other path is a plain file, written whole, under a lock, durably, and without a change to
    any cell. Where the old module said False, this does, and logs what was in the way, without any cell's
    text.

    Args:
        csv_path: The CSV.
        chunk_size: Rows worked on at once by `stream_process`.
        use_file_lock: Taken for the old scripts' sake: the lock is always taken.
        auto_backup: The same: `csv_backup` of the configuration says what is copied, and when.
        timeout: Seconds to wait for others who write a plain file.
        encoding: A plain file's encoding.
    """

    def __init__(
        self,
        csv_path: str | os.PathLike[str] | None = None,
        chunk_size: int = 1000,
        use_file_lock: bool = True,  # noqa: FBT001, FBT002 - as the old scripts call it
        auto_backup: bool = True,  # noqa: FBT001, FBT002
        timeout: float = 30.0,
        encoding: str = "utf-8",
    ) -> None:
        del use_file_lock, auto_backup
        if chunk_size < 1:
            raise SettingsError("a chunk is one row at least", code="bad_chunk")
        self._table = table_of(csv_path, timeout=timeout, encoding=encoding)
        self.csv_path = str(self._table.path)
        self.chunk_size = chunk_size
        self._row_ids: list[str] | None = None

    def read(self, dtype_spec: object = "tracking") -> pd.DataFrame:
        """The whole table: text, and missing where a cell is empty.

        Args:
            dtype_spec: Taken for the old scripts' sake: every cell is text.

        Raises:
            PipelineError: The side that leads, or the file, cannot be read.
        """
        del dtype_spec
        frame = self._table.frame()
        self._row_ids = [text(row_id) for row_id in frame.get("row_id", ())]
        return frame

    @staticmethod
    def safe_csv_read(csv_path: str | os.PathLike[str], dtype_spec: object = "tracking") -> pd.DataFrame:
        """The whole table of a path; see `read`."""
        return CSVManager(csv_path).read(dtype_spec)

    def safe_csv_write(
        self,
        df: pd.DataFrame,
        operation_name: str = "write",
        expected_columns: Iterable[str] | None = None,
    ) -> bool:
        """Save a frame of all records: what it has changed since this process last saw it is written.

        What others have written meanwhile, to other rows or other cells, stays. Rows that are gone from the
        frame are deleted, if they are not more than the brakes allow.

        Args:
            df: The frame; it needs the column row_id.
            operation_name: What it is saved for, for the log.
            expected_columns: Columns without which nothing is written.

        Returns:
            Whether it is saved, durably.
        """
        there = set(df.columns)
        lacking = [name for name in (*(expected_columns or ()), "row_id") if name not in there]
        if lacking and not (lacking == ["row_id"] and isinstance(self._table, PlainTable)):
            _log.error("%s: the frame has no column %s: nothing is written", operation_name, lacking[0])
            return False
        return self._done(operation_name, lambda: self._table.replace(df))

    def atomic_write(
        self, rows: Iterable[Mapping[str, Any]], fieldnames: Sequence[str] | None = None
    ) -> bool:
        """Make the table these rows; see `safe_csv_write`."""
        return self.safe_csv_write(_framed(rows, fieldnames), "atomic_write")

    def atomic_append(
        self, rows: Iterable[Mapping[str, Any]], fieldnames: Sequence[str] | None = None
    ) -> bool:
        """Add rows, or change those that are there by row_id; with fieldnames, only these columns."""
        wanted = [
            {name: cell for name, cell in row.items() if fieldnames is None or name in fieldnames}
            for row in rows
        ]
        return self._done("atomic_append", lambda: self._table.put(wanted))

    @contextmanager
    def atomic_context(self, mode: str = "w", fieldnames: Sequence[str] | None = None) -> Iterator[Writer]:
        """A writer like the csv module's; what it was given is saved when the block ends without an error.

        Args:
            mode: `w` for a table of these rows only, `a` to add them.
            fieldnames: The columns; without them rows are lists, and the first one of a whole table is its
                header.

        Raises:
            PipelineError: It cannot be saved.
        """
        writer = Writer(fieldnames or (self._table.columns() if mode == "a" else None))
        yield writer
        if mode == "a":
            self._table.put(writer.rows())
        else:
            self._table.replace(_framed(writer.rows(), writer.fieldnames))

    def stream_process(
        self,
        process_func: Callable[[list[Row]], Iterable[Mapping[str, Any]]],
        output_path: str | os.PathLike[str] | None = None,
        fieldnames: Sequence[str] | None = None,
        has_header: bool = True,  # noqa: FBT001, FBT002 - as the old scripts call it
    ) -> int:
        """Work on the rows chunk by chunk.

        Args:
            process_func: Makes of some rows those that are to be there instead.
            output_path: Where they go; without it they take the table's place.
            fieldnames: The columns of the output; the table's own by default.
            has_header: Whether the file's first line is its header; without one, fieldnames name its columns.

        Returns:
            How many rows were worked on.

        Raises:
            PipelineError: A side or a file cannot be read or written.
        """
        if not has_header:
            return self._headless(process_func, output_path, fieldnames)
        if output_path is None or table_of(output_path) is self._table:
            return self._table.work_off(self.chunk_size, process_func)
        count = 0

        def worked() -> Iterator[Mapping[str, Any]]:
            nonlocal count
            rows = self._table.rows()
            while chunk := list(islice(rows, self.chunk_size)):
                count += len(chunk)
                yield from process_func(chunk)

        _save(output_path, fieldnames or self._table.columns(), worked())
        return count

    def stream_filter(self, filter_func: Callable[[Row], object], output_path: str | os.PathLike[str]) -> int:
        """Write the rows for which a function is true to another file; gives how many they are."""
        kept = (row for row in self._table.rows() if filter_func(row))
        return _save(output_path, self._table.columns(), kept)

    def find_row_by_id(self, row_id: object) -> "pd.Series[str] | None":
        """One row, missing where a cell is empty; None where there is none."""
        found = self._table.row(text(row_id))
        return None if found is None else _series(found)

    def find_rows_by_criteria(self, criteria: Mapping[str, object]) -> pd.DataFrame:
        """The rows in which every column named holds the text given; None and '' stand for an empty cell."""
        columns = self._table.columns()
        for name in criteria.keys() - set(columns):
            _log.warning("the table has no column %.80r: no row is found", name)
            return frame_of((), columns)
        wanted = {name: text(cell) for name, cell in criteria.items()}.items()
        self._row_ids, found = [], {}
        for index, row in enumerate(self._table.rows()):
            self._row_ids.append(row.get("row_id", ""))
            if wanted <= row.items():
                found[index] = row
        return frame_of(found.values(), columns).set_axis(list(found))

    def iterate_rows(
        self, filter_func: "Callable[[pd.Series[str]], object] | None" = None
    ) -> "Iterator[tuple[int, pd.Series[str]]]":
        """The rows with their places, from 0; with a function, those for which it is true."""
        for index, row in enumerate(self._table.rows()):
            series = _series(row, index)
            if filter_func is None or filter_func(series):
                yield index, series

    def update_row_by_id(self, row_id: object, updates: Mapping[str, Any]) -> bool:
        """Change some cells of a row; False where there is no such row."""
        return self._done("update_row_by_id", lambda: self._update(text(row_id), updates))

    def update_s3_mappings(
        self, row_id: object, s3_paths: Mapping[str, Any], file_uuids: Mapping[str, Any]
    ) -> bool:
        """Give a person other maps; False where there is no such person."""
        maps = {"s3_paths": records.save_map(s3_paths), "file_uuids": records.save_map(file_uuids)}
        return self.update_row_by_id(row_id, maps)

    def get_pending_downloads(
        self,
        download_type: str = "both",
        include_failed: bool = True,  # noqa: FBT001, FBT002 - as the old scripts call it
        retry_attempts: int = 3,
    ) -> list[RowContext]:
        """Whose downloads are yet to be made.

        Args:
            download_type: `both`, `youtube` or `drive`.
            include_failed: Those that failed too.
            retry_attempts: Taken for the old scripts' sake: no column counts attempts.

        Raises:
            ValueError: There is no such type.
        """
        del retry_attempts
        if download_type not in ("both", *downloads.TYPES):
            raise ValueError("download_type is both, youtube or drive")
        rows = list(self._table.rows())
        self._row_ids = [row.get("row_id", "") for row in rows]
        return [
            downloads.context(row, index)
            for index, row in enumerate(rows)
            if downloads.is_pending(row, download_type, include_failed=include_failed)
        ]

    def update_download_status(self, row_index: int, download_type: str, result: DownloadResult) -> bool:
        """Keep what came of a download.

        Args:
            row_index: Where the row stood when this manager last read the table; the row_id of
                `result.row_context`, where there is one, says it more surely.
            download_type: youtube or drive.
            result: What came of it.

        Returns:
            Whether it is kept; False for a row or a type that there is not.
        """
        if download_type not in downloads.TYPES:
            _log.error("update_download_status: download_type is youtube or drive")
            return False

        def update() -> None:
            context = result.row_context
            row_id = self._row_id_at(row_index) if context is None else context.row_id
            self._update(row_id, downloads.cells_of(result, download_type))

        return self._done("update_download_status", update)

    def get_download_status_summary(self) -> dict[str, Any]:
        """`{"total_rows", "youtube": {"pending", "completed", "failed"}, "drive": {…}}`."""
        return downloads.summary(self._table.rows())

    create_record = staticmethod(records.create_record)
    create_error_record = staticmethod(records.create_error_record)
    load_s3_paths = staticmethod(records.load_s3_paths)
    load_file_uuids = staticmethod(records.load_file_uuids)
    save_s3_paths = staticmethod(records.save_map)
    save_file_uuids = staticmethod(records.save_map)

    def ensure_tracking_columns(self) -> bool:
        """Add the columns of the full table that are not there yet; whether they are there now."""
        return self._done("ensure_tracking_columns", lambda: self._table.add_columns(header(Mode.FULL)))

    def validate_schema(self, df: pd.DataFrame) -> tuple[bool, list[str]]:
        """Whether a frame has the required columns, and which are missing."""
        missing = [name for name in REQUIRED if name not in df.columns]
        return not missing, missing

    @staticmethod
    def get_standard_columns() -> list[str]:
        """The columns of the full table, in order."""
        return list(header(Mode.FULL))

    @staticmethod
    def get_required_columns() -> list[str]:
        """The columns without which a table is none of ours."""
        return list(REQUIRED)

    @staticmethod
    def get_columns_by_type(kind: str) -> list[str]:
        """The columns of a kind: basic, text, full, tracking, status, youtube, drive, links, s3."""
        return list(_KINDS.get(kind, ()))

    def create_backup(self, operation_name: str = "backup") -> str:
        """Make a gzipped copy with the time in its name; gives its path.

        Raises:
            PipelineError: It cannot be made.
        """
        return str(self._table.back_up(operation_name))

    def _headless(
        self,
        process_func: Callable[[list[Row]], Iterable[Mapping[str, Any]]],
        output_path: str | os.PathLike[str] | None,
        fieldnames: Sequence[str] | None,
    ) -> int:
        if fieldnames is None or output_path is None:
            raise ValueError("a file without a header needs fieldnames and an output_path")
        with Path(self.csv_path).open(newline="", encoding="utf-8") as file:
            rows = list(csv.DictReader(file, fieldnames))
        worked = (
            row
            for start in range(0, len(rows), self.chunk_size)
            for row in process_func(rows[start : start + self.chunk_size])
        )
        _save(output_path, fieldnames, worked)
        return len(rows)

    def _update(self, row_id: str, updates: Mapping[str, Any]) -> None:
        if self._table.row(row_id) is None:
            raise _unknown_row()
        columns = self._table.columns()
        known = {name: cell for name, cell in updates.items() if name in columns or name in BY_NAME}
        for name in updates.keys() - known.keys():
            _log.warning("the table has no column %.80r: it is left out", name)
        if known:
            self._table.put([{**known, "row_id": row_id}])

    def _row_id_at(self, row_index: int) -> str:
        if self._row_ids is None:
            self._row_ids = [row.get("row_id", "") for row in self._table.rows()]
        if not 0 <= row_index < len(self._row_ids):
            raise _unknown_row()
        return self._row_ids[row_index]

    def _done(self, operation: str, work: Callable[[], object]) -> bool:
        """Whether some work could be done; logs what was in the way."""
        try:
            work()
        except PipelineError as error:
            _log.error("%s: %s", operation, error)
            return False
        return True


def _unknown_row() -> InputRefusedError:
    return InputRefusedError("there is no such row", code="unknown_row")


def _save(path: str | os.PathLike[str], columns: Sequence[str], rows: Iterable[Mapping[str, Any]]) -> int:
    """Make the table of a path some rows; gives how many there were."""
    table = table_of(path)
    if isinstance(table, PlainTable):
        return table.write(columns, rows)
    frame = _framed(rows, columns)
    table.replace(frame)
    return len(frame)


def _framed(rows: Iterable[Mapping[str, Any]], columns: Sequence[str] | None) -> pd.DataFrame:
    table = [dict(row) for row in rows]
    names = list(columns or dict.fromkeys(name for row in table for name in row))
    return pd.DataFrame([[row.get(name) for name in names] for row in table], columns=names, dtype=object)


def _series(row: Row, index: int | None = None) -> "pd.Series[str]":
    series = pd.Series({name: cell or None for name, cell in row.items()}, dtype="str")
    series.name = index
    return series

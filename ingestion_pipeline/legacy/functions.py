"""The functions that the old scripts import beside CSVManager."""

import logging
import os
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

import pandas as pd

from ingestion_pipeline.domain.errors import PipelineError
from ingestion_pipeline.legacy.frames import text
from ingestion_pipeline.legacy.links import count_links
from ingestion_pipeline.legacy.manager import CSVManager
from ingestion_pipeline.legacy.table import Row, own_path, table_of
from ingestion_pipeline.legacy.writer import Writer

_log = logging.getLogger(__name__)

CsvPath = str | os.PathLike[str]


def get_standard_csv_path() -> str:
    """The pipeline's own CSV."""
    return str(own_path())


def create_csv_backup(csv_path: CsvPath | None = None, operation_name: str = "backup") -> str:
    """A gzipped copy with the time in its name; gives its path."""
    return CSVManager(csv_path).create_backup(operation_name)


def safe_csv_read(csv_path: CsvPath | None = None, dtype_spec: object = "tracking") -> pd.DataFrame:
    """The whole table: text, and missing where a cell is empty."""
    return CSVManager(csv_path).read(dtype_spec)


def safe_csv_write(
    df: pd.DataFrame,
    csv_path: CsvPath | None = None,
    operation_name: str = "write",
    expected_columns: Iterable[str] | None = None,
) -> bool:
    """Save a frame of all records; see `CSVManager.safe_csv_write`."""
    return CSVManager(csv_path).safe_csv_write(df, operation_name, expected_columns)


@contextmanager
def atomic_csv_update(
    filename: CsvPath | None = None,
    fieldnames: Sequence[str] | None = None,
    mode: str = "w",
    **_others: object,
) -> Iterator[Writer]:
    """A writer whose rows take the table's place when the block ends; see `CSVManager.atomic_context`."""
    with CSVManager(filename).atomic_context(mode, fieldnames) as writer:
        yield writer


@contextmanager
def streaming_csv_update(
    filename: CsvPath | None,
    process_func: Callable[[list[Row]], Iterable[Mapping[str, Any]]],
    chunk_size: int = 1000,
    **_others: object,
) -> Iterator[int]:
    """Work on the rows chunk by chunk, before the block begins; gives it how many there were."""
    yield CSVManager(filename, chunk_size=chunk_size).stream_process(process_func)


def load_output_csv(csv_path: CsvPath | None = None) -> pd.DataFrame:
    """The whole table."""
    return CSVManager(csv_path).read()


def load_and_filter_csv(
    csv_path: CsvPath | None = None,
    has_youtube: bool = False,  # noqa: FBT001, FBT002 - as the old scripts call it
    has_drive: bool = False,  # noqa: FBT001, FBT002
    row_ids: Iterable[object] | None = None,
) -> pd.DataFrame:
    """The rows that have YouTube links, Drive links, or one of some row_ids; all that is asked for."""
    frame = load_output_csv(csv_path)
    keep = pd.Series(data=True, index=frame.index)
    for wanted, column in ((has_youtube, "youtube_playlist"), (has_drive, "google_drive")):
        if wanted:
            keep &= frame[column].notna() if column in frame.columns else False
    if row_ids is not None:
        keep &= frame["row_id"].isin([text(row_id) for row_id in row_ids])
    return frame[keep]


def count_links_by_type(csv_path: CsvPath | None = None) -> dict[str, int]:
    """How many links there are: `youtube`, `drive` and `total`."""
    return count_links(table_of(csv_path).rows())


def process_csv_safely(
    csv_path: CsvPath | None,
    process_func: Callable[[Row], Mapping[str, Any] | None],
    filter_func: Callable[[Row], object] | None = None,
    chunk_size: int = 1000,
    **_others: object,
) -> tuple[bool, int, str | None]:
    """Change rows one by one.

    Args:
        csv_path: The table.
        process_func: Gives the cells of a row that are to be other ones, or the whole row; None to leave it.
        filter_func: Whether a row is to be changed; all are by default.
        chunk_size: Rows written together.

    Returns:
        Whether all was done, how many rows were worked on, and what was in the way.
    """
    count = 0

    def worked(rows: list[Row]) -> Iterator[Mapping[str, Any]]:
        nonlocal count
        for row in rows:
            if filter_func is None or filter_func(row):
                count += 1
                yield {**row, **(process_func(dict(row)) or {})}
            else:
                yield row

    try:
        CSVManager(csv_path, chunk_size=chunk_size).stream_process(worked)
    except Exception as error:  # noqa: BLE001 - also what the script's own functions raise
        return False, count, str(error)
    return True, count, None


def update_csv_column(
    csv_path: CsvPath | None,
    column_name: str,
    value_func: Callable[[Row], object],
    filter_func: Callable[[Row], object] | None = None,
    **_others: object,
) -> tuple[bool, int]:
    """Give a column of every row the value that a function has for it; gives whether, and how many."""
    try:
        table = table_of(csv_path)
        table.add_columns([column_name])
        is_there = column_name in table.columns()
    except PipelineError as error:
        _log.error("update_csv_column: %s", error)
        return False, 0
    if not is_there:
        _log.error("update_csv_column: the contract has no column %.80r: nothing is written", column_name)
        return False, 0
    ok, count, _ = process_csv_safely(csv_path, lambda row: {column_name: value_func(row)}, filter_func)
    return ok, count

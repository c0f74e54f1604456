"""Which table a path names: the pipeline's own, or a plain CSV file."""

import atexit
import os
import threading
from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import Path
from typing import Protocol

import pandas as pd

from ingestion_pipeline.app import Pipeline
from ingestion_pipeline.legacy.frames import Seen
from ingestion_pipeline.legacy.own_table import OwnTable
from ingestion_pipeline.legacy.plain_table import PlainTable
from ingestion_pipeline.settings import Settings, load_settings

Row = dict[str, str]


class Table(Protocol):
    """A table of text whose key is row_id."""

    @property
    def path(self) -> Path:
        """The CSV."""
        ...

    def columns(self) -> tuple[str, ...]:
        """Its columns, in order."""
        ...

    def frame(self) -> pd.DataFrame:
        """All of it; empty cells are missing."""
        ...

    def rows(self) -> Iterator[Row]:
        """Its rows, in constant memory."""
        ...

    def row(self, row_id: str) -> Row | None:
        """One row; None where there is none."""
        ...

    def replace(self, frame: pd.DataFrame) -> None:
        """Make it what a frame says."""
        ...

    def put(self, rows: Iterable[Mapping[str, object]]) -> None:
        """Add rows, or change those that are there."""
        ...

    def work_off(self, size: int, work: Callable[[list[Row]], Iterable[Mapping[str, object]]]) -> int:
        """Make of each so many rows what some work makes of them; gives how many were worked on."""
        ...

    def add_columns(self, names: Iterable[str]) -> None:
        """Add the columns that are not there yet."""
        ...

    def back_up(self, operation: str) -> Path:
        """Make a gzipped copy; gives where it lies."""
        ...


class _Opened:
    """This process's pipeline: opened at the first use, closed when the process ends."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._process = os.getpid()
        self._settings: Settings | None = None
        self._pipeline: Pipeline | None = None
        self._table: OwnTable | None = None
        self._seen = Seen()

    def path(self) -> Path:
        """The CSV of the site that this process uses, which stays the same wherever it goes."""
        return self._site().paths.output_csv

    def table(self) -> OwnTable:
        """The pipeline's own table."""
        with self._lock:
            if self._process != os.getpid():
                # The parent's is the parent's: its connections must not be used here, nor closed.
                self._process, self._seen = os.getpid(), self._seen.forked()
                self._pipeline = self._table = None
            if self._table is None:
                # Nothing but `close` ends it: a child that comes to its own end must not.
                self._pipeline = Pipeline(self._site())
                self._table = OwnTable(self._pipeline, self._seen)
                atexit.register(self.close)
            return self._table

    def _site(self) -> Settings:
        if self._settings is None:
            self._settings = load_settings()
        return self._settings

    def close(self) -> None:
        """Settle what is pending, and let go of everything."""
        with self._lock:
            if self._process != os.getpid():
                return
            if self._pipeline is not None:
                self._pipeline.__exit__(None, None, None)
            self._pipeline = self._table = self._settings = None
            self._seen = Seen()


_opened = _Opened()


def close() -> None:
    """Close this process's pipeline, as happens when the process ends; it opens anew when used again."""
    _opened.close()


def own_path() -> Path:
    """The pipeline's own CSV."""
    return _opened.path()


def table_of(
    csv_path: str | os.PathLike[str] | None, *, timeout: float = 30.0, encoding: str = "utf-8"
) -> Table:
    """The table that a path names; the pipeline's own without one.

    Args:
        csv_path: The path.
        timeout: Of a plain file: seconds to wait for others who write it.
        encoding: Of a plain file.

    Raises:
        SettingsError: The configuration cannot be read.
    """
    own = own_path()
    if csv_path is None or Path(csv_path).resolve() == own.resolve():
        return _opened.table()
    return PlainTable(Path(csv_path), timeout=timeout, encoding=encoding)

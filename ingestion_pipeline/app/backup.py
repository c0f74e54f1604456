"""The copy of the CSV that is made before the first write of a session."""

import threading
from contextlib import ExitStack

from ingestion_pipeline.settings.sections import CsvBackup
from ingestion_pipeline.stores.disk.backups import Backups
from ingestion_pipeline.stores.disk.csv_store import CsvStore

RECENT = 3600.0
"""Seconds in which one copy is enough, so that short sessions do not push the older copies out."""


class Backup:
    """Makes the copy once.

    Args:
        csv: The CSV.
        settings: Where copies go, and how many are kept.
    """

    def __init__(self, csv: CsvStore, settings: CsvBackup) -> None:
        self._csv = csv
        self._wanted = settings.enabled and settings.auto_backup_before_write
        self._backups = Backups(settings.backup_dir, settings.max_backups, compress=settings.compress)
        self._making = threading.Lock()

    def before_write(self) -> None:
        """Copy the CSV, unless this session or another one has done so within the hour.

        Raises:
            UnavailableError: The copy cannot be written.
        """
        if not self._wanted:
            return
        with self._making:
            if self._wanted and self._csv.exists() and not self._backups.is_recent(RECENT):
                with ExitStack() as stack:
                    with self._csv.held():
                        pinned = stack.enter_context(self._csv.pinned())
                    self._backups.copy(pinned.path, self._csv.path)
            self._wanted = False

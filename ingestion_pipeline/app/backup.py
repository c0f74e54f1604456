"""The copy of the CSV that is made before the first write of a session, and before a bulk load."""

import threading
from contextlib import ExitStack

from ingestion_pipeline.settings.sections import CsvBackup
from ingestion_pipeline.stores.disk.backups import Backups
from ingestion_pipeline.stores.disk.csv_store import CsvStore

RECENT = 3600.0
"""Seconds in which one copy is enough, so that short sessions do not push the older copies out."""


class Backup:
    """Makes the copy.

    Args:
        csv: The CSV.
        settings: Where copies go, and how many are kept.
    """

    def __init__(self, csv: CsvStore, settings: CsvBackup) -> None:
        self._csv = csv
        self._wanted = settings.enabled and settings.auto_backup_before_write
        self._backups = Backups(settings.backup_dir, settings.max_backups, compress=settings.compress)
        self._making = threading.Lock()
        self._is_made = False

    @property
    def is_due(self) -> bool:
        """Whether the first write of this session, if the CSV leads, is to come after a copy."""
        return self._wanted and not self._is_made

    def before_write(self) -> None:
        """Copy the CSV before the first write of this session.

        Raises:
            UnavailableError: The copy cannot be written.
        """
        if self.is_due:
            self.before_load()

    def before_load(self) -> None:
        """Copy the CSV, unless that was done within the hour.

        Raises:
            UnavailableError: The copy cannot be written.
        """
        with self._making:
            if self._wanted and self._csv.exists() and not self._backups.is_recent(self._csv.path, RECENT):
                with ExitStack() as stack:
                    with self._csv.held():
                        pinned = stack.enter_context(self._csv.pinned())
                    self._backups.copy(pinned.path, self._csv.path)
            self._is_made = True

"""The newest version and the newest dump: how old they are, and whether anything has changed since."""

import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, replace
from datetime import datetime

from ingestion_pipeline.app.places import Places
from ingestion_pipeline.domain.errors import PipelineError
from ingestion_pipeline.domain.findings import HOUR, Published
from ingestion_pipeline.domain.phase import Phase, Side
from ingestion_pipeline.domain.version import Manifest
from ingestion_pipeline.stores.bucket.chain import Chain

REMEMBERED = 60.0
"""Seconds in which what was published is not asked for again: a bucket is far, and paid by the question."""


class Newest:
    """What was published last of a site.

    Args:
        places: The site's.
    """

    def __init__(self, places: Places) -> None:
        self._places = places
        self._versions = _OfChain(lambda: places.versions)
        self._backups = _OfChain(lambda: places.backups)

    def version(self, at: datetime, phase: Phase | None, unchanged: float | None) -> Published:
        """The newest version.

        Args:
            at: Now.
            phase: The phase in force, if any.
            unchanged: Seconds for which nobody was changed in PostgreSQL; None where it does not say.
        """
        manifest, found = self._versions.newest(at)
        if manifest is None or found.seconds is None or phase is None:
            return found
        if phase.authority is Side.POSTGRES:
            is_present = unchanged is not None and unchanged > found.seconds
        else:
            is_present = self._is_csv(manifest, found.seconds)
        return replace(found, is_present=is_present)

    def backup(self, at: datetime) -> Published:
        """The newest dump."""
        return self._backups.newest(at)[1]

    def _is_csv(self, manifest: Manifest, age: float) -> bool:
        """Whether the CSV is still this version: none is published then, however old it is."""
        csv, changed_at = self._places.csv, self._places.csv.changed_at()
        if changed_at is None:
            return False
        if changed_at < manifest.content.published_at.timestamp():
            return True
        # It may have been touched only; read as a whole only where that would be a finding.
        is_old = age > HOUR * self._places.settings.health.version_age_hours
        with suppress(PipelineError):
            return is_old and csv.sha256() == manifest.content.sha256
        return False


@dataclass(slots=True)
class _OfChain:
    """The newest of a chain, remembered for a while."""

    chain: Callable[[], Chain]
    until: float = 0.0
    manifest: Manifest | None = None
    amiss: str | None = None

    def newest(self, at: datetime) -> tuple[Manifest | None, Published]:
        """Its manifest, if there is one, and how old it is."""
        if time.monotonic() >= self.until:
            self._ask()
        if self.manifest is None:
            return None, Published(amiss=self.amiss)
        age = (at - self.manifest.content.published_at).total_seconds()
        return self.manifest, Published(max(0.0, age))

    def _ask(self) -> None:
        self.manifest, self.amiss = None, None
        try:
            self.manifest = self.chain().newest()
        except PipelineError as error:
            self.amiss = f"what was published cannot be asked for: {error.message}"
        self.until = time.monotonic() + REMEMBERED

"""Watches one site without Dagster, whose own storage may be away together with the people."""

from contextlib import ExitStack
from datetime import datetime
from pathlib import Path
from types import TracebackType
from typing import Self

from ingestion_pipeline.app.alerting import Alerting, Outcome, Part, of_health
from ingestion_pipeline.app.pipeline import Pipeline
from ingestion_pipeline.domain.health import Health
from ingestion_pipeline.settings import load_settings


class Watch:
    """Looks at the health of a site, and tells its receivers.

    Holds the site's embedded server, if it has one, from the first look on: it is not started anew where it
    has ended, so that this is told. The configuration is read anew at each look.

    Args:
        config: The configuration file; see `load_settings`.

    Raises:
        SettingsError: The configuration cannot be used.
    """

    def __init__(self, config: Path | None = None) -> None:
        self._config = config
        self._settings = load_settings(config)
        self._alerting = Alerting(self._settings)
        self.memory = self._alerting.memory
        self._open = ExitStack()
        self._pipeline = self._open.enter_context(Pipeline(self._settings))

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._open.close()

    def look(self) -> Outcome:
        """Look once, and tell what is to be told.

        Raises:
            UnavailableError: Somebody else looked all the time; nobody was told.
        """
        return self._alerting.look(self._parts)

    def _parts(self, _now: datetime, _began: datetime) -> list[Part]:
        return [of_health(self._health)]

    def _health(self) -> Health:
        self._read()
        try:
            return self._pipeline.health()
        finally:
            # What is still connected may be answered by a server that takes in nobody else any more.
            self._pipeline.disconnect()

    def _read(self) -> None:
        """Take up a configuration that is another one now."""
        settings = load_settings(self._config)
        if settings != self._settings:
            self._open.close()
            self._pipeline = self._open.enter_context(Pipeline(settings))
            self._settings, self._alerting = settings, Alerting(settings)

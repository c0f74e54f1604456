"""The log, which is always told."""

import logging
from dataclasses import dataclass

from ingestion_pipeline.domain.alert import Alert, Event, Level
from ingestion_pipeline.stores.receivers.receiver import headline

_LOGGER = logging.getLogger("ingestion_pipeline.alerts")

_BAD = (Event.RAISED, Event.REMINDER)


@dataclass(frozen=True, slots=True)
class Log:
    """The logger `ingestion_pipeline.alerts`.

    Attributes:
        name: See `Receiver`.
    """

    name: str = "log"

    def tell(self, alert: Alert, site: str) -> None:
        """See `Receiver`."""
        is_error = alert.level is Level.ERROR and alert.event in _BAD
        # What is less than a warning is not shown unless somebody has asked for it.
        level = logging.ERROR if is_error else logging.WARNING
        said = " ".join(f"{alert.message} {alert.hint}".split())
        _LOGGER.log(level, "%s: %s: %s [%s]", site, headline(alert), said, alert.key)

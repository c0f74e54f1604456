"""What a receiver is, and what it says where it could not be told."""

from collections.abc import Mapping
from typing import Protocol

from ingestion_pipeline.domain.alert import Alert, Event
from ingestion_pipeline.domain.errors import UnavailableError

TIMEOUT = 10.0
"""Seconds a server is waited for, each time something is awaited of it."""


class Receiver(Protocol):
    """Somebody who is told."""

    @property
    def name(self) -> str:
        """One word, the same for as long as it is set."""
        ...

    def tell(self, alert: Alert, site: str) -> None:
        """Tell it once.

        Args:
            alert: What it is told.
            site: Which site it is about.

        Raises:
            UndeliveredError: It could not be told.
        """
        ...


class UndeliveredError(UnavailableError):
    """A receiver could not be told.

    Args:
        name: The receiver's.
        why: In a few words, without any part of an address that may be a secret.
        is_final: Whether it would say the same if it were tried again at once.
    """

    def __init__(self, name: str, why: str, *, is_final: bool) -> None:
        super().__init__(
            f"{name} could not be told: {why}",
            code="undelivered",
            hint="Check the section alerts of the configuration, then run `ingest alerts test`.",
        )
        self.is_final = is_final


_WORD = {
    Event.RAISED: "",
    Event.REMINDER: "Still: ",
    Event.RECOVERED: "Recovered: ",
    Event.TEST: "Test: ",
}


def headline(alert: Alert) -> str:
    """An alert in one line."""
    return f"{_WORD[alert.event]}{alert.title} ({alert.level})"


def as_text(alert: Alert, site: str) -> str:
    """An alert in lines, for people."""
    lines = (
        alert.message,
        alert.hint,
        f"since {alert.since:%Y-%m-%d %H:%M:%S} UTC",
        f"site {site}",
        alert.key,
    )
    return "\n".join(line for line in lines if line)


def as_fields(alert: Alert, site: str) -> Mapping[str, str]:
    """An alert for a program; names and meanings stay as they are."""
    return {
        "event": alert.event.value,
        "key": alert.key,
        "level": alert.level.value,
        "title": alert.title,
        "message": alert.message,
        "hint": alert.hint,
        "since": alert.since.isoformat(timespec="seconds"),
        "site": site,
    }

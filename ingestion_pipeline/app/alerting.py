"""Tells the receivers of a site what is wrong, and that it is well again."""

import logging
import socket
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from ingestion_pipeline.domain.alert import (
    Alert,
    Event,
    Level,
    Look,
    Memory,
    Rules,
    due,
    forget_all_but,
    note,
    remember,
)
from ingestion_pipeline.settings import Alerts, Settings
from ingestion_pipeline.stores.receivers.log import Log
from ingestion_pipeline.stores.receivers.mail import Mail
from ingestion_pipeline.stores.receivers.receiver import Receiver, UndeliveredError
from ingestion_pipeline.stores.receivers.web import Slack, Webhook

PAUSES = (0.5, 1.0)
"""Seconds before each further try; whoever cannot be told then is tried again at the next look."""

LONGEST = 15.0
"""Seconds after which nothing more is begun for a receiver at one look: Dagster ends a look that takes 60."""

_LOGGER = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Delivery:
    """What became of what a receiver was to be told.

    Attributes:
        receiver: Its name.
        told: What it was told.
        error: Why it was not told the rest.
    """

    receiver: str
    told: Sequence[Alert]
    error: UndeliveredError | None = None


class Alerting:
    """The receivers of a site.

    Args:
        settings: The site's.
    """

    def __init__(self, settings: Settings) -> None:
        self._receivers = receivers(settings.alerts)
        asked = settings.alerts
        self._rules = Rules(asked.patience, timedelta(hours=asked.remind_hours))
        self._site = f"{socket.gethostname()}:{settings.base}"

    def tell(self, memory: Memory, look: Look) -> tuple[Memory, list[Delivery]]:
        """Tell every receiver what it has not been told yet.

        A receiver that cannot be told keeps the others from nothing, and is told at the next look.

        Args:
            memory: What is known from before.
            look: What was found now.

        Returns:
            What is to be kept for the next look, and what became of it by receiver.
        """
        now = forget_all_but(remember(memory, look), [one.name for one in self._receivers])
        deliveries = self._deliver(
            {one.name: due(now, one.name, look, self._rules) for one in self._receivers}
        )
        for delivery in deliveries:
            for alert in delivery.told:
                now = note(now, delivery.receiver, alert, look.at)
            if delivery.error is not None:
                _LOGGER.warning("%s; it is told at the next look", delivery.error.message)
        return now, deliveries

    def test(self) -> list[Delivery]:
        """Tell every receiver that this is a test."""
        alert = Alert(
            Event.TEST,
            "test",
            Level.WARNING,
            "alerts of ingestion_pipeline",
            "Nothing is wrong: somebody has run `ingest alerts test`.",
            "",
            datetime.now(UTC),
        )
        return self._deliver({one.name: [alert] for one in self._receivers})

    def _deliver(self, alerts: dict[str, list[Alert]]) -> list[Delivery]:
        with ThreadPoolExecutor(len(self._receivers)) as threads:
            return list(threads.map(lambda one: self._told(one, alerts[one.name]), self._receivers))

    def _told(self, receiver: Receiver, alerts: Sequence[Alert]) -> Delivery:
        until = time.monotonic() + LONGEST
        for number, alert in enumerate(alerts):
            if time.monotonic() > until:
                late = UndeliveredError(receiver.name, "it takes too long", is_final=False)
                return Delivery(receiver.name, alerts[:number], late)
            try:
                _try(receiver, alert, self._site, until)
            except UndeliveredError as error:
                return Delivery(receiver.name, alerts[:number], error)
        return Delivery(receiver.name, alerts)


def receivers(settings: Alerts) -> list[Receiver]:
    """The receivers that are set, and the log."""
    found: list[Receiver] = [Log()]
    if settings.webhook_url is not None:
        found.append(Webhook(settings.webhook_url.get_secret_value()))
    if settings.slack_webhook_url is not None:
        found.append(Slack(settings.slack_webhook_url.get_secret_value()))
    email = settings.email
    if email.host is not None and email.sender is not None:
        password = email.password.get_secret_value()
        found.append(
            Mail(email.host, email.port, email.starttls, email.sender, email.to, email.user, password)
        )
    return found


def _try(receiver: Receiver, alert: Alert, site: str, until: float) -> None:
    """Tell a receiver, more than once if need be, but in a short time."""
    for pause in PAUSES:
        try:
            receiver.tell(alert, site)
        except UndeliveredError as error:
            if error.is_final or time.monotonic() + pause > until:
                raise
            time.sleep(pause)
        else:
            return
    receiver.tell(alert, site)

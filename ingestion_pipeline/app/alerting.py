"""Tells the receivers of a site what is wrong, and that it is well again."""

import logging
import socket
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta

from ingestion_pipeline.domain.alert import (
    HEALTH,
    Alert,
    Event,
    Level,
    Look,
    Memory,
    Rules,
    Trouble,
    due,
    note,
    remember,
    troubles_of,
    untold,
)
from ingestion_pipeline.domain.errors import PipelineError
from ingestion_pipeline.domain.health import Health
from ingestion_pipeline.settings import Alerts, Settings
from ingestion_pipeline.stores.alert_memory import AlertMemory
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


@dataclass(frozen=True, slots=True)
class Part:
    """One part of a look.

    Attributes:
        troubles: What is wrong.
        looked: Beginnings of the keys of what was looked at.
        unseen: Those keys among them about which nothing could be told.
    """

    troubles: Sequence[Trouble]
    looked: Sequence[str]
    unseen: Sequence[str] = ()


@dataclass(frozen=True, slots=True)
class Outcome:
    """What came of a look.

    Attributes:
        look: What was found.
        deliveries: What became of it, by receiver.
    """

    look: Look
    deliveries: Sequence[Delivery]


class Alerting:
    """The receivers of a site, and what they have been told; the same for all who look.

    Args:
        settings: The site's.
    """

    def __init__(self, settings: Settings) -> None:
        self.memory = AlertMemory(settings.paths.state_dir)
        self._receivers = receivers(settings.alerts)
        asked = settings.alerts
        self._rules = Rules(asked.patience, timedelta(hours=asked.remind_hours))
        self._site = f"{socket.gethostname()}:{settings.base}"

    def look(self, parts: Callable[[datetime, datetime], Sequence[Part]]) -> Outcome:
        """Look, and tell every receiver what it has not been told yet; nobody else does so meanwhile.

        A receiver that cannot be told keeps the others from nothing, and is told at the next look.

        Args:
            parts: Looks, given the time and when the first look of all was.

        Raises:
            UnavailableError: Somebody else looked all the time.
        """
        with self.memory.alone():
            now = datetime.now(UTC)
            before = self.memory.load(now)
            look = _whole(now, parts(now, before.began))
            memory, deliveries = self._tell(before, look)
            # Only now: whoever dies before this tells it once more, and forgets nothing.
            self.memory.keep(memory)
            return Outcome(look, deliveries)

    def _tell(self, memory: Memory, look: Look) -> tuple[Memory, list[Delivery]]:
        """What is to be kept for the next look, and what became of this one by receiver."""
        now = remember(memory, look)
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


def of_health(health: Callable[[], Health]) -> Part:
    """What is wrong by the findings of health, which every look begins with."""

    def found() -> Part:
        findings = health().findings
        return Part(troubles_of(findings), [HEALTH], untold(findings))

    return tried("site:health", found)


def tried(key: str, look: Callable[[], Part]) -> Part:
    """A part of a look; that it did not come to its end is a trouble by itself, of this key."""
    try:
        part = look()
    except PipelineError as error:
        message, hint = str(error), error.hint
    except Exception as error:  # noqa: BLE001 - the rest is told all the same; its text may quote a value
        message, hint = f"unexpected {type(error).__name__}", "`ingest doctor` says what is reachable."
    else:
        return replace(part, looked=[*part.looked, key])
    title = f"{key.partition(':')[2]} cannot be looked at"
    return Part([Trouble(key, Level.ERROR, title, message, hint)], [key])


def _whole(at: datetime, parts: Sequence[Part]) -> Look:
    return Look(
        at,
        troubles=[one for part in parts for one in part.troubles],
        looked=[beginning for part in parts for beginning in part.looked],
        unseen=[key for part in parts for key in part.unseen],
    )


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

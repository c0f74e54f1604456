"""Alerts: what somebody is told when something goes wrong, and when it is well again; each of it once.

What is wrong now is compared with what was wrong before, and with what each receiver has been told.
"""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from enum import StrEnum

from ingestion_pipeline.domain.findings import GRAVE
from ingestion_pipeline.domain.health import Finding


class Level(StrEnum):
    """How bad it is."""

    WARNING = "warning"
    ERROR = "error"


class Event(StrEnum):
    """Why a message is sent."""

    RAISED = "raised"
    REMINDER = "reminder"
    RECOVERED = "recovered"
    TEST = "test"


@dataclass(frozen=True, slots=True)
class Trouble:
    """One thing that is wrong now.

    Attributes:
        key: The same for as long as it is the same thing, such as `health:pending_age`.
        level: How bad.
        title: What, in a few words; always the same for a key.
        message: What was found, without any cell's value.
        hint: What to do next.
    """

    key: str
    level: Level
    title: str
    message: str
    hint: str = ""


@dataclass(frozen=True, slots=True)
class Alert:
    """What a receiver is told.

    Attributes:
        event: Why.
        key: Of the trouble.
        level: How bad it is, or was.
        title: What, in a few words.
        message: What was found, without any cell's value.
        hint: What to do next; empty once it is well again.
        since: When it was first seen.
    """

    event: Event
    key: str
    level: Level
    title: str
    message: str
    hint: str
    since: datetime


@dataclass(frozen=True, slots=True)
class Seen:
    """A trouble as it was seen before.

    Attributes:
        since: When it was first seen.
        looks: At how many looks in a row.
    """

    since: datetime
    looks: int


@dataclass(frozen=True, slots=True)
class Told:
    """What a receiver was told of a trouble that it was not told the end of.

    Attributes:
        since: When the trouble was first seen.
        at: When it was told last.
        level: How bad it was said to be.
        title: What it was called.
    """

    since: datetime
    at: datetime
    level: Level
    title: str


@dataclass(frozen=True, slots=True)
class Look:
    """What one look found. Whatever it did not see is as it was, as far as anybody knows.

    Attributes:
        at: When.
        troubles: What is wrong.
        looked: Beginnings of the keys of what was looked at: not everybody who looks sees everything.
        unseen: Those keys among them about which nothing could be told.
    """

    at: datetime
    troubles: Sequence[Trouble]
    looked: Collection[str]
    unseen: Collection[str] = ()

    def sees(self, key: str) -> bool:
        """Whether that a trouble is not there means that it is over."""
        return key.startswith(tuple(self.looked)) and key not in self.unseen


@dataclass(frozen=True, slots=True)
class Rules:
    """When a trouble becomes an alert.

    Attributes:
        patience: Looks in a row at which a finding must be bad.
        remind: After how long a receiver is told again.
    """

    patience: int = 1
    remind: timedelta = timedelta(hours=24)


@dataclass(frozen=True, slots=True)
class Memory:
    """What is kept from one look to the next.

    Attributes:
        began: When the first look was.
        seen: The troubles there are, by key.
        told: By receiver and key, what is open with it.
    """

    began: datetime
    seen: Mapping[str, Seen] = field(default_factory=dict)
    told: Mapping[str, Mapping[str, Told]] = field(default_factory=dict)


HEALTH = "health:"
"""What the key of a finding begins with."""


_POSTGRES = "postgres"


def troubles_of(findings: Sequence[Finding]) -> list[Trouble]:
    """What is wrong, of what was found."""
    return [
        Trouble(
            key=f"{HEALTH}{one.name}",
            level=Level.ERROR if one.name in GRAVE else Level.WARNING,
            title=one.name.replace("_", " "),
            message=one.message,
            hint=one.hint,
        )
        for one in findings
        if not one.ok
    ]


def untold(findings: Sequence[Finding]) -> list[str]:
    """Keys of findings that passed only because nobody can tell while PostgreSQL is away."""
    is_away = any(one.name == _POSTGRES and not one.ok for one in findings)
    return [f"{HEALTH}{one.name}" for one in findings if is_away and one.ok and one.measured is None]


def remember(memory: Memory, look: Look) -> Memory:
    """What is to be remembered of a look; nobody was told anything yet."""
    seen = {key: one for key, one in memory.seen.items() if not look.sees(key)}
    for one in look.troubles:
        before = memory.seen.get(one.key, Seen(look.at, 0))
        seen[one.key] = Seen(before.since, before.looks + 1)
    return replace(memory, seen=seen)


def due(memory: Memory, receiver: str, look: Look, rules: Rules) -> list[Alert]:
    """What a receiver is to be told now: what is well again first, then what is wrong.

    Args:
        memory: With this look in it; see `remember`.
        receiver: Whom.
        look: What was found.
        rules: When a trouble becomes an alert.
    """
    told = memory.told.get(receiver, {})
    wrong = {one.key for one in look.troubles}
    recovered = [_recovered(key, one) for key, one in told.items() if key not in wrong and look.sees(key)]
    return recovered + [
        Alert(event, one.key, one.level, one.title, one.message, one.hint, memory.seen[one.key].since)
        for one in look.troubles
        if (event := _event(one, memory.seen[one.key], told.get(one.key), look.at, rules)) is not None
    ]


def note(memory: Memory, receiver: str, alert: Alert, at: datetime) -> Memory:
    """What is to be remembered once a receiver has been told."""
    told = dict(memory.told.get(receiver, {}))
    if alert.event is Event.RECOVERED:
        told.pop(alert.key, None)
    else:
        told[alert.key] = Told(alert.since, at, alert.level, alert.title)
    return replace(memory, told={**memory.told, receiver: told})


def _event(one: Trouble, seen: Seen, told: Told | None, at: datetime, rules: Rules) -> Event | None:
    if told is None:
        is_patient = one.key.startswith(HEALTH)
        return Event.RAISED if seen.looks >= rules.patience or not is_patient else None
    if one.level is Level.ERROR and told.level is Level.WARNING:
        return Event.RAISED
    # A time still to come is a wrong clock's, and must not silence anything for ever.
    return None if at - rules.remind < told.at <= at else Event.REMINDER


def _recovered(key: str, told: Told) -> Alert:
    message = "It is as it should be again."
    return Alert(Event.RECOVERED, key, told.level, told.title, message, "", told.since)

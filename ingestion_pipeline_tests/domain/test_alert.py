"""What is told once, what again, and what is told to be well."""

from datetime import UTC, datetime, timedelta

import pytest

from ingestion_pipeline.domain.alert import (
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
from ingestion_pipeline.domain.health import Finding
from ingestion_pipeline.stores.alert_memory import dumped, loaded

NOON = datetime(2026, 11, 22, 12, tzinfo=UTC)
RULES = Rules()

LATE = Trouble("health:pending_age", Level.WARNING, "pending age", "the first waits for 300 s", "settle")
UNEQUAL = Trouble("check:people/consistency", Level.ERROR, "check fails", "3 differences")


def after(minutes: float) -> datetime:
    return NOON + timedelta(minutes=minutes)


class Watched:
    """A receiver that can always be told, and the looks it is told of."""

    def __init__(self, rules: Rules = RULES) -> None:
        self.memory = Memory(NOON)
        self.rules = rules

    def look(
        self,
        minutes: float,
        *troubles: Trouble,
        looked: tuple[str, ...] = ("health:", "check:"),
        unseen: tuple[str, ...] = (),
    ) -> list[Alert]:
        look = Look(after(minutes), troubles, looked, unseen)
        # Through the text in which it is kept, as between two looks of the sensor.
        self.memory = remember(loaded(dumped(self.memory), NOON), look)
        alerts = due(self.memory, "webhook", look, self.rules)
        for alert in alerts:
            self.memory = note(self.memory, "webhook", alert, look.at)
        return alerts


def events(alerts: list[Alert]) -> list[tuple[str, str]]:
    return [(one.event.value, one.key) for one in alerts]


def test_it_is_told_once_and_once_that_it_is_well() -> None:
    watched = Watched()

    [raised] = watched.look(0, LATE)
    silent = [watched.look(minute, LATE) for minute in (1, 2, 3)]
    [recovered] = watched.look(4)
    nothing = watched.look(5)

    assert raised == Alert(
        Event.RAISED, LATE.key, Level.WARNING, LATE.title, LATE.message, LATE.hint, since=NOON
    )
    assert silent == [[], [], []]
    assert (recovered.event, recovered.key, recovered.since) == (Event.RECOVERED, LATE.key, NOON)
    assert recovered.title == LATE.title
    assert nothing == []


def test_it_is_told_again_after_a_day_and_each_day() -> None:
    watched = Watched()
    watched.look(0, LATE)

    told = [events(watched.look(60 * hour, LATE)) for hour in (23.9, 24, 25, 48)]

    assert told == [[], [("reminder", LATE.key)], [], [("reminder", LATE.key)]]


def test_what_comes_back_is_told_anew() -> None:
    watched = Watched()
    watched.look(0, LATE)
    watched.look(1)

    [raised] = watched.look(2, LATE)

    assert (raised.event, raised.since) == (Event.RAISED, after(2))


def test_what_gets_worse_is_told_at_once() -> None:
    watched = Watched()
    watched.look(0, LATE)
    worse = Trouble(LATE.key, Level.ERROR, LATE.title, "worse")

    told = [events(watched.look(minute, one)) for minute, one in enumerate((worse, worse, LATE, LATE), 1)]

    assert told == [[("raised", LATE.key)], [], [], []]


def test_a_finding_must_be_bad_as_often_in_a_row_as_patience_says() -> None:
    watched = Watched(Rules(patience=2))

    told = [events(watched.look(0, LATE)), events(watched.look(1)), events(watched.look(2, LATE))]
    [raised] = watched.look(3, LATE)

    assert told == [[], [], []]
    assert (raised.event, raised.since) == (Event.RAISED, after(2))


def test_patience_is_for_findings_only() -> None:
    assert events(Watched(Rules(patience=2)).look(0, UNEQUAL)) == [("raised", UNEQUAL.key)]


def test_what_cannot_be_looked_at_is_neither_well_nor_forgotten() -> None:
    watched = Watched()
    watched.look(0, LATE, UNEQUAL)

    unseen = watched.look(1, UNEQUAL, unseen=(LATE.key,))
    again = watched.look(2, LATE, UNEQUAL)
    [recovered] = watched.look(3, UNEQUAL)

    assert unseen == []
    assert again == []
    assert (recovered.key, recovered.since) == (LATE.key, NOON)


def test_nobody_closes_what_only_others_look_at() -> None:
    watched = Watched()
    watched.look(0, LATE, UNEQUAL)

    by_health_alone = [events(watched.look(minute, LATE, looked=("health:",))) for minute in (1, 2)]
    [gone] = watched.look(3, looked=("health:",))
    [recovered] = watched.look(4)

    assert by_health_alone == [[], []]
    assert gone.key == LATE.key
    assert (recovered.key, recovered.since) == (UNEQUAL.key, NOON)


def test_a_clock_that_was_set_back_silences_nothing() -> None:
    watched = Watched()
    watched.look(60 * 24 * 365, LATE)

    assert events(watched.look(0, LATE)) == [("reminder", LATE.key)]


def test_each_receiver_has_what_it_was_told_for_itself() -> None:
    look = Look(NOON, [LATE], ["health:"])
    memory = remember(Memory(NOON), look)
    [alert] = due(memory, "slack", look, RULES)

    memory = note(memory, "slack", alert, NOON)

    assert due(memory, "slack", look, RULES) == []
    assert events(due(memory, "email", look, RULES)) == [("raised", LATE.key)]


@pytest.mark.parametrize(
    "text", [None, "", "nonsense", "[]", "[" * 100_000, '{"form":1}', '{"form":1,"began":3}']
)
def test_what_nobody_can_read_any_more_is_begun_anew(text: str | None) -> None:
    assert loaded(text, NOON) == Memory(NOON)


def test_only_what_is_bad_is_a_trouble_and_an_error_where_much_is_at_stake() -> None:
    findings = [
        Finding("postgres", ok=False, measured=None, limit=None, message="away", hint="start it"),
        Finding("long_transaction", ok=False, measured=300, limit=120, message="late"),
        Finding("consistency", ok=False, measured=3, limit=0, message="3 differences"),
        Finding("disk", ok=True, measured=3, limit=1, message="room"),
    ]

    found = [(one.key, one.level, one.message, one.hint) for one in troubles_of(findings)]

    assert found == [
        ("health:postgres", Level.ERROR, "away", "start it"),
        ("health:long_transaction", Level.WARNING, "late", ""),
        ("health:consistency", Level.ERROR, "3 differences", ""),
    ]


@pytest.mark.parametrize(("is_there", "keys"), [(True, []), (False, ["health:consistency"])])
def test_what_nobody_can_tell_without_postgres_is_not_well(*, is_there: bool, keys: list[str]) -> None:
    findings = [
        Finding("postgres", ok=is_there, measured=None, limit=None, message=""),
        Finding("consistency", ok=True, measured=None, limit=None, message="not known"),
        Finding("disk", ok=True, measured=3, limit=1, message="room"),
        Finding("fallback", ok=False, measured=None, limit=1, message=""),
    ]

    assert untold(findings) == keys

"""Changes of phase as they are kept, and whether the configuration still asks for one."""

import json
from dataclasses import fields, replace

import pytest

from ingestion_pipeline.domain.phase import Move, Phase
from ingestion_pipeline.domain.phase_change import PhaseChange, to_be_applied

ORIGINAL, DUAL, PRIMARY, NATIVE = Phase
BARE = PhaseChange(2, ORIGINAL, DUAL, "2026-01-01T00:00:00+00:00", "tester", wanted=PRIMARY, by_hand=False)
FULL = replace(
    BARE,
    by_hand=True,
    run_id="run",
    overridden=("undecided", "differences"),
    because="it is known",
    csv_sha256="c" * 64,
    compared_at="2026-01-01T00:00:00+00:00",
    drained=3,
    rechecked=4,
    pause=0.25,
    version_before="a",
    version_after="b",
    equal_after=False,
    unfinished="the disk is full",
)


@pytest.mark.parametrize("change", [BARE, FULL], ids=["bare", "full"])
def test_what_is_kept_is_what_was(change: PhaseChange) -> None:
    assert PhaseChange.from_json(json.loads(json.dumps(change.as_json()))) == change


def test_every_field_is_kept_where_there_is_one_to_keep() -> None:
    assert set(FULL.as_json()) == {field.name for field in fields(PhaseChange)}
    assert None not in BARE.as_json().values()


def test_it_knows_its_move() -> None:
    assert BARE.move == Move(ORIGINAL, DUAL)


@pytest.mark.parametrize("damage", [{"after": "sideways"}, {"wanted": None}, {"strange": 1}])
def test_what_was_never_kept_is_refused(damage: dict[str, object]) -> None:
    with pytest.raises((ValueError, KeyError, TypeError)):
        PhaseChange.from_json(BARE.as_json() | damage)


BY_HAND = replace(BARE, by_hand=True, before=PRIMARY, after=DUAL, wanted=PRIMARY)


@pytest.mark.parametrize(
    ("wanted", "in_force", "last", "applied"),
    [
        (DUAL, DUAL, None, False),
        (PRIMARY, DUAL, None, True),
        (ORIGINAL, PRIMARY, None, True),
        (PRIMARY, DUAL, replace(BY_HAND, by_hand=False), True),
        (PRIMARY, DUAL, BY_HAND, False),
        (PRIMARY, PRIMARY, BY_HAND, False),
        (NATIVE, DUAL, BY_HAND, True),
        (ORIGINAL, DUAL, BY_HAND, True),
        (PRIMARY, ORIGINAL, BY_HAND, True),
    ],
    ids=[
        "nothing to do",
        "asked for from the beginning",
        "back",
        "the last one was not made by hand",
        "decided against by hand",
        "arrived",
        "the configuration was edited since",
        "edited since to go back",
        "another phase came about since",
    ],
)
def test_configuration_is_followed_unless_somebody_has_decided_since(
    wanted: Phase,
    in_force: Phase,
    last: PhaseChange | None,
    applied: bool,  # noqa: FBT001 - a column of the table
) -> None:
    assert to_be_applied(wanted, in_force, last) is applied

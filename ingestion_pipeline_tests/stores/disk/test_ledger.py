"""The ledger: the phase in force on disk, whole or not at all."""

import json
from dataclasses import replace
from pathlib import Path

import pytest

from ingestion_pipeline.domain.errors import ProtectedError
from ingestion_pipeline.domain.phase import Phase
from ingestion_pipeline.domain.phase_change import PhaseChange
from ingestion_pipeline.domain.reports import State
from ingestion_pipeline.stores.disk.ledger import Ledger

BEGAN = State(Phase.ORIGINAL, 1)
CHANGE = PhaseChange(
    2,
    Phase.ORIGINAL,
    Phase.DUAL_WRITE,
    "2026-01-01T00:00:00+00:00",
    "ä",
    wanted=Phase.DUAL_WRITE,
    by_hand=True,
)


@pytest.fixture
def ledger(tmp_path: Path) -> Ledger:
    return Ledger(tmp_path / "state" / "ledger.json")


def test_it_says_nothing_before_it_was_kept(ledger: Ledger) -> None:
    assert ledger.read() is None


@pytest.mark.parametrize("phase", Phase)
def test_it_says_what_was_kept_last(phase: Phase, ledger: Ledger) -> None:
    ledger.keep(State(Phase.ORIGINAL, 1))
    ledger.keep(State(phase, 7))
    assert Ledger(ledger.path).read() == State(phase, 7)
    assert [path.name for path in ledger.path.parent.iterdir()] == ["ledger.json"]


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"{",
        b"[]",
        b"7",
        b"{}",
        b'{"phase": "dual_write"}',
        b'{"phase": "dual_write", "epoch": null}',
        b'{"phase": "dual_write", "epoch": "many"}',
        b'{"phase": "sideways", "epoch": 1}',
        b"\xff",
    ],
)
def test_a_damaged_one_is_not_guessed_at(content: bytes, ledger: Ledger) -> None:
    ledger.keep(State(Phase.ORIGINAL, 1))
    ledger.path.write_bytes(content)
    with pytest.raises(ProtectedError) as caught:
        ledger.read()
    assert (caught.value.code, caught.value.place.file) == ("ledger_damaged", str(ledger.path))
    assert "Move this file away" in caught.value.hint


def test_it_keeps_the_change_that_is_under_way(ledger: Ledger) -> None:
    ledger.mark(BEGAN, CHANGE)

    assert Ledger(ledger.path).read() == replace(BEGAN, changing=True)
    assert Ledger(ledger.path).change() == CHANGE
    assert [path.name for path in ledger.path.parent.iterdir()] == ["ledger.json"]


@pytest.mark.parametrize("state", [BEGAN, State(Phase.DUAL_WRITE, 2)], ids=["cancelled", "made"])
def test_change_is_over_once_a_phase_is_kept(ledger: Ledger, state: State) -> None:
    ledger.mark(BEGAN, CHANGE)
    ledger.keep(state)

    assert (ledger.read(), ledger.change()) == (state, None)


def test_there_is_no_change_before_anything_was_kept(ledger: Ledger) -> None:
    assert ledger.change() is None


@pytest.mark.parametrize("mark", [7, "x", [], {}, {"epoch": 2}, CHANGE.as_json() | {"after": "sideways"}])
def test_damaged_mark_is_not_guessed_at(mark: object, ledger: Ledger) -> None:
    ledger.keep(BEGAN)
    ledger.path.write_text(json.dumps({"phase": "original", "epoch": 1, "changing": mark}))
    for ask in (ledger.read, ledger.change):
        with pytest.raises(ProtectedError) as caught:
            ask()
        assert caught.value.code == "ledger_damaged"

"""The ledger: the phase in force on disk, whole or not at all."""

from pathlib import Path

import pytest

from ingestion_pipeline.domain.errors import ProtectedError
from ingestion_pipeline.domain.phase import Phase
from ingestion_pipeline.domain.reports import State
from ingestion_pipeline.stores.disk.ledger import Ledger


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

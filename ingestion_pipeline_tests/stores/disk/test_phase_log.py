"""The log of phase changes: whole lines only, the torn end dropped, damage never guessed at."""

import os
import stat
from dataclasses import replace
from pathlib import Path

import pytest

from ingestion_pipeline.domain.errors import ProtectedError, UnavailableError
from ingestion_pipeline.domain.phase import Phase
from ingestion_pipeline.domain.phase_change import PhaseChange
from ingestion_pipeline.stores.disk.phase_log import PhaseLog

FIRST = PhaseChange(
    2,
    Phase.ORIGINAL,
    Phase.DUAL_WRITE,
    "2026-01-01T00:00:00+00:00",
    "ä",
    wanted=Phase.DUAL_WRITE,
    by_hand=False,
)
SECOND = replace(
    FIRST, epoch=3, before=Phase.DUAL_WRITE, after=Phase.ORIGINAL, overridden=("undecided",), because='"\n"'
)


@pytest.fixture
def log(tmp_path: Path) -> PhaseLog:
    return PhaseLog(tmp_path / "state" / "phases.jsonl")


def test_it_is_empty_before_the_first_change(log: PhaseLog) -> None:
    assert log.changes() == []
    assert not log.path.exists()


def test_it_keeps_every_change_in_order(log: PhaseLog) -> None:
    log.note(FIRST)
    log.note(SECOND)

    assert PhaseLog(log.path).changes() == [FIRST, SECOND]
    assert log.path.read_bytes().count(b"\n") == 2


def test_change_is_noted_once(log: PhaseLog) -> None:
    log.note(FIRST)
    log.note(FIRST)

    assert log.path.read_bytes().count(b"\n") == 1


def test_what_became_known_later_is_the_change_s_own(log: PhaseLog) -> None:
    log.note(FIRST)
    log.note(SECOND)
    log.note_later(2, {"pause": 0.5, "equal_after": True})
    log.note_later(2, {"pause": 0.7})

    assert log.changes() == [replace(FIRST, pause=0.7, equal_after=True), SECOND]


def test_epochs_that_begin_anew_are_other_changes(log: PhaseLog) -> None:
    again = replace(FIRST, at="2026-02-02T00:00:00+00:00")
    for change in (FIRST, SECOND, again, again, SECOND):
        log.note(change)
    log.note_later(2, {"pause": 0.5})

    assert PhaseLog(log.path).changes() == [FIRST, SECOND, replace(again, pause=0.5)]


def test_nothing_is_known_later_of_a_change_that_never_was(log: PhaseLog) -> None:
    log.note(FIRST)
    log.note_later(3, {"pause": 0.5})

    assert log.changes() == [FIRST]


def test_torn_end_is_dropped_wherever_it_was_torn(log: PhaseLog) -> None:
    log.note(FIRST)
    whole = log.path.read_bytes()
    log.note(SECOND)
    both = log.path.read_bytes()

    for size in range(len(both)):
        log.path.write_bytes(both[:size])
        known = [FIRST] if size >= len(whole) else []
        assert log.changes() == known
        log.note(SECOND)
        assert PhaseLog(log.path).changes() == [*known, SECOND]


def test_nothing_of_a_torn_end_is_left_behind_a_shorter_line(log: PhaseLog) -> None:
    log.note(FIRST)
    log.note(SECOND)
    log.path.write_bytes(log.path.read_bytes()[:-1])

    log.note_later(2, {"pause": 0.5})

    assert log.changes() == [replace(FIRST, pause=0.5)]
    assert log.path.read_bytes().endswith(b"}\n")


@pytest.mark.parametrize(
    "line", [b"", b"{", b"[]", b"7", b"null", b"{}", b'{"epoch": []}', b'{"epoch": 4}', b"\xff"]
)
@pytest.mark.parametrize("place", [0, 1])
def test_damaged_line_is_not_guessed_at(log: PhaseLog, line: bytes, place: int) -> None:
    log.note(FIRST)
    lines = [log.path.read_bytes()]
    lines.insert(place, line + b"\n")
    log.path.write_bytes(b"".join(lines))

    for ask in (log.changes, lambda: log.note(SECOND), lambda: log.note_later(2, {"pause": 1.0})):
        with pytest.raises(ProtectedError) as damaged:
            ask()
        assert (damaged.value.code, damaged.value.place.file) == ("phase_log_damaged", str(log.path))
        assert "move the file away" in damaged.value.hint
    assert log.path.read_bytes() == b"".join(lines)


def test_log_that_cannot_be_read_is_said_to_be_so(log: PhaseLog) -> None:
    log.path.mkdir(parents=True)

    with pytest.raises(UnavailableError) as unreadable:
        log.changes()

    assert (unreadable.value.code, unreadable.value.place.file) == ("disk", str(log.path))


def test_it_is_its_owner_s_only(log: PhaseLog) -> None:
    before = os.umask(0)
    try:
        log.note(FIRST)
    finally:
        os.umask(before)

    assert stat.S_IMODE(log.path.stat().st_mode) == 0o600


def test_symbolic_link_is_not_followed(log: PhaseLog, tmp_path: Path) -> None:
    log.path.parent.mkdir()
    log.path.symlink_to(tmp_path / "elsewhere")

    with pytest.raises(OSError, match="symbolic"):
        log.note(FIRST)

    assert not (tmp_path / "elsewhere").exists()

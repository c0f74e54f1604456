"""The journal on disk: what was appended is read back by everybody, in segments that come and go."""

import errno
import os
import stat
from collections.abc import Callable
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest

from ingestion_pipeline.domain.errors import ProtectedError, UnavailableError
from ingestion_pipeline.domain.journal import NO_WRITE, Kind, Record, encode
from ingestion_pipeline.stores.disk import journal_log
from ingestion_pipeline.stores.disk.journal_log import JournalLog


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / "state" / "journal"


@pytest.fixture
def log(folder: Path) -> JournalLog:
    return JournalLog(folder)


@pytest.fixture
def small_segments(monkeypatch: pytest.MonkeyPatch) -> None:
    """Segments that are full after the first record."""
    monkeypatch.setattr(journal_log, "SEGMENT", 1)


def write(row_id: str = "1", *, least: int = 0, kind: Kind = Kind.WRITE, **cells: str) -> Record:
    texts = {name: (None, text) for name, text in cells.items()}
    return Record(least, 0, 3, kind, UUID(int=int(row_id)), row_id, texts, by="me", at="2026-03-04")


def appended(log: JournalLog, *row_ids: str) -> list[Record]:
    log.catch_up()
    return log.append([write(row_id) for row_id in row_ids])


def reopened(log: JournalLog) -> JournalLog:
    """What another process reads."""
    found = JournalLog(log.folder)
    found.catch_up()
    return found


def known(log: JournalLog) -> tuple[Any, ...]:
    return log.last, log.written_last, log.closed, [*log.open], log.file


def assert_read_back(log: JournalLog) -> None:
    assert known(reopened(log)) == known(log)


def row_ids(log: JournalLog) -> list[str]:
    return [record.row_id for record in log.retained() if record.kind is not Kind.CLOSED]


def segments(folder: Path) -> list[Path]:
    return sorted(folder.iterdir())


def failing(number: int, *, after: int = 0) -> Callable[..., Any]:
    """Fails from some call on."""
    left = [after]

    def fail(*arguments: Any) -> Any:
        left[0] -= 1
        if left[0] < 0:
            raise OSError(number, os.strerror(number))
        return len(arguments[1]) if len(arguments) > 1 else None

    return fail


def test_a_journal_that_is_not_there_holds_nothing(log: JournalLog) -> None:
    log.catch_up()
    assert known(log) == (0, 0, 0, [], None)
    assert (log.exists(), list(log.retained())) == (False, [])
    assert not log.folder.exists()


def test_a_group_is_appended_in_its_order_with_rising_numbers(log: JournalLog) -> None:
    records = appended(log, "5", "6", "5")
    assert [record.row_id for record in records] == ["5", "6", "5"]
    assert [record.sequence for record in records] == [2, 3, 4]
    assert [record.previous for record in records] == [1, 2, 3]
    assert records[0].cells == write("5").cells
    assert log.open == records
    assert_read_back(log)


def test_a_group_is_brought_to_disk_once(log: JournalLog, monkeypatch: pytest.MonkeyPatch) -> None:
    appended(log, "1")
    synced: list[int] = []
    monkeypatch.setattr(os, "fsync", synced.append)
    appended(log, "2", "3", "4")
    assert len(synced) == 1


def test_a_record_s_own_number_is_the_least_it_gets(log: JournalLog) -> None:
    log.catch_up()
    records = log.append([write("1", least=10), write("2"), write("3", least=5), write("4", least=20)])
    assert [record.sequence for record in records] == [10, 11, 12, 20]
    assert_read_back(log)


def test_two_readers_of_one_folder_catch_up_with_each_other(log: JournalLog) -> None:
    other = JournalLog(log.folder)
    for number in range(1, 9):
        one = log if number % 3 else other
        appended(one, str(number))
    log.catch_up()
    other.catch_up()
    assert known(log) == known(other)
    assert row_ids(log) == [str(number) for number in range(1, 9)]
    assert_read_back(log)


@pytest.mark.usefixtures("small_segments")
def test_two_readers_catch_up_over_segments_that_came_and_went(log: JournalLog) -> None:
    appended(log, "1")
    other = reopened(log)
    for number in range(2, 30):
        appended(log, str(number))
        log.close(3)
    other.catch_up()
    assert known(other) == known(log)
    appended(other, "30")
    log.catch_up()
    assert known(other) == known(log)


def test_closing_leaves_nothing_open(log: JournalLog) -> None:
    appended(log, "1", "2")
    log.close(4)
    assert (log.open, log.closed, log.written_last) == ([], 3, 3)
    assert_read_back(log)
    [*_, last] = log.retained()
    assert (last.kind, last.epoch, last.through) == (Kind.CLOSED, 4, 3)


def test_closing_what_is_closed_writes_nothing(log: JournalLog) -> None:
    log.close(4)
    assert not log.exists()
    appended(log, "1")
    log.close(4)
    before = log.last
    log.close(4)
    assert log.last == before


def test_closing_takes_over_the_other_side_s_numbers(log: JournalLog) -> None:
    appended(log, "1")
    log.close(3, least=100)
    assert log.last == 100
    log.close(3, least=200)
    log.close(3, least=150)
    assert appended(log, "2")[0].sequence == 201
    assert_read_back(log)


def test_what_is_written_after_the_closing_is_open(log: JournalLog) -> None:
    appended(log, "1")
    log.close(3)
    records = appended(log, "2")
    assert log.open == records
    assert_read_back(log)


def test_closing_need_not_wait_for_the_disk(log: JournalLog, monkeypatch: pytest.MonkeyPatch) -> None:
    appended(log, "1")
    monkeypatch.setattr(os, "fsync", failing(errno.EIO))
    log.close(3)
    log.announce("ab")
    assert log.file == "ab"


def test_the_file_is_the_last_that_was_named(log: JournalLog) -> None:
    log.catch_up()
    log.append([write("1"), Record(0, 0, 3, Kind.WRITE, row_id="2", file="ab")])
    assert log.file == "ab"
    appended(log, "3")
    assert log.file == "ab"
    log.announce("cd")
    assert log.file == "cd"
    assert_read_back(log)


def test_announcing_closes_nothing(log: JournalLog) -> None:
    records = appended(log, "1")
    log.announce("ab")
    assert (log.open, log.written_last) == (records, 2)


def test_the_last_append_can_be_taken_back(log: JournalLog) -> None:
    appended(log, "1")
    before = known(log)
    records = appended(log, "2", "3")
    log.take_back(records)
    assert known(log) == before
    assert row_ids(log) == ["1"]
    assert [record.sequence for record in appended(log, "4")] == [3]
    assert_read_back(log)


def test_the_first_append_can_be_taken_back(log: JournalLog) -> None:
    log.catch_up()
    log.go_on_from(9)
    log.take_back(log.append([write("1")]))
    assert (log.open, log.written_last, row_ids(log)) == ([], 9, [])
    assert_read_back(log)


def test_numbers_go_on_where_a_journal_was_moved_away(log: JournalLog) -> None:
    log.catch_up()
    log.go_on_from(41)
    assert log.append([write("1")])[0].sequence > 41
    assert (log.closed, log.written_last) == (41, log.last)
    assert_read_back(log)


def test_a_write_is_found_by_its_id(log: JournalLog) -> None:
    records = appended(log, "1", "2")
    log.close(3)
    assert log.written(UUID(int=2)) == records[1]
    assert log.written(UUID(int=3)) is None
    log.append([write("3")])
    assert log.written(UUID(int=3)) is not None
    assert reopened(log).written(NO_WRITE) is None


def test_folder_and_segments_are_their_owner_s_only(log: JournalLog) -> None:
    before = os.umask(0)
    try:
        appended(log, "1")
    finally:
        os.umask(before)
    [segment] = segments(log.folder)
    assert stat.S_IMODE(log.folder.stat().st_mode) == 0o700
    assert stat.S_IMODE(segment.stat().st_mode) == 0o600


def test_other_files_in_the_folder_are_no_segments(log: JournalLog) -> None:
    appended(log, "1")
    (log.folder / "notes.txt").write_text("mine")
    assert_read_back(log)


# Segments


@pytest.mark.usefixtures("small_segments")
def test_a_full_segment_is_followed_by_another(log: JournalLog) -> None:
    for number in range(1, 6):
        appended(log, str(number))
    assert len(segments(log.folder)) == 5
    assert row_ids(log) == ["1", "2", "3", "4", "5"]
    assert [record.row_id for record in log.open] == row_ids(log)
    assert_read_back(log)


def test_a_segment_is_filled_before_another_begins(log: JournalLog, monkeypatch: pytest.MonkeyPatch) -> None:
    appended(log, "1")
    [segment] = segments(log.folder)
    monkeypatch.setattr(journal_log, "SEGMENT", segment.stat().st_size + 1)
    appended(log, "2")
    assert len(segments(log.folder)) == 1
    appended(log, "3")
    assert len(segments(log.folder)) == 2


@pytest.mark.usefixtures("small_segments")
def test_old_segments_are_dropped_once_all_in_them_is_closed(log: JournalLog) -> None:
    for number in range(1, 30):
        appended(log, str(number))
        log.close(3)
    assert len(segments(log.folder)) == journal_log.KEPT
    assert row_ids(log)[-1] == "29"
    assert_read_back(log)


@pytest.mark.usefixtures("small_segments")
def test_nothing_that_is_open_is_ever_dropped(log: JournalLog) -> None:
    for number in range(1, 30):
        appended(log, str(number))
    assert len(segments(log.folder)) == 29
    assert [record.row_id for record in reopened(log).open] == row_ids(log)
    log.close(3)
    appended(log, "30")
    assert len(segments(log.folder)) == journal_log.KEPT
    assert_read_back(log)


@pytest.mark.usefixtures("small_segments")
def test_only_segments_in_which_something_may_be_open_are_read(
    log: JournalLog, monkeypatch: pytest.MonkeyPatch
) -> None:
    for number in range(1, 5):
        appended(log, str(number))
    log.close(3)
    appended(log, "5")
    appended(log, "6")
    read: list[Path] = []
    read_on = JournalLog._read_on  # noqa: SLF001

    def note(self: JournalLog, segment: Path, *, is_last: bool) -> None:
        read.append(segment)
        read_on(self, segment, is_last=is_last)

    monkeypatch.setattr(JournalLog, "_read_on", note)
    found = reopened(log)
    assert read == segments(log.folder)[-2:]
    assert known(found) == known(log)


@pytest.mark.usefixtures("small_segments")
def test_a_note_that_was_not_on_disk_when_the_next_segment_began_is_no_damage(log: JournalLog) -> None:
    appended(log, "1")
    [segment] = segments(log.folder)
    before = segment.stat().st_size
    log.close(3)
    appended(log, "2")
    os.truncate(segment, before)  # as a power cut leaves what was not synced
    assert known(reopened(log)) == known(log)


@pytest.mark.usefixtures("small_segments")
def test_a_full_segment_is_on_disk_before_the_next_begins(
    log: JournalLog, monkeypatch: pytest.MonkeyPatch
) -> None:
    appended(log, "1")
    [segment] = segments(log.folder)
    synced: list[int] = []

    def note(descriptor: int) -> None:
        synced.append(os.fstat(descriptor).st_ino)

    monkeypatch.setattr(os, "fsync", note)
    appended(log, "2")
    assert synced[0] == segment.stat().st_ino


# Disks that refuse


@pytest.mark.parametrize("call", ["fsync", "write"])
def test_nothing_is_acknowledged_that_the_disk_refused(
    call: str, log: JournalLog, monkeypatch: pytest.MonkeyPatch
) -> None:
    appended(log, "1")
    before = known(log)
    with monkeypatch.context() as patch:
        patch.setattr(os, call, failing(errno.ENOSPC))
        with pytest.raises(UnavailableError) as caught:
            appended(log, "2")
    assert (caught.value.code, caught.value.place.file) == ("disk", str(log.folder))
    assert os.strerror(errno.ENOSPC) in caught.value.message
    assert known(log) == before
    assert_read_back(log)
    appended(log, "3")
    assert row_ids(log) == ["1", "3"]
    assert_read_back(log)


def test_after_a_failed_sync_the_journal_goes_on_in_another_segment(
    log: JournalLog, monkeypatch: pytest.MonkeyPatch
) -> None:
    appended(log, "1")
    failed = os.fsync
    with monkeypatch.context() as patch:
        patch.setattr(os, "fsync", lambda descriptor: _once(patch, failed, descriptor))
        with pytest.raises(UnavailableError):
            appended(log, "2")
    first, second = segments(log.folder)
    size = first.stat().st_size
    appended(log, "3")
    assert (first.stat().st_size, row_ids(log)) == (size, ["1", "3"])
    assert second.stat().st_size > len(encode(write("3")))
    assert_read_back(log)


def _once(patch: pytest.MonkeyPatch, whole: Callable[[int], None], _descriptor: int) -> None:
    patch.setattr(os, "fsync", whole)
    raise OSError(errno.EIO, os.strerror(errno.EIO))


def test_a_half_written_record_is_taken_back(log: JournalLog, monkeypatch: pytest.MonkeyPatch) -> None:
    appended(log, "1")
    [segment] = segments(log.folder)
    before = segment.read_bytes()
    whole, calls = os.write, [0]

    def write_half(descriptor: int, data: bytes) -> int:
        calls[0] += 1
        if calls[0] > 1:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        return whole(descriptor, data[: len(data) // 2])

    with monkeypatch.context() as patch:
        patch.setattr(os, "write", write_half)
        with pytest.raises(UnavailableError):
            appended(log, "2")
    assert segment.read_bytes() == before
    assert_read_back(log)


def test_short_writes_are_continued(log: JournalLog, monkeypatch: pytest.MonkeyPatch) -> None:
    whole = os.write
    monkeypatch.setattr(os, "write", lambda descriptor, data: whole(descriptor, data[:7]))
    appended(log, "1", "2")
    assert_read_back(log)


@pytest.mark.parametrize("call", ["fsync", "write"])
def test_a_segment_that_cannot_be_begun_leaves_nothing(
    call: str, log: JournalLog, monkeypatch: pytest.MonkeyPatch
) -> None:
    log.catch_up()
    log.folder.mkdir(parents=True)
    with monkeypatch.context() as patch:
        patch.setattr(os, call, failing(errno.EIO))
        with pytest.raises(UnavailableError):
            log.append([write("1")])
    assert segments(log.folder) == []
    appended(log, "1")
    assert_read_back(log)


def test_a_segment_whose_name_is_not_on_disk_is_not_gone_on_with(
    log: JournalLog, monkeypatch: pytest.MonkeyPatch
) -> None:
    log.catch_up()
    with monkeypatch.context() as patch:
        patch.setattr(journal_log, "sync_folder", failing(errno.EIO))
        with pytest.raises(UnavailableError):
            log.append([write("1")])
    assert segments(log.folder) == []


# What a crash leaves


@pytest.mark.parametrize("cut", [1, 30, 60, 90])
def test_a_torn_end_is_dropped_and_gone_on_from(cut: int, log: JournalLog) -> None:
    appended(log, "1")
    [segment] = segments(log.folder)
    before = segment.read_bytes()
    appended(log, "2")
    os.truncate(segment, segment.stat().st_size - cut)
    found = reopened(log)
    assert row_ids(found) == ["1"]
    appended(found, "3")
    assert segment.read_bytes().startswith(before)
    assert row_ids(found) == ["1", "3"]
    assert_read_back(found)


def test_a_torn_end_stays_where_it_is_until_something_is_appended(log: JournalLog) -> None:
    appended(log, "1", "2")
    [segment] = segments(log.folder)
    os.truncate(segment, segment.stat().st_size - 1)
    before = segment.read_bytes()
    found = reopened(log)
    assert [record.row_id for record in found.open] == ["1"]
    assert row_ids(found) == ["1"]
    assert segment.read_bytes() == before


@pytest.mark.usefixtures("small_segments")
def test_a_torn_end_is_dropped_before_the_next_segment_begins(log: JournalLog) -> None:
    appended(log, "1")
    [segment] = segments(log.folder)
    with segment.open("ab") as file:
        file.write(b"IPJ1")
    appended(log, "2")
    assert_read_back(log)


@pytest.mark.usefixtures("small_segments")
@pytest.mark.parametrize("left", [0, 1, 80])
def test_a_segment_that_was_being_begun_is_gone_on_with(left: int, log: JournalLog) -> None:
    appended(log, "1")
    before = known(log)
    appended(log, "2")
    os.truncate(segments(log.folder)[1], left)
    found = reopened(log)
    assert known(found) == before
    appended(found, "3")
    assert row_ids(found) == ["1", "3"]
    assert_read_back(found)


@pytest.mark.parametrize("left", [0, 1, 80])
def test_a_first_segment_that_was_being_begun_is_gone_on_with(left: int, log: JournalLog) -> None:
    log.catch_up()
    log.go_on_from(41)
    log.append([write("1")])
    os.truncate(segments(log.folder)[0], left)
    found = reopened(log)
    assert found.last == 41
    assert appended(found, "2")[0].sequence > 41
    assert row_ids(found) == ["2"]
    assert_read_back(found)


# Damage, but for what test_journal_damage.py goes through byte by byte


def damage(log: JournalLog) -> ProtectedError:
    with pytest.raises(ProtectedError) as caught:
        log.catch_up()
    assert caught.value.code == "journal_damaged"
    return caught.value


@pytest.mark.usefixtures("small_segments")
def test_a_torn_end_of_a_segment_that_is_not_the_last_is_damage(log: JournalLog) -> None:
    appended(log, "1")
    appended(log, "2")
    first = segments(log.folder)[0]
    os.truncate(first, first.stat().st_size - 1)
    assert damage(JournalLog(log.folder)).place.file == str(first)


@pytest.mark.usefixtures("small_segments")
def test_a_segment_that_is_missing_is_damage(log: JournalLog) -> None:
    for number in range(1, 4):
        appended(log, str(number))
    _, second, third = segments(log.folder)
    second.unlink()
    assert damage(JournalLog(log.folder)).place.file == str(third)


@pytest.mark.usefixtures("small_segments")
def test_a_first_segment_that_is_missing_is_damage_while_it_is_open(log: JournalLog) -> None:
    appended(log, "1")
    appended(log, "2")
    segments(log.folder)[0].unlink()
    damage(JournalLog(log.folder))


def test_a_segment_that_became_shorter_is_damage_to_whoever_knew_it(log: JournalLog) -> None:
    appended(log, "1", "2")
    [segment] = segments(log.folder)
    os.truncate(segment, 100)
    assert "shorter" in damage(log).message


@pytest.mark.usefixtures("small_segments")
def test_damage_of_a_closed_segment_is_noticed_when_it_is_needed(log: JournalLog) -> None:
    for number in range(1, 5):
        appended(log, str(number))
        log.close(3)
    second = segments(log.folder)[1]
    data = bytearray(second.read_bytes())
    data[-1] ^= 1
    second.write_bytes(data)
    with pytest.raises(ProtectedError) as caught:
        list(reopened(log).retained())
    assert (caught.value.code, caught.value.place.file) == ("journal_damaged", str(second))
    found = reopened(log)
    for _ in range(2):
        with pytest.raises(ProtectedError):
            found.written(UUID(int=99))

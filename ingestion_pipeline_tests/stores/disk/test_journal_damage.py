"""Damage of the journal is always noticed: only an end that was never acknowledged is dropped.

Every bit of a journal is flipped, every byte is made the last one, and records are swapped, doubled and
dropped. The CSV's index marks every record as acknowledged.
"""

from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from itertools import accumulate, pairwise
from pathlib import Path

import pytest

from ingestion_pipeline.domain.errors import ProtectedError
from ingestion_pipeline.domain.journal import Record, Scan, encode
from ingestion_pipeline.domain.receipt import Write
from ingestion_pipeline.stores.disk import journal_log
from ingestion_pipeline.stores.disk.locked_csv import LockedCsv
from ingestion_pipeline_tests.files import people, spelled

SIZE = 4096


@dataclass(frozen=True)
class Site:
    """A CSV with a journal of one segment, all of it acknowledged."""

    csv: Path
    segment: Path
    journal: bytes
    records: Sequence[Record]

    def opened(self) -> LockedCsv:
        return LockedCsv(self.csv, self.segment.parents[1])

    @property
    def parts(self) -> list[bytes]:
        return [encode(record) for record in self.records]

    def refusal(self, journal: bytes) -> ProtectedError | None:
        """What is said of this journal; None when nothing is."""
        with self.segment.open("r+b") as file:  # in place: some file systems sync a file that is made anew
            file.write(journal)
            file.truncate()
        try:
            self.opened().refresh(None)
        except ProtectedError as error:
            return error
        return None

    def notices(self, journal: bytes) -> bool:
        """Whether this journal is refused, by name, with nothing changed."""
        csv = self.csv.read_bytes()
        error = self.refusal(journal)
        if error is None:
            return False
        assert (error.code, error.place.file) == ("journal_damaged", str(self.segment))
        assert "Nothing was changed" in error.hint
        assert (self.segment.read_bytes(), self.csv.read_bytes()) == (journal, csv)
        return True


def made(folder: Path) -> Site:
    csv = folder / "output.csv"
    csv.write_bytes(spelled(people(range(5))))
    locked = LockedCsv(csv, folder / "state")
    locked.refresh(None)
    number = 0
    while locked.journal.last == 0 or segment_of(folder).stat().st_size < SIZE - 250:
        number += 1
        locked.write([("me", [Write(str(number % 5), {"name": f"IPJ1 {number}", "link": "l" * number})])], 1)
        if number % 4 == 0:
            locked.close(1)
        locked.refresh(None)
    segment = segment_of(folder)
    return Site(csv, segment, segment.read_bytes(), list(locked.journal.retained()))


def segment_of(folder: Path) -> Path:
    [segment] = (folder / "state" / "journal").iterdir()
    return segment


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Site:
    return made(tmp_path_factory.mktemp("damage"))


@pytest.fixture
def site(shared: Site) -> Iterator[Site]:
    yield shared
    shared.segment.write_bytes(shared.journal)


def is_whole(data: bytes, previous: int, last: int) -> bool:
    """Whether these bytes pass for records up to the last."""
    scan = Scan(data, previous)
    return [record.sequence for record in scan][-1:] == [last] and scan.damage is None


def unnoticed_flips(records: Sequence[Record], *stopped: type[Exception]) -> list[int]:
    """Every single bit that can be flipped without anybody noticing, counted from the journal's start.

    What stands before the record that is hurt reads as it did, and need not be read each time. What stops
    in another way than by saying that there is damage counts as noticed only where it is expected.
    """
    parts = [encode(record) for record in records]
    starts = [0, *accumulate(len(part) for part in parts)]
    journal = bytearray(b"".join(parts))
    unnoticed = []
    for record, (start, end) in zip(records, pairwise(starts), strict=True):
        for bit in range(start * 8, end * 8):
            journal[bit // 8] ^= 1 << bit % 8
            with suppress(*stopped):
                if is_whole(bytes(journal[start:]), record.previous, records[-1].sequence):
                    unnoticed.append(bit)
            journal[bit // 8] ^= 1 << bit % 8
    return unnoticed


def test_the_journal_is_as_large_as_it_should_be_and_whole(site: Site) -> None:
    assert SIZE - 250 <= len(site.journal) <= SIZE + 250
    assert len(site.records) > 12
    assert b"".join(site.parts) == site.journal
    assert is_whole(site.journal, 0, site.records[-1].sequence)
    assert not site.notices(site.journal)


def test_every_flipped_bit_is_noticed(site: Site) -> None:
    assert unnoticed_flips(site.records) == []


def test_a_flipped_bit_of_any_byte_is_refused_by_name(site: Site) -> None:
    for offset in range(len(site.journal)):
        journal = bytearray(site.journal)
        journal[offset] ^= 1 << offset % 8
        assert site.notices(bytes(journal)), offset


def test_a_journal_cut_at_any_byte_is_refused_by_name(site: Site) -> None:
    for length in range(len(site.journal)):
        assert site.notices(site.journal[:length]), length


def test_records_that_are_swapped_are_refused_by_name(site: Site) -> None:
    for first in range(len(site.parts)):
        for second in range(first + 1, len(site.parts)):
            parts = site.parts
            parts[first], parts[second] = parts[second], parts[first]
            assert site.notices(b"".join(parts)), (first, second)


def test_records_that_are_doubled_are_refused_by_name(site: Site) -> None:
    for source in range(len(site.parts)):
        for place in range(len(site.parts) + 1):
            parts = site.parts
            parts.insert(place, parts[source])
            assert site.notices(b"".join(parts)), (source, place)


def test_records_that_are_dropped_are_refused_by_name(site: Site) -> None:
    for first in range(len(site.parts)):
        for end in range(first + 1, len(site.parts) + 1):
            parts = site.parts
            del parts[first:end]
            assert site.notices(b"".join(parts)), (first, end)


@pytest.mark.parametrize("rest", [b"\0", b"\0" * 4096, b"IPJ1", b"anything"])
def test_what_a_crash_left_behind_the_last_record_is_dropped(rest: bytes, site: Site) -> None:
    assert not site.notices(site.journal + rest)


def test_without_checksums_the_same_flips_go_unnoticed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("zlib.crc32", lambda _data: 0)
    records = made(tmp_path).records[-4:]
    assert len(unnoticed_flips(records, ValueError, KeyError, TypeError, AttributeError)) > 500


def test_without_the_index_a_lost_end_would_go_unnoticed(site: Site) -> None:
    index = site.segment.parents[1] / "index"
    kept = index.read_bytes()
    try:
        index.unlink()
        assert not site.notices(b"".join(site.parts[:-1]))
    finally:
        index.write_bytes(kept)


# An end that nobody was told of


def test_an_unacknowledged_record_is_dropped_wherever_it_is_torn(tmp_path: Path) -> None:
    site = made(tmp_path)
    csv = site.opened()
    csv.refresh(None)
    [record] = csv.journal.append([Record(0, 0, 1, site.records[1].kind, row_id="1")])
    torn = encode(record)
    before = site.csv.read_bytes()
    for length in range(len(torn)):
        assert not site.notices(site.journal + torn[:length]), length
    assert site.csv.read_bytes() == before


def test_a_closing_note_that_is_lost_is_no_damage(tmp_path: Path) -> None:
    site = made(tmp_path)
    csv = site.opened()
    csv.refresh(None)
    csv.write([("me", [Write("1", {"name": "last"})])], 1)
    before = site.segment.read_bytes()
    csv.close(1)
    closed = site.segment.read_bytes()
    for length in range(len(before), len(closed)):
        assert not site.notices(closed[:length]), length
    assert site.notices(before[:-1])


# Older segments


def test_a_cut_of_an_older_segment_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    site = made(tmp_path)
    monkeypatch.setattr(journal_log, "SEGMENT", 1)
    csv = site.opened()
    csv.refresh(None)
    csv.write([("me", [Write("1", {"name": "in the next"})])], 1)
    for length in range(0, len(site.journal), 3):
        error = site.refusal(site.journal[:length])
        assert error is not None
        assert error.code == "journal_damaged"


def test_a_journal_that_was_moved_away_is_begun_anew_with_higher_numbers(tmp_path: Path) -> None:
    site = made(tmp_path)
    site.segment.parent.rename(tmp_path / "moved")
    csv = site.opened()
    csv.refresh(None)
    [[record]] = csv.write([("me", [Write("1", {"name": "after"})])], 1)
    assert isinstance(record, Record)
    assert record.sequence > site.records[-1].sequence
    csv.refresh(None)
    assert b"after" in site.csv.read_bytes()

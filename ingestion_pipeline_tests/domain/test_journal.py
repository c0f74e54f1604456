"""The journal's records: read back as they were written, a torn end dropped, anything else noticed."""

from dataclasses import replace
from uuid import UUID

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ingestion_pipeline.domain.journal import HEADER, NO_WRITE, Damage, Kind, Record, Scan, encode

WRITE_ID = UUID(int=0x1234)
FULL = Record(
    7,
    5,
    3,
    Kind.FALLBACK,
    WRITE_ID,
    "r\u00e9\n1",
    {"name": (None, 'a "new",\r\nname'), "link": ("", "\U0001f600")},
    created=True,
    by="me",
    at="2026-03-04T05:06:07+00:00",
    file="ab" * 32,
    through=4,
    counts={"written": 2},
)
TEXTS = st.text(max_size=8)
RECORDS = st.builds(
    Record,
    st.integers(2, 2**64 - 1),
    st.integers(0, 1),
    st.integers(0, 2**64 - 1),
    st.sampled_from(Kind),
    st.uuids() | st.just(NO_WRITE),
    TEXTS,
    st.dictionaries(TEXTS, st.tuples(st.none() | TEXTS, TEXTS), max_size=3),
    created=st.booleans(),
    by=TEXTS,
    at=TEXTS,
    file=st.none() | TEXTS,
    through=st.integers(0, 2**64),
    counts=st.dictionaries(TEXTS, st.integers(0), max_size=2),
)


def written(sequence: int, previous: int | None = None, **cells: str) -> Record:
    before = sequence - 1 if previous is None else previous
    texts = {name: ("", text) for name, text in cells.items()}
    return Record(sequence, before, 1, Kind.WRITE, UUID(int=sequence), str(sequence), texts)


FOUR = [written(number, name=f"Name {number}") for number in range(1, 5)]


def joined(*records: Record) -> bytes:
    return b"".join(encode(record) for record in records)


def scanned(data: bytes, previous: int | None = 0) -> tuple[list[Record], Scan]:
    scan = Scan(data, previous)
    return list(scan), scan


def undamaged(data: bytes, previous: int | None = 0) -> list[Record]:
    found, scan = scanned(data, previous)
    assert scan.damage is None
    return found


@settings(max_examples=60, deadline=None)
@given(RECORDS)
def test_a_record_reads_back_as_it_was_written(record: Record) -> None:
    found, scan = scanned(encode(record), record.previous)
    assert found == [record]
    assert (scan.end, scan.last, scan.damage) == (len(encode(record)), record.sequence, None)


def test_every_field_is_kept() -> None:
    assert scanned(encode(FULL), 5)[0] == [FULL]


def test_what_says_nothing_takes_no_room() -> None:
    assert encode(Record(2, 1, 1, Kind.CLOSED))[HEADER:] == b'{"kind":"closed"}'


def test_records_are_read_in_their_order() -> None:
    found, scan = scanned(joined(*FOUR))
    assert found == FOUR
    assert (scan.end, scan.last, scan.damage) == (len(joined(*FOUR)), 4, None)


def test_an_empty_journal_holds_nothing() -> None:
    found, scan = scanned(b"", 9)
    assert (found, scan.end, scan.last, scan.damage) == ([], 0, 9, None)


def test_numbers_may_have_gaps() -> None:
    records = [written(1), written(10, previous=1), written(500, previous=10)]
    assert undamaged(joined(*records)) == records


def test_a_journal_may_begin_anywhere_when_nothing_is_known_of_what_was_before() -> None:
    assert undamaged(joined(*FOUR[2:]), None) == FOUR[2:]


def test_a_torn_end_is_dropped_wherever_it_is_torn() -> None:
    data = joined(*FOUR)
    ends = [len(joined(*FOUR[:count])) for count in range(5)]
    for length in range(len(data)):
        found, scan = scanned(data[:length])
        whole = sum(end <= length for end in ends) - 1
        assert found == FOUR[:whole]
        assert (scan.end, scan.last, scan.damage) == (ends[whole], whole, None)


@pytest.mark.parametrize("rest", [b"\0" * 100, b"IPJ1", b"IPJ1" * 30, b"anything", encode(FOUR[1])[1:]])
def test_what_the_disk_left_behind_the_end_is_dropped(rest: bytes) -> None:
    found, scan = scanned(encode(FOUR[0]) + rest)
    assert (found, scan.end, scan.damage) == (FOUR[:1], len(encode(FOUR[0])), None)


def test_a_text_that_looks_like_a_record_is_no_record() -> None:
    torn = encode(written(1, name="IPJ1" * 20, link="IPJ1\u0001IPJ1"))[:-1]
    assert undamaged(torn) == []


@pytest.mark.parametrize("hurt", range(3))
def test_a_record_that_cannot_be_read_before_one_that_can_is_damage(hurt: int) -> None:
    parts = [encode(record) for record in FOUR]
    parts[hurt] = parts[hurt][:-1] + b"?"
    found, scan = scanned(b"".join(parts))
    start = len(b"".join(parts[:hurt]))
    assert found == FOUR[:hurt]
    assert (scan.end, scan.damage) == (start, Damage(start, hurt))


def test_damage_is_noticed_past_a_text_that_looks_like_a_record() -> None:
    hurt = bytearray(encode(written(1, name="IPJ1 IPJ1")))
    hurt[10] ^= 1
    assert scanned(bytes(hurt) + encode(FOUR[1]))[1].damage == Damage(0, 0)


@pytest.mark.parametrize(
    "order",
    [
        pytest.param([0, 2, 1, 3], id="swapped"),
        pytest.param([0, 1, 1, 2, 3], id="doubled"),
        pytest.param([0, 2, 3], id="one missing"),
        pytest.param([1, 2, 3], id="the first missing"),
        pytest.param([0, 1, 3, 2], id="the last two swapped"),
        pytest.param([0, 1, 2, 3, 3], id="the last doubled"),
    ],
)
def test_whole_records_in_the_wrong_place_are_damage(order: list[int]) -> None:
    found, scan = scanned(joined(*(FOUR[index] for index in order)))
    assert scan.damage is not None
    assert found == FOUR[: len(found)]
    assert scan.damage == Damage(len(joined(*found)), len(found))


@pytest.mark.parametrize("sequence", [0, 3, 4])
def test_a_number_that_does_not_rise_is_damage(sequence: int) -> None:
    _, scan = scanned(joined(*FOUR, replace(FOUR[0], sequence=sequence, previous=4)))
    assert scan.damage == Damage(len(joined(*FOUR)), 4)


def test_a_record_goes_on_from_the_one_that_is_known() -> None:
    assert scanned(encode(FOUR[3]), 3)[0] == [FOUR[3]]
    assert scanned(encode(FOUR[3]), 2)[1].damage == Damage(0, 2)

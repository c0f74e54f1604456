"""The CSV as a side: replacing it whole, and rewriting one row without touching any other byte."""

import hashlib
import os
import time
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ingestion_pipeline.domain.dialect import Dialect, LineEnd, Quoting
from ingestion_pipeline.domain.errors import InputRefusedError, ProtectedError, UnavailableError
from ingestion_pipeline.domain.journal import Kind
from ingestion_pipeline.domain.phase import Phase
from ingestion_pipeline.domain.receipt import Write
from ingestion_pipeline.domain.reports import State
from ingestion_pipeline.stores.atomic import Written
from ingestion_pipeline.stores.disk import csv_reading, csv_store
from ingestion_pipeline.stores.disk.csv_store import CsvStore
from ingestion_pipeline.stores.disk.spelling import spell
from ingestion_pipeline_tests.stores.disk.strategies import CELLS, FILES, spelled_by_hand

HEAD = b"row_id,name,email\n"
NEW = {"row_id": "9", "name": "new, and quoted", "email": "", "link": "not in the header"}
NEW_ROW = b'9,"new, and quoted",\n'


@pytest.fixture
def store(tmp_path: Path) -> CsvStore:
    return CsvStore(tmp_path / "output.csv")


@pytest.fixture
def two_rows_per_block(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(csv_reading, "ROWS_PER_BLOCK", 2)


def holding(store: CsvStore, content: bytes) -> CsvStore:
    store.path.write_bytes(content)
    return store


def test_a_file_is_there_or_not(store: CsvStore) -> None:
    assert not store.exists()
    assert holding(store, HEAD).exists()
    assert store.place == str(store.path)


def test_a_folder_is_no_file(tmp_path: Path) -> None:
    assert not CsvStore(tmp_path).exists()


def test_the_digest_is_of_the_bytes(store: CsvStore) -> None:
    assert holding(store, b"anything\xff").sha256() == hashlib.sha256(b"anything\xff").hexdigest()


def test_a_missing_file_has_no_digest(store: CsvStore) -> None:
    with pytest.raises(UnavailableError) as caught:
        store.sha256()
    assert (caught.value.code, caught.value.place.file) == ("csv_missing", store.place)


def test_reading_goes_through_the_gate_and_tells_progress(store: CsvStore) -> None:
    told: list[int] = []
    with holding(store, HEAD + b"1,a,\n").reading(told.append) as file:
        assert [block.rows for block in file.blocks()] == [[["1", "a", ""]]]
    assert told == [18, 23]


def test_the_normalised_copy_lies_beside_the_file(store: CsvStore) -> None:
    copy, report = holding(store, HEAD + b'1,"a",\n').normalised()
    assert copy.path == store.path.with_name("output.normalised.csv")
    assert report.path == copy.place
    assert copy.path.read_bytes() == HEAD + b"1,a,\n"
    assert store.path.read_bytes() == HEAD + b'1,"a",\n'


# Rewriting one row


def rewrite(store: CsvStore, position: int, cells: dict[str, str] | None) -> Written:
    return store.rewrite_rows(store.sha256(), [position], cells)


FIVE = [b"1,a,\n", b'2,"b\nb",\n', b"3,c,\n", b"4,d,\n", b"5,e,\n"]


@pytest.mark.parametrize("position", range(1, 6))
@pytest.mark.usefixtures("two_rows_per_block")
def test_one_row_is_rewritten(position: int, store: CsvStore) -> None:
    rewrite(holding(store, HEAD + b"".join(FIVE)), position, NEW)
    rows = [*FIVE[: position - 1], NEW_ROW, *FIVE[position:]]
    assert store.path.read_bytes() == HEAD + b"".join(rows)


@pytest.mark.parametrize("position", range(1, 6))
@pytest.mark.usefixtures("two_rows_per_block")
def test_one_row_is_left_out(position: int, store: CsvStore) -> None:
    rewrite(holding(store, HEAD + b"".join(FIVE)), position, None)
    rows = [*FIVE[: position - 1], *FIVE[position:]]
    assert store.path.read_bytes() == HEAD + b"".join(rows)


@pytest.mark.parametrize("position", [0, 6, -1])
def test_a_row_that_is_not_there_changes_nothing(position: int, store: CsvStore) -> None:
    content = HEAD + b"".join(FIVE)
    rewrite(holding(store, content), position, None)
    assert store.path.read_bytes() == content


@pytest.mark.usefixtures("two_rows_per_block")
def test_the_new_row_is_spelled_as_the_whole_file_is(store: CsvStore) -> None:
    head = b"\xef\xbb\xbf" + HEAD.replace(b"\n", b"\r\n")
    either, clear = b'"1","a","b"\r\n', b'"2","c",""'
    rewrite(holding(store, head + either * 2 + clear), 1, NEW)
    assert store.path.read_bytes() == head + b'"9","new, and quoted",""\r\n' + either + clear


@pytest.mark.parametrize(
    ("content", "position", "left"),
    [
        (HEAD + b"1,a,", 1, HEAD[:-1]),
        (HEAD + b"1,a,\n2,b,", 2, HEAD + b"1,a,"),
        (HEAD + b"1,a,\n2,b,", 1, HEAD + b"2,b,"),
        (HEAD + b"1,a,\n2,b,\n3,c,", 3, HEAD + b"1,a,\n2,b,"),
        (HEAD + b"1,a,\n", 1, HEAD),
    ],
)
@pytest.mark.usefixtures("two_rows_per_block")
def test_a_missing_final_newline_stays_missing(
    content: bytes, position: int, left: bytes, store: CsvStore
) -> None:
    rewrite(holding(store, content), position, None)
    assert store.path.read_bytes() == left


@settings(deadline=None, max_examples=60)
@given(FILES, st.data())
def test_rewriting_renders_the_same_rows_but_one(
    tmp_path_factory: pytest.TempPathFactory, file: tuple[Dialect, list[list[str]]], data: st.DataObject
) -> None:
    dialect, rows = file
    store = holding(CsvStore(tmp_path_factory.getbasetemp() / "store.csv"), spelled_by_hand(dialect, rows))
    position = data.draw(st.integers(1, len(rows) + 1))
    cells = data.draw(st.none() | st.fixed_dictionaries(dict.fromkeys(dialect.columns, CELLS)))
    with store.reading() as reading:
        list(reading.blocks())
        seen = reading.dialect
    new = [] if cells is None else [[cells[name] for name in dialect.columns]]
    expected = [*rows[: position - 1], *new, *rows[position:]] if position <= len(rows) else rows
    rewrite(store, position, cells)
    assert store.path.read_bytes() == spelled_by_hand(seen, expected)


def test_a_file_that_does_not_pass_is_not_rewritten(store: CsvStore) -> None:
    content = HEAD + b'1,a,\n2,"b",\n'
    with pytest.raises(InputRefusedError):
        rewrite(holding(store, content), 1, NEW)
    assert store.path.read_bytes() == content
    assert list(store.path.parent.iterdir()) == [store.path]


def test_a_file_without_rows_stays_as_it_is(store: CsvStore) -> None:
    rewrite(holding(store, HEAD), 1, None)
    assert store.path.read_bytes() == HEAD


def test_the_report_is_of_the_new_file(store: CsvStore) -> None:
    written = rewrite(holding(store, HEAD + b"1,a,\n"), 1, NEW)
    assert written.sha256 == hashlib.sha256(HEAD + NEW_ROW).hexdigest()
    with store.reading() as file:
        list(file.blocks())
        assert file.dialect == Dialect(("row_id", "name", "email"), LineEnd.LF, Quoting.MINIMAL)


def test_another_file_than_the_one_meant_is_left_alone(store: CsvStore) -> None:
    meant = holding(store, HEAD + b"1,a,\n").sha256()
    holding(store, HEAD + b"1,a,\n2,b,\n")
    with pytest.raises(ProtectedError, match="changed meanwhile"):
        store.rewrite_rows(meant, [1], None)
    assert store.path.read_bytes() == HEAD + b"1,a,\n2,b,\n"


def test_a_file_swapped_in_while_rewriting_is_left_alone(
    store: CsvStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    meant = holding(store, HEAD + b"1,a,\n").sha256()
    swapped = store.path.with_name("swapped.csv")
    swapped.write_bytes(HEAD + b"9,z,\n")

    def spell_then_swap(*arguments: Any) -> str:
        swapped.replace(store.path)
        return spell(*arguments)

    monkeypatch.setattr(csv_store, "spell", spell_then_swap)
    with pytest.raises(ProtectedError, match="changed meanwhile"):
        store.rewrite_rows(meant, [1], None)
    assert store.path.read_bytes() == HEAD + b"9,z,\n"


# Held


def test_whoever_holds_it_holds_it_alone(store: CsvStore) -> None:
    other = CsvStore(store.path, timeout=0.01)
    with holding(store, HEAD).held():
        with pytest.raises(UnavailableError) as caught, other.held():
            pass
        assert caught.value.code == "locked"
    with other.held():
        pass


def test_whoever_only_looks_does_not_wait_for_ever(store: CsvStore, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(csv_store, "PATIENCE", 0.01)
    with holding(store, HEAD).held() as csv:
        csv.keep(State(Phase.DUAL_WRITE, 3))
        with store.still() as still:
            assert still.state() == State(Phase.DUAL_WRITE, 3)


def test_several_may_look_while_nobody_writes(store: CsvStore) -> None:
    other = CsvStore(store.path, timeout=0.01)
    with holding(store, HEAD).held():
        pass
    with store.still() as one, other.still() as another:
        assert one.state() == another.state() is None
        with pytest.raises(UnavailableError), other.held():
            pass


def test_looking_leaves_nothing_behind(store: CsvStore) -> None:
    with holding(store, HEAD + b"1,a,\n").still() as csv:
        assert csv.waiting().all == 0
    assert list(store.path.parent.iterdir()) == [store.path]


def test_the_phase_is_read_without_waiting(store: CsvStore) -> None:
    assert store.state() is None
    with holding(store, HEAD).held() as csv:
        csv.keep(State(Phase.DUAL_WRITE, 3))
        assert CsvStore(store.path, timeout=0.01).state() == State(Phase.DUAL_WRITE, 3)


def test_it_says_whether_it_has_taken_in_writes(store: CsvStore) -> None:
    said = [store.takes_in]
    with holding(store, HEAD + b"1,a,\n").held() as csv:
        csv.refresh(None)
        csv.write([("me", [Write("1", {"name": "b"})])], 1, Kind.FALLBACK)
        said.append(store.takes_in)
        csv.close(1)
    assert [*said, store.takes_in] == [False, True, False]


def test_a_pinned_file_stays_whatever_takes_its_place(store: CsvStore) -> None:
    other = store.path.with_name("other.csv")
    other.write_bytes(HEAD + b"2,b,\n")
    with holding(store, HEAD + b"1,a,\n").pinned() as pinned:
        other.replace(store.path)
        assert list(pinned.people(lambda _: False)) == [{"row_id": "1", "name": "a", "email": ""}]
        assert pinned.sha256() != store.sha256()
    assert not pinned.exists()
    assert list(store.people(lambda _: False)) == [{"row_id": "2", "name": "b", "email": ""}]


def test_a_pin_is_gone_when_reading_fails(store: CsvStore) -> None:
    with pytest.raises(RuntimeError), holding(store, HEAD).pinned():
        raise RuntimeError
    assert list(store.state_dir.glob("pin-*")) == []


def test_a_missing_file_is_not_pinned(store: CsvStore) -> None:
    with pytest.raises(UnavailableError) as caught, store.pinned():
        pass
    assert caught.value.code == "csv_missing"


def test_every_person_is_given_once_with_the_first_row_that_can_be_loaded(store: CsvStore) -> None:
    rejected = b"2," + b"x" * 10_000 + b",\n"
    content = HEAD + b"1,a,\n" + rejected + b"2,b,\n1,a,\n1,other,\n3,c,\n"
    found = holding(store, content).people(lambda row_id: row_id in "12")
    assert [(row["row_id"], row["name"]) for row in found] == [("1", "a"), ("2", "b"), ("3", "c")]


def test_what_killed_programs_left_is_taken_away(store: CsvStore) -> None:
    holding(store, HEAD + b"1,a,\n")
    left = store.path.with_name(".output.csv.0123456789abcdef.tmp")
    others = store.path.with_name(".other.csv.0123456789abcdef.tmp")
    old, young = store.state_dir / "pin-old", store.state_dir / "pin-young"
    waiting = store.state_dir / "intake" / "1.tmp"
    waiting.parent.mkdir(parents=True)
    for path in (left, others, old, young, waiting):
        path.touch()
    clock = time.time()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(time, "time", lambda: clock + 23 * 3600)
        with store.held() as csv:
            csv.refresh(None)
        assert [path.exists() for path in (left, others, old, young, waiting)] == [
            False,
            True,
            True,
            True,
            True,
        ]
        patch.setattr(time, "time", lambda: clock + 25 * 3600)
        os.utime(young)
        with CsvStore(store.path).held() as csv:
            csv.refresh(None)
    assert [path.exists() for path in (others, old, young, waiting)] == [True, False, False, False]

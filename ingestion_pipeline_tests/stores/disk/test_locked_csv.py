"""The CSV while its lock is held: written by row, finished after a crash, and merged with others' changes."""

import errno
import os
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ingestion_pipeline.domain.brake import Brakes
from ingestion_pipeline.domain.errors import (
    InputRefusedError,
    PipelineError,
    ProtectedError,
    UnavailableError,
)
from ingestion_pipeline.domain.journal import Kind, Record
from ingestion_pipeline.domain.phase import Phase
from ingestion_pipeline.domain.ports import Sink
from ingestion_pipeline.domain.receipt import Write
from ingestion_pipeline.domain.reports import State
from ingestion_pipeline.stores import atomic
from ingestion_pipeline.stores.disk import journal_log
from ingestion_pipeline.stores.disk.locked_csv import LockedCsv
from ingestion_pipeline_tests.files import COLUMNS, Rows, people, person, spelled

NEW = {"name": "New", "email": "new@example.org", "type": "INTJ"}
BRAKES = Brakes(rows=2, percent=100)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    made = tmp_path / "output.csv"
    made.write_bytes(spelled(people(range(6))))
    return made


@pytest.fixture
def csv(path: Path) -> LockedCsv:
    return reopened(path)


def reopened(path: Path) -> LockedCsv:
    """The file as another process sees it."""
    csv = LockedCsv(path, path.with_name("state"))
    csv.refresh(None)
    return csv


def write(row_id: object, number: int = 0, /, **cells: str) -> Write:
    if number:
        return Write(str(row_id), cells, UUID(int=number), given=True)
    return Write(str(row_id), cells)


def written(csv: LockedCsv, *writes: Write, kind: Kind = Kind.WRITE) -> list[Record | InputRefusedError]:
    """What came of one caller's writes, with all that goes before them."""
    csv.refresh(None)
    [outcomes] = csv.write([("me", writes)], 3, kind)
    return outcomes


def records(csv: LockedCsv, *kinds: Kind) -> list[Record]:
    return [record for record in csv.journal.retained() if record.kind in (kinds or (Kind.WRITE,))]


def rows(*changed: Sequence[str], count: int = 6) -> Rows:
    """The rows of the file with some of them in other words, and new ones on top."""
    known = {row[0]: row for row in people(range(count))}
    new = [row for row in changed if row[0] not in known]
    return [*new, *({**known, **{row[0]: row for row in changed}}[key] for key in known)]


def assert_holds(path: Path, *changed: Sequence[str]) -> None:
    """The file's rows, and that another process takes it as it is."""
    assert path.read_bytes() == spelled(rows(*changed))
    before = reopened(path)
    assert path.read_bytes() == spelled(rows(*changed))
    assert before.is_ours()


def put(path: Path, content: Rows) -> None:
    """What a script does that knows nothing of this package."""
    temporary = path.with_name("script.tmp")
    temporary.write_bytes(spelled(content))
    temporary.replace(path)


# Writing


def test_one_row_is_written_and_no_other_byte(csv: LockedCsv, path: Path) -> None:
    [record] = written(csv, write(3, link='a "new",\nlink'))
    assert isinstance(record, Record)
    assert (record.row_id, record.epoch, record.kind, record.by) == ("3", 3, Kind.WRITE, "me")
    assert (record.cells, record.created) == ({"link": ("", 'a "new",\nlink')}, False)
    assert_holds(path, person(3, link='a "new",\nlink'))


def test_the_journal_names_the_file_it_makes(csv: LockedCsv) -> None:
    written(csv, write(3, link="new"), write(4, link="new"))
    first, second = records(csv)
    assert (first.file, second.file) == (None, csv.file[0])
    assert csv.file[1:] == (csv.path.stat().st_size, 6)
    assert csv.columns == COLUMNS


def test_several_callers_share_one_replacement(csv: LockedCsv, path: Path) -> None:
    groups = [("one", [write(1, link="a"), write(2, link="b")]), ("other", [write(1, name="c")])]
    outcomes = csv.write(groups, 3)
    assert [[one.row_id for one in group if isinstance(one, Record)] for group in outcomes] == [
        ["1", "2"],
        ["1"],
    ]
    assert [record.by for record in records(csv)] == ["one", "one", "other"]
    assert [record.file is None for record in records(csv)] == [True, True, False]
    assert_holds(path, person(1, link="a", name="c"), person(2, link="b"))


def test_a_later_write_of_one_group_goes_on_from_the_earlier(csv: LockedCsv, path: Path) -> None:
    written(csv, write(1, link="a"), write(1, link="b"))
    assert [record.cells for record in records(csv)] == [{"link": ("", "a")}, {"link": ("a", "b")}]
    assert_holds(path, person(1, link="b"))


def test_a_new_person_stands_on_top(csv: LockedCsv, path: Path) -> None:
    [record] = written(csv, write("new", **NEW))
    assert isinstance(record, Record)
    assert record.created
    assert record.cells["name"] == (None, "New")
    written(csv, write("newer", **NEW), write("newest", **NEW, link="l"))
    assert_holds(path, person("newest", **NEW, link="l"), person("newer", **NEW), person("new", **NEW))


def test_a_new_person_may_be_written_to_at_once(csv: LockedCsv, path: Path) -> None:
    first, second = written(csv, write("new", **NEW), write("new", link="l"))
    assert isinstance(first, Record)
    assert isinstance(second, Record)
    assert (first.created, second.created) == (True, False)
    assert_holds(path, person("new", **NEW, link="l"))


def test_an_unknown_person_is_refused_with_what_is_lacking(csv: LockedCsv, path: Path) -> None:
    [error] = written(csv, write("new", name="New", link="l"))
    assert isinstance(error, InputRefusedError)
    assert (error.code, error.place.row_id) == ("unknown_row_id", "new")
    assert error.hint == "To add a new person, name email, type too."
    assert_holds(path)
    assert not csv.journal.exists()


def test_a_column_that_the_file_has_not_is_refused(csv: LockedCsv, path: Path) -> None:
    [error] = written(csv, write(1, link="l", youtube_status="done"))
    assert isinstance(error, InputRefusedError)
    assert (error.code, error.place.column) == ("column_not_in_csv", "youtube_status")
    assert error.place.file == str(path)
    assert_holds(path)


def test_after_a_refusal_the_same_caller_s_writes_are_not_tried_and_others_are(
    csv: LockedCsv, path: Path
) -> None:
    mine = [write(1, link="a"), write("nobody", link="b"), write(2, link="c")]
    refused, fine = csv.write([("me", mine), ("other", [write(3, link="d")])], 3)
    assert isinstance(refused[0], Record)
    assert isinstance(refused[1], InputRefusedError)
    assert len(refused) == 2
    assert [isinstance(one, Record) for one in fine] == [True]
    assert_holds(path, person(1, link="a"), person(3, link="d"))


def test_a_file_without_the_needed_columns_takes_new_people_without_them(path: Path) -> None:
    path.write_bytes(b"row_id,name\n1,one\n")
    written(reopened(path), write("new", name="New"))
    assert path.read_bytes() == b"row_id,name\nnew,New\n1,one\n"


def test_lines_that_repeat_each_other_are_changed_together(path: Path) -> None:
    put(path, [person(1), person(2), person(1), person(3), person(1)])
    csv = reopened(path)
    written(csv, write(1, link="l"))
    changed = person(1, link="l")
    assert path.read_bytes() == spelled([changed, person(2), changed, person(3), changed])


def test_rows_of_one_person_that_differ_are_left_alone_but_for_the_first(path: Path) -> None:
    double = person(1, link="other")
    put(path, [person(1), person(2), double, person(1)])
    csv = reopened(path)
    assert csv.read_all(["1"])["1"]["link"] == ""
    written(csv, write(1, link="l"))
    changed = person(1, link="l")
    assert path.read_bytes() == spelled([changed, person(2), double, changed])
    assert [csv.repeated()(key) for key in "12"] == [True, False]


def test_a_row_that_cannot_be_loaded_is_nobody_s(path: Path) -> None:
    rejected = person(1, name="x" * 10_000)
    put(path, [rejected, person(1, link="second"), person(2)])
    csv = reopened(path)
    assert csv.read_all(["1"])["1"]["link"] == "second"
    written(csv, write(1, link="l"))
    assert path.read_bytes() == spelled([rejected, person(1, link="l"), person(2)])


def test_two_row_ids_with_one_hash_are_told_apart(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for module in ("row_index", "splicing"):
        monkeypatch.setattr(f"ingestion_pipeline.stores.disk.{module}.hash_of", lambda _row_id: 7)
    csv = reopened(path)
    written(csv, write(3, link="l"), write("new", **NEW))
    assert_holds(path, person("new", **NEW), person(3, link="l"))


def test_the_file_s_spelling_is_kept(path: Path) -> None:
    ways = {"quoting": "all", "end": "\r\n", "bom": True, "final": False}
    path.write_bytes(spelled(people(range(6)), **ways))  # type: ignore[arg-type]
    written(reopened(path), write(5, document_text="\n"), write("new", **NEW))
    expected = rows(person("new", **NEW), person(5, document_text="\n"))
    assert path.read_bytes() == spelled(expected, **ways)  # type: ignore[arg-type]


def test_a_write_that_is_given_twice_is_made_once(csv: LockedCsv, path: Path) -> None:
    [first] = written(csv, write(1, 7, link="once"))
    written(csv, write(1, link="later"))
    [again] = written(reopened(path), write(1, 7, link="once"))
    assert isinstance(first, Record)
    assert isinstance(again, Record)
    assert (again.row_id, again.sequence, again.created) == ("1", first.sequence, False)
    assert len(records(csv)) == 2
    assert_holds(path, person(1, link="later"))


def test_a_write_that_is_given_twice_in_one_group_is_made_once(csv: LockedCsv) -> None:
    groups = [
        ("me", [write(1, 7, link="once"), write(1, 7, link="once")]),
        ("other", [write(1, 7, link="x")]),
    ]
    outcomes = csv.write(groups, 3)
    [record] = records(csv)
    assert outcomes == [[record, record], [record]]


def test_a_write_made_before_does_not_keep_the_others_from_being_made(csv: LockedCsv, path: Path) -> None:
    written(csv, write(1, 7, link="once"))
    before, after = written(csv, write(1, 7, link="once"), write(2, 8, link="new"))
    assert isinstance(before, Record)
    assert isinstance(after, Record)
    assert (before.write_id.int, after.write_id.int) == (7, 8)
    assert before.sequence < after.sequence
    assert_holds(path, person(1, link="once"), person(2, link="new"))


def test_only_a_given_write_id_is_looked_for(csv: LockedCsv) -> None:
    own = Write("1", {"link": "a"}, UUID(int=7))
    written(csv, own)
    written(csv, own)
    assert len(records(csv)) == 2


def test_writing_needs_a_look_at_the_file_first(path: Path) -> None:
    with pytest.raises(AssertionError):
        LockedCsv(path, path.with_name("state")).write([("me", [write(1, link="a")])], 1)


def test_a_file_that_is_not_there_is_unavailable(tmp_path: Path) -> None:
    csv = LockedCsv(tmp_path / "output.csv", tmp_path / "state")
    with pytest.raises(UnavailableError) as caught:
        csv.refresh(None)
    assert (caught.value.code, caught.value.place.file) == ("csv_missing", str(csv.path))
    assert not csv.is_ours()


@pytest.mark.parametrize(
    "content",
    [
        pytest.param(spelled(people([1])) + b'"2",two\n', id="a row too short"),
        pytest.param(spelled(people([1])) + b'2,"', id="a quote left open"),
        pytest.param(b"key,name\n1,one\n", id="another table"),
        pytest.param(b"", id="empty"),
    ],
)
def test_a_malformed_file_is_refused_as_it_is(content: bytes, csv: LockedCsv, path: Path) -> None:
    written(csv, write(1, link="acknowledged"))
    whole = path.read_bytes()
    path.write_bytes(content)
    for again in (csv, LockedCsv(path, path.with_name("state"))):
        with pytest.raises(InputRefusedError) as caught:
            again.refresh(None)
        assert caught.value.place.file == str(path)
    assert path.read_bytes() == content
    path.write_bytes(whole)
    csv.refresh(None)
    assert_holds(path, person(1, link="acknowledged"))


def test_people_are_read_by_row(csv: LockedCsv) -> None:
    written(csv, write(3, link="l"))
    found = csv.read_all(["3", "nobody", "4"])
    assert found == {
        key: dict(zip(COLUMNS, row, strict=True))
        for key, row in (("3", person(3, link="l")), ("4", person(4)))
    }


# What is kept beside the file


def test_open_records_wait_until_they_are_closed(csv: LockedCsv, path: Path) -> None:
    written(csv, write(1, link="a"), write(2, link="b"), write(1, link="c"))
    assert [record.row_id for record in csv.open()] == ["1", "2", "1"]
    waiting = LockedCsv(path, path.with_name("state")).waiting()
    assert (waiting.rows, waiting.fallback) == (2, 0)
    assert 0 <= waiting.seconds < 60
    csv.close(3)
    assert csv.open() == []
    assert reopened(path).waiting().all == 0


def test_writes_taken_in_for_postgres_are_noted(csv: LockedCsv, path: Path) -> None:
    flag = path.with_name("state") / "fallback"
    written(csv, write("nobody", link="a"), kind=Kind.FALLBACK)
    assert not flag.exists()
    written(csv, write(1, link="a"), write(1, link="b"), kind=Kind.FALLBACK)
    assert flag.exists()
    waiting = csv.waiting()
    assert (waiting.rows, waiting.fallback) == (0, 2)
    csv.close(3)
    assert not flag.exists()


def test_a_journal_moved_away_while_it_holds_writes_for_postgres_is_missed(
    csv: LockedCsv, path: Path
) -> None:
    written(csv, write(1, link="a"), kind=Kind.FALLBACK)
    csv.journal.folder.rename(path.with_name("moved"))
    with pytest.raises(ProtectedError) as caught:
        LockedCsv(path, path.with_name("state")).refresh(None)
    assert caught.value.code == "journal_damaged"


def test_a_journal_moved_away_is_gone_on_from(csv: LockedCsv, path: Path) -> None:
    [before] = written(csv, write(1, link="a"))
    csv.journal.folder.rename(path.with_name("moved"))
    [after] = written(csv, write(1, link="b"))
    assert isinstance(before, Record)
    assert isinstance(after, Record)
    assert after.sequence > before.sequence
    assert_holds(path, person(1, link="b"))


def test_an_index_that_is_gone_is_made_anew(csv: LockedCsv, path: Path) -> None:
    written(csv, write(1, link="a"))
    (path.with_name("state") / "index").unlink()
    written(reopened(path), write(1, name="b"))
    assert_holds(path, person(1, link="a", name="b"))
    assert records(csv, Kind.MERGED, Kind.FOREIGN) == []


def test_all_that_is_kept_may_be_thrown_away(csv: LockedCsv, path: Path) -> None:
    written(csv, write(1, link="a"))
    path.with_name("state").rename(path.with_name("moved"))
    written(csv, write(1, name="b"))
    assert_holds(path, person(1, link="a", name="b"))


def test_it_is_used_once_it_was_looked_at(path: Path) -> None:
    csv = LockedCsv(path, path.with_name("state"))
    assert (csv.is_used(), csv.last_sequence()) == (False, 1)
    csv.refresh(None)
    assert csv.is_used()
    written(csv, write(1, link="a"))
    assert csv.last_sequence() == csv.journal.last > 1


def test_the_phase_is_kept(csv: LockedCsv, path: Path) -> None:
    assert csv.state() is None
    csv.keep(State(Phase.DUAL_WRITE, 4))
    assert reopened(path).state() == State(Phase.DUAL_WRITE, 4)


def test_history_is_of_one_person(csv: LockedCsv) -> None:
    written(csv, write("new", 7, **NEW), write(1, link="a"))
    written(csv, write("new", link="l"))
    first, second = csv.history("new")
    assert (first.operation, first.write_id, first.actor, first.epoch) == ("insert", UUID(int=7), "me", 3)
    assert (second.operation, second.changed) == ("update", {"link": ("", "l")})
    assert first.revision < second.revision


# Interrupted


@contextmanager
def losing(path: Path, *lost: str) -> Iterator[None]:
    """Whatever is written meanwhile, some of which a crash keeps from reaching its place."""
    kept = {"file": path, "index": path.with_name("state") / "index"}
    for name in lost:
        os.link(kept[name], path.with_name(f"{name}.kept"))
    yield
    for name in lost:
        path.with_name(f"{name}.kept").replace(kept[name])


INTERRUPTED = pytest.mark.parametrize(
    "lost", [("file", "index"), ("index",)], ids=["not replaced", "replaced"]
)


@INTERRUPTED
def test_an_interrupted_write_is_finished(lost: tuple[str, ...], csv: LockedCsv, path: Path) -> None:
    written(csv, write(1, link="before"))
    with losing(path, *lost):
        written(csv, write(1, link="a"), write("new", **NEW), write("new", link="l"), write(2, name="b"))
    again = LockedCsv(path, path.with_name("state"))
    assert again.refresh(None) is None
    assert_holds(path, person("new", **NEW, link="l"), person(1, link="a"), person(2, name="b"))
    assert len(again.open()) == 5
    assert records(again, Kind.MERGED, Kind.FOREIGN) == []


@INTERRUPTED
def test_an_interrupted_write_is_finished_by_whoever_goes_on(
    lost: tuple[str, ...], csv: LockedCsv, path: Path
) -> None:
    with losing(path, *lost):
        written(csv, write(1, 7, link="a"))
    again = LockedCsv(path, path.with_name("state"))
    written(again, write(1, 7, link="a"), write(1, name="b"))
    assert len(records(again)) == 2
    assert_holds(path, person(1, link="a", name="b"))


@INTERRUPTED
def test_an_interrupted_write_for_postgres_is_finished(
    lost: tuple[str, ...], csv: LockedCsv, path: Path
) -> None:
    with losing(path, *lost):
        written(csv, write(1, link="a"), write("new", **NEW), kind=Kind.FALLBACK)
    again = LockedCsv(path, path.with_name("state"))
    assert again.is_ours()
    assert path.read_bytes() == spelled(rows(person("new", **NEW), person(1, link="a")))
    [record] = written(again, write(1, link="b"), kind=Kind.FALLBACK)
    assert isinstance(record, Record)
    assert record.cells == {"link": ("a", "b")}


def test_an_interrupted_write_that_never_reached_the_journal_is_not_made(csv: LockedCsv, path: Path) -> None:
    written(csv, write(1, link="a"))
    with losing(path, "file", "index"):
        written(csv, write(2, link="b"))
    [segment] = csv.journal.folder.iterdir()
    os.truncate(segment, segment.stat().st_size - 1)
    assert_holds(path, person(1, link="a"))


def test_an_interrupted_write_and_a_script_that_came_before_anybody_looked(
    csv: LockedCsv, path: Path
) -> None:
    with losing(path, "file", "index"):
        written(csv, write(1, link="a"))
    put(path, rows(person(2, name="the script's")))
    reopened(path)
    assert_holds(path, person(1, link="a"), person(2, name="the script's"))


def refused_at(monkeypatch: pytest.MonkeyPatch, number: int) -> list[str]:
    """A disk that refuses at one of the calls that change it, and what was called."""
    called: list[str] = []

    def counting(name: str, whole: Callable[..., Any]) -> Callable[..., Any]:
        def call(*arguments: Any, **named: Any) -> Any:
            called.append(name)
            if len(called) == number:
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
            return whole(*arguments, **named)

        return call

    for name in ("open", "write", "fsync", "replace", "truncate", "ftruncate", "link"):
        monkeypatch.setattr(os, name, counting(name, getattr(os, name)))
    monkeypatch.setattr(atomic, "exchange", counting("exchange", atomic.exchange))
    return called


@pytest.mark.parametrize("segment", [journal_log.SEGMENT, 1], ids=["same segment", "new segment"])
def test_wherever_the_disk_refuses_nothing_is_half_written(
    segment: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(journal_log, "SEGMENT", segment)
    for number in range(1, 60):
        path = tmp_path / f"site {number}" / "output.csv"
        path.parent.mkdir()
        path.write_bytes(spelled(people(range(6))))
        csv = reopened(path)
        written(csv, write(1, link="before"))
        with monkeypatch.context() as patch:
            called = refused_at(patch, number)
            try:
                csv.write([("me", [write(2, link="a"), write("new", **NEW)])], 3)
            except PipelineError as error:
                told = error.code
            else:
                told = "acknowledged"
        after = rows(person("new", **NEW), person(1, link="before"), person(2, link="a"))
        if told == "disk":
            assert path.read_bytes() == spelled(rows(person(1, link="before"))), called
        else:
            assert told in ("acknowledged", "outcome_unknown"), called
            assert path.read_bytes() == spelled(after), called
        finished = reopened(path)
        assert path.read_bytes() in (spelled(rows(person(1, link="before"))), spelled(after)), called
        written(finished, write(3, link="goes on"))
        written(csv, write(4, link="goes on too"))
        assert [reopened(path).read_all([key])[key]["link"] for key in "134"] == [
            "before",
            "goes on",
            "goes on too",
        ]
        if len(called) < number:
            return
    raise AssertionError("there was no end to the calls")


def test_a_file_swapped_in_at_the_last_moment_is_not_replaced(
    csv: LockedCsv, path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    written(csv, write(1, link="a"))
    theirs = rows(person(1, link="a"), person(2, name="the script's"))
    append = csv.journal.append

    def swap_then_append(new: Sequence[Record]) -> list[Record]:
        put(path, theirs)
        return append(new)

    with monkeypatch.context() as patch:
        patch.setattr(csv.journal, "append", swap_then_append)
        with pytest.raises(ProtectedError) as caught:
            csv.write([("me", [write(3, link="b")])], 3)
    assert caught.value.code == "csv_changed"
    assert path.read_bytes() == spelled(theirs)
    written(csv, write(3, link="b"))
    assert_holds(path, person(1, link="a"), person(2, name="the script's"), person(3, link="b"))
    assert [record.row_id for record in records(csv)] == ["1", "3"]


@pytest.mark.parametrize("in_place", [False, True])
def test_a_file_changed_between_the_look_and_the_writing_is_not_replaced(
    csv: LockedCsv, path: Path, *, in_place: bool
) -> None:
    theirs = rows(person(2, name="the script's"))

    class Swapping(list[Write]):
        def __iter__(self) -> Iterator[Write]:
            if in_place:
                path.write_bytes(spelled(theirs))
            else:
                put(path, theirs)
            return super().__iter__()

    with pytest.raises(ProtectedError) as caught:
        csv.write([("me", Swapping([write(3, link="b")]))], 3)
    assert caught.value.code == "csv_changed"
    assert path.read_bytes() == spelled(theirs)
    written(csv, write(3, link="b"))
    assert_holds(path, person(2, name="the script's"), person(3, link="b"))


# What others did


def test_a_file_that_was_only_touched_is_the_same(csv: LockedCsv, path: Path) -> None:
    written(csv, write(1, link="a"))
    os.utime(path, ns=(1, 1))
    assert csv.refresh(BRAKES) is None
    put(path, rows(person(1, link="a")))
    assert csv.refresh(BRAKES) is None
    assert records(csv, Kind.MERGED, Kind.FOREIGN) == []
    assert_holds(path, person(1, link="a"))


def test_a_stale_rewrite_loses_no_acknowledged_write(csv: LockedCsv, path: Path) -> None:
    written(csv, write(1, link="seen by the script"))
    stale = rows(person(1, link="seen by the script"), person(4, name="the script's"))
    written(csv, write(2, link="b"), write("new", **NEW))
    written(csv, write("new", link="l"), write(3, document_text="c,\n"))
    put(path, stale)
    merged = csv.refresh(BRAKES)
    assert merged is not None
    assert (merged.restored, merged.kept, merged.gone, merged.aside) == (3, 0, 1, None)
    assert csv.merged() == merged
    assert_holds(
        path,
        person("new", **NEW, link="l"),
        person(1, link="seen by the script"),
        person(2, link="b"),
        person(3, document_text="c,\n"),
        person(4, name="the script's"),
    )


def test_a_script_s_own_change_of_a_written_cell_stays_and_is_noted(csv: LockedCsv, path: Path) -> None:
    written(csv, write(1, link="ours"), write(2, link="ours too"))
    put(path, rows(person(1, link="theirs"), person(2, link="ours too")))
    merged = csv.refresh(BRAKES)
    assert merged is not None
    assert (merged.restored, merged.kept, merged.gone) == (0, 1, 0)
    [foreign] = records(csv, Kind.FOREIGN)
    assert (foreign.row_id, foreign.cells) == ("1", {"link": ("ours", "theirs")})
    [noted] = records(csv, Kind.MERGED)
    assert noted.counts == {"restored": 0, "kept": 1, "gone": 0}
    assert csv.waiting().rows >= 2
    assert_holds(path, person(1, link="theirs"), person(2, link="ours too"))


def test_a_script_s_change_that_was_noted_is_not_undone_by_a_staler_script(
    csv: LockedCsv, path: Path
) -> None:
    written(csv, write(1, link="ours"))
    put(path, rows(person(1, link="theirs")))
    csv.refresh(BRAKES)
    put(path, rows(person(1, link="ours")))
    csv.refresh(BRAKES)
    assert_holds(path, person(1, link="theirs"))


def test_an_edit_before_anything_was_written_is_merged_without_a_word_of_it(
    csv: LockedCsv, path: Path
) -> None:
    put(path, rows(person(1, link="theirs")))
    assert csv.refresh(BRAKES) is None or records(csv, Kind.WRITE) == []
    written(csv, write(1, name="ours"))
    assert_holds(path, person(1, link="theirs", name="ours"))


def test_a_merge_is_pending_even_where_it_touched_nothing_that_was_written(
    csv: LockedCsv, path: Path
) -> None:
    written(csv, write(1, link="a"))
    csv.close(3)
    put(path, rows(person(1, link="a"), person(2, name="the script's")))
    csv.refresh(BRAKES)
    assert csv.waiting().rows > 0
    csv.close(3)
    assert csv.waiting().all == 0


def test_rows_that_a_script_added_moved_or_took_out_stay_so(csv: LockedCsv, path: Path) -> None:
    written(csv, write(1, link="a"))
    theirs = [person(9), person(5), person(1, link="a"), person(0), person(2), person(4)]
    put(path, theirs)
    merged = csv.refresh(BRAKES)
    assert merged is not None
    assert merged.gone == 1
    assert path.read_bytes() == spelled(theirs)
    assert reopened(path).read_all(["3", "9"]).keys() == {"9"}


def test_an_edit_while_the_index_is_gone_is_merged_all_the_same(csv: LockedCsv, path: Path) -> None:
    written(csv, write(1, link="a"))
    (path.with_name("state") / "index").unlink()
    put(path, rows(person(2, name="the script's")))
    reopened(path)
    assert_holds(path, person(1, link="a"), person(2, name="the script's"))


def test_another_spelling_is_gone_on_with(csv: LockedCsv, path: Path) -> None:
    written(csv, write(1, link="a"))
    path.write_bytes(spelled(rows(), quoting="all", end="\r\n"))
    csv.refresh(BRAKES)
    assert path.read_bytes() == spelled(rows(person(1, link="a")), quoting="all", end="\r\n")


def test_a_column_that_a_script_added_or_took_out_stays_so(csv: LockedCsv, path: Path) -> None:
    written(csv, write(1, link="a", name="ours"))
    header = ("row_id", "name", "youtube_status")
    path.write_bytes(spelled([["1", "Name 1", "done"], ["2", "Name 2", ""]], header))
    csv.refresh(None)
    assert path.read_bytes() == spelled([["1", "ours", "done"], ["2", "Name 2", ""]], header)


@pytest.mark.parametrize("again", [True, False], ids=["same process", "another"])
def test_too_many_rows_gone_stop_everything_until_it_is_allowed(
    csv: LockedCsv, path: Path, *, again: bool
) -> None:
    written(csv, write(1, link="a"), write(2, link="b"))
    theirs = [person(0), person(1), person(2)]
    put(path, theirs)
    for _ in range(3):
        asked = csv if again else LockedCsv(path, path.with_name("state"))
        with pytest.raises(ProtectedError) as caught:
            asked.refresh(BRAKES)
        assert (caught.value.code, caught.value.place.file) == ("brake", str(path))
        assert "3 rows" in caught.value.message
        assert "--accept-loss" in caught.value.hint
        assert path.read_bytes() == spelled(theirs)
    merged = csv.refresh(None)
    assert merged is not None
    assert (merged.restored, merged.gone) == (2, 3)
    assert path.read_bytes() == spelled([person(0), person(1, link="a"), person(2, link="b")])


def test_a_merge_that_the_disk_kept_from_being_made_is_made_the_next_time(
    csv: LockedCsv, path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    written(csv, write(1, link="a"))
    put(path, rows(person(2, name="the script's")))

    def fail(_descriptor: int) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    with monkeypatch.context() as patch:
        patch.setattr(os, "fsync", fail)
        with pytest.raises(UnavailableError):
            csv.refresh(BRAKES)
    csv.refresh(BRAKES)
    assert path.read_bytes() == spelled(rows(person(1, link="a"), person(2, name="the script's")))


def test_an_interrupted_write_that_the_disk_kept_from_being_finished_is_finished_the_next_time(
    csv: LockedCsv, path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with losing(path, "file", "index"):
        written(csv, write(1, link="a"))
    again = LockedCsv(path, path.with_name("state"))

    def fail(_descriptor: int) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    with monkeypatch.context() as patch:
        patch.setattr(os, "fsync", fail)
        with pytest.raises(UnavailableError):
            again.refresh(BRAKES)
    again.refresh(BRAKES)
    assert path.read_bytes() == spelled(rows(person(1, link="a")))


@settings(max_examples=25, deadline=None)
@given(
    st.lists(st.tuples(st.integers(0, 7), st.sampled_from(["link", "name"])), max_size=8),
    st.integers(0, 8),
    st.sets(st.integers(0, 5), max_size=2),
)
def test_any_stale_rewrite_keeps_both_sides_changes(
    tmp_path_factory: pytest.TempPathFactory, writes: list[tuple[int, str]], seen: int, own: set[int]
) -> None:
    path = tmp_path_factory.mktemp("stale") / "output.csv"
    path.write_bytes(spelled(people(range(6))))
    csv = reopened(path)
    read: list[list[str]] = people(range(6))
    expected = {row[0]: dict(zip(COLUMNS, row, strict=True)) for row in read}
    for number, (key, column) in enumerate(writes):
        if number == seen:
            read = [list(row.values()) for row in expected.values()]
        cells = {column: f"text {number}"}
        if str(key) not in expected:
            cells = NEW | cells
            expected = {str(key): dict.fromkeys(COLUMNS, "") | {"row_id": str(key)}} | expected
        expected[str(key)] |= cells
        written(csv, write(key, **cells))
    if seen >= len(writes):
        read = [list(row.values()) for row in expected.values()]
    for row in read:
        if row[0] in {str(key) for key in own}:
            row[COLUMNS.index("document_text")] = "the script's"
            expected[row[0]]["document_text"] = "the script's"
    put(path, read)
    again = reopened(path)
    assert again.read_all(list(expected)) == expected


# PostgreSQL leads


def test_rows_become_what_postgres_says(csv: LockedCsv, path: Path) -> None:
    csv.put({"1": person(1, link="a"), "2": None, "nobody": None, "3": person(3, name="b")}, [])
    expected = [person(0), person(1, link="a"), person(3, name="b"), person(4), person(5)]
    assert path.read_bytes() == spelled(expected)
    assert reopened(path).is_ours()
    assert csv.open() == []


def test_new_rows_of_postgres_stand_on_top_in_their_order(csv: LockedCsv, path: Path) -> None:
    csv.put({"8": person(8), "7": person(7), "1": person(1, link="a")}, ["7", "8"])
    assert_holds(path, person(7), person(8), person(1, link="a"))


def test_nothing_to_put_leaves_the_file_as_it_is(csv: LockedCsv, path: Path) -> None:
    before = path.stat()
    csv.put({"nobody": None}, [])
    assert path.stat() == before


@pytest.mark.parametrize("lost", [(), ("index",), ("file", "index")])
def test_an_interrupted_put_leaves_a_file_of_ours(lost: tuple[str, ...], csv: LockedCsv, path: Path) -> None:
    with losing(path, *lost):
        csv.put({"1": person(1, link="a")}, [])
    assert LockedCsv(path, path.with_name("state")).is_ours()


def rendering(content: bytes) -> Callable[[Sink], object]:
    return lambda sink: sink.write(content)


def test_the_whole_file_is_rendered(csv: LockedCsv, path: Path) -> None:
    assert csv.render(rendering(spelled(people([8, 9])))) is None
    assert path.read_bytes() == spelled(people([8, 9]))
    assert csv.is_ours()
    assert reopened(path).read_all(["8", "1"]).keys() == {"8"}


def test_the_same_file_is_not_rendered_again(csv: LockedCsv, path: Path, tmp_path: Path) -> None:
    before = path.stat()
    assert csv.render(rendering(path.read_bytes()), foreign=str(tmp_path / "aside")) is None
    assert (path.stat(), (tmp_path / "aside").exists()) == (before, False)


def test_a_foreign_file_is_kept_aside(csv: LockedCsv, path: Path, tmp_path: Path) -> None:
    put(path, rows(person(1, link="theirs")))
    theirs = path.read_bytes()
    assert not csv.is_ours()
    assert path.read_bytes() == theirs
    merged = csv.render(rendering(spelled(rows())), foreign=str(tmp_path / "aside"))
    assert merged is not None
    assert merged.aside is not None
    assert Path(merged.aside).read_bytes() == theirs
    assert Path(merged.aside).parent == tmp_path / "aside"
    assert Path(merged.aside).stat().st_mode & 0o777 == 0o600
    assert csv.merged() == merged
    assert_holds(path)


def test_a_file_that_is_gone_is_rendered(csv: LockedCsv, path: Path, tmp_path: Path) -> None:
    written(csv, write(1, link="a"))
    path.unlink()
    assert not csv.is_ours()
    assert csv.render(rendering(spelled(rows())), foreign=str(tmp_path / "aside")) is None
    assert_holds(path)


def test_rendering_that_fails_leaves_the_file(csv: LockedCsv, path: Path) -> None:
    def fail(sink: Sink) -> None:
        sink.write(b"half")
        raise RuntimeError

    with pytest.raises(RuntimeError):
        csv.render(fail)
    assert_holds(path)


def test_a_file_of_ours_that_was_touched_is_still_ours(csv: LockedCsv, path: Path) -> None:
    put(path, rows())
    assert csv.is_ours()
    assert csv.looks_ours()


def test_looking_changes_nothing(csv: LockedCsv, path: Path) -> None:
    with losing(path, "file", "index"):
        written(csv, write(1, link="a"))
    looked = LockedCsv(path, path.with_name("state"))
    before = path.read_bytes()
    assert looked.looks_ours()
    assert path.read_bytes() == before
    put(path, rows(person(2, link="theirs")))
    assert not looked.looks_ours()


def test_a_merge_nobody_made_is_none(csv: LockedCsv, path: Path) -> None:
    assert csv.merged() is None
    (path.with_name("state") / "merged.json").write_text("{")
    assert csv.merged() is None

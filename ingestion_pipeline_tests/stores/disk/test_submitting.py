"""Submitting: whoever holds the lock writes for all who wait, once, and nobody is told more than is true."""

import os
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from uuid import UUID

import pytest

from ingestion_pipeline.domain.errors import (
    InputRefusedError,
    PipelineError,
    ProtectedError,
    UnavailableError,
)
from ingestion_pipeline.domain.journal import Record
from ingestion_pipeline.domain.phase import Side
from ingestion_pipeline.domain.receipt import Answered, Standing, Write, WriteReceipt
from ingestion_pipeline.stores.disk import submitting
from ingestion_pipeline.stores.disk.csv_store import CsvStore
from ingestion_pipeline.stores.disk.intake import Claimed, Request, claim
from ingestion_pipeline.stores.disk.locked_csv import LockedCsv
from ingestion_pipeline_tests.files import people, person, spelled

Groups = Sequence[tuple[str, Sequence[Write]]]


@pytest.fixture
def store(tmp_path: Path) -> CsvStore:
    made = CsvStore(tmp_path / "output.csv", timeout=30, check_interval=0.01)
    made.path.write_bytes(spelled(people(range(8))))
    return made


def impatient(store: CsvStore) -> CsvStore:
    """The same file, as somebody sees it who does not wait long."""
    return CsvStore(store.path, timeout=0.05)


def lead(csv: LockedCsv, groups: Groups) -> list[Answered]:
    csv.refresh(None)
    outcomes = csv.write(groups, 1)
    csv.close(1)
    return [
        Answered(
            tuple(
                WriteReceipt(one.row_id, one.sequence, one.write_id, Side.CSV, Standing.NONE, one.created)
                for one in group
                if isinstance(one, Record)
            ),
            next((one for one in group if isinstance(one, InputRefusedError)), None),
        )
        for group in outcomes
    ]


def lead_in_vain(store: CsvStore, error: Exception) -> None:
    """Claim all who wait, with the lock held already, and fail."""

    def fail(_csv: LockedCsv, _groups: Groups) -> list[Answered]:
        raise error

    with pytest.raises(type(error)):
        submitting._led(store._locked, intake(store), ("leader", [write(7, 70)]), fail)  # noqa: SLF001


def write(row_id: object, number: int = 1, **cells: str) -> Write:
    return Write(str(row_id), cells or {"link": f"link {row_id}"}, UUID(int=number))


def intake(store: CsvStore) -> Path:
    return store.state_dir / "intake"


def is_waiting(store: CsvStore, count: int = 1) -> bool:
    return intake(store).exists() and len(list(intake(store).glob("*.request"))) == count


def until(done: Callable[[], bool]) -> None:
    end = time.monotonic() + 20
    while not done():
        assert time.monotonic() < end
        time.sleep(0.001)


def written(store: CsvStore) -> list[Record]:
    with store.held() as csv:
        csv.refresh(None)
        return [record for record in csv.journal.retained() if record.row_id]


def replacements(store: CsvStore) -> int:
    """How often the file was replaced: each time, one record names the new file."""
    return sum(record.file is not None for record in written(store))


def links(store: CsvStore) -> dict[str, str]:
    return {row["row_id"]: row["link"] for row in store.people(lambda _: False)}


@contextmanager
def waiting(store: CsvStore, *groups: Sequence[Write]) -> Iterator[list["Future[Answered]"]]:
    """Writers who wait because the lock is held; it is let go of at the end."""
    with ThreadPoolExecutor(len(groups)) as threads, store.held():
        others = [CsvStore(store.path, timeout=30, check_interval=0.01) for _ in groups]
        futures = [
            threads.submit(other.submit, group, f"writer {number}", lead)
            for number, (other, group) in enumerate(zip(others, groups, strict=True))
        ]
        until(lambda: is_waiting(store, len(groups)))
        yield futures


def test_whoever_finds_the_lock_free_writes_at_once(store: CsvStore) -> None:
    answered = store.submit([write(1), write(2, 2)], "me", lead)
    assert answered.error is None
    assert [(one.row_id, one.write_id.int) for one in answered.receipts] == [("1", 1), ("2", 2)]
    assert [record.by for record in written(store)] == ["me", "me"]
    assert (links(store)["1"], replacements(store)) == ("link 1", 1)
    assert not intake(store).exists()


def test_all_who_wait_share_one_replacement(store: CsvStore) -> None:
    with waiting(store, *[[write(key, key + 1)] for key in range(8)]) as futures:
        assert not any(future.done() for future in futures)
    receipts = [future.result().receipts for future in futures]
    assert [[one.row_id for one in group] for group in receipts] == [[str(key)] for key in range(8)]
    assert len({group[0].revision for group in receipts}) == 8
    assert links(store) == {str(key): f"link {key}" for key in range(8)}
    assert replacements(store) == 1
    assert {record.by for record in written(store)} == {f"writer {number}" for number in range(8)}
    assert list(intake(store).iterdir()) == []


def test_writes_of_one_person_by_several_are_all_made(store: CsvStore) -> None:
    columns = ["name", "email", "link", "document_text"]
    with waiting(
        store, *[[write(1, n + 1, **{column: "new"})] for n, column in enumerate(columns)]
    ) as futures:
        pass
    assert [len(future.result().receipts) for future in futures] == [1, 1, 1, 1]
    rows = people(range(8))
    rows[1] = person(1, name="new", email="new", link="new", document_text="new")
    assert store.path.read_bytes() == spelled(rows)


def test_a_refusal_is_told_to_whom_it_concerns_only(store: CsvStore) -> None:
    stranger = [write(1, 1), write("nobody", 2), write(2, 3)]
    with waiting(store, stranger, [write(3, 4)]) as futures:
        pass
    refused, fine = (future.result() for future in futures)
    assert [one.row_id for one in refused.receipts] == ["1"]
    assert isinstance(refused.error, InputRefusedError)
    assert (refused.error.code, refused.error.place.row_id) == ("unknown_row_id", "nobody")
    assert ([one.row_id for one in fine.receipts], fine.error) == (["3"], None)
    assert [links(store)[key] for key in "123"] == ["link 1", "", "link 3"]


@pytest.mark.parametrize("error", [ProtectedError("stopped", "brake"), UnavailableError("full", "disk")])
def test_what_stops_the_leader_stops_all(error: PipelineError, store: CsvStore) -> None:
    with waiting(store, [write(1)]) as futures:
        lead_in_vain(store, error)
        with pytest.raises(PipelineError) as caught:
            futures[0].result(20)
    assert (type(caught.value), caught.value.code) == (type(error), error.code)


def test_a_fault_of_the_leader_leaves_the_others_to_write_for_themselves(store: CsvStore) -> None:
    with waiting(store, [write(1)], [write(2, 2)]) as futures:
        lead_in_vain(store, RuntimeError("?"))
        assert not any(future.done() for future in futures)
    assert [len(future.result().receipts) for future in futures] == [1, 1]
    assert [links(store)[key] for key in "127"] == ["link 1", "link 2", ""]


def test_an_answer_that_came_together_with_the_lock_is_taken(store: CsvStore) -> None:
    with store.held() as csv, Request(intake(store), [write(1)], "me") as request:
        csv.refresh(None)
        [claimed] = claim(intake(store))
        claimed.tell(Answered(error=InputRefusedError("refused", "some_code")).as_json())
        claimed.close()
        answered = submitting._own(csv, intake(store), request, ("me", [write(1)]), lead)  # noqa: SLF001
    assert answered.error is not None
    assert answered.error.code == "some_code"
    assert written(store) == []


# Those who die


def died(claimed: Sequence[Claimed]) -> None:
    """What the system does to the descriptors of a process that is killed."""
    for one in claimed:
        os.close(one._descriptor)  # noqa: SLF001


def test_a_write_is_not_lost_when_its_leader_dies_before_writing(store: CsvStore) -> None:
    with waiting(store, [write(1)]) as futures:
        claimed = list(claim(intake(store)))
        assert [one.by for one in claimed] == ["writer 0"]
        died(claimed)
    assert [one.row_id for one in futures[0].result().receipts] == ["1"]
    assert [record.write_id for record in written(store)] == [UUID(int=1)]
    assert links(store)["1"] == "link 1"


def test_a_write_is_not_made_twice_when_its_leader_dies_after_writing(store: CsvStore) -> None:
    with waiting(store, [write(1)]) as futures:
        claimed = list(claim(intake(store)))
        lead(store._locked, [(one.by, one.writes) for one in claimed])  # noqa: SLF001
        died(claimed)
    [receipt] = futures[0].result().receipts
    assert [(record.write_id, record.sequence) for record in written(store)] == [
        (UUID(int=1), receipt.revision)
    ]


def test_a_write_is_made_once_when_its_leader_dies_between_journal_and_file(store: CsvStore) -> None:
    with waiting(store, [write(1)]) as futures:
        claimed = list(claim(intake(store)))
        before = store.path.read_bytes()
        lead(store._locked, [(one.by, one.writes) for one in claimed])  # noqa: SLF001
        store.path.write_bytes(before)  # as if the new file had never been put in place
        died(claimed)
    assert len(futures[0].result().receipts) == 1
    assert [record.write_id for record in written(store)] == [UUID(int=1)]
    assert links(store)["1"] == "link 1"


def test_a_leader_that_dies_is_followed_by_one_who_writes_for_the_others(store: CsvStore) -> None:
    with waiting(store, [write(1)], [write(2, 2)], [write(3, 3)]) as futures:
        died(list(claim(intake(store))))
    assert [len(future.result().receipts) for future in futures] == [1, 1, 1]
    assert sorted(record.write_id.int for record in written(store)) == [1, 2, 3]


# Those who have waited long enough


def test_whoever_waited_too_long_withdraws_and_nothing_is_written(store: CsvStore) -> None:
    with store.held(), pytest.raises(UnavailableError) as caught:
        impatient(store).submit([write(1)], "me", lead)
    assert caught.value.code == "locked"
    assert list(intake(store).iterdir()) == []
    store.submit([write(2, 2)], "me", lead)
    assert links(store)["1"] == ""


def test_whoever_waited_too_long_and_was_claimed_hears_what_came_of_it(store: CsvStore) -> None:
    with ThreadPoolExecutor(1) as threads, store.held() as csv:
        future = threads.submit(impatient(store).submit, [write(1)], "me", lead)
        until(lambda: is_waiting(store))
        [claimed] = claim(intake(store))
        time.sleep(0.1)
        assert not future.done()
        [answer] = lead(csv, [(claimed.by, claimed.writes)])
        claimed.tell(answer.as_json())
        claimed.close()
        assert [one.row_id for one in future.result(20).receipts] == ["1"]


def test_whoever_is_never_told_says_so(store: CsvStore, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(submitting, "_GRACE", 0.05)
    with ThreadPoolExecutor(1) as threads, store.held():
        future = threads.submit(impatient(store).submit, [write(1, 0x1234)], "me", lead)
        until(lambda: is_waiting(store))
        [claimed] = claim(intake(store))
        with pytest.raises(UnavailableError) as caught:
            future.result(20)
        claimed.close()
    assert caught.value.code == "outcome_unknown"
    assert str(UUID(int=0x1234)) in caught.value.hint


def test_many_threads_lose_nothing(store: CsvStore) -> None:
    def add(number: int) -> Answered:
        other = CsvStore(store.path, timeout=30, check_interval=0.01)
        return other.submit([write(number % 8, number, document_text=f"text {number}")], "me", lead)

    with ThreadPoolExecutor(6) as threads:
        answers = list(threads.map(add, range(1, 61)))
    revisions = [one.revision for answer in answers for one in answer.receipts]
    assert len(set(revisions)) == 60
    assert [record.write_id.int for record in sorted(written(store), key=lambda one: one.sequence)] == [
        number for _, number in sorted(zip(revisions, range(1, 61), strict=True))
    ]
    assert replacements(store) <= 60

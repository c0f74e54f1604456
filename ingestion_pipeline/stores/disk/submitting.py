"""Submitting: many who write at once share one replacement of the file."""

import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from itertools import zip_longest
from pathlib import Path

from ingestion_pipeline.domain.errors import InputRefusedError, PipelineError, UnavailableError
from ingestion_pipeline.domain.receipt import Answered, Write
from ingestion_pipeline.stores.disk.intake import Claimed, Request, claim
from ingestion_pipeline.stores.disk.lock import FileLock, release
from ingestion_pipeline.stores.disk.locked_csv import LockedCsv

Group = tuple[str, Sequence[Write]]
"""Who writes, and what."""

Lead = Callable[[LockedCsv, Sequence[Group]], Sequence[Answered]]
"""Writes several callers' writes; answers each."""

_GRACE = 5.0
"""Seconds more that are given to somebody who has claimed the request already."""


def submitted(
    lock: FileLock, csv: LockedCsv, intake: Path, writes: Sequence[Write], by: str, lead: Lead
) -> Answered:
    """Have writes written by whoever holds the lock; see `CsvStore.submit`."""
    descriptor = lock.at_once()
    if descriptor is not None:
        with _closing(descriptor):
            return _led(csv, intake, (by, writes), lead)
    with Request(intake, writes, by) as request:
        try:
            descriptor = lock.wait(lambda: request.answer() is not None)
        except UnavailableError:
            if request.withdraw():
                raise
            return _claimed(request, writes)
        if descriptor is None:
            return _answer(request)
        with _closing(descriptor):
            return _own(csv, intake, request, (by, writes), lead)


def _own(csv: LockedCsv, intake: Path, request: Request, own: Group, lead: Lead) -> Answered:
    """With the lock at last: take the answer if it came, or write after all."""
    if request.answer() is not None:
        return _answer(request)
    by, writes = own
    if not request.withdraw():
        # Whoever claimed it has died; perhaps the journal has it.
        writes = [replace(write, given=True) for write in writes]
    return _led(csv, intake, (by, writes), lead)


def _led(csv: LockedCsv, intake: Path, own: Group, lead: Lead) -> Answered:
    claimed = list(claim(intake))
    groups = [own, *((one.by, one.writes) for one in claimed)]
    try:
        answers = lead(csv, groups)
    except PipelineError as error:
        _tell(claimed, [Answered(error=error)] * len(claimed))
        raise
    except BaseException:
        # A fault, or an interruption: those who wait will take the lock and see for themselves.
        _tell(claimed, [])
        raise
    _tell(claimed, answers[1:])
    return answers[0]


def _tell(claimed: Sequence[Claimed], answers: Sequence[Answered]) -> None:
    for one, answer in zip_longest(claimed, answers):
        if answer is not None:
            one.tell(answer.as_json())
        one.close()


def _answer(request: Request) -> Answered:
    answer = request.answer()
    if answer is None:
        raise AssertionError("an answer that was there is gone")
    answered = Answered.from_json(answer)
    if answered.error is not None and not isinstance(answered.error, InputRefusedError):
        # What stopped the leader stops everybody, and is raised to everybody alike.
        raise answered.error
    return answered


def _claimed(request: Request, writes: Sequence[Write]) -> Answered:
    until = time.monotonic() + _GRACE
    while time.monotonic() < until:
        if request.answer() is not None:
            return _answer(request)
        time.sleep(0.01)
    raise UnavailableError(
        "somebody else took the write over and has not said what came of it",
        code="outcome_unknown",
        hint=f"Write again with write_id {', '.join(str(write.write_id) for write in writes)}: what was made "
        "already is not made twice.",
    )


@contextmanager
def _closing(descriptor: int) -> Iterator[None]:
    try:
        yield
    finally:
        release(descriptor)

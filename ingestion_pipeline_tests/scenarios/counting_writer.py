"""A process whose threads count up cells, some in rows of their own, some in rows they share with others."""

import fcntl
import json
import os
import random
import signal
import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path
from typing import Any, NamedTuple
from unittest.mock import patch

from ingestion_pipeline.app import Pipeline, open_pipeline
from ingestion_pipeline.domain.errors import PipelineError
from ingestion_pipeline.domain.phase import Side
from ingestion_pipeline.domain.receipt import Standing, WriteReceipt
from ingestion_pipeline.operations import write as writing
from ingestion_pipeline.settings import Settings
from ingestion_pipeline.stores.disk.journal_log import JournalLog
from ingestion_pipeline_tests.scenarios.gate import Gate

OWN = "document_text"
"""The column that is counted up in rows of one's own."""

SHARED = (
    *("extracted_links", "youtube_playlist", "google_drive", "download_errors"),
    *("youtube_files", "youtube_media_id", "drive_files", "drive_media_id"),
)
"""The columns that are counted up in shared rows, one by each hand."""

SHARE_OF_SHARED = 1 / 3
"""Of the writes, those to shared rows."""

NEW = "new "
"""How the row_ids of new people begin."""

PERSON = {"name": "New", "email": "new@example.org", "type": "INTJ"}
"""What a new person needs."""

HALT = "halt"
"""The file beside the logs that has one process stop itself within its next write, before it writes."""

STALE = "stale"
"""The file beside the logs with a byte for each write that was refused because the phase had changed."""

Cell = tuple[str, str]
"""A row_id and a column."""


class Mutant(StrEnum):
    """A fault put into the writers, which the test must notice."""

    NONE = "none"
    NO_LOCK = "no lock"
    """Nobody is kept out of the file."""
    WHOLE_ROW = "whole row"
    """A write carries the row as it was read, not only what it changes."""
    NO_JOURNAL = "no journal"
    """What is appended to the journal does not reach its file."""


@dataclass(frozen=True)
class Task:
    """What one process is to do.

    Attributes:
        logs: The folder of the hands' logs, and of the gate.
        hands: The numbers of its threads.
        row_ids: The people in the file. The first lot, one for each hand of all, is shared, each by as many
            hands as there are SHARED; of each further lot every hand owns one.
        writes: Writes each hand makes in its life; None to go on until the gate says that it is over.
        mutant: The fault to write with.
        rest: Seconds a hand rests after a write, on average.
        new: Of the writes to rows of one's own, those that make a new person.
        of: How many hands there are in all processes, a multiple of the number of SHARED.
    """

    logs: Path
    hands: tuple[int, ...]
    row_ids: tuple[str, ...]
    writes: int | None
    mutant: Mutant = Mutant.NONE
    rest: float = 0
    new: float = 0
    of: int = len(SHARED)

    @property
    def gate(self) -> Gate:
        return Gate(self.logs)


class Ack(NamedTuple):
    """One write that was acknowledged: when it began and ended, and the side it is durable in."""

    began: float
    ended: float
    side: str


@dataclass
class Kept:
    """What one hand's log says.

    Attributes:
        acknowledged: By cell, the last count that was acknowledged, or read.
        tried: By cell, the last count that was asked for.
        acks: Each write that was acknowledged, in order.
        made: The people it made, or tried to.
        amiss: What the hand found amiss.
    """

    acknowledged: dict[Cell, int] = field(default_factory=dict)
    tried: dict[Cell, int] = field(default_factory=dict)
    acks: list[Ack] = field(default_factory=list)
    made: list[str] = field(default_factory=list)
    amiss: list[str] = field(default_factory=list)

    def allows(self, cell: Cell) -> set[int]:
        """The counts that a cell may have: of what was not acknowledged, either may be."""
        return {self.acknowledged.get(cell, 0), self.tried.get(cell, 0)}


class Log:
    """What a hand did, kept through its process's death."""

    def __init__(self, path: Path) -> None:
        self.kept = Kept()
        self._descriptor: int | None = os.open(path, os.O_RDWR | os.O_APPEND | os.O_CREAT, 0o600)
        self._read = 0
        self.catch_up()

    def catch_up(self) -> None:
        """Take in what has been added."""
        if self._descriptor is None:
            return
        size = os.fstat(self._descriptor).st_size
        added = os.pread(self._descriptor, size - self._read, self._read)
        self._read = size
        for line in added.splitlines():
            self._take(*json.loads(line))

    def close(self) -> None:
        if self._descriptor is not None:
            os.close(self._descriptor)
            self._descriptor = None

    def note(self, kind: str, cell: Cell, value: int, ack: Ack | None = None) -> None:
        assert self._descriptor is not None
        self._read += os.write(self._descriptor, json.dumps((kind, cell, value, ack)).encode() + b"\n")
        self._take(kind, cell, value, ack)

    def _take(self, kind: str, cell: Cell, value: int, ack: Ack | None) -> None:
        row_id, column = cell
        match kind:
            case "tries":
                if value == 1 and _is_new(row_id) and row_id not in self.kept.made:
                    self.kept.made.append(row_id)
                self.kept.tried[row_id, column] = value
            case "found":
                self.kept.acknowledged[row_id, column] = value
            case "acknowledged":
                assert ack is not None
                self.kept.acknowledged[row_id, column] = value
                self.kept.acks.append(Ack(*ack))
            case _:
                self.kept.amiss.append(f"{kind}, row {row_id}, {column}: {value}")


def run(settings: Settings, task: Task) -> None:
    """Count until every hand has made its writes."""
    with _mutated(task.mutant), _watched(task.logs), open_pipeline(settings) as pipeline:
        threads = [threading.Thread(target=_count, args=(pipeline, task, hand)) for hand in task.hands]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()


@contextmanager
def _mutated(mutant: Mutant) -> Iterator[None]:
    with ExitStack() as stack:
        if mutant is Mutant.NO_LOCK:
            stack.enter_context(patch.object(fcntl, "flock", lambda *_: None))
        if mutant is Mutant.NO_JOURNAL:
            stack.enter_context(patch.object(JournalLog, "_append_bytes", lambda *_args, **_named: None))
        yield


@contextmanager
def _watched(logs: Path) -> Iterator[None]:
    """Have a process stop itself where it knows the phase but has not written; count who came too late."""
    tried = writing._write  # noqa: SLF001 - the one place between the two

    def watched(*args: Any, **named: Any) -> Any:
        with suppress(FileNotFoundError):
            (logs / HALT).unlink()
            # Sent to this thread, so that it does not get one step further.
            signal.pthread_kill(threading.get_ident(), signal.SIGSTOP)
        try:
            return tried(*args, **named)
        except PipelineError as error:
            if error.code == "stale_epoch":
                with (logs / STALE).open("ab") as file:
                    file.write(b".")
            raise

    with patch.object(writing, "_write", watched):
        yield


def _count(pipeline: Pipeline, task: Task, hand: int) -> None:
    log = Log(task.logs / str(hand))
    draw = random.Random(f"{hand} {len(log.kept.acks)}")  # noqa: S311 - no secret
    while not _is_done(task, log.kept):
        try:
            with task.gate.passed():
                _count_one(pipeline, task, log, _cell(task, hand, log.kept, draw))
        except PipelineError as error:
            log.note(f"refused with {error.code}", ("", ""), 0)
        except Exception as error:  # noqa: BLE001 - a fault is what is looked for
            log.note(f"failed with {type(error).__name__}", ("", ""), 0)
        time.sleep(task.rest * draw.uniform(0, 2))


def _is_done(task: Task, kept: Kept) -> bool:
    if task.writes is None:
        return task.gate.is_over
    return len(kept.acks) + len(kept.amiss) >= task.writes


def _cell(task: Task, hand: int, kept: Kept, draw: random.Random) -> Cell:
    if draw.random() < SHARE_OF_SHARED:
        together, column = divmod(hand, len(SHARED))
        return task.row_ids[together * len(SHARED) + draw.randrange(len(SHARED))], SHARED[column]
    if draw.random() < task.new:
        return f"{NEW}{hand} {len(kept.made)}", OWN
    own = [*task.row_ids[task.of + hand :: task.of], *kept.made]
    return draw.choice(own), OWN


def _is_new(row_id: str) -> bool:
    return row_id.startswith(NEW)


def counted(text: str) -> int:
    """The count a cell holds; none yet where it holds another text."""
    return int(text) if text.isdigit() else 0


def _count_one(pipeline: Pipeline, task: Task, log: Log, cell: Cell) -> None:
    row_id, column = cell
    found = pipeline.read(row_id)
    count = counted("" if found is None else found[column])
    if count not in log.kept.allows(cell) or (found is None and not _is_new(row_id)):
        log.note("a count was lost", cell, count)
    # What was read stands, though it was not acknowledged: who reads it may have told others.
    log.note("found", cell, count)
    cells = {column: str(count + 1)}
    if found is None:
        cells |= PERSON
    elif task.mutant is Mutant.WHOLE_ROW:
        cells = {name: found[name] for name in (OWN, *SHARED)} | cells
    log.note("tries", cell, count + 1)
    began = time.monotonic()
    receipt = pipeline.write(row_id, cells)
    log.note("acknowledged", cell, count + 1, Ack(began, time.monotonic(), _side(receipt)))


def _side(receipt: WriteReceipt) -> str:
    taken_in = receipt.follower is Standing.AUTHORITY
    return Side.POSTGRES if taken_in else receipt.durable_in

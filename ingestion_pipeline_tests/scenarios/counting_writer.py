"""A process whose threads count up cells, some in rows of their own, some in rows they share with others."""

import fcntl
import json
import os
import random
import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path
from unittest.mock import patch

from ingestion_pipeline.app import Pipeline, open_pipeline
from ingestion_pipeline.domain.errors import PipelineError
from ingestion_pipeline.settings import Settings

OWN = "document_text"
"""The column that is counted up in rows of one's own."""

SHARED = (
    *("extracted_links", "youtube_playlist", "google_drive", "download_errors"),
    *("youtube_files", "youtube_media_id", "drive_files", "drive_media_id"),
)
"""The columns that are counted up in shared rows, one by each hand."""

SHARE_OF_SHARED = 1 / 3
"""Of the writes, those to shared rows."""

Cell = tuple[str, str]
"""A row_id and a column."""


class Mutant(StrEnum):
    """A fault put into the writers, which the test must notice."""

    NONE = "none"
    NO_LOCK = "no lock"
    """Nobody is kept out of the file."""
    WHOLE_ROW = "whole row"
    """A write carries the row as it was read, not only what it changes."""


@dataclass(frozen=True)
class Task:
    """What one process is to do.

    Attributes:
        logs: The folder of the hands' logs.
        hands: The numbers of its threads, of all hands there are; 0 to len(SHARED) - 1.
        people: People in the file, whose row_ids count from 1, a multiple of the number of SHARED. As many
            as that are everybody's, and of each further lot every hand owns one.
        writes: Writes each hand makes in its life.
        mutant: The fault to write with.
    """

    logs: Path
    hands: tuple[int, ...]
    people: int
    writes: int
    mutant: Mutant = Mutant.NONE


@dataclass
class Kept:
    """What one hand's log says.

    Attributes:
        acknowledged: By cell, the last count that was acknowledged.
        tried: By cell, the last count that was asked for.
        seconds: How long each write took.
        amiss: What the hand found amiss.
    """

    acknowledged: dict[Cell, int] = field(default_factory=dict)
    tried: dict[Cell, int] = field(default_factory=dict)
    seconds: list[float] = field(default_factory=list)
    amiss: list[str] = field(default_factory=list)

    def allows(self, cell: Cell) -> set[int]:
        """The counts that a cell may have: of what was not acknowledged, either may be."""
        return {self.acknowledged.get(cell, 0), self.tried.get(cell, 0)}


class Log:
    """What a hand did, kept through its process's death."""

    def __init__(self, path: Path) -> None:
        self.kept = Kept()
        with path.open("a+b") as file:
            file.seek(0)
            for line in file:
                self._take(*json.loads(line))
        self._descriptor = os.open(path, os.O_WRONLY | os.O_APPEND)

    def note(self, kind: str, row_id: str, column: str, value: int, seconds: float = 0) -> None:
        entry: tuple[str, str, str, int, float] = (kind, row_id, column, value, seconds)
        os.write(self._descriptor, json.dumps(entry).encode() + b"\n")
        self._take(*entry)

    def _take(self, kind: str, row_id: str, column: str, value: int, seconds: float) -> None:
        match kind:
            case "tries":
                self.kept.tried[row_id, column] = value
            case "acknowledged":
                self.kept.acknowledged[row_id, column] = value
                self.kept.seconds.append(seconds)
            case _:
                self.kept.amiss.append(f"{kind}, row {row_id}, {column}: {value}")


def run(settings: Settings, task: Task) -> None:
    """Count until every hand has made its writes."""
    with _mutated(task.mutant), open_pipeline(settings) as pipeline:
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
        yield


def _count(pipeline: Pipeline, task: Task, hand: int) -> None:
    log = Log(task.logs / str(hand))
    draw = random.Random(f"{hand} {len(log.kept.seconds)}")  # noqa: S311 - no secret
    while len(log.kept.seconds) + len(log.kept.amiss) < task.writes:
        try:
            _count_one(pipeline, task, log, _cell(task, hand, draw))
        except PipelineError as error:
            log.note(f"refused with {error.code}", "", "", 0)
        except Exception as error:  # noqa: BLE001 - a fault is what is looked for
            log.note(f"failed with {type(error).__name__}", "", "", 0)


def _cell(task: Task, hand: int, draw: random.Random) -> Cell:
    lot = len(SHARED)
    if draw.random() < SHARE_OF_SHARED:
        return str(1 + draw.randrange(lot)), SHARED[hand]
    return str(1 + hand + lot * draw.randrange(1, task.people // lot)), OWN


def _count_one(pipeline: Pipeline, task: Task, log: Log, cell: Cell) -> None:
    row_id, column = cell
    found = pipeline.read(row_id)
    assert found is not None
    count = int(found[column] or 0)
    if count not in log.kept.allows(cell):
        log.note("a count was lost", *cell, count)
    cells = {column: str(count + 1)}
    if task.mutant is Mutant.WHOLE_ROW:
        cells = {name: found[name] for name in (OWN, *SHARED)} | cells
    log.note("tries", *cell, count + 1)
    began = time.monotonic()
    pipeline.write(row_id, cells)
    log.note("acknowledged", *cell, count + 1, time.monotonic() - began)

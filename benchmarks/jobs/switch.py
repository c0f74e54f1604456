"""How long nobody can write while the phase changes."""

import multiprocessing
import random
import time
from collections import Counter, defaultdict
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from itertools import pairwise
from multiprocessing.connection import Connection
from multiprocessing.synchronize import Event, Semaphore
from pathlib import Path
from typing import Any, NamedTuple

from benchmarks import child
from benchmarks.bench import Bench
from benchmarks.job import Contender, Goal, Job, Role
from benchmarks.shapes import DOCUMENTS, Shape
from ingestion_pipeline import Pipeline, open_pipeline
from ingestion_pipeline.domain.errors import UnavailableError
from ingestion_pipeline.domain.phase import Move, Phase
from ingestion_pipeline_tests.phases import ROUND, go

WRITERS = 4
REST = 0.05
"""Seconds between two writes of one writer, on average."""

GOAL = 1.0
"""Seconds nobody can write, at most, in 99 of 100 switches."""


class Wait(NamedTuple):
    """When a write began and ended, and what it was refused with, if it was."""

    began: float
    ended: float
    refused: str | None


Waits = list[Wait]


def write(config: Path, count: int, number: int, at_work: Semaphore, over: Event, told: Connection) -> None:
    """Write somebody now and then until it is over, and tell how long each took.

    The first writes of a site index the file and keep a copy of it; they are waited for, not measured.
    """
    draw = random.Random(number)  # noqa: S311 - made-up data
    waits: Waits = []
    with open_pipeline(config) as pipeline:
        pipeline.write(str(number), {"type": "T"})
        at_work.release()
        while not over.is_set():
            began = time.monotonic()
            refused = None
            try:
                pipeline.write(str(draw.randint(1, count)), {"type": f"T{draw.randrange(16)}"})
            except UnavailableError as error:
                refused = error.code
            waits.append(Wait(began, time.monotonic(), refused))
            time.sleep(draw.uniform(0, 2 * REST))
    told.send(waits)


@contextmanager
def writers(config: Path, count: int) -> Iterator[Waits]:
    """Several processes that write all the time; what they waited is known afterwards."""
    spawn = multiprocessing.get_context("spawn")
    at_work, over, waits = spawn.Semaphore(0), spawn.Event(), Waits()
    pipes = [spawn.Pipe(duplex=False) for _ in range(WRITERS)]
    processes = [
        spawn.Process(target=write, args=(config, count, number, at_work, over, telling))
        for number, (_, telling) in enumerate(pipes, start=1)
    ]
    for process, (_, telling) in zip(processes, pipes, strict=True):
        process.start()
        telling.close()
    try:
        for _ in processes:
            at_work.acquire()
        yield waits
    finally:
        over.set()
        for process, (listening, _) in zip(processes, pipes, strict=True):
            waits += listening.recv()
            process.join()


class Stop(NamedTuple):
    """A stay in one phase, from the switch that led there to the one that leads away."""

    move: Move
    pause: float
    began: float
    ended: float


def travelled(pipeline: Pipeline, rounds: int) -> list[Stop]:
    """There and back, several times; when each switch was made, and how long nobody could write."""
    stops = []
    for to in ROUND * rounds:
        began = time.monotonic()
        report = go(pipeline, to)
        if report.shut is not None:
            raise SystemExit(f"{to}: {report.shut}")
        [change] = report.changes
        stops.append(Stop(change.move, change.pause or 0.0, began, time.monotonic()))
        time.sleep(1)
    return stops


def measured(config: Path, count: int, rounds: int) -> dict[str, Any]:
    """Each move's pauses, and what the writers waited around it and otherwise, in milliseconds."""
    with open_pipeline(config) as pipeline:
        with writers(config, count) as waits:
            stops = travelled(pipeline, rounds)
        by_move: dict[str, list[Stop]] = defaultdict(list)
        for stop in stops:
            by_move[str(stop.move)].append(stop)
        return {
            "switches": len(stops),
            "writes": len(waits),
            "refused": dict(Counter(one.refused for one in waits if one.refused)),
            "pause_ms": spread([stop.pause for stop in stops]),
            "moves": {move: _of(several, stops, waits) for move, several in by_move.items()},
        }


def _of(several: Sequence[Stop], stops: Sequence[Stop], waits: Waits) -> dict[str, object]:
    """What the switches of one move came to, beside the writes of the phase it leads to."""
    around = [
        max(one.ended - one.began for one in waits if one.began < stop.ended and stop.began < one.ended)
        for stop in several
    ]
    usual = [
        one.ended - one.began
        for stop, following in pairwise(stops)
        if stop in several
        for one in waits
        if stop.ended < one.began and one.ended < following.began
    ]
    return {
        "pause_ms": spread([stop.pause for stop in several]),
        "longest_write_around_ms": spread(around),
        "write_ms": spread(usual),
    }


def spread(seconds: Sequence[float]) -> dict[str, float]:
    """The median, the 99th of a hundred and the longest, in milliseconds."""
    ordered = sorted(seconds)
    if not ordered:
        return {}
    found = {"p50": ordered[len(ordered) // 2], "p99": ordered[len(ordered) * 99 // 100], "max": ordered[-1]}
    return {name: round(value * 1000, 1) for name, value in found.items()}


def travel(config: str, rows: int) -> dict[str, Any]:
    """There and back once; seconds of the longest of six pauses, and all the rest in milliseconds."""
    found = measured(Path(config), rows, 1)
    return {"seconds": found["pause_ms"]["max"] / 1000, **found}


@contextmanager
def ready(bench: Bench, _shape: Shape, rows: int) -> Iterator[Sequence[Contender]]:
    """A site in `original`, on which several processes write all the time."""
    with bench.site(bench.file(DOCUMENTS, rows), Phase.ORIGINAL, synced=False) as site:
        work = "benchmarks.jobs.switch:travel"
        yield [
            Contender(Role.OURS, "ingest phase", lambda: child.work(work, site.config, rows, env=site.env))
        ]


def longest(pauses: Sequence[float]) -> float:
    """The longest: of so few switches, that is the 99th of a hundred."""
    return max(pauses)


JOB = Job(
    "switch",
    "how long nobody can write while the phase changes, with four processes writing",
    ready,
    goals=(Goal("seconds", GOAL),),
    sizes=(500, 100_000),
    of=longest,
)

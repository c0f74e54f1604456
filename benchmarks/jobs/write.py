"""One durable write where PostgreSQL leads."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager

from benchmarks import child
from benchmarks.bench import Bench
from benchmarks.job import Contender, Goal, Job, Role
from benchmarks.shapes import DOCUMENTS, Shape
from ingestion_pipeline.domain.phase import Phase

TIMES = 400
"""Writes that are timed together."""


def ready_in(phase: Phase) -> Callable[[Bench, Shape, int], AbstractContextManager[Sequence[Contender]]]:
    """A site in a phase, and beside it one bare table."""

    @contextmanager
    def ready(bench: Bench, _shape: Shape, rows: int) -> Iterator[Sequence[Contender]]:
        with bench.site(bench.file(DOCUMENTS, rows), phase) as site:
            yield [
                Contender(Role.OURS, "pipeline.write", lambda: site.ours("write", rows, TIMES)),
                Contender(
                    Role.FLOOR,
                    "prepared UPDATE",
                    lambda: child.work("benchmarks.floors:updates", site.url, rows, TIMES),
                ),
            ]

    return ready


JOBS = tuple(
    Job(
        name,
        f"one person, durable, in {phase}",
        ready_in(phase),
        goals=(Goal("rate", 0.6, least=True),),
        growth=(Goal("growth", 1.3),),
    )
    for name, phase in (("write", Phase.DATABASE_PRIMARY), ("write-native", Phase.DATABASE_NATIVE))
)

"""Durable writes where the CSV leads: one by one, and a hundred together."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from shutil import copyfile

from benchmarks import child
from benchmarks.bench import Bench
from benchmarks.job import Contender, Goal, Job, Role
from benchmarks.shapes import DOCUMENTS, Shape
from ingestion_pipeline.domain.phase import Phase

TOGETHER = 100
Ready = Callable[[Bench, Shape, int], AbstractContextManager[Sequence[Contender]]]


def times(rows: int) -> int:
    """How many writes are timed together: fewer where each takes longer."""
    return max(4, min(40, 200_000 // rows))


def one_by_one(phase: Phase) -> Ready:
    """Each durable before the next; beside the old recipe, which is not durable."""

    @contextmanager
    def ready(bench: Bench, _shape: Shape, rows: int) -> Iterator[Sequence[Contender]]:
        csv = bench.file(DOCUMENTS, rows)
        old = bench.folder / "old.csv"
        with bench.site(csv, phase) as site:

            def legacy(*, copied: bool) -> child.Taken:
                copyfile(csv, old)
                return child.work("benchmarks.peers.legacy:saves", str(old), 2, copied)

            yield [
                Contender(Role.OURS, "pipeline.write", lambda: site.ours("write", rows, times(rows))),
                Contender(
                    Role.FLOOR,
                    "the file copied once, fsync",
                    lambda: child.work("benchmarks.plain:copy", str(csv), times(rows)),
                ),
                Contender(Role.PEER, "old recipe", lambda: legacy(copied=True), most=10_000),
                Contender(Role.PEER, "old recipe, no copy", lambda: legacy(copied=False), most=10_000),
            ]

    return ready


def in_batches(phase: Phase) -> Ready:
    """A hundred durable together; beside a journal's least: append and fsync, for each."""

    @contextmanager
    def ready(bench: Bench, _shape: Shape, rows: int) -> Iterator[Sequence[Contender]]:
        with bench.site(bench.file(DOCUMENTS, rows), phase) as site:
            yield [
                Contender(
                    Role.OURS,
                    "pipeline.batch",
                    lambda: site.ours("batch", rows, max(2, times(rows) // 4), TOGETHER),
                ),
                Contender(
                    Role.FLOOR,
                    "append and fsync",
                    lambda: child.work("benchmarks.plain:append", str(site.folder), 400),
                ),
            ]

    return ready


PHASES = {"csv": Phase.ORIGINAL, "dual": Phase.DUAL_WRITE}
JOBS = (
    *(
        Job(
            f"write-{name}",
            f"one person, durable, in {phase}",
            one_by_one(phase),
            goals=(Goal("times old recipe", 20.0, least=True, rows=(10_000, 10_000)),),
        )
        for name, phase in PHASES.items()
    ),
    *(
        Job(
            f"batch-{name}",
            f"one person of a hundred that are durable together, in {phase}",
            in_batches(phase),
            goals=(Goal("rate", 0.5, least=True, rows=(10_000, 10_000)),),
        )
        for name, phase in PHASES.items()
    ),
)

"""A version brought back to both sides."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from filecmp import cmp
from itertools import count

from benchmarks import child
from benchmarks.bench import Bench
from benchmarks.child import FailedError, Taken
from benchmarks.job import Contender, Goal, Job, Role
from benchmarks.shapes import Shape, changed

EVERY = 10
"""One person in so many is another one in the file that a restore takes away."""


@contextmanager
def ready(bench: Bench, shape: Shape, rows: int) -> Iterator[Sequence[Contender]]:
    """A version of one file; both sides hold another, one person in ten with another type."""
    one = bench.file(shape, rows)
    other = bench.file(shape, rows, changed(rows, max(1, rows // EVERY), type="otherwise"), "otherwise")
    with bench.site(one) as site:
        version = str(site.ours("export").answer["version"])

        numbers = count()

        def otherwise() -> None:
            site.put(other)
            site.ours("sync")
            # What is there was never published before.
            site.ours("change", shape.key(1), "type", f"T{next(numbers)}")

        def restore() -> Taken:
            taken = site.ours("restore", version)
            if not cmp(site.csv, one, shallow=False):
                raise FailedError("the version is not in the CSV's place")
            return taken

        def copied_and_synced() -> Taken:
            given = (site.config, str(one), str(site.csv))
            return child.work("benchmarks.floors:sync_and_copy", *given, env=site.env)

        yield [
            Contender(Role.OURS, "ingest restore", restore, otherwise),
            Contender(Role.FLOOR, "sync and one copy", copied_and_synced, otherwise),
        ]


JOB = Job(
    "restore",
    "a version back on both sides, one row in ten another",
    ready,
    goals=(Goal("ratio", 1.2, rows=(100_000, 10**9)), Goal("rss_mb", 100)),
    growth=(Goal("exponent", 1.1),),
    bulk=True,
)

"""A comparison of two sides that are equal."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager

from benchmarks import floors
from benchmarks.bench import Bench
from benchmarks.child import FailedError, Taken
from benchmarks.job import Contender, Goal, Job, Role
from benchmarks.peers import comparing
from benchmarks.shapes import Shape


@contextmanager
def ready(bench: Bench, shape: Shape, rows: int) -> Iterator[Sequence[Contender]]:
    """A site that is in sync."""
    csv = bench.file(shape, rows)
    with bench.site(csv) as site:

        def compare() -> Taken:
            taken = site.ours("compare", 0)
            if not (taken.answer["report"]["equal"] and taken.answer["report"]["bytes_equal"]):
                raise FailedError(f"equal sides were found to differ: {taken.answer}")
            return taken

        yield [
            Contender(Role.OURS, "ingest compare", compare),
            Contender(Role.FLOOR, "ordered COPY out", lambda: floors.ordered_out(site.url)),
            Contender(Role.PEER, "csv.reader", lambda: floors.csv_reader(csv)),
            *comparing.contenders(site, csv, csv, cells=0, rows=0),
        ]


JOB = Job(
    "compare",
    "both sides equal, and proved so",
    ready,
    goals=(Goal("ratio", 1.3, rows=(100_000, 10**9)), Goal("rss_mb", 64)),
    growth=(Goal("exponent", 1.1),),
    bulk=True,
)

"""A sync after somebody has changed one row in a hundred."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from itertools import cycle

from benchmarks.bench import Bench, ask
from benchmarks.child import FailedError, Taken
from benchmarks.job import Contender, Goal, Job, Role
from benchmarks.shapes import Shape, changed

EVERY = 100

WRITTEN = "SELECT count(*) FROM {} WHERE age(xmin) <= age('{}'::xid)"


@contextmanager
def ready(bench: Bench, shape: Shape, rows: int) -> Iterator[Sequence[Contender]]:
    """By turns, one file of two is in the CSV's place, and the other one in the tables."""
    count = max(1, rows // EVERY)
    one = bench.file(shape, rows)
    other = bench.file(shape, rows, changed(rows, count, type="changed"), "changed")
    with bench.site(one) as site:
        files = cycle((other, one))

        def compare() -> Taken:
            taken = site.ours("compare", 0)
            if taken.answer["report"]["changed"] != count:
                raise FailedError(f"not {count} changed rows were found: {taken.answer}")
            return taken

        def sync() -> Taken:
            first = ask(site.url, "SELECT pg_current_xact_id()::xid")
            taken = site.ours("sync")
            written = [
                ask(site.url, WRITTEN.format(table, first))
                for table in ("people", "processing_status", "s3_metadata")
            ]
            if taken.answer["report"]["updated"] != count or written != [count, 0, 0]:
                raise FailedError(f"{count} rows changed, and {written} were written: {taken.answer}")
            return taken

        yield [
            # First, since it is about what the sync then takes away.
            Contender(Role.FLOOR, "ingest compare", compare, lambda: site.put(next(files))),
            Contender(Role.OURS, "ingest sync", sync),
            Contender(Role.PEER, "ingest compare, equal", lambda: site.ours("compare", 0)),
        ]


JOB = Job(
    "sync-again",
    "the same with one row in a hundred changed; no other row gets a new version",
    ready,
    goals=(Goal("ratio", 1.3, rows=(100_000, 10**9)), Goal("rss_mb", 100)),
    growth=(Goal("exponent", 1.1),),
    bulk=True,
)

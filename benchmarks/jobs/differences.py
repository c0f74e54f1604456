"""A comparison that has to say where two sides differ."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager

from benchmarks import floors
from benchmarks.bench import Bench
from benchmarks.child import FailedError, Taken
from benchmarks.job import Contender, Goal, Job, Role
from benchmarks.jobs.sync import LARGE, MILLION
from benchmarks.peers import comparing
from benchmarks.shapes import Shape, planted

MOST = 100
"""Differences of each kind."""


@contextmanager
def ready(bench: Bench, shape: Shape, rows: int) -> Iterator[Sequence[Contender]]:
    """One file in the tables; in the CSV's place another, with differences that are known."""
    known = planted(shape, rows, min(MOST, rows // 20))
    csv = bench.file(shape, rows, known.edits, "planted")
    synced = bench.file(shape, rows)
    with bench.site(synced) as site:
        site.put(csv)

        def compare() -> Taken:
            taken = site.ours("compare", 10 * MOST)
            found = {
                (one["row_id"], one["column"], one["kind"]) for one in taken.answer["report"]["differences"]
            }
            if found != known.differences:
                missed, wrong = len(known.differences - found), len(found - known.differences)
                raise FailedError(f"{missed} planted differences were not named, {wrong} others were")
            return taken

        cells = sum(kind == "changed" for _, _, kind in known.differences)
        yield [
            Contender(Role.OURS, "ingest compare", compare),
            Contender(Role.FLOOR, "csv.reader", lambda: floors.csv_reader(csv)),
            Contender(Role.PEER, "ordered COPY out", lambda: floors.ordered_out(site.url)),
            *comparing.contenders(site, synced, csv, cells=cells, rows=len(known.differences) - cells),
        ]


JOB = Job(
    "differences",
    "planted differences, cells and whole rows, every one named",
    ready,
    goals=(Goal("ratio", 2.2, rows=LARGE), Goal("ratio", 2.5, rows=MILLION), Goal("rss_mb", 100)),
    growth=(Goal("exponent", 1.1),),
    bulk=True,
)

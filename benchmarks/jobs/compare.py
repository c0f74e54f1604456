"""A comparison of two sides that are equal."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager

from benchmarks import child, floors
from benchmarks.bench import Bench, run
from benchmarks.child import Taken
from benchmarks.job import Contender, Goal, Job, Role
from benchmarks.peers import lacking, with_programs
from benchmarks.shapes import Shape


@contextmanager
def ready(bench: Bench, shape: Shape, rows: int) -> Iterator[Sequence[Contender]]:
    """A site that is in sync; for reladiff, the file and what the tables hold as two tables."""
    csv = bench.file(shape, rows)
    with bench.site(csv) as site:

        def compare() -> Taken:
            taken = site.ours("compare", 0)
            if not (taken.answer["report"]["equal"] and taken.answer["report"]["bytes_equal"]):
                raise SystemExit(f"equal sides were found to differ: {taken.answer}")
            return taken

        def two_tables() -> None:
            for name in ("flat", "here"):
                floors.create_flat(site.url, name)
                floors.copy_in(site.url, csv, name)
                run(site.url, f"CREATE UNIQUE INDEX ON {name} (row_id); ANALYZE {name}")

        def frames() -> Taken:
            return child.work("benchmarks.peers.with_pandas:compare", site.url, str(csv))

        yield [
            Contender(Role.OURS, "ingest compare", compare),
            Contender(Role.FLOOR, "ordered COPY out", lambda: floors.ordered_out(site.url)),
            Contender(Role.PEER, "csv.reader", lambda: floors.csv_reader(csv)),
            Contender(Role.PEER, "pandas", frames, most=100_000),
            Contender(Role.PEER, "EXCEPT", lambda: with_programs.excepted(site.url, csv), most=100_000),
            Contender(
                Role.PEER,
                "reladiff, load not counted",
                lambda: with_programs.reladiff(site.url),
                two_tables,
                100_000,
                lacking("reladiff"),
            ),
        ]


JOB = Job(
    "compare",
    "both sides equal, and proved so",
    ready,
    goals=(Goal("ratio", 1.3, rows=(100_000, 10**9)), Goal("rss_mb", 64)),
    growth=(Goal("exponent", 1.1),),
    bulk=True,
)

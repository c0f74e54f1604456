"""A version published: rendered, packed, its digest taken, read back."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from itertools import count

from benchmarks import child, floors
from benchmarks.bench import Bench
from benchmarks.child import FailedError, Taken
from benchmarks.job import Contender, Goal, Job, Role
from benchmarks.shapes import Shape
from ingestion_pipeline.domain.phase import Phase


@contextmanager
def ready(bench: Bench, shape: Shape, rows: int) -> Iterator[Sequence[Contender]]:
    """A site that PostgreSQL leads, with one cell changed before each version."""
    csv = bench.file(shape, rows)
    with bench.site(csv, Phase.DATABASE_PRIMARY) as site:
        floors.create_flat(site.url)
        floors.copy_in(site.url, csv)
        numbers = count()

        def export() -> Taken:
            taken = site.ours("export")
            if not taken.answer["published"]:
                raise FailedError("no version was published")
            return taken

        def frames() -> Taken:
            packed = bench.folder / "frames.csv.zst"
            return child.work("benchmarks.peers.with_pandas:publish", site.url, str(packed))

        yield [
            Contender(
                Role.OURS,
                "ingest export",
                export,
                lambda: site.ours("change", shape.key(1), "type", f"T{next(numbers)}"),
            ),
            Contender(
                Role.FLOOR,
                "COPY of one flat table",
                lambda: floors.copy_out(site.url, site.folder / "flat.csv"),
            ),
            Contender(Role.PEER, "pandas", frames, most=100_000),
        ]


JOB = Job(
    "publish",
    "a version: rendered, zstd, digest, read back",
    ready,
    goals=(Goal("ratio", 2.2, rows=(100_000, 10**9)), Goal("rss_mb", 64)),
    growth=(Goal("exponent", 1.1),),
    bulk=True,
)

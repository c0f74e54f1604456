"""A sync into an empty database."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path

from benchmarks import child, floors
from benchmarks.bench import Bench, Site, ask, run
from benchmarks.child import FailedError, Taken
from benchmarks.job import Contender, Goal, Job, Role
from benchmarks.peers import TABLES, lacking, with_programs
from benchmarks.peers.with_programs import checked
from benchmarks.shapes import Shape

LARGE = (100_000, 100_000)
MILLION = (1_000_000, 1_000_000)


class Fresh:
    """A database of its own for each time somebody loads; the one before is dropped."""

    def __init__(self, bench: Bench, tables: str = "") -> None:
        self._bench, self._tables, self._stack = bench, tables, ExitStack()
        self.url = ""

    def make(self) -> None:
        """Drop the last one and make the next."""
        self._stack.close()
        self.url = self._stack.enter_context(self._bench.database())
        if self._tables:
            run(self.url, self._tables)
        else:
            floors.create_flat(self.url)

    def close(self) -> None:
        """Drop it."""
        self._stack.close()


@contextmanager
def ready(bench: Bench, shape: Shape, rows: int) -> Iterator[Sequence[Contender]]:
    """Everybody loads the same file into a database in which nobody is yet."""
    csv = bench.file(shape, rows)
    tables, flat = Fresh(bench, TABLES), Fresh(bench)
    sites = ExitStack()
    here: list[Site] = []

    def site() -> None:
        sites.close()
        here[:] = [sites.enter_context(bench.site(csv, synced=False))]

    def sync() -> Taken:
        taken = here[0].ours("sync")
        report = taken.answer["report"]
        if report["inserted"] != rows or report["quarantined_rows"] or report["quarantined_cells"]:
            raise FailedError(f"not all of {rows} rows were loaded: {report}")
        return taken

    def peer(name: str, function: str, library: str, most: int) -> Contender:
        def load() -> Taken:
            taken = child.work(f"benchmarks.peers.{function}", tables.url, str(csv))
            return checked(taken, found=floors.people_in(tables.url), wanted=rows)

        return Contender(Role.PEER, name, load, tables.make, most, lacking(library))

    def one_table(name: str, load: Callable[[str, Path], Taken], most: int) -> Contender:
        def once() -> Taken:
            taken = load(flat.url, csv)
            return checked(taken, found=int(str(ask(flat.url, "SELECT count(*) FROM flat"))), wanted=rows)

        return Contender(Role.PEER, name, once, flat.make, most, lacking(name))

    script = bench.folder / "people.load"
    try:
        yield [
            Contender(Role.OURS, "ingest sync", sync, site),
            Contender(Role.FLOOR, r"psql \copy", lambda: floors.copy_in(flat.url, csv), flat.make),
            peer("pandas, COPY", "with_pandas:tuned", "pandas", 100_000),
            peer("pandas to_sql", "with_pandas:to_sql", "pandas", 10_000),
            peer("execute_values", "with_psycopg2:values", "psycopg2", 100_000),
            peer("polars, COPY", "with_polars:split", "polars", 100_000),
            one_table("pgloader", lambda url, path: with_programs.pgloader(url, path, script), 100_000),
            one_table("csvsql", with_programs.csvsql, 10_000),
        ]
    finally:
        for one in (sites, tables, flat):
            one.close()


JOB = Job(
    "sync",
    "a CSV into an empty database, every gate on",
    ready,
    goals=(
        Goal("ratio", 2.0, rows=LARGE),
        Goal("ratio", 3.0, rows=MILLION),
        Goal("times pandas, COPY", 5.0, least=True, rows=LARGE),
        Goal("rss_mb", 100),
    ),
    growth=(Goal("exponent", 1.1),),
    bulk=True,
)

"""Where jobs are measured: a server, databases, sites, and files that are made once."""

import os
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from shutil import copyfile, which
from urllib.parse import urlsplit

import psycopg2

from benchmarks import child
from benchmarks.campaign.record import server, upgrade
from benchmarks.shapes import NONE, Edits, Shape
from ingestion_pipeline.domain.phase import Phase
from ingestion_pipeline.stores.postgres.embedded import programs
from ingestion_pipeline_tests.conftest import Server


@dataclass(frozen=True)
class Site:
    """A folder with a configuration and a CSV, and the URL of its database."""

    folder: Path
    url: str

    @property
    def config(self) -> str:
        """The configuration's path, as work in another process is given it."""
        return str(self.folder / "config" / "config.yaml")

    @property
    def csv(self) -> Path:
        """Its CSV."""
        return self.folder / "outputs" / "output.csv"

    @property
    def env(self) -> Mapping[str, str]:
        """What tells a process which database is meant."""
        return {"DATABASE_URL": self.url}

    def put(self, csv: Path) -> None:
        """Put a file in the CSV's place, as somebody else would."""
        copyfile(csv, self.csv)

    def ours(self, verb: str, *given: object) -> child.Taken:
        """Have the pipeline do something in a process of its own; see `benchmarks.ours`."""
        return child.work(f"benchmarks.ours:{verb}", self.config, *given, env=self.env)


@dataclass
class Bench:
    """A server and a folder for one run.

    Attributes:
        folder: Where files lie.
        server: Where databases are made.
        schema: A database with nothing but the schema, that others are copied from.
    """

    folder: Path
    server: Server
    schema: str
    _files: set[Path] = field(default_factory=set)
    _sites: int = 0

    def file(self, shape: Shape, rows: int, edits: Edits = NONE, name: str = "as drawn") -> Path:
        """A CSV; made when it is first asked for, and told from others by its name."""
        path = self.folder / f"{shape.name} {rows} {name}.csv"
        if path not in self._files:
            shape.write(path, rows, edits)
            self._files.add(path)
        return path

    def forget_files(self) -> None:
        """Make room."""
        for path in self._files:
            path.unlink()
        self._files.clear()

    @contextmanager
    def database(self, template: str = "template0") -> Iterator[str]:
        """The URL of a database of its own."""
        with self.server.new_database(template) as url:
            yield url

    @contextmanager
    def site(self, csv: Path, phase: Phase = Phase.DUAL_WRITE, *, synced: bool = True) -> Iterator[Site]:
        """A site with a copy of a file, brought into a phase."""
        self._sites += 1
        with self.database(self.schema) as url, tempfile.TemporaryDirectory(dir=self.folder) as folder:
            site = Site(Path(folder), url)
            Path(site.config).parent.mkdir()
            site.csv.parent.mkdir()
            begun = min(phase, Phase.DUAL_WRITE, key=list(Phase).index)
            Path(site.config).write_text(
                f"migration:\n  phase: {begun}\ncsv_backup:\n  enabled: false\nexports:\n  compress: true\n"
            )
            copyfile(csv, site.csv)
            site.ours("begin", phase if synced else None)
            yield site

    def calm(self) -> None:
        """Have the server write now what it would write during what is measured next."""
        self.server.run("CHECKPOINT")


@contextmanager
def opened(folder: Path | None = None) -> Iterator[Bench]:
    """A bench on the server that DATABASE_URL names, or else on an embedded one of its own."""
    with (
        tempfile.TemporaryDirectory(dir=folder) as made,
        _server() as found,
        found.new_database() as url,
    ):
        upgrade(url)
        yield Bench(Path(made), found, urlsplit(url).path[1:])


@contextmanager
def _server() -> Iterator[Server]:
    if url := os.environ.get("DATABASE_URL"):
        yield Server(url)
        return
    with server() as embedded:
        yield embedded


def psql(url: str, *statements: str) -> child.Taken:
    """Run statements, meta-commands among them, with psql."""
    found = programs.in_wheel() / "bin" / "psql"
    words = [word for statement in statements for word in ("-c", statement)]
    return child.program(found if found.exists() else which("psql") or "psql", "-qAtX", url, *words)


def ask(url: str, statement: str) -> object:
    """The one value that a statement gives."""
    connection = psycopg2.connect(url)
    try:
        with connection, connection.cursor() as cursor:
            cursor.execute(statement)
            row = cursor.fetchone()
            return row[0] if row else None
    finally:
        connection.close()


def run(url: str, statement: str) -> None:
    """Run a statement that gives nothing."""
    connection = psycopg2.connect(url)
    try:
        with connection, connection.cursor() as cursor:
            cursor.execute(statement)
    finally:
        connection.close()

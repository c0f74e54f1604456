"""A real server for the session, a database of its own for every test."""

import os
import shutil
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit, urlunsplit

import psycopg2
import pytest
from psycopg2 import extensions

from ingestion_pipeline.app import Pipeline, open_pipeline
from ingestion_pipeline.stores.postgres import partitioning, schema
from ingestion_pipeline.stores.postgres.embedded import EmbeddedServer
from ingestion_pipeline.stores.postgres.pool import Pool

SAMPLES = Path(__file__).parent.parent / "sample_data"
NAMED_SERVER = os.environ.get("DATABASE_URL")
PARTS = int(os.environ.get("INGESTION_TEST_PARTITIONS", "0"))
"""In how many parts the tables are in every database that tests begin with; 0 for whole tables."""


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark the tests that would find out about another server's ways."""
    for item in items:
        if "server" in getattr(item, "fixturenames", ()):
            item.add_marker("server")


@dataclass(frozen=True)
class Server:
    """A PostgreSQL server on which tests may make databases."""

    url: str

    def database(self, name: str) -> str:
        return urlunsplit(urlsplit(self.url)._replace(path=f"/{name}"))

    def run(self, statement: str) -> None:
        connection = psycopg2.connect(self.url)
        try:
            connection.set_isolation_level(extensions.ISOLATION_LEVEL_AUTOCOMMIT)
            with connection.cursor() as cursor:
                cursor.execute(statement)
        finally:
            connection.close()

    @contextmanager
    def new_database(self, template: str = "template0") -> Iterator[str]:
        name = f"ingestion_test_{uuid.uuid4().hex}"
        self.run(f"CREATE DATABASE {name} TEMPLATE {template} ENCODING 'UTF8' STRATEGY file_copy")
        try:
            yield self.database(name)
        finally:
            self.run(f"DROP DATABASE {name} WITH (FORCE)")


@pytest.fixture(scope="session")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    if NAMED_SERVER:
        yield Server(NAMED_SERVER)
        return
    # Nothing here outlives the session, so nothing need reach the disk.
    options = {"fsync": "off", "full_page_writes": "off", "synchronous_commit": "off"}
    embedded = EmbeddedServer(tmp_path_factory.mktemp("server"), options)
    with embedded:
        yield Server(embedded.dsn("postgres"))
    embedded.destroy()


@pytest.fixture(scope="session")
def template(server: Server) -> Iterator[str]:
    with server.new_database() as url:
        pool = Pool(url)
        schema.upgrade(pool)
        partitioning.partition(pool, PARTS)
        pool.close()
        yield urlsplit(url).path[1:]


@pytest.fixture(autouse=True)
def _clean_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in [name for name in os.environ if name.startswith(("INGESTION", "DATABASE_URL", "PG"))]:
        monkeypatch.delenv(name)


@pytest.fixture
def empty_database(server: Server) -> Iterator[str]:
    """The URL of a database without any tables."""
    with server.new_database() as url:
        yield url


@pytest.fixture
def database(server: Server, template: str) -> Iterator[str]:
    """The URL of a database with the schema in it."""
    with server.new_database(template) as url:
        yield url


@pytest.fixture
def pool(database: str) -> Iterator[Pool]:
    opened = Pool(database)
    yield opened
    opened.close()


CARRY = "SELECT set_config('ingestion.epoch', epoch::text, true) FROM ingestion.migration_state"


@dataclass(frozen=True)
class Site:
    """A folder with a configuration and a CSV, and a database."""

    folder: Path
    database: str

    @property
    def config(self) -> Path:
        return self.folder / "config" / "config.yaml"

    @property
    def csv(self) -> Path:
        return self.folder / "outputs" / "output.csv"

    def put(self, csv: Path | bytes) -> None:
        """Put a CSV in its place."""
        content = csv.read_bytes() if isinstance(csv, Path) else csv
        self.csv.write_bytes(content)

    def execute(self, statement: str, *values: object) -> list[tuple[object, ...]]:
        """Run a statement behind the pipeline's back, past the fence."""
        connection = psycopg2.connect(self.database)
        try:
            with connection, connection.cursor() as cursor:
                cursor.execute("SELECT to_regclass('ingestion.migration_state') IS NOT NULL")
                if cursor.fetchone() == (True,):
                    cursor.execute(CARRY)
                cursor.execute(statement, values)
                return list(cursor.fetchall()) if cursor.description else []
        finally:
            connection.close()


@pytest.fixture
def site(tmp_path: Path, database: str, monkeypatch: pytest.MonkeyPatch) -> Site:
    """A site in dual_write with the bundled sample, nothing synced yet."""
    made = Site(tmp_path, database)
    made.config.parent.mkdir()
    made.csv.parent.mkdir()
    made.config.write_text("migration:\n  phase: dual_write\n")
    shutil.copyfile(SAMPLES / "output.csv", made.csv)
    monkeypatch.setenv("DATABASE_URL", database)
    monkeypatch.chdir(tmp_path)
    return made


@pytest.fixture
def pipeline(site: Site) -> Iterator[Pipeline]:
    with open_pipeline(site.config) as opened:
        yield opened

"""A primary and its streaming replica, two servers of their own on this machine."""

import os
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import psycopg2
import pytest

from ingestion_pipeline.stores.postgres import schema
from ingestion_pipeline.stores.postgres.embedded import account
from ingestion_pipeline.stores.postgres.pool import Pool
from ingestion_pipeline_tests.conftest import Server, Site
from ingestion_pipeline_tests.strays import Rows, stray
from ingestion_pipeline_tests.test_recovery import SERVERS

PORTS = {"primary": 5432, "replica": 5433}


@dataclass(frozen=True)
class Machine:
    """A server in a folder."""

    programs: Path
    folder: Path
    name: str

    @property
    def url(self) -> str:
        return f"postgresql://postgres@/postgres?host={self.folder}&port={PORTS[self.name]}"

    def run(self, program: str, *words: str) -> None:
        user = account.system_user() if account.is_root() else None
        done = subprocess.run(
            [self.programs / program, *words],
            cwd=self.folder,
            user=user and user.pw_uid,
            group=user and user.pw_gid,
            extra_groups=user and [],
            env={"PATH": os.environ["PATH"], "LC_ALL": "C"},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            text=True,
            timeout=60,
            check=False,
        )
        assert done.returncode == 0, done.stderr

    def start(self) -> None:
        options = f"-c listen_addresses= -c unix_socket_directories={self.folder} -c port={PORTS[self.name]}"
        options += " -c fsync=off -c shared_buffers=32MB -c wal_receiver_status_interval=1"
        log = f"-l{self.folder}/{self.name}.log"
        self.run("pg_ctl", f"-D{self.folder}/{self.name}", log, "-s", "-w", f"-o{options}", "start")

    def stop(self) -> None:
        self.run("pg_ctl", f"-D{self.folder}/{self.name}", "-s", "-w", "-mimmediate", "stop")

    def execute(self, statement: str) -> Rows:
        connection = psycopg2.connect(self.url)
        connection.autocommit = True
        try:
            with connection.cursor() as cursor:
                cursor.execute(statement)
                return list(cursor.fetchall()) if cursor.description else []
        finally:
            connection.close()


@dataclass(frozen=True)
class Pair:
    """A primary and its replica, with a database that has the schema."""

    primary: Machine
    replica: Machine
    database: str
    read_url: str


@pytest.fixture(scope="module")
def pair() -> Iterator[Pair]:
    if not SERVERS:
        pytest.skip("no programs of a PostgreSQL server are installed")
    # A short path, for a socket's address has little room.
    folder = Path(tempfile.mkdtemp(prefix="pair"))
    if account.is_root():
        os.chown(folder, account.system_user().pw_uid, account.system_user().pw_gid)
    primary, replica = (Machine(SERVERS[0], folder, name) for name in PORTS)
    words = ("-Upostgres", "-Atrust", "-EUTF8", "--locale=C", "--no-sync")
    try:
        primary.run("initdb", f"-D{folder}/primary", *words)
        primary.start()
        where = (f"-h{folder}", f"-p{PORTS['primary']}", "-Upostgres")
        primary.run("pg_basebackup", *where, f"-D{folder}/replica", "-R", "-Xstream", "-cfast", "--no-sync")
        replica.start()
        with Server(primary.url).new_database() as url:
            pool = Pool(url)
            schema.upgrade(pool)
            pool.close()
            yield Pair(
                primary, replica, url, url.replace(f"port={PORTS['primary']}", f"port={PORTS['replica']}")
            )
            replica.stop()
        primary.stop()
    finally:
        shutil.rmtree(folder)


@pytest.fixture
def database(pair: Pair) -> str:
    """The primary's database, emptied."""
    stray(
        pair.database,
        "DELETE FROM ingestion.migration_state; DELETE FROM people; DELETE FROM ingestion.quarantine;"
        "DELETE FROM ingestion.history; DELETE FROM ingestion.pending; DELETE FROM ingestion.csv_file;"
        "DELETE FROM ingestion.proof",
    )
    return pair.database


@pytest.fixture
def replicated(site: Site, pair: Pair) -> Site:
    """The site, with the replica to read."""
    write_config(site, pair.read_url)
    return site


def write_config(site: Site, url: str, seconds: float = 5.0) -> None:
    site.config.write_text(
        "migration:\n  phase: dual_write\n"
        f"database:\n  replica_url: {url}\n  replica_wait_seconds: {seconds}\n"
    )

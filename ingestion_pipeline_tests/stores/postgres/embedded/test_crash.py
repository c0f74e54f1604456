"""What a crash leaves behind, and how the next user gets over it."""

import os
import signal
import subprocess
import time
from contextlib import ExitStack, closing
from pathlib import Path

import psycopg2
import pytest

from ingestion_pipeline.domain.errors import UnavailableError
from ingestion_pipeline.stores.postgres.embedded import EmbeddedServer, cluster
from ingestion_pipeline_tests.stores.postgres.embedded.helpers import (
    ROOT,
    User,
    ask,
    kill_server,
    pid_file,
    postmaster_pid,
    refused,
    socket_dir,
    wait_until,
)


def test_a_server_whose_children_outlive_it_is_started_again(server: EmbeddedServer) -> None:
    with server, closing(psycopg2.connect(server.dsn("postgres"))):
        ask(server.dsn("postgres"), "CREATE TABLE survivor (n int)")
        os.kill(postmaster_pid(server), signal.SIGKILL)
        wait_until(lambda: not server.status().running)
        with server:
            assert ask(server.dsn("postgres"), "SELECT count(*) FROM survivor") == 0


def test_a_pid_that_went_to_another_program_is_no_server(server: EmbeddedServer) -> None:
    with ExitStack() as stack, server:
        place = socket_dir(server)
        kill_server(server)
        # As root, a process the server's user may signal: that is the case the server cannot tell apart.
        owner = server.folder.stat()
        stranger = stack.enter_context(
            subprocess.Popen(["/bin/sleep", "60"], user=owner.st_uid if ROOT else None)
        )
        stack.callback(stranger.kill)
        for file in (pid_file(server), place / ".s.PGSQL.5432.lock"):
            lines = file.read_text().splitlines()
            file.write_text("\n".join([str(stranger.pid), *lines[1:], ""]))
        assert not server.status().running
        with server:
            assert ask(server.dsn("postgres"), "SELECT 1") == 1


def test_a_server_that_cannot_be_seen_is_not_joined_by_a_second(
    server: EmbeddedServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    with server:
        dsn, before = server.dsn("postgres"), pid_file(server).read_text()
        with monkeypatch.context() as patch:
            patch.setattr(cluster, "_command", lambda _pid: "")
            patch.setattr(cluster, "_LAST_PROCESS_SECONDS", 0.1)
            with refused(UnavailableError, "embedded_busy"):
                server.acquire()
        assert ask(dsn, "SELECT 1") == 1
        assert pid_file(server).read_text() == before


def test_a_killed_start_and_an_interrupted_initdb_are_got_over(fresh: EmbeddedServer, tmp_path: Path) -> None:
    for wait in (0.15, 0.4):
        user = User(tmp_path / "state")
        user.say("acquire")
        time.sleep(wait)
        user.kill()
        user.process.communicate()
    with fresh:
        assert fresh.status().users == 1
    half = fresh.folder / "data.new-0123abcd"
    half.mkdir()
    with fresh:
        assert ask(fresh.dsn("postgres"), "SELECT 1") == 1
    assert not half.exists()


def test_a_swept_socket_is_made_anew(server: EmbeddedServer) -> None:
    with server:
        (socket_dir(server) / ".s.PGSQL.5432").unlink()
        with server:
            assert ask(server.dsn("postgres"), "SELECT 1") == 1

"""Who is told when a real site goes wrong: PostgreSQL stopped, a difference planted, queries slowed."""

import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path

import psycopg2
import pytest
from dagster import DagsterInstance

from ingestion_pipeline.app import open_pipeline
from ingestion_pipeline.defs.build import build_definitions
from ingestion_pipeline.settings import load_settings
from ingestion_pipeline.stores.postgres.embedded import EmbeddedServer
from ingestion_pipeline_tests.cli.conftest import MAIN
from ingestion_pipeline_tests.conftest import SAMPLES, Site
from ingestion_pipeline_tests.defs.conftest import Dagster
from ingestion_pipeline_tests.defs.looking import COMPARE, Sensor
from ingestion_pipeline_tests.receiving import Web, web
from ingestion_pipeline_tests.strays import stray

RENAME = "UPDATE people SET name = %s WHERE row_id = '500'"


@pytest.fixture
def own(tmp_path: Path) -> Iterator[EmbeddedServer]:
    """A server that the test may stop and start."""
    server = EmbeddedServer(tmp_path / "server", {"fsync": "off"})
    server.acquire()
    yield server
    server.stop(force=True)
    server.destroy()


@pytest.fixture
def hook() -> Iterator[Web]:
    with web() as opened:
        yield opened


@pytest.fixture
def place(tmp_path: Path, own: EmbeddedServer, hook: Web, monkeypatch: pytest.MonkeyPatch) -> Site:
    """A site in dual_write on that server, with a webhook, both sides equal."""
    made = Site(tmp_path / "site", own.dsn("postgres"))
    made.config.parent.mkdir(parents=True)
    made.csv.parent.mkdir()
    made.config.write_text(f"migration: {{phase: dual_write}}\nalerts: {{webhook_url: '{hook.url}'}}\n")
    made.put(SAMPLES / "output_basic.csv")
    monkeypatch.setenv("DATABASE_URL", made.database)
    with open_pipeline(made.config) as pipeline:
        pipeline.sync()
        assert pipeline.compare().equal
    return made


@pytest.fixture
def dagster(place: Site) -> Iterator[Dagster]:
    with DagsterInstance.ephemeral() as instance:
        yield Dagster(build_definitions(load_settings(place.config)), instance)


def test_each_of_it_is_told_once_and_once_that_it_is_well(
    dagster: Dagster, place: Site, own: EmbeddedServer, hook: Web
) -> None:
    alerts, quiet = Sensor(dagster, "alerts"), Sensor(dagster, "compare_when_quiet")

    def looks() -> list[tuple[str, str]]:
        """As many looks of both as the daemon makes in two minutes, with the runs that they ask for."""
        for _ in range(4):
            if quiet.look() == COMPARE:
                dagster.run("compare")
            alerts.look()
        return hook.take()

    assert looks() == []

    own.stop(force=True)
    assert looks() == [("raised", "health:postgres")]
    own.acquire()
    assert looks() == [("recovered", "health:postgres")]

    [(name,)] = stray(place.database, "SELECT name FROM people WHERE row_id = '500'")
    stray(place.database, RENAME, "Canary Canarius", epoch=1)
    assert looks() == [("raised", "health:consistency")]

    # While nobody can tell, it is not well.
    own.stop(force=True)
    assert looks() == [("raised", "health:postgres")]
    own.acquire()
    assert looks() == [("recovered", "health:postgres")]

    stray(place.database, RENAME, name, epoch=1)
    assert looks() == [("recovered", "health:consistency")]
    assert len(quiet.keys) == len(set(quiet.keys)) == 2


def write(place: Site, wait: float = 0.0) -> None:
    """Write some people, each kept waiting in PostgreSQL."""
    with open_pipeline(place.config) as pipeline:
        for number in range(6):
            with closing(psycopg2.connect(place.database)) as other, other.cursor() as cursor:
                if wait:
                    cursor.execute("LOCK TABLE people IN ACCESS EXCLUSIVE MODE")
                    threading.Timer(wait, other.rollback).start()
                pipeline.write("500", {"name": f"Ada {number}"})


def age(place: Site, copies: int = 1) -> None:
    """Make the looks so far, and so many of each, ones of some minutes ago."""
    [kept] = place.folder.rglob("looks.jsonl")
    old = [json.loads(line) for line in kept.read_text().splitlines()]
    past = datetime.now(UTC) - timedelta(minutes=10)
    lines = [json.dumps(one | {"at": past.isoformat()}) for one in old for _ in range(copies)]
    kept.write_text("\n".join(lines) + "\n")


def test_what_takes_longer_than_it_used_to_is_told(dagster: Dagster, place: Site, hook: Web) -> None:
    alerts = Sensor(dagster, "alerts")
    write(place)
    alerts.look()
    age(place, copies=6)
    alerts.look()
    assert hook.take() == []

    write(place, wait=0.5)
    alerts.looks(3)

    [got] = hook.got
    assert (got["event"], got["key"], got["level"]) == ("raised", "health:slower", "warning")
    assert "usual is" in got["message"]
    assert "Ada" not in str(got)
    hook.got.clear()

    # Looks that are near each other share a line: this one is noted, with what was slow.
    age(place)
    alerts.look()
    age(place)
    write(place)
    alerts.looks(3)
    assert hook.take() == [("recovered", "health:slower")]


RAISED, RECOVERED = ("raised", "health:postgres"), ("recovered", "health:postgres")


@contextmanager
def watch(place: Site) -> Iterator["subprocess.Popen[str]"]:
    """`ingest alerts watch` as a program, once it has said that it looks or does not."""
    program = subprocess.Popen(
        [
            sys.executable,
            "-c",
            MAIN,
            "alerts",
            "watch",
            "--every",
            "1",
            "--config",
            str(place.config),
            "--json",
        ],
        stdout=subprocess.PIPE,
        text=True,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
    )
    try:
        yield program
    finally:
        program.kill()
        program.communicate()


def said(program: "subprocess.Popen[str]") -> dict[str, object]:
    assert program.stdout is not None
    line: dict[str, object] = json.loads(program.stdout.readline())
    return line


def await_told(hook: Web, what: tuple[str, str], seconds: float = 15.0) -> None:
    deadline = time.monotonic() + seconds
    while what not in hook.told:
        assert time.monotonic() < deadline, hook.told
        time.sleep(0.05)


def test_postgres_away_is_told_without_dagster_once_and_once_that_it_is_back(
    dagster: Dagster, place: Site, own: EmbeddedServer, hook: Web
) -> None:
    alerts = Sensor(dagster, "alerts")
    with watch(place) as program:
        assert said(program) == {"watching": True, "every": 1.0}
        own.stop(force=True)
        await_told(hook, RAISED)
        # The sensor knows what the command has told, and the command what the sensor has.
        alerts.looks(2)
        time.sleep(2.5)
        assert hook.take() == [RAISED]

        own.acquire()
        await_told(hook, RECOVERED)
        alerts.looks(2)
        program.send_signal(signal.SIGTERM)
        assert program.wait(10) == 0

    assert hook.take() == [RECOVERED]
    [kept] = place.folder.rglob("alerts.json")
    assert kept.stat().st_mode & 0o777 == 0o600


def test_a_server_that_takes_no_new_connections_is_away(place: Site, own: EmbeddedServer, hook: Web) -> None:
    place.config.write_text(f"{place.config.read_text()}database: {{connect_timeout: 1}}\n")
    pid = int(next(own.folder.rglob("postmaster.pid")).read_text().splitlines()[0])
    with watch(place) as program:
        said(program)
        time.sleep(1.5)
        os.kill(pid, signal.SIGSTOP)
        try:
            await_told(hook, RAISED)
        finally:
            os.kill(pid, signal.SIGCONT)
        await_told(hook, RECOVERED)
        program.send_signal(signal.SIGINT)
        assert program.wait(10) == 0

    assert hook.take() == [RAISED, RECOVERED]


def test_one_watches_a_site_at_a_time(place: Site) -> None:
    with watch(place) as first:
        assert said(first)["watching"] is True
        with watch(place) as second:
            assert said(second)["watching"] is False
            assert second.wait(10) == 0
        first.kill()
        first.wait()
        with watch(place) as third:
            assert said(third)["watching"] is True

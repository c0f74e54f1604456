"""Who is told when a real site goes wrong: PostgreSQL stopped, a difference planted, queries slowed."""

import json
import threading
from collections.abc import Iterator
from contextlib import closing
from datetime import UTC, datetime, timedelta
from pathlib import Path

import psycopg2
import pytest
from dagster import DagsterInstance

from ingestion_pipeline.app import open_pipeline
from ingestion_pipeline.defs.build import build_definitions
from ingestion_pipeline.settings import load_settings
from ingestion_pipeline.stores.postgres.embedded import EmbeddedServer
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

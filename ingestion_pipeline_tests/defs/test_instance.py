"""Dagster's own storage: on the embedded server by default, on the named one otherwise; runs are kept."""

import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import psycopg2
import pytest

from ingestion_pipeline.app import open_pipeline
from ingestion_pipeline.domain.errors import ProtectedError
from ingestion_pipeline.domain.phase import Phase
from ingestion_pipeline.stores.alert_memory import AlertMemory
from ingestion_pipeline.stores.postgres.embedded import EmbeddedServer
from ingestion_pipeline_tests.proxy import eventually

PROJECT = Path(__file__).parent.parent.parent
CLONE = ("config", "dagster.yaml", "workspace.yaml", "sample_data")


@pytest.fixture
def clone(tmp_path: Path) -> Iterator[Path]:
    """What a clone holds besides code, with nothing run in it yet."""
    for name in CLONE:
        source = PROJECT / name
        if source.is_dir():
            shutil.copytree(source, tmp_path / name)
        else:
            shutil.copyfile(source, tmp_path / name)
    yield tmp_path
    # Whoever was not told that its parent has ended finds out after a moment.
    eventually(lambda: is_destroyed(tmp_path), seconds=30)


def is_destroyed(clone: Path) -> bool:
    try:
        EmbeddedServer(clone / ".ingestion").destroy()
    except ProtectedError:
        return False
    return True


def run(clone: Path, *command: str, **environment: str) -> str:
    done = subprocess.run(
        [sys.executable, *command],
        cwd=clone,
        env={**os.environ, **environment},
        capture_output=True,
        text=True,
        check=False,
        timeout=100,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


RUNS = """
from dagster import DagsterInstance
with DagsterInstance.from_config(".") as instance:
    print([run.status.value for run in instance.get_runs()], instance.nux_enabled)
"""


def test_demo_on_the_embedded_server(clone: Path) -> None:
    shown = run(clone, "-m", "ingestion_pipeline.defs.demo")

    for line in ("rows read      510", "people         509", "differences    0", "bytes equal    yes"):
        assert line in shown
    [version] = (clone / "exports").glob("csv-versions/*/*/*.csv")
    assert version.read_bytes() == (PROJECT / "sample_data" / "output.csv").read_bytes()
    assert (clone / "outputs" / "output.csv").stat().st_mode & 0o777 == 0o600
    assert run(clone, "-c", RUNS).strip() == "['SUCCESS'] False"


def test_demo_on_a_named_server(clone: Path, empty_database: str) -> None:
    run(clone, "-m", "ingestion_pipeline.defs.demo", DATABASE_URL=empty_database)

    with psycopg2.connect(empty_database) as connection, connection.cursor() as cursor:
        cursor.execute("SELECT count(*) FROM dagster.runs")
        runs = cursor.fetchone()
        cursor.execute("SELECT count(*) FROM people")
        people = cursor.fetchone()
    connection.close()
    assert (runs, people) == ((1,), (509,))
    assert not (clone / ".ingestion" / "postgres").exists()


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


@contextmanager
def dagster_dev(clone: Path, log: Path) -> Iterator[str]:
    """Bare `dagster dev`, with no environment set, until its page answers."""
    port = free_port()
    with log.open("wb") as output:
        process = subprocess.Popen(
            [str(Path(sys.executable).with_name("dagster")), "dev", "--port", str(port)],
            cwd=clone,
            stdout=output,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
    try:
        url = f"http://127.0.0.1:{port}"
        wait_for(url, process, log)
        yield url
    finally:
        os.killpg(process.pid, signal.SIGINT)
        process.wait(30)


@contextmanager
def make_dev(clone: Path, log: Path) -> Iterator["subprocess.Popen[bytes]"]:
    """What `make dev` runs, once its page answers."""
    port = free_port()
    with log.open("wb") as output:
        process = subprocess.Popen(
            [sys.executable, "-m", "ingestion_pipeline.defs.dev", "--port", str(port)],
            cwd=clone,
            stdout=output,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
    try:
        wait_for(f"http://127.0.0.1:{port}", process, log)
        yield process
    finally:
        with suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)


def is_watched(memory: AlertMemory) -> bool:
    with memory.watching() as is_alone:
        return not is_alone


@pytest.mark.timeout(300)
def test_make_dev_watches_too_until_it_ends(clone: Path) -> None:
    memory = AlertMemory(clone / ".ingestion")
    with make_dev(clone, clone / "dev.log") as process:
        wait_until(memory.path.exists, clone / "dev.log")
        assert is_watched(memory)

        os.killpg(process.pid, signal.SIGINT)
        process.wait(40)

        assert not is_watched(memory)


@pytest.mark.timeout(300)
def test_make_dev_goes_on_where_its_watch_has_ended(clone: Path) -> None:
    memory = AlertMemory(clone / ".ingestion")
    with memory.watching(), make_dev(clone, clone / "dev.log") as process:
        assert "Somebody watches this site already" in (clone / "dev.log").read_text()

        # As a supervisor ends it: the others are not told.
        process.terminate()
        process.wait(40)


def wait_for(url: str, process: "subprocess.Popen[bytes]", log: Path) -> None:
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline and process.poll() is None:
        try:
            urllib.request.urlopen(f"{url}/server_info", timeout=5).close()  # noqa: S310 - our own server
        except OSError:
            time.sleep(0.2)
        else:
            return
    pytest.fail(log.read_text())


def ask(url: str, query: str) -> dict[str, object]:
    request = urllib.request.Request(  # noqa: S310 - our own server
        f"{url}/graphql", json.dumps({"query": query}).encode(), {"Content-Type": "application/json"}
    )
    with urllib.request.urlopen(request, timeout=20) as response:  # noqa: S310 - our own server
        answer: dict[str, object] = json.load(response)["data"]
        return answer


def test_bare_dagster_dev_comes_up_and_keeps_its_runs(clone: Path) -> None:
    run(clone, "-m", "ingestion_pipeline.defs.demo")
    query = """{ runsOrError { ... on Runs { results { jobName } } }
                 repositoriesOrError { ... on RepositoryConnection { nodes { location { name } } } } }"""

    with dagster_dev(clone, clone / "dev.log") as url:
        answer = ask(url, query)

    assert {"jobName": "migrate"} in answer["runsOrError"]["results"]  # type: ignore[index]
    assert answer["repositoriesOrError"] == {"nodes": [{"location": {"name": "ingestion_pipeline"}}]}
    assert not list(clone.glob(".tmp_dagster_home_*"))


SHOWN = """
from dagster import AssetKey, DagsterInstance, RunsFilter
with DagsterInstance.from_config(".") as instance:
    event = instance.get_latest_materialization_event(AssetKey("migration_phase"))
    runs = instance.get_runs(RunsFilter(job_name="change_phase"))
    shown = event.asset_materialization.metadata if event else {}
    print(shown["phase"].value if event else None, [run.status.value for run in runs if not run.is_finished])
"""
WITHIN = 60
"""Seconds from an edit of the configuration to the phase being in force."""


def edit(clone: Path, phase: Phase) -> None:
    """Have the configuration ask for a phase, as with an editor."""
    config = clone / "config" / "config.yaml"
    lines = config.read_text().splitlines()
    place = lines.index("migration:") + 1
    lines[place] = f"  phase: {phase}"
    config.write_text("\n".join(lines))


def wait_until(happened: Callable[[], bool], log: Path) -> None:
    deadline = time.monotonic() + WITHIN
    while not happened():
        if time.monotonic() > deadline:
            pytest.fail(log.read_text())
        time.sleep(0.5)


@pytest.mark.timeout(300)
def test_an_edit_of_the_configuration_changes_the_phase_there_and_back(clone: Path) -> None:
    run(clone, "-m", "ingestion_pipeline.defs.demo")
    log = clone / "dev.log"

    def in_force(phase: Phase) -> bool:
        with open_pipeline(clone / "config" / "config.yaml") as pipeline:
            state = pipeline.csv.state()
        return state is not None and not state.changing and state.phase is phase

    with dagster_dev(clone, log):
        for phase in (Phase.DATABASE_PRIMARY, Phase.ORIGINAL):
            edit(clone, phase)
            wait_until(lambda phase=phase: in_force(phase), log)  # type: ignore[misc]
            wait_until(lambda phase=phase: run(clone, "-c", SHOWN).strip() == f"{phase} []", log)  # type: ignore[misc]

    with open_pipeline(clone / "config" / "config.yaml") as pipeline:
        history = [(change.after, change.by_hand) for change in pipeline.phase.history()]
    assert history == [
        (Phase.DATABASE_PRIMARY, False),
        (Phase.DUAL_WRITE, False),
        (Phase.ORIGINAL, False),
    ]
    assert (clone / "outputs" / "output.csv").read_bytes() == (
        PROJECT / "sample_data" / "output.csv"
    ).read_bytes()

"""`ingest health` and `ingest metrics`: for people, for programs, for Prometheus and for Grafana."""

import json
import os
import re
import signal
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from prometheus_client.parser import text_string_to_metric_families

from ingestion_pipeline.app import open_pipeline
from ingestion_pipeline.domain.findings import NAMES
from ingestion_pipeline.domain.phase import Phase
from ingestion_pipeline_tests.cli.conftest import MAIN, Call
from ingestion_pipeline_tests.conftest import Site
from ingestion_pipeline_tests.files import people, spelled
from ingestion_pipeline_tests.phases import lead

DASHBOARD = Path(__file__).parents[2] / "deploy" / "grafana" / "ingestion_pipeline.json"
FOUR = spelled(people("4321"))
WITHOUT_ONE = {"ingestion_replica_lag_seconds", "ingestion_replica_lag_bytes"}
"""What is told only where there is a replica."""

Samples = list[tuple[str, dict[str, str], float]]


@pytest.fixture
def live(site: Site, call: Call) -> Site:
    """A site on which everything has been done once."""
    site.put(FOUR)
    for verb in ("sync", "compare", "export", "backup"):
        assert call(verb).code == 0
    assert call("write", "1", "link=canary").code == 0
    assert call("write", "none", "link=x").code == 3
    return site


def parsed(text: str) -> Samples:
    return [
        (one.name, dict(one.labels), one.value)
        for family in text_string_to_metric_families(text)
        for one in family.samples
    ]


def test_a_healthy_site(live: Site, call: Call) -> None:
    in_text, in_json = call("health"), call("health", "--json")
    with_signals = call("health", "--signals")

    assert (in_text.code, in_json.code, with_signals.code) == (0, 0, 0)
    assert "Healthy" in in_text.out
    assert all(name in in_text.out for name in NAMES)
    assert "csv_bytes" not in in_text.out
    assert "csv_bytes" in with_signals.out
    assert (in_json.json["ok"], [one["name"] for one in in_json.json["findings"]]) == (True, list(NAMES))
    named = {one["name"]: one for one in in_json.json["signals"]}
    assert named["csv_bytes"]["value"] == live.csv.stat().st_size
    assert named["epoch"]["labels"] == {"phase": "dual_write"}
    assert "canary" not in in_text.said + in_json.said + with_signals.said


def test_an_unhealthy_site(live: Site, call: Call) -> None:
    live.config.write_text("migration:\n  phase: dual_write\nhealth:\n  disk_free_percent: 100\n")

    in_text, in_json = call("health"), call("health", "--json")

    assert (in_text.code, in_json.code) == (1, 1)
    assert "Not healthy" in in_text.out
    assert "Make room" in " ".join(in_text.out.split())
    [disk] = [one for one in in_json.json["findings"] if not one["ok"]]
    assert (disk["name"], disk["limit"]) == ("disk", 100)


@pytest.mark.usefixtures("live")
def test_with_postgres_away_it_is_told_not_failed(call: Call, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DATABASE_URL", "postgresql://somebody@127.0.0.1:1/people")

    assert call("health").code == 1
    metrics = call("metrics")

    assert metrics.code == 0
    assert ("ingestion_postgres_up", {}, 0.0) in parsed(metrics.out)


def test_metrics_are_prometheus_text(live: Site, call: Call) -> None:
    answer, in_json = call("metrics"), call("metrics", "--json")

    assert (answer.code, in_json.code) == (0, 0)
    samples = parsed(answer.out)
    assert ("ingestion_healthy", {}, 1.0) in samples
    assert ("ingestion_csv_bytes", {}, float(live.csv.stat().st_size)) in samples
    written = {"kind": "operation", "operation": "write"}
    assert ("ingestion_timing_seconds_count", written | {"outcome": "ok"}, 1.0) in samples
    assert ("ingestion_timing_seconds_bucket", written | {"outcome": "ok", "le": "+Inf"}, 1.0) in samples
    assert ("ingestion_timing_seconds_count", written | {"outcome": "unknown_row_id"}, 1.0) in samples
    assert {one["name"] for one in in_json.json["samples"]} == {name for name, *_ in samples}
    assert "canary" not in answer.said


def test_counters_rise_over_programs_that_end(live: Site, call: Call, program: Call) -> None:
    assert program("write", "1", "link=y").code == 0

    written = {"kind": "operation", "operation": "write", "outcome": "ok"}
    assert ("ingestion_timing_seconds_count", written, 2.0) in parsed(call("metrics").out)
    left = {path.name for path in (live.folder / ".ingestion" / "timings").iterdir()}
    assert left == {"ended.json", "last.json", "lock", "looks.jsonl"}


def test_textfile(live: Site, call: Call) -> None:
    target = live.folder / "node" / "ingestion.prom"
    target.parent.mkdir()

    assert call("metrics", "--textfile", str(target)).code == 0
    assert oct(target.stat().st_mode & 0o777) == "0o600"
    target.chmod(0o644)
    answer = call("metrics", "--textfile", str(target), "--json")

    assert (answer.code, answer.json) == (0, {"path": str(target), "size": target.stat().st_size})
    assert oct(target.stat().st_mode & 0o777) == "0o644"
    assert ("ingestion_healthy", {}, 1.0) in parsed(target.read_text())
    assert [path.name for path in target.parent.iterdir()] == ["ingestion.prom"]
    assert call("metrics", "--textfile", str(live.csv)).code == 5
    assert call("metrics", "--textfile", str(target), "--serve").code == 2


@contextmanager
def serving(*arguments: str) -> Iterator[tuple["subprocess.Popen[str]", str]]:
    """`ingest metrics --serve` as a program, and its address."""
    program = subprocess.Popen(
        [sys.executable, "-u", "-c", MAIN, "metrics", "--serve", "--port", "0", *arguments],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
    )
    try:
        assert program.stdout is not None
        yield program, program.stdout.readline()
    finally:
        program.kill()
        program.communicate()


def scraped(address: str) -> Samples:
    with urllib.request.urlopen(address, timeout=10) as answer:  # noqa: S310
        assert answer.headers["Content-Type"].startswith("text/plain")
        return parsed(answer.read().decode())


def test_serving_until_interrupted(live: Site, call: Call) -> None:
    with serving("--json") as (program, said):
        address = json.loads(said)["url"]
        began = time.monotonic()
        first = scraped(address)
        looking = time.monotonic() - began
        assert call("write", "1", "link=z").code == 0
        began = time.monotonic()
        again = scraped(address)
        remembering = time.monotonic() - began
        program.send_signal(signal.SIGINT)
        rest, _ = program.communicate(timeout=10)

    assert ("ingestion_healthy", {}, 1.0) in first
    # Within five seconds it is the same look.
    assert again == first
    assert remembering < looking + 0.1
    assert (program.returncode, rest) == (0, "")
    assert live.csv.exists()


def test_nobody_on_another_machine_is_answered(live: Site) -> None:
    with serving() as (program, said):
        found = re.fullmatch(r"Serving http://127\.0\.0\.1:(\d+)/metrics\n", said)
        assert found is not None
        port = int(found[1])
        listening = Path("/proc/net/tcp").read_text().split()
        assert f"0100007F:{port:04X}" in listening
        assert f"00000000:{port:04X}" not in listening
        program.send_signal(signal.SIGTERM)
        assert program.wait(timeout=10) == 0
    assert live.csv.exists()


def test_a_port_that_somebody_has(live: Site, call: Call) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        answer = call("metrics", "--serve", "--port", str(taken.getsockname()[1]), "--json")

    assert (answer.code, answer.json["error"]["code"]) == (4, "port_unavailable")
    assert live.csv.exists()


_NAME = re.compile(r"\bingestion_\w+")
_SELECTED = re.compile(r"\b(ingestion_\w+)\{([^}]*)\}")
_LABEL = re.compile(r"(\w+)\s*(?:=~|!=|!~|=)")
_BY = re.compile(r"\bby \(([^)]*)\)")
_ADDED_BY_PROMETHEUS = {"instance", "job"}


def expressions() -> list[str]:
    """Every query of the dashboard."""
    dashboard = json.loads(DASHBOARD.read_text())
    panels = [one for one in dashboard["panels"] if one["type"] != "row"]
    return [target["expr"] for panel in panels for target in panel["targets"]]


def test_grafana_asks_for_what_there_is(live: Site, call: Call) -> None:
    with open_pipeline(live.config) as pipeline:
        lead(pipeline, Phase.DATABASE_PRIMARY)
    samples = parsed(call("metrics").out)
    labels: dict[str, set[str]] = {}
    for name, about, _ in samples:
        labels.setdefault(name, set()).update(about)

    assert len(expressions()) > 30
    for expression in expressions():
        names = set(_NAME.findall(expression))
        assert names, expression
        assert names - WITHOUT_ONE <= set(labels), expression
        known = set[str]().union(*(labels.get(name, {"replica"}) for name in names))
        for name, selected in _SELECTED.findall(expression):
            used = set(_LABEL.findall(re.sub(r'"[^"]*"', '""', selected)))
            assert used - _ADDED_BY_PROMETHEUS <= labels.get(name, set()), expression
        grouped = {one.strip() for by in _BY.findall(expression) for one in by.split(",")}
        assert grouped <= known, expression


def test_what_grafana_selects_is_there(live: Site, call: Call) -> None:
    samples = parsed(call("metrics").out)
    for expression in expressions():
        for name, selected in _SELECTED.findall(expression):
            wanted = set(re.findall(r'(\w+)="([^"]*)"', selected))
            if wanted and name not in WITHOUT_ONE:
                assert any(found == name and wanted <= set(about.items()) for found, about, _ in samples), (
                    expression
                )
    assert live.csv.exists()


def test_the_dashboard_is_one() -> None:
    dashboard = json.loads(DASHBOARD.read_text())
    rows = [one["title"] for one in dashboard["panels"] if one["type"] == "row"]
    ids = [one["id"] for one in dashboard["panels"]]

    assert rows == ["Health", "Latencies", "Pending and differences", "Storage", "Process"]
    assert len(ids) == len(set(ids))
    for panel in dashboard["panels"]:
        place = panel["gridPos"]
        assert place["x"] + place["w"] <= 24
        assert panel["type"] == "row" or panel["datasource"]["uid"] == "${datasource}"

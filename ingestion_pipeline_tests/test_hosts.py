"""Two hosts, one PostgreSQL, and a CSV that only one of them has: who may do what in each phase."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from ingestion_pipeline.app import Pipeline, open_pipeline
from ingestion_pipeline.doctor import examine
from ingestion_pipeline.domain.errors import (
    Exit,
    PipelineError,
    ProtectedError,
    SettingsError,
    UnavailableError,
)
from ingestion_pipeline.domain.phase import Phase, Side
from ingestion_pipeline.domain.receipt import Standing
from ingestion_pipeline_tests.cli.conftest import Call, call
from ingestion_pipeline_tests.conftest import Site
from ingestion_pipeline_tests.in_phases import opened, phase
from ingestion_pipeline_tests.phases import lead

__all__ = ["call", "opened", "phase"]

NAMED = "migration:\n  phase: {}\npaths:\n  csv_host: keeper\n  output_csv: {}\n"


@pytest.fixture
def elsewhere(
    opened: Pipeline, phase: Phase, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Pipeline]:
    """The same site from a host that has not the CSV, though something lies at its path there."""
    assert opened.settings.has_csv
    with other_host(tmp_path, phase, monkeypatch) as pipeline:
        yield pipeline


@contextmanager
def other_host(tmp_path: Path, phase: Phase, monkeypatch: pytest.MonkeyPatch) -> Iterator[Pipeline]:
    folder = tmp_path / "other"
    (folder / "config").mkdir(parents=True)
    (folder / "config" / "config.yaml").write_text(NAMED.format(phase, folder / "output.csv"))
    (folder / "output.csv").write_text("an old copy")
    monkeypatch.setenv("INGESTION_HOST", "other")
    with open_pipeline(folder / "config" / "config.yaml") as pipeline:
        yield pipeline
    # Nothing was made beside what lies there, and it is as it was.
    assert (folder / "output.csv").read_text() == "an old copy"
    assert not (folder / ".output.csv.ingestion").exists()


@contextmanager
def refused() -> Iterator[None]:
    with pytest.raises(ProtectedError) as found:
        yield
    assert (found.value.code, found.value.exit) == ("csv_elsewhere", Exit.PROTECTED)
    assert "keeper" in found.value.message
    assert "keeper" in found.value.hint


def test_who_writes_and_reads(opened: Pipeline, elsewhere: Pipeline, phase: Phase) -> None:
    if phase.authority is Side.CSV:
        before = opened.csv.path.read_bytes()
        for work in (
            lambda: elsewhere.write("1", {"name": "From there"}),
            lambda: elsewhere.delete(["1"]),
            lambda: elsewhere.read("1"),
            lambda: list(elsewhere.rows()),
            elsewhere.columns,
        ):
            with refused():
                work()
        assert opened.csv.path.read_bytes() == before
        return

    receipt = elsewhere.write("1", {"name": "From there"})

    follower = Standing.PENDING if phase is Phase.DATABASE_PRIMARY else Standing.NONE
    assert (receipt.durable_in, receipt.follower) == (Side.POSTGRES, follower)
    for one in (elsewhere, opened):
        assert (one.read("1") or {})["name"] == "From there"
    assert elsewhere.delete(["2"]).deleted == ("2",)
    assert [row["row_id"] for row in elsewhere.rows()] == ["4", "3", "1"]
    if phase is Phase.DATABASE_PRIMARY:
        # What is pending waits for the host that has the CSV.
        assert elsewhere.status().pending.rows == 2
        opened.settle()
        assert b"From there" in opened.csv.path.read_bytes()
        assert elsewhere.status().pending.rows == 0


VERBS: dict[str, Callable[[Pipeline], object]] = {
    "sync": lambda one: one.sync(),
    "compare": lambda one: one.compare(),
    "settle": lambda one: one.settle(),
    "inspect": lambda one: one.inspect(),
    "begin": lambda one: one.begin(),
    "add_columns": lambda one: one.add_columns(["s3_paths"]),
    "plan": lambda one: one.phase.plan(),
    "advance": lambda one: one.phase.advance(),
    "rollback": lambda one: one.phase.rollback(),
    "phase history": lambda one: one.phase.history(),
}


def test_what_takes_the_file_is_refused(elsewhere: Pipeline) -> None:
    for verb in VERBS.values():
        with refused():
            verb(elsewhere)


def test_an_export_needs_no_file_where_postgres_leads(
    opened: Pipeline, elsewhere: Pipeline, phase: Phase
) -> None:
    if phase.authority is Side.CSV:
        with refused():
            elsewhere.export()
    else:
        assert elsewhere.export().manifest.content.sha256 == opened.export().manifest.content.sha256


def test_the_csv_does_not_stand_in_elsewhere(
    opened: Pipeline, elsewhere: Pipeline, phase: Phase, monkeypatch: pytest.MonkeyPatch
) -> None:
    if phase is not Phase.DATABASE_PRIMARY:
        return
    assert elsewhere.in_force().phase is opened.in_force().phase

    monkeypatch.setattr(type(elsewhere._places), "tables", property(_away))  # noqa: SLF001
    with pytest.raises(PipelineError) as found:
        elsewhere.write("1", {"name": "x"})
    assert found.value.code == "postgres_unavailable"
    # The host that has the CSV takes it in.
    assert opened.write("1", {"name": "x"}).follower is Standing.AUTHORITY


def _away(_: object) -> None:
    raise UnavailableError("PostgreSQL cannot be used", code="postgres_unavailable")


def test_both_hosts_say_what_they_may(
    opened: Pipeline, elsewhere: Pipeline, phase: Phase, call: Call
) -> None:
    opened.begin()
    there = elsewhere.settings.config_file
    status = call("status", "--json", "--config", str(there)).json

    assert (status["host"]["name"], status["host"]["has_csv"]) == ("other", False)
    assert status["phase"]["in_force"] == phase
    assert ("write;" in status["host"]["may"]) is (phase.authority is Side.POSTGRES)
    shown = call("status", "--config", str(there)).out
    assert "this host may" in shown
    health = call("health", "--json", "--config", str(there)).json
    assert health["host"]["may"] == status["host"]["may"]
    assert not [one for one in health["signals"] if one["name"] == "csv_bytes"]
    checks = {one.name: one for one in examine(there)}
    assert checks["host"].finding.startswith("other: ")
    assert "csv" not in checks
    refusal = call("compare", "--json", "--config", str(there))
    assert (refusal.code, refusal.json["error"]["code"]) == (5, "csv_elsewhere")


def test_the_phase_is_learned_from_postgres(
    site: Site, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with open_pipeline(site.config) as keeper:
        keeper.sync()
        keeper.compare()
        with other_host(tmp_path, Phase.DUAL_WRITE, monkeypatch) as other:
            with refused():
                other.write("515", {"type": "X"})
            lead(keeper, Phase.DATABASE_PRIMARY)
            assert other.write("515", {"type": "X"}).durable_in is Side.POSTGRES
            lead(keeper, Phase.DUAL_WRITE)
            with refused():
                other.write("515", {"type": "Y"})
            assert (keeper.read("515") or {})["type"] == "X"


def test_the_keeper_is_told_by_its_name(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    site.config.write_text("paths:\n  csv_host: keeper\nmigration:\n  phase: dual_write\n")
    monkeypatch.setenv("INGESTION_HOST", "keeper")
    with open_pipeline(site.config) as pipeline:
        assert pipeline.sync().inserted == 509
        assert pipeline.write("515", {"type": "X"}).follower is Standing.SETTLED
        host = pipeline.status().host
        assert host is not None
        assert host.has_csv

    monkeypatch.delenv("INGESTION_HOST")
    monkeypatch.delenv("DATABASE_URL")
    with pytest.raises(SettingsError) as found, open_pipeline(site.config):
        pass
    assert found.value.code == "no_server"

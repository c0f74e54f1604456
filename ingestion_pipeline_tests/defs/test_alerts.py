"""The sensor alerts: what is wrong is told once, and that it is well again once, to each receiver."""

import json
import logging
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from dagster import (
    AssetCheckEvaluation,
    AssetCheckResult,
    AssetCheckSeverity,
    AssetKey,
    DagsterInstance,
    DagsterRunStatus,
    Definitions,
    Failure,
    asset,
    asset_check,
    define_asset_job,
    job,
    op,
)

from ingestion_pipeline.app import Pipeline, alerting, watching
from ingestion_pipeline.defs.build import build_definitions
from ingestion_pipeline.settings import load_settings
from ingestion_pipeline.stores import alert_memory
from ingestion_pipeline_tests.conftest import Site
from ingestion_pipeline_tests.defs.conftest import Dagster, away, make_run
from ingestion_pipeline_tests.defs.looking import Sensor
from ingestion_pipeline_tests.receiving import Web, post, web
from ingestion_pipeline_tests.reused import database, reused_database

__all__ = ["database", "reused_database"]

MARKER = "Canary Canarius"
CONSISTENCY = "health:consistency"


@pytest.fixture
def hook() -> Iterator[Web]:
    with web() as opened:
        yield opened


Watch = Callable[..., Sensor]


@pytest.fixture
def watch(site: Site, hook: Web, monkeypatch: pytest.MonkeyPatch) -> Iterator[Watch]:
    """The sensor of a site with a webhook, and whatever else the configuration is to say."""
    monkeypatch.setattr(alerting, "PAUSES", (0.0, 0.0))
    with DagsterInstance.ephemeral() as instance:

        def make(more: str = "", others: Definitions | None = None) -> Sensor:
            section = f"alerts:\n  webhook_url: {hook.url}\n"
            site.config.write_text(f"migration:\n  phase: dual_write\n{section}{more}")
            definitions = build_definitions(load_settings(site.config))
            merged = definitions if others is None else Definitions.merge(definitions, others)
            return Sensor(Dagster(merged, instance), "alerts")

        yield make


@pytest.fixture
def synced(pipeline: Pipeline) -> Pipeline:
    pipeline.sync()
    return pipeline


def edit(site: Site, name: str) -> None:
    site.execute("UPDATE people SET name = %s WHERE row_id = '500'", name)


def memory(site: Site) -> Path:
    """What is kept from one look to the next."""
    return site.folder / ".ingestion" / "alerts.json"


def name_of(site: Site) -> str:
    return str(site.execute("SELECT name FROM people WHERE row_id = '500'")[0][0])


def test_nothing_wrong_is_nothing_told(watch: Watch, synced: Pipeline, hook: Web) -> None:
    watched = watch()
    assert watched.dagster.run("check").success

    watched.look()

    assert hook.told == []
    assert watched.said == "wrong: nothing"
    assert synced.health().ok


@pytest.mark.usefixtures("synced")
def test_postgres_away_is_told_once_and_once_that_it_is_back(watch: Watch, hook: Web) -> None:
    watched = watch()
    with away():
        for _ in range(3):
            watched.look()
        [first, *more] = hook.take()
        assert first == ("raised", "health:postgres")
        # Whatever else cannot be told without it is told once too.
        assert all(event == "raised" for event, _ in more)
    told = {key for _, key in (first, *more)}

    for _ in range(3):
        watched.look()

    assert sorted(hook.take()) == sorted(("recovered", key) for key in told)


@pytest.mark.usefixtures("synced")
def test_a_difference_is_told_once_and_without_a_value(
    watch: Watch, hook: Web, site: Site, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    before = name_of(site)
    watched = watch()
    edit(site, MARKER)
    run = watched.dagster.run("compare")

    watched.look()
    watched.look()

    # Two checks and the run failed too, but by the same difference alone: that is not told again.
    assert not run.success
    [got] = hook.got
    assert (got["event"], got["key"], got["level"]) == ("raised", CONSISTENCY, "error")
    assert got["message"] == "the last comparison found 1 differences"
    assert got["site"].endswith(str(site.folder))
    assert MARKER not in f"{hook.got}{memory(site).read_text()}{watched.said}{caplog.text}"
    hook.got.clear()

    edit(site, before)
    assert watched.dagster.run("compare").success
    watched.look()
    watched.look()

    assert hook.take() == [("recovered", CONSISTENCY)]


@op
def explode() -> None:
    raise ValueError(MARKER)


@op
def explain() -> None:
    raise Failure(description=MARKER, metadata={"hint": MARKER})


@op
def work() -> None: ...


@job(name="nightly")
def exploding() -> None:
    explode()


@job(name="nightly")
def explaining() -> None:
    explain()


@job(name="nightly")
def working() -> None:
    work()


@pytest.mark.parametrize("failing", [exploding, explaining])
@pytest.mark.usefixtures("synced")
def test_a_run_that_fails_is_told_until_one_of_its_job_succeeds(
    watch: Watch, hook: Web, failing: object, site: Site
) -> None:
    watched = watch(others=Definitions(jobs=[failing]))  # type: ignore[list-item]
    run = watched.dagster.run("nightly")
    watched.look()
    watched.look()

    [got] = hook.got
    assert (got["event"], got["key"], got["level"]) == ("raised", "run:nightly", "error")
    assert got["message"] == f"run {run.run_id[:8]} failed: step {run.all_node_events[0].step_key}"
    assert MARKER not in f"{hook.got}{memory(site).read_text()}{watched.said}"
    hook.got.clear()

    make_run(watched.dagster, "nightly", DagsterRunStatus.CANCELED)
    make_run(watched.dagster, "nightly", DagsterRunStatus.STARTED)
    watched.look()
    assert hook.take() == []

    working.execute_in_process(instance=watched.dagster.instance)
    watched.look()
    watched.look()
    assert hook.take() == [("recovered", "run:nightly")]


@pytest.mark.usefixtures("synced")
def test_a_run_that_never_began_its_steps_is_told(watch: Watch, hook: Web) -> None:
    watched = watch()
    make_run(watched.dagster, "backup", DagsterRunStatus.FAILURE)

    watched.look()

    [got] = hook.got
    assert got["key"] == "run:backup"
    assert got["message"].endswith("failed: before any step did")


@asset
def own() -> None: ...


@asset_check(asset=own, description="It is as it should be.")
def is_well() -> AssetCheckResult:
    metadata = {"differences": MARKER, "first": MARKER}
    return AssetCheckResult(
        passed=False, severity=AssetCheckSeverity.WARN, description=MARKER, metadata=metadata
    )


@pytest.mark.usefixtures("synced")
def test_a_sites_own_check_is_told_by_what_it_is_for_and_its_run_stays_green(
    watch: Watch, hook: Web, site: Site
) -> None:
    watched = watch(others=Definitions([own], asset_checks=[is_well], jobs=[define_asset_job("mine", [own])]))
    assert watched.dagster.run("mine").success

    watched.look()

    [got] = hook.got
    assert (got["event"], got["key"], got["level"]) == ("raised", "check:own/is_well", "warning")
    assert "It is as it should be." in got["message"]
    assert MARKER not in f"{hook.got}{memory(site).read_text()}"


@pytest.mark.usefixtures("synced")
def test_bytes_that_differ_alone_are_told(watch: Watch, hook: Web) -> None:
    watched = watch()
    watched.dagster.run("compare")
    watched.dagster.instance.report_runless_asset_event(
        AssetCheckEvaluation(asset_key=AssetKey("people"), check_name="bytes_equal", passed=False)
    )

    watched.look()

    assert hook.told == [("raised", "check:people/bytes_equal")]


@pytest.mark.usefixtures("synced")
def test_the_first_look_tells_how_it_is_now_and_not_what_was(watch: Watch, hook: Web, site: Site) -> None:
    before = name_of(site)
    watched = watch()
    for name in (MARKER, before, MARKER, before):
        edit(site, name)
        watched.dagster.run("compare")

    watched.look()

    assert hook.told == []


@pytest.mark.usefixtures("synced")
def test_a_receiver_that_was_down_is_told_when_it_is_up(watch: Watch, site: Site) -> None:
    with web() as second:
        watched = watch(f"  slack_webhook_url: {second.url}\n")
        edit(site, MARKER)
        watched.dagster.run("compare")
        second.answers = [503] * 3
        watched.look()
        assert "slack (http://127.0.0.1:" in watched.said
        assert "it answered 503" in watched.said
        assert second.got == []

        watched.look()
        watched.look()

    [got] = second.got
    assert "the last comparison found 1 differences" in got["text"]


@pytest.mark.usefixtures("synced")
def test_one_receiver_down_keeps_nothing_from_the_others(
    watch: Watch, hook: Web, site: Site, caplog: pytest.LogCaptureFixture
) -> None:
    with post() as mailbox:
        slack = "  slack_webhook_url: http://127.0.0.1:1/s3cr3t-CANARY\n"
        email = f"{{host: 127.0.0.1, port: {mailbox.port}, starttls: false, from: a@b.org, to: c@d.org}}"
        watched = watch(f"{slack}  email: {email}\n")
        edit(site, MARKER)
        watched.dagster.run("compare")
        watched.look()
        watched.look()

    assert hook.told == [("raised", CONSISTENCY)]
    assert len(mailbox.letters) == 1
    assert not any(MARKER in letter.as_string() for letter in mailbox.letters)
    kept = json.loads(memory(site).read_text())["told"]
    assert {name: len(told) for name, told in kept.items()} == {"log": 1, "webhook": 1, "email": 1}
    assert "CANARY" not in f"{caplog.text}{watched.said}{memory(site).read_text()}"
    assert caplog.text.count("slack (http://127.0.0.1:1) could not be told") == 2


@pytest.mark.usefixtures("synced")
def test_what_was_told_before_a_crash_is_told_once_more_at_most(watch: Watch, hook: Web, site: Site) -> None:
    watched = watch()
    edit(site, MARKER)
    watched.dagster.run("compare")
    watched.look()
    memory(site).unlink()

    watched.look()
    watched.look()

    assert hook.told == 2 * [("raised", CONSISTENCY)]


@pytest.mark.usefixtures("synced")
def test_a_receiver_is_tried_again_only_where_that_may_help(watch: Watch, hook: Web, site: Site) -> None:
    watched = watch()
    edit(site, MARKER)
    watched.dagster.run("compare")

    hook.answers = [404]
    watched.look()
    assert (hook.asked, hook.got) == (1, [])
    hook.answers = [500, 429]
    watched.look()

    assert (hook.asked, len(hook.got)) == (1 + 3, 1)


@pytest.mark.usefixtures("synced")
def test_a_configuration_that_cannot_be_read_any_more_is_told(watch: Watch, hook: Web, site: Site) -> None:
    watched = watch()
    watched.look()
    text = site.config.read_text()
    site.config.write_text(f"database: {{port: {MARKER}}}")

    watched.look()
    watched.look()

    [got] = hook.got
    assert (got["event"], got["key"]) == ("raised", "site:health")
    assert "database.port" in got["message"]
    assert MARKER not in str(hook.got)
    site.config.write_text(text)
    watched.look()
    assert hook.told[1:] == [("recovered", "site:health")]


@pytest.mark.usefixtures("synced")
def test_the_command_tells_nothing_again_and_closes_nothing_that_it_does_not_see(
    watch: Watch, hook: Web, site: Site
) -> None:
    watched = watch()
    before = name_of(site)
    make_run(watched.dagster, "backup", DagsterRunStatus.FAILURE)
    edit(site, MARKER)
    watched.dagster.run("compare")
    watched.look()
    assert sorted(hook.take()) == [("raised", CONSISTENCY), ("raised", "run:backup")]

    with watching.Watch(site.config) as command:
        command.look()
        assert hook.take() == []
        edit(site, before)
        watched.dagster.run("compare")
        command.look()
        watched.look()
        assert hook.take() == [("recovered", CONSISTENCY)]

        make_run(watched.dagster, "backup", DagsterRunStatus.SUCCESS)
        command.look()
        assert hook.take() == []
        watched.look()
    assert hook.take() == [("recovered", "run:backup")]


@pytest.mark.usefixtures("synced")
def test_the_command_reads_the_configuration_at_each_look(watch: Watch, hook: Web, site: Site) -> None:
    watched = watch()
    text = site.config.read_text()
    with web() as second, watching.Watch(site.config) as command:
        site.config.write_text("alerts: {patience: none}")
        command.look()
        watched.look()
        assert hook.take() == [("raised", "site:health")]

        site.config.write_text(text.replace(hook.url, second.url))
        command.look()
        assert hook.take() == [("recovered", "site:health")]
        edit(site, MARKER)
        watched.dagster.run("compare")
        command.look()
    assert (hook.take(), second.take()) == ([], [("raised", CONSISTENCY)])


@pytest.mark.usefixtures("synced")
def test_the_sensor_waits_for_its_turn_and_then_for_its_next_look(
    watch: Watch, hook: Web, site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(alert_memory, "TURN", 0.05)
    watched = watch()
    make_run(watched.dagster, "backup", DagsterRunStatus.FAILURE)
    with alert_memory.AlertMemory(memory(site).parent).alone():
        assert watched.look().startswith("nobody was told: somebody else held the lock of alerts")
    assert hook.take() == []

    watched.look()

    assert hook.take() == [("raised", "run:backup")]


@pytest.mark.usefixtures("synced")
def test_nothing_that_goes_wrong_in_looking_ends_it(
    watch: Watch, hook: Web, monkeypatch: pytest.MonkeyPatch, site: Site
) -> None:
    watched = watch()

    def broken(_site: Pipeline) -> None:
        raise RuntimeError(MARKER)

    with monkeypatch.context() as patch:
        patch.setattr(Pipeline, "health", broken)
        watched.look()
        watched.look()
    watched.look()

    assert hook.told == [("raised", "site:health"), ("recovered", "site:health")]
    assert MARKER not in f"{hook.got}{memory(site).read_text()}{watched.said}"


def began(watched: Sensor, site: Site, days: float) -> None:
    """Have the first look been so long ago."""
    watched.look()
    kept = json.loads(memory(site).read_text())
    kept["began"] = (datetime.now(UTC) - timedelta(days=days)).isoformat()
    memory(site).write_text(json.dumps(kept))


@pytest.mark.usefixtures("synced")
@pytest.mark.parametrize(("days", "told"), [(7.9, []), (8.1, [("raised", "drill:overdue")])])
def test_a_drill_that_never_ran_is_overdue_after_some_days(
    watch: Watch, hook: Web, days: float, told: list[tuple[str, str]], site: Site
) -> None:
    watched = watch()
    began(watched, site, days)

    watched.look()

    assert hook.told == told


@pytest.mark.usefixtures("synced")
def test_a_drill_that_ran_is_not_overdue_until_it_is_old(watch: Watch, hook: Web, site: Site) -> None:
    watched = watch("  drill_age_days: 0.0001\n")
    began(watched, site, 30)
    watched.look()
    assert hook.take() == [("raised", "drill:overdue")]
    for verb in ("export", "backup", "drill"):
        assert watched.dagster.run(verb).success

    watch().look()

    assert hook.take() == [("recovered", "drill:overdue")]
    assert site.folder.exists()


@pytest.mark.usefixtures("synced")
def test_with_automation_off_no_drill_is_awaited(watch: Watch, hook: Web, site: Site) -> None:
    watched = watch("automation:\n  enabled: false\n")
    began(watched, site, 1000)

    watched.look()

    assert hook.told == []


@pytest.mark.usefixtures("synced")
def test_with_nothing_set_the_log_is_told(
    dagster: Dagster, site: Site, caplog: pytest.LogCaptureFixture
) -> None:
    watched = Sensor(dagster, "alerts")
    edit(site, MARKER)
    dagster.run("compare")
    caplog.clear()

    watched.look()
    watched.look()

    told = [one for one in caplog.records if one.name == "ingestion_pipeline.alerts"]
    assert [one.levelname for one in told] == ["ERROR"]
    assert f"[{CONSISTENCY}]" in caplog.text
    assert MARKER not in caplog.text

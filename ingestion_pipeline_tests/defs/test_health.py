"""The health of a site as Dagster shows it."""

from datetime import timedelta

import pytest
from dagster import AssetKey, DefaultScheduleStatus

from ingestion_pipeline.app import Pipeline
from ingestion_pipeline.defs.assets.database_health import ABOUT
from ingestion_pipeline.defs.build import build_definitions
from ingestion_pipeline.domain.findings import GRAVE, NAMES
from ingestion_pipeline.settings import load_settings
from ingestion_pipeline_tests.conftest import Site
from ingestion_pipeline_tests.defs.conftest import Dagster, away, checks, materialized, metadata


def test_a_look_is_drawn_and_checked(dagster: Dagster, pipeline: Pipeline, site: Site) -> None:
    pipeline.sync()

    result = dagster.run("health")

    assert result.success
    assert materialized(result) == ["database_health"]
    assert checks(result) == {f"database_health.{name}": True for name in NAMES}
    shown = metadata(dagster, "database_health")
    assert (shown["healthy"], shown["findings"]) == (True, 0)
    assert shown["csv_bytes"] == site.csv.stat().st_size
    assert shown["epoch dual_write"] == 1
    assert all(isinstance(value, int | float) for value in shown.values())


def test_what_is_amiss_fails_its_check_and_not_the_run(
    dagster: Dagster, pipeline: Pipeline, site: Site
) -> None:
    pipeline.sync()
    site.execute("UPDATE people SET name = 'canary' WHERE row_id = '1'")
    assert not pipeline.compare().equal

    result = dagster.run("health")

    assert result.success
    failed = [one for one in result.get_asset_check_evaluations() if not one.passed]
    assert [one.check_name for one in failed] == ["consistency"]
    [found] = failed
    assert found.severity.value == "ERROR"
    shown = {name: value.value for name, value in found.metadata.items()}
    assert shown == {"measured": 1.0, "limit": 0.0, "what_next": "`ingest compare` names them."}
    assert metadata(dagster, "database_health")["findings"] == 1


def test_postgres_away_is_shown(dagster: Dagster, pipeline: Pipeline) -> None:
    pipeline.sync()
    with away():
        result = dagster.run("health")

    assert result.success
    assert [name for name, passed in checks(result).items() if not passed] == ["database_health.postgres"]


def test_every_finding_has_a_check_that_says_what_it_is_about() -> None:
    assert set(ABOUT) == set(NAMES)
    assert set(NAMES) >= GRAVE


@pytest.mark.parametrize(
    ("enabled", "status"), [("true", DefaultScheduleStatus.RUNNING), ("false", DefaultScheduleStatus.STOPPED)]
)
def test_the_schedule_and_what_is_fresh_follow_the_settings(
    site: Site, enabled: str, status: DefaultScheduleStatus
) -> None:
    site.config.write_text(
        f"automation:\n  enabled: {enabled}\n  health_cron: '*/7 * * * *'\nhealth:\n  backup_age_hours: 8\n"
    )

    definitions = build_definitions(load_settings(site.config))

    often = definitions.resolve_schedule_def("health_often")
    assert (often.cron_schedule, often.default_status) == ("*/7 * * * *", status)
    graph = definitions.resolve_asset_graph()
    policies = {
        key.to_user_string(): graph.get(key).freshness_policy for key in graph.materializable_asset_keys
    }
    fresh = {name for name, policy in policies.items() if policy is not None}
    tables = {"csv_snapshot", "people", "processing_status", "s3_metadata"}
    others = {"versioned_export", "database_backup", "database_health"}
    assert fresh == (tables | others if enabled == "true" else set())
    backup = graph.get(AssetKey("database_backup")).freshness_policy
    if backup is not None:
        assert backup.fail_window.to_timedelta() == timedelta(hours=8)  # type: ignore[attr-defined]
        assert backup.warn_window.to_timedelta() == timedelta(hours=6)  # type: ignore[attr-defined]

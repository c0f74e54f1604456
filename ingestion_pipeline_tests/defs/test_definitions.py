"""The shape of everything Dagster is told, kept in a file: a change of it is seen in review."""

import json
import os
from pathlib import Path

import pytest
from dagster import (
    AssetKey,
    AssetSpec,
    DefaultScheduleStatus,
    DefaultSensorStatus,
    Definitions,
    OpDefinition,
    TableSchema,
)

from ingestion_pipeline.defs.build import build_definitions
from ingestion_pipeline.domain.columns import COLUMNS, Table, of_table
from ingestion_pipeline.settings import load_settings
from ingestion_pipeline_tests.conftest import Site

SNAPSHOT = Path(__file__).with_name("definitions.json")


@pytest.fixture
def definitions(site: Site) -> Definitions:
    return build_definitions(load_settings(site.config))


def described(spec: AssetSpec) -> dict[str, object]:
    return {
        "key": spec.key.to_user_string(),
        "deps": sorted(dep.asset_key.to_user_string() for dep in spec.deps),
        "description": spec.description,
        "group": spec.group_name,
        "kinds": sorted(spec.kinds),
        "owners": list(spec.owners),
        "metadata": sorted(spec.metadata),
    }


def snapshot(definitions: Definitions) -> dict[str, object]:
    graph = definitions.resolve_asset_graph()
    return {
        "assets": sorted(
            (described(spec) for spec in definitions.resolve_all_asset_specs()),
            key=lambda one: str(one["key"]),
        ),
        "checks": [
            {
                "check": f"{key.asset_key.to_user_string()}.{key.name}",
                "blocking": graph.get_check_spec(key).blocking,
                "description": graph.get_check_spec(key).description,
            }
            for key in sorted(graph.asset_check_keys)
        ],
        "jobs": sorted(job.name for job in definitions.jobs or []),
        "schedules": sorted(schedule.name for schedule in definitions.schedules or []),
        "sensors": sorted(sensor.name for sensor in definitions.sensors or []),
    }


def test_definitions_are_as_kept(definitions: Definitions) -> None:
    found = snapshot(definitions)
    if os.environ.get("KEEP_SNAPSHOT"):
        SNAPSHOT.write_text(json.dumps(found, indent=2) + "\n")

    assert found == json.loads(SNAPSHOT.read_text()), "if meant, run again with KEEP_SNAPSHOT=1"


def test_what_works_on_everybody_is_in_one_pool(definitions: Definitions) -> None:
    pools = {
        node.name: node.definition.pool
        for job in ("migrate", "settle", "change_phase")
        for node in definitions.resolve_job_def(job).nodes
        if isinstance(node.definition, OpDefinition)
    }

    writers = {name for name, pool in pools.items() if pool == "writers"}
    assert writers == {"tables", "versioned_export", "settle_once", "migration_phase"}


@pytest.mark.parametrize("table", Table)
def test_a_table_shows_the_contracts_columns(definitions: Definitions, table: Table) -> None:
    graph = definitions.resolve_asset_graph()
    shown = graph.get(AssetKey(table.value)).metadata
    schema = shown["dagster/column_schema"]
    assert isinstance(schema, TableSchema)

    assert [(c.name, c.type) for c in schema.columns] == [(c.name, c.sql_type) for c in of_table(table)]
    lineage = shown["dagster/column_lineage"].deps_by_column
    assert set(lineage) == {column.name for column in of_table(table)}
    assert all(dep.asset_key == AssetKey("csv_snapshot") for deps in lineage.values() for dep in deps)


def test_an_exports_columns_come_from_their_tables(definitions: Definitions) -> None:
    lineage = (
        definitions.resolve_asset_graph()
        .get(AssetKey("versioned_export"))
        .metadata["dagster/column_lineage"]
        .deps_by_column
    )

    came_from = {name: dep.asset_key.to_user_string() for name, [dep] in lineage.items()}
    assert came_from == {column.name: column.table.value for column in COLUMNS}


@pytest.mark.parametrize(
    ("enabled", "schedule", "sensor"),
    [
        ("true", DefaultScheduleStatus.RUNNING, DefaultSensorStatus.RUNNING),
        ("false", DefaultScheduleStatus.STOPPED, DefaultSensorStatus.STOPPED),
    ],
)
def test_automation_is_turned_on_and_off_by_config(
    site: Site, enabled: str, schedule: DefaultScheduleStatus, sensor: DefaultSensorStatus
) -> None:
    site.config.write_text(
        f"automation:\n  enabled: {enabled}\n  export_cron: '5 4 * * *'\n"
        "  reports_cron: '6 * * * *'\n"
        "  settle_sensor_seconds: 77\n  phase_sensor_seconds: 78\n"
    )

    definitions = build_definitions(load_settings(site.config))

    nightly = definitions.resolve_schedule_def("export_nightly")
    assert (nightly.cron_schedule, nightly.default_status) == ("5 4 * * *", schedule)
    hourly = definitions.resolve_schedule_def("reports_hourly")
    assert (hourly.cron_schedule, hourly.default_status) == ("6 * * * *", schedule)
    assert definitions.resolve_sensor_def("csv_changed").default_status is sensor
    settling = definitions.resolve_sensor_def("settle_pending")
    assert (settling.default_status, settling.minimum_interval_seconds) == (sensor, 77)
    phases = definitions.resolve_sensor_def("phase_wanted")
    assert (phases.default_status, phases.minimum_interval_seconds) == (sensor, 78)


@pytest.mark.parametrize("job", ["settle", "change_phase"])
def test_a_run_that_has_died_does_not_block_others_for_ever(definitions: Definitions, job: str) -> None:
    assert 0 < int(definitions.resolve_job_def(job).tags["dagster/max_runtime"]) <= 4 * 3600

"""The sensor compare_when_quiet: one comparison of each state, once nobody writes."""

import os

import pytest
from dagster import DagsterRunStatus, DefaultSensorStatus

from ingestion_pipeline.app import Pipeline
from ingestion_pipeline.defs.build import build_definitions
from ingestion_pipeline.domain.phase import Phase
from ingestion_pipeline.settings import load_settings
from ingestion_pipeline_tests.conftest import Site
from ingestion_pipeline_tests.defs.conftest import Dagster, away, make_run
from ingestion_pipeline_tests.defs.looking import COMPARE, Sensor
from ingestion_pipeline_tests.phases import lead
from ingestion_pipeline_tests.reused import database, reused_database
from ingestion_pipeline_tests.strays import stray

__all__ = ["database", "reused_database"]

CHANGED = "something has just changed"
SEEN = "both sides are as they were when they were looked at"
COMPARED = "both sides were compared as they are now"


@pytest.fixture
def watched(dagster: Dagster) -> Sensor:
    return Sensor(dagster, "compare_when_quiet")


@pytest.fixture
def synced(pipeline: Pipeline) -> Pipeline:
    pipeline.sync()
    return pipeline


def plant(site: Site) -> None:
    """A difference that no fence keeps out."""
    stray(site.database, "UPDATE people SET name = name || '!' WHERE row_id = '500'", epoch=1)


@pytest.mark.usefixtures("synced")
def test_a_difference_is_compared_once_and_found(watched: Sensor, site: Site) -> None:
    assert watched.looks(3) == [CHANGED, COMPARE, SEEN]
    watched.dagster.run("compare")
    assert watched.look() == SEEN

    plant(site)

    assert watched.looks(2) == [CHANGED, COMPARE]
    assert not watched.dagster.run("compare").success
    # What the comparison found is no reason to compare again.
    assert watched.looks(3) == [SEEN] * 3
    assert len(set(watched.keys)) == len(watched.keys) == 2


@pytest.mark.usefixtures("synced")
def test_a_state_that_others_compared_is_not_compared(watched: Sensor, site: Site) -> None:
    plant(site)
    watched.dagster.run("compare")

    assert watched.looks(3) == [CHANGED, COMPARED, SEEN]


def test_nothing_is_compared_while_somebody_writes(watched: Sensor, synced: Pipeline) -> None:
    for name in ("Ada", "Grace", "Edsger"):
        synced.write("500", {"name": name})
        assert watched.look() == CHANGED

    assert watched.looks(2) == [COMPARE, SEEN]


@pytest.mark.usefixtures("synced")
def test_whoever_brings_the_sides_level_goes_first(watched: Sensor, site: Site) -> None:
    plant(site)
    watched.look()
    run = make_run(watched.dagster, "migrate", DagsterRunStatus.STARTED)
    assert watched.look() == "a run is under way"
    watched.dagster.instance.delete_run(run.run_id)
    moment = site.csv.stat().st_mtime - 60
    site.put(site.csv.read_bytes().replace(b"\n500,", b"\n500,X", 1))
    os.utime(site.csv, (moment, moment))

    assert watched.look() == CHANGED
    assert "somebody else has changed the CSV" in watched.look()
    watched.dagster.run("sync")

    assert watched.looks(2) == [CHANGED, COMPARED]


def test_what_is_pending_is_settled_first(watched: Sensor, synced: Pipeline) -> None:
    lead(synced, Phase.DATABASE_PRIMARY)
    with synced.pool.transaction() as cursor:
        cursor.execute(
            "SELECT set_config('ingestion.epoch', epoch::text, true) FROM ingestion.migration_state"
        )
        cursor.execute("UPDATE people SET name = name || '!' WHERE row_id = '500'")

    assert watched.looks(2) == [CHANGED, "what is pending is settled first"]
    synced.settle()

    assert watched.looks(2) == [CHANGED, COMPARE]


@pytest.mark.parametrize("phase", [Phase.ORIGINAL, Phase.DATABASE_NATIVE])
def test_one_side_is_not_compared(watched: Sensor, synced: Pipeline, phase: Phase) -> None:
    lead(synced, phase)

    assert watched.looks(2) == ["there are no two sides that are kept equal now"] * 2


@pytest.mark.usefixtures("synced")
def test_postgres_away_is_no_failure(watched: Sensor) -> None:
    with away():
        assert "PostgreSQL cannot be used" in watched.look()

    assert watched.looks(2) == [CHANGED, COMPARE]


def test_it_may_be_switched_off_and_looks_as_often_as_asked_for(site: Site) -> None:
    site.config.write_text("automation:\n  compare_sensor_seconds: 77\n  alert_sensor_seconds: 78\n")
    definitions = build_definitions(load_settings(site.config))
    for name, seconds in (("compare_when_quiet", 77), ("alerts", 78)):
        sensor = definitions.resolve_sensor_def(name)
        assert sensor.minimum_interval_seconds == seconds
        assert sensor.default_status is DefaultSensorStatus.RUNNING

    site.config.write_text("automation: {compare_sensor_seconds: 0, enabled: false}")
    definitions = build_definitions(load_settings(site.config))

    assert definitions.resolve_sensor_def("alerts").default_status is DefaultSensorStatus.STOPPED
    assert "compare_when_quiet" not in {sensor.name for sensor in definitions.sensors or []}

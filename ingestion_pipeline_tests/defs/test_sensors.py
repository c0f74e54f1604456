import os

import pytest
from dagster import RunRequest, SensorEvaluationContext, SkipReason, build_sensor_context

from ingestion_pipeline.defs.build import build_definitions
from ingestion_pipeline.defs.resources import PipelineResource
from ingestion_pipeline.settings import load_settings
from ingestion_pipeline_tests.conftest import Site


@pytest.fixture
def context(site: Site) -> SensorEvaluationContext:
    return build_sensor_context(resources={"pipeline": PipelineResource(config=str(site.config))})


def look(site: Site, context: SensorEvaluationContext) -> object:
    sensor = build_definitions(load_settings(site.config)).resolve_sensor_def("csv_changed")
    return sensor(context)


def touch(site: Site, seconds_ago: float) -> None:
    moment = site.csv.stat().st_mtime - seconds_ago
    os.utime(site.csv, (moment, moment))


def test_a_changed_file_is_synced_once(site: Site, context: SensorEvaluationContext) -> None:
    touch(site, 60)

    first = look(site, context)
    again = look(site, context)

    assert isinstance(first, RunRequest)
    assert isinstance(again, SkipReason)


def test_another_file_is_another_run(site: Site, context: SensorEvaluationContext) -> None:
    touch(site, 60)
    first = look(site, context)
    site.put(site.csv.read_bytes().replace(b"\n500,", b"\n5000,"))
    touch(site, 30)

    second = look(site, context)

    assert isinstance(first, RunRequest)
    assert isinstance(second, RunRequest)
    assert first.run_key != second.run_key


def test_a_file_still_being_written_waits(site: Site, context: SensorEvaluationContext) -> None:
    os.utime(site.csv)

    skipped = look(site, context)

    assert isinstance(skipped, SkipReason)
    assert "being written" in str(skipped.skip_message)
    assert context.cursor is None


def test_a_time_still_to_come_holds_nothing_up(site: Site, context: SensorEvaluationContext) -> None:
    touch(site, -3600)

    assert isinstance(look(site, context), RunRequest)


def test_no_file_is_no_run(site: Site, context: SensorEvaluationContext) -> None:
    site.csv.unlink()

    assert isinstance(look(site, context), SkipReason)

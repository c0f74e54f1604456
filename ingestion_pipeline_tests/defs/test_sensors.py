import os
from collections.abc import Iterator

import pytest
from dagster import RunRequest, SensorEvaluationContext, SkipReason, build_sensor_context

from ingestion_pipeline.app import Pipeline
from ingestion_pipeline.defs import sensors
from ingestion_pipeline.defs.build import build_definitions
from ingestion_pipeline.defs.resources import PipelineResource
from ingestion_pipeline.domain.phase import Phase
from ingestion_pipeline.settings import load_settings
from ingestion_pipeline_tests.conftest import Site
from ingestion_pipeline_tests.phases import lead


@pytest.fixture
def context(site: Site) -> Iterator[SensorEvaluationContext]:
    resources = {"pipeline": PipelineResource(config=str(site.config))}
    with build_sensor_context(resources=resources) as opened:
        yield opened


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


def reason(found: object) -> str:
    assert isinstance(found, SkipReason)
    return str(found.skip_message)


def test_a_file_written_through_this_package_is_no_run(
    site: Site, pipeline: Pipeline, context: SensorEvaluationContext, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sensors, "SETTLED", 0.0)
    look(site, context)
    pipeline.sync()
    pipeline.write("500", {"type": "INTJ"})
    before = context.cursor

    assert reason(look(site, context)) == "the CSV was written through this package"
    assert context.cursor != before
    assert reason(look(site, context)) == "the CSV has not changed"


def test_the_same_bytes_put_back_are_no_run(
    site: Site, pipeline: Pipeline, context: SensorEvaluationContext
) -> None:
    touch(site, 60)
    look(site, context)
    pipeline.sync()
    pipeline.write("500", {"type": "INTJ"})
    touch(site, 60)

    assert reason(look(site, context)) == "the CSV was written through this package"


def test_others_are_noticed_among_writes_through_this_package(
    site: Site, pipeline: Pipeline, context: SensorEvaluationContext
) -> None:
    touch(site, 60)
    look(site, context)
    pipeline.sync()
    pipeline.write("500", {"type": "INTJ"})
    site.put(site.csv.read_bytes().replace(b"\n499,", b"\n499,X", 1))
    touch(site, 60)

    assert isinstance(look(site, context), RunRequest)


def test_the_first_look_syncs_whoever_wrote_the_file(
    site: Site, pipeline: Pipeline, context: SensorEvaluationContext
) -> None:
    pipeline.write("500", {"type": "INTJ"})
    touch(site, 60)

    assert isinstance(look(site, context), RunRequest)


@pytest.mark.parametrize("phase", [Phase.DATABASE_PRIMARY, Phase.DATABASE_NATIVE])
def test_where_postgres_leads_nothing_is_migrated(
    site: Site, pipeline: Pipeline, context: SensorEvaluationContext, phase: Phase
) -> None:
    pipeline.sync()
    lead(pipeline, phase)
    for row_id in (b"\n500,", b"\n499,"):
        site.put(site.csv.read_bytes().replace(row_id, row_id + b"X", 1))
        touch(site, 60)

        assert "settle_pending" in reason(look(site, context))
        assert reason(look(site, context)) == "the CSV has not changed"

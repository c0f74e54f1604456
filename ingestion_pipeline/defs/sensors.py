"""What runs when something changes."""

import time

from dagster import (
    DefaultSensorStatus,
    RunRequest,
    SensorDefinition,
    SensorEvaluationContext,
    SkipReason,
    sensor,
)

from ingestion_pipeline.defs import jobs
from ingestion_pipeline.defs.resources import PipelineResource
from ingestion_pipeline.settings import Settings

SETTLED = 2.0
"""Seconds a file must have been left alone, so that one still being written is not read."""


def csv_changed(settings: Settings) -> SensorDefinition:
    """Syncs when the CSV has become another one."""
    status = DefaultSensorStatus.RUNNING if settings.automation.enabled else DefaultSensorStatus.STOPPED

    @sensor(
        name="csv_changed",
        job=jobs.migrate,
        minimum_interval_seconds=settings.automation.csv_sensor_seconds,
        default_status=status,
        description="Syncs, compares and publishes when the CSV has changed.",
    )
    def watch(context: SensorEvaluationContext, pipeline: PipelineResource) -> RunRequest | SkipReason:
        return _look(context, pipeline)

    return watch


def _look(context: SensorEvaluationContext, pipeline: PipelineResource) -> RunRequest | SkipReason:
    with pipeline.open() as site:
        path = site.csv.path
        try:
            found = path.stat()
        except FileNotFoundError:
            return SkipReason(f"there is no {path}")
        identity = f"{found.st_ino}-{found.st_size}-{found.st_mtime_ns}"
        if identity == context.cursor:
            return SkipReason("the CSV has not changed")
        # A time still to come is a wrong clock's, and says nothing.
        if 0 <= time.time() - found.st_mtime < SETTLED:
            return SkipReason("the CSV is still being written")
        sha256 = site.csv.sha256()
    context.update_cursor(identity)
    return RunRequest(run_key=f"{identity}-{sha256}", tags={"csv_sha256": sha256})

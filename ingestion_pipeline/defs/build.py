"""All definitions of a site, put together in one place."""

from collections.abc import Mapping

from dagster import Definitions, in_process_executor

from ingestion_pipeline.defs.alerts import alerts
from ingestion_pipeline.defs.assets.csv_snapshot import csv_snapshot
from ingestion_pipeline.defs.assets.database_backup import database_backup
from ingestion_pipeline.defs.assets.database_health import database_health
from ingestion_pipeline.defs.assets.migration_phase import migration_phase
from ingestion_pipeline.defs.assets.report_views import report_views
from ingestion_pipeline.defs.assets.search_index import search_index
from ingestion_pipeline.defs.assets.tables import tables
from ingestion_pipeline.defs.assets.versioned_export import versioned_export
from ingestion_pipeline.defs.buckets import bucket_assets, bucket_jobs
from ingestion_pipeline.defs.checks import CHECKS
from ingestion_pipeline.defs.drill import DRILL
from ingestion_pipeline.defs.freshness import policies, with_policy
from ingestion_pipeline.defs.jobs import JOBS
from ingestion_pipeline.defs.resources import PipelineResource, s3_of
from ingestion_pipeline.defs.schedules import schedules
from ingestion_pipeline.defs.sensors import compare_when_quiet, csv_changed, phase_wanted, settle_pending
from ingestion_pipeline.settings import Settings, load_settings


def build_definitions(
    settings: Settings | None = None, resources: Mapping[str, object] | None = None
) -> Definitions:
    """The definitions of a site.

    Args:
        settings: The site's; read from its configuration if not given.
        resources: In place of the site's own, by name.

    Raises:
        SettingsError: The configuration cannot be used.
    """
    site = settings or load_settings()
    fresh = policies(site)
    assets = [
        *(csv_snapshot, tables, versioned_export, database_backup, migration_phase),
        *(search_index, report_views, database_health),
        *bucket_assets(site.bulk.buckets),
    ]
    return Definitions(
        assets=[asset.map_asset_specs(lambda spec: with_policy(spec, fresh)) for asset in assets],
        asset_checks=[*CHECKS, *DRILL],
        jobs=[*JOBS, *bucket_jobs(site.bulk.buckets)],
        schedules=schedules(site),
        sensors=[
            csv_changed(site),
            settle_pending(site),
            phase_wanted(site),
            *compare_when_quiet(site),
            alerts(site),
        ],
        resources={"pipeline": PipelineResource(config=str(site.config_file), s3=s3_of(site))}
        | dict(resources or {}),
        # Steps in processes of their own would each take seconds to start.
        executor=in_process_executor,
    )

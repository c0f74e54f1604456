"""The code location of Celery's workers: the bulk jobs alone, so that a worker stays small."""

from dagster import Definitions
from dagster_celery import celery_executor

from ingestion_pipeline.defs.buckets import bucket_jobs
from ingestion_pipeline.defs.over_celery.settings import celery_settings
from ingestion_pipeline.defs.site import SiteResource
from ingestion_pipeline.settings import load_settings

_site = load_settings()

defs = Definitions(
    jobs=bucket_jobs(_site.bulk.buckets),
    resources={"pipeline": SiteResource(config=str(_site.config_file))},
    executor=celery_executor.configured(celery_settings()),
)

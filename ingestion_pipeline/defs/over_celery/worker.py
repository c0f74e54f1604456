"""What `celery -A ingestion_pipeline.defs.over_celery.worker worker` runs.

`dagster-celery worker start` would do the same, but writes the broker's password to a file each time.
"""

import os

from celery import Celery
from dagster._config import post_process_config
from dagster_celery.executor import CeleryExecutor, celery_executor
from dagster_celery.make_app import make_app
from dagster_celery.tasks import create_task

from ingestion_pipeline.defs.over_celery.settings import celery_settings

# What a step makes is for its owner only.
os.umask(0o077)


def _app() -> Celery:
    config = post_process_config(celery_executor.config_schema.config_type, celery_settings()).value
    given = {name: value for name, value in (config or {}).items() if name != "retries"}
    return make_app(CeleryExecutor.for_cli(**given).app_args())


app = _app()
execute_plan = create_task(app)

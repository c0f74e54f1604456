"""A worker of Celery: `python -m ingestion_pipeline.defs.over_celery.worker`.

`dagster-celery worker start` would do the same, but writes the broker's password to a file each time, and
takes 10 MB more.
"""

import argparse
import os
import sys

from celery import Celery
from celery.utils.nodenames import default_nodename, host_format
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


def main() -> None:
    """Run a worker, without what the command line of Celery brings besides."""
    parser = argparse.ArgumentParser(prog="python -m ingestion_pipeline.defs.over_celery.worker")
    parser.add_argument("--name", default="worker", help="what it is called, before its machine's name")
    parser.add_argument(
        "--concurrency", type=int, default=1, help="steps at a time, each a process of its own"
    )
    given = parser.parse_args()
    worker = app.Worker(
        hostname=host_format(default_nodename(f"{given.name}@%h")),
        concurrency=given.concurrency,
        pool_cls="prefork",
        optimization="fair",
        loglevel="INFO",
        without_gossip=True,
        without_mingle=True,
    )
    worker.start()
    sys.exit(worker.exitcode)


if __name__ == "__main__":
    main()

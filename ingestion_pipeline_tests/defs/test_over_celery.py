"""A run over two real workers of Celery, of which one is killed in the middle of a bucket."""

import json
import shutil
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

import pytest
from yaml import safe_load

from ingestion_pipeline.stores.postgres.pool import Pool

PROJECT = Path(__file__).parents[2]
PEOPLE = 509

needs_celery = pytest.mark.skipif(
    find_spec("dagster_celery") is None, reason="extra [celery] is not installed"
)
needs_redis = pytest.mark.skipif(shutil.which("redis-server") is None, reason="there is no redis-server")


@needs_celery
@needs_redis
def test_a_killed_worker_loses_nothing_and_does_nothing_twice(database: str, pool: Pool) -> None:
    words = [sys.executable, "-m", "ingestion_pipeline.defs.over_celery.trial", "--json", "--no-daemon"]
    words += ["--kill", "--buckets", "6", "--longest", "60", "--database", database]

    ended = subprocess.run(words, capture_output=True, text=True, cwd=PROJECT, timeout=110, check=False)

    assert ended.returncode == 0, ended.stderr
    trial = json.loads(ended.stdout)
    synced, compared, reported = trial["runs"]
    assert trial["killed"] in synced["begun_twice"]
    assert all(synced["by_worker"].values()), "both had their share"
    assert (synced["found"]["inserted"], synced["found"]["changed_by_level"]) == (PEOPLE, 0)
    assert compared["found"]["bytes_equal"]
    assert compared["found"]["one_state"]
    assert (reported["found"]["people"], reported["found"]["one_state"]) == (PEOPLE, True)
    assert trial["equal"]
    with pool.transaction() as cursor:
        cursor.execute("SELECT operation, count(*), count(DISTINCT row_id) FROM ingestion.history GROUP BY 1")
        assert cursor.fetchall() == [("insert", PEOPLE, PEOPLE)], (
            "each of them made once, and never touched again"
        )


def test_settings_lose_no_step() -> None:
    shared = safe_load((PROJECT / "deploy" / "celery" / "celery.yaml").read_text())["execution"]["config"]
    source = shared["config_source"]

    assert source["task_acks_late"]
    assert source["task_reject_on_worker_lost"]
    assert source["worker_prefetch_multiplier"] == 1
    assert source["broker_transport_options"]["visibility_timeout"] > 0
    assert shared["broker"] == {"env": "INGESTION_CELERY_BROKER"}, "it may hold a password"


def test_dagsters_settings_are_the_projects_but_for_where_files_lie() -> None:
    ours = safe_load((PROJECT / "deploy" / "celery" / "dagster.yaml").read_text())
    projects = safe_load((PROJECT / "dagster.yaml").read_text())

    for section in ("local_artifact_storage", "compute_logs"):
        assert ours.pop(section)["class"] == projects.pop(section)["class"]
    assert ours == projects

"""A file in buckets over two workers of Celery, one killed midway: as in one bucket, and in little memory."""

import json
import os
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import psycopg2

from benchmarks import shapes
from benchmarks.campaign import record
from ingestion_pipeline.app import open_pipeline
from ingestion_pipeline.domain.buckets import Added
from ingestion_pipeline_tests.conftest import Server

BUCKETS = 16
MOST_MB = 150
LONGEST = 3600


def over_workers(csv: Path, url: str) -> dict[str, Any]:
    """Sync, compare and report a file over two workers, of which one is killed; gives what the trial says."""
    words = [
        sys.executable,
        "-m",
        "ingestion_pipeline.defs.over_celery.trial",
        "--json",
        "--no-daemon",
        "--kill",
    ]
    words += ["--buckets", str(BUCKETS), "--csv", str(csv), "--database", url, "--visibility", "60"]
    words += ["--longest", str(LONGEST)]
    ended = subprocess.run(words, stdout=subprocess.PIPE, text=True, timeout=3 * LONGEST, check=False)  # noqa: S603
    if not ended.stdout:
        raise record.NotRunError("the trial over Celery did not come to an end")
    trial: dict[str, Any] = json.loads(ended.stdout)
    return trial


def in_one_bucket(folder: Path, csv: Path, url: str) -> Added:
    """Compare the same file and tables in one bucket, in this process."""
    (folder / "config").mkdir(parents=True)
    (folder / "outputs").mkdir()
    config = folder / "config" / "config.yaml"
    config.write_text("migration:\n  phase: dual_write\nbulk:\n  buckets: 1\n", encoding="utf-8")
    (folder / "outputs" / "output.csv").hardlink_to(csv)
    os.environ["DATABASE_URL"] = url
    with open_pipeline(config) as pipeline:
        pipeline.buckets.split_to_compare("one")
        pipeline.buckets.compare("one", 0)
        return pipeline.buckets.add_up("one")


def violations(trial: dict[str, Any], one: Added, history: Sequence[tuple[object, ...]]) -> list[str]:
    """What of the promises was not kept."""
    _, compared, reported = trial["runs"]
    rows = trial["rows"]
    promised = {
        "a run did not end in success": all(run["success"] for run in trial["runs"]),
        "no worker was killed in a bucket": trial["killed"] is not None,
        "the sides are not equal": trial["equal"] and compared["found"].get("bytes_equal", False),
        "another digest than in one bucket": compared["found"].get("csv_sum") == one.csv_sum == one.sum,
        "the report counts other people": reported["found"].get("people") == rows,
        "somebody was written twice": history == [("insert", rows, rows)],
        f"a worker had {MOST_MB} MB or more": max(trial["peak_mb"]) < MOST_MB,
    }
    return [words for words, kept in promised.items() if not kept]


def work(part: record.Part, rows: int) -> None:
    """Do all of it."""
    with record.folder() as folder, record.server() as server:
        folder.mkdir()
        csv = folder / "made.csv"
        shapes.FILLED.write(csv, rows)
        with record.database(server) as url:
            trial = over_workers(csv, url)
            one = in_one_bucket(folder / "one", csv, url)
            history = _history(url)
            part.add(
                f"{BUCKETS} buckets, two workers, one killed",
                violations(trial, one, history),
                rows=rows,
                killed=trial["killed"],
                sync_seconds=trial["runs"][0]["seconds"],
                compare_seconds=trial["runs"][1]["seconds"],
                steps=trial["runs"][0]["by_worker"],
                peak_mb=trial["peak_mb"],
                digest=one.csv_sum,
            )
            Server(url).run(
                "SELECT set_config('ingestion.epoch', '1', false); UPDATE people SET name = name || '.' "
                "WHERE id = (SELECT min(id) FROM people)"
            )
            other = in_one_bucket(folder / "control", csv, url)
            part.control("a cell changed behind its back", noticed=not other.equal)


def _history(url: str) -> list[tuple[object, ...]]:
    return _rows(url, "SELECT operation, count(*), count(DISTINCT row_id) FROM ingestion.history GROUP BY 1")


def _rows(url: str, statement: str) -> list[tuple[object, ...]]:
    connection = psycopg2.connect(url)
    try:
        with connection, connection.cursor() as cursor:
            cursor.execute(statement)
            return list(cursor.fetchall())
    finally:
        connection.close()


if __name__ == "__main__":
    sys.exit(record.run(record.Part("buckets", "R1"), __doc__ or "", {"rows": (1_000_000, 20_000)}, work))

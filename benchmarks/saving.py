"""What the save of a whole frame costs after each person, beside rewriting the file each time."""

import argparse
import gzip
import json
import os
import platform
import shutil
import statistics
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any
from unittest.mock import patch

import pandas as pd

from benchmarks.writing import site
from ingestion_pipeline import Pipeline
from ingestion_pipeline.domain.phase import Phase
from ingestion_pipeline.legacy import CSVManager
from ingestion_pipeline.legacy.own_table import OwnTable

GOALS = {500: 20, 10_000: 500}
"""Times as fast as rewriting the file, at least, by people."""

PEOPLE = 500
"""Saves that are timed."""

EVERY = 10
"""One save in so many is timed the old way too."""


def rewritten(frame: pd.DataFrame, path: Path) -> None:
    """As the old module saves by default: a gzipped copy, a temporary file, no fsync."""
    with path.open("rb") as old, gzip.open(path.with_suffix(".csv.gz"), "wb") as copy:
        shutil.copyfileobj(old, copy)
    replaced(frame, path)


def replaced(frame: pd.DataFrame, path: Path) -> None:
    """The same without the copy."""
    beside = path.with_suffix(".tmp")
    frame.to_csv(beside, index=False, encoding="utf-8")
    beside.replace(path)


def seconds(work: Callable[..., object], *given: object) -> float:
    """Seconds one call takes."""
    began = time.perf_counter()
    work(*given)
    return time.perf_counter() - began


def saved(count: int, phase: Phase) -> dict[str, float]:
    """Medians of saves, one person more processed each time, in milliseconds."""
    with site(count, phase) as pipeline, _own(pipeline):
        manager = CSVManager()
        records: list[dict[str, Any]] = manager.read().to_dict("records")  # type: ignore[assignment]
        ours, old, bare = [], [], []
        for number in range(PEOPLE):
            records[number * 7919 % count] |= {"processed": "yes", "document_text": f"text {number} " * 150}
            frame = pd.DataFrame(records)
            ours.append(seconds(_save, frame))
            if number % EVERY == 0:
                path = pipeline.csv.path.with_name("old.csv")
                bare.append(seconds(replaced, frame, path))
                old.append(seconds(rewritten, frame, path))
        kept = dict(zip((row["row_id"] for row in records), records, strict=True))
        for row in pipeline.rows():
            if row["document_text"] != (kept[row["row_id"]]["document_text"]):
                raise SystemExit("what was saved is not what is there")
    taken = {"save_ms": ours, "rewrite_ms": old, "rewrite_without_copy_ms": bare}
    return {name: statistics.median(times) * 1e3 for name, times in taken.items()}


def _save(frame: pd.DataFrame) -> None:
    if not CSVManager().safe_csv_write(frame, operation_name="incremental_update"):
        raise SystemExit("a save was refused")


def _own(pipeline: Pipeline) -> Any:
    """The pipeline of the benchmark in the place of the process's own."""
    own = OwnTable(pipeline)
    return patch.multiple("ingestion_pipeline.legacy.manager", table_of=lambda _path, **_: own)


def main() -> int:
    """Measure, print, keep, and say whether the goals are met."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--sizes", type=int, nargs="+", default=list(GOALS))
    parser.add_argument("--phases", nargs="+", default=["dual_write", "database_primary", "database_native"])
    parser.add_argument("--to", type=Path, default=Path(__file__).parent / "results" / "saving.json")
    options = parser.parse_args()
    results: dict[str, dict[str, float]] = {}
    for phase in map(Phase, options.phases):
        for size in options.sizes:
            found = saved(size, phase)
            found["ratio"] = found["rewrite_ms"] / found["save_ms"]
            results[f"{phase} {size}"] = found
            print(f"{phase:18} {size:>7,} people  {found['save_ms']:8.2f} ms", end="  ")
            bare = found["rewrite_without_copy_ms"]
            print(f"old {found['rewrite_ms']:8.1f} ms ({bare:.1f} without its copy)", end="  ")
            print(f"{found['ratio']:.0f} times as fast")
    machine = {"python": platform.python_version(), "system": platform.system(), "cores": os.cpu_count()}
    options.to.write_text(json.dumps({"machine": machine, "results": results}, indent=2) + "\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())

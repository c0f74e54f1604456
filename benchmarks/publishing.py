"""What it costs to publish a version and to restore one, beside what the same machine can do at best."""

import argparse
import json
import os
import platform
import shutil
import statistics
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import psycopg2

from benchmarks.writing import site
from ingestion_pipeline import Pipeline, open_pipeline
from ingestion_pipeline.domain.columns import COLUMNS
from ingestion_pipeline.domain.phase import Phase

PUBLISH, RESTORE = 2.2, 1.2
"""Times as long as the floor, at most."""

MEMORY = 64
"""MB that the program needs at most."""

EVERY = 10
"""One person in so many is another one in the second file."""


def flat(pipeline: Pipeline) -> Callable[[], object]:
    """COPY of the same text out of one table without indexes, into a file: the least an export can be."""
    connection = psycopg2.connect(pipeline.pool._dsn)  # noqa: SLF001 - the same server, without the pool
    connection.autocommit = True
    cursor = connection.cursor()
    columns = ", ".join(f'"{column.name}" text' for column in COLUMNS)
    cursor.execute(f"CREATE UNLOGGED TABLE flat ({columns})")
    with pipeline.csv.path.open("rb") as file:
        names = file.readline().decode().strip()
        cursor.copy_expert(f"COPY flat ({names}) FROM STDIN (FORMAT csv)", file)

    def copy() -> None:
        with pipeline.csv.path.with_name("flat.csv").open("wb") as sink:
            cursor.copy_expert(f"COPY flat ({names}) TO STDOUT (FORMAT csv)", sink)

    return copy


def seconds(work: Callable[[], object]) -> float:
    """Seconds one call takes."""
    began = time.perf_counter()
    work()
    return time.perf_counter() - began


def published(count: int, rounds: int) -> dict[str, Any]:
    """How long a version takes, and the floor, by turns."""
    with site(count, Phase.DATABASE_PRIMARY) as pipeline:
        copy, ours, floors = flat(pipeline), [], []
        for number in range(rounds):
            pipeline.write("1", {"type": f"T{number}"})
            floors.append(seconds(copy))
            ours.append(seconds(pipeline.export))
        pipeline.write("1", {"type": "last"})
        memory = _memory("export", pipeline.settings.config_file)
        return _result(ours, floors, PUBLISH, memory)


def restored(count: int, rounds: int) -> dict[str, Any]:
    """How long restoring both sides takes, and a sync and a copy of the file, by turns."""
    with site(count, Phase.DUAL_WRITE) as pipeline:
        csv = pipeline.csv.path
        one, other = csv.with_name("one.csv"), csv.with_name("other.csv")
        shutil.copyfile(csv, one)
        _changed(one, other)
        version, ours, floors = pipeline.export().manifest.key, [], []
        for number in range(rounds):
            shutil.copyfile(other, csv)
            pipeline.sync(accept_loss=True)
            pipeline.write("1", {"type": f"T{number}"})
            ours.append(seconds(lambda: pipeline.restore.version(version)))
            shutil.copyfile(other, csv)
            pipeline.sync(accept_loss=True)
            floors.append(seconds(lambda: (shutil.copyfile(one, csv), pipeline.sync(accept_loss=True))))
        shutil.copyfile(other, csv)
        pipeline.sync(accept_loss=True)
        return _result(ours, floors, RESTORE, _memory("restore", pipeline.settings.config_file, version))


def _changed(one: Path, other: Path) -> None:
    """The same people, one in ten of them with another type."""
    with one.open(encoding="utf-8", newline="") as file, other.open("w", encoding="utf-8", newline="") as new:
        for number, line in enumerate(file):
            new.write(line.replace(",INTJ,", ",ENFP,") if number % EVERY == 0 else line)


def _memory(verb: str, config: Path, *words: str) -> float:
    """MB that the program takes for it."""
    command = [sys.executable, "-m", "benchmarks.publishing", "--measure", verb, str(config), *words]
    answer = subprocess.run(command, check=True, capture_output=True, text=True)  # noqa: S603 - this program
    return float(answer.stdout)


def measure(verb: str, config: str, *words: str) -> None:
    """Do it once, and print the MB it took."""
    with open_pipeline(config) as pipeline:
        if verb == "export":
            pipeline.export()
        else:
            pipeline.restore.version(*words)
    # Not getrusage: that begins with what the parent took.
    status = Path("/proc/self/status").read_text(encoding="ascii")
    print(int(status.partition("VmHWM:")[2].split()[0]) / 1024)


def _result(ours: list[float], floors: list[float], goal: float, memory: float) -> dict[str, Any]:
    ratio = statistics.median(ours) / statistics.median(floors)
    return {
        "seconds": round(statistics.median(ours), 3),
        "floor_seconds": round(statistics.median(floors), 3),
        "ratio": round(ratio, 2),
        "goal": goal,
        "memory_mb": round(memory),
        "kept": ratio <= goal and memory <= MEMORY,
    }


def main() -> int:
    """Measure, print, keep, and say whether the goals are kept."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--people", type=int, default=100_000)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--measure", nargs="+", help=argparse.SUPPRESS)
    parser.add_argument("--to", type=Path, default=Path(__file__).parent / "results" / "publishing.json")
    options = parser.parse_args()
    if options.measure:
        measure(*options.measure)
        return 0
    results = {
        "publish": published(options.people, options.rounds),
        "restore": restored(options.people, options.rounds),
    }
    for job, found in results.items():
        print(f"{job}: {found}")
    machine = {
        "python": platform.python_version(),
        "system": platform.system(),
        "cores": os.cpu_count(),
        "load": round(os.getloadavg()[0], 1),
    }
    options.to.write_text(json.dumps({"machine": machine, "results": results}, indent=2) + "\n")
    return 0 if all(found["kept"] for found in results.values()) else 1


if __name__ == "__main__":
    sys.exit(main())

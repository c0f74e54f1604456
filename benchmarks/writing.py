"""What one durable write costs: at 500 people and at 100,000, beside what the same machine can do at best."""

import argparse
import json
import os
import platform
import random
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from string import ascii_lowercase

import psycopg2

from ingestion_pipeline import Pipeline, open_pipeline
from ingestion_pipeline.domain.columns import Mode, header
from ingestion_pipeline.domain.phase import Phase

COLUMNS = header(Mode.FULL)
ROUNDS = 7
EACH = 200


def people(path: Path, count: int) -> None:
    """A CSV of so many people, about 1.6 KB each, a third of the texts with quotes and newlines."""
    draw = random.Random(7)  # noqa: S311 - made-up data
    words = ["".join(draw.choices(ascii_lowercase, k=draw.randrange(2, 10))) for _ in range(5000)]
    with path.open("w", newline="", encoding="utf-8") as file:
        file.write(",".join(COLUMNS) + "\n")
        for number in range(count, 0, -1):
            text = " ".join(draw.choices(words, k=draw.randrange(130, 350)))
            text = f'"{text}\n""said""\n"' if number % 3 == 0 else text
            cells = {"row_id": str(number), "name": f"Person {number}", "email": f"p{number}@example.org"}
            cells |= {"type": "INTJ", "document_text": text, "processed": "yes"}
            file.write(",".join(cells.get(column, "") for column in COLUMNS) + "\n")


@contextmanager
def fresh_site(count: int, phase: Phase) -> Iterator[tuple[Path, Pipeline]]:
    """A site of so many people that begins in this phase, on an embedded server of its own."""
    with tempfile.TemporaryDirectory() as folder:
        config = Path(folder) / "config" / "config.yaml"
        config.parent.mkdir()
        (Path(folder) / "outputs").mkdir()
        config.write_text(f"migration:\n  phase: {phase}\ncsv_backup:\n  enabled: false\n")
        people(Path(folder) / "outputs" / "output.csv", count)
        with open_pipeline(config) as pipeline:
            pipeline.begin()
            try:
                yield config, pipeline
            finally:
                pipeline.settle()
        with open_pipeline(config) as pipeline:
            pipeline.embedded().destroy()


@contextmanager
def site(count: int, phase: Phase) -> Iterator[Pipeline]:
    """A site of so many people in this phase."""
    with fresh_site(count, Phase.DUAL_WRITE) as (_, pipeline):
        pipeline.sync()
        report = pipeline.phase.advance(phase)
        if report.state.phase is not phase:
            raise SystemExit(f"the gate to {phase} stays shut: {report.shut}")
        yield pipeline


def seconds(work: Callable[[int], object], times: int) -> float:
    """Seconds each of so many calls takes."""
    began = time.perf_counter()
    for number in range(times):
        work(number)
    return (time.perf_counter() - began) / times


def floor(pipeline: Pipeline, count: int) -> Callable[[int], object]:
    """One UPDATE of one row, committed, on a connection of its own: the least a durable write can be."""
    connection = psycopg2.connect(pipeline.pool._dsn)  # noqa: SLF001 - the same server, without the pool
    with connection, connection.cursor() as cursor:
        cursor.execute("CREATE TABLE floor_probe AS SELECT row_id, 'INTJ' AS type FROM people")
        cursor.execute("CREATE UNIQUE INDEX ON floor_probe (row_id)")
    connection.autocommit = True
    cursor = connection.cursor()
    cursor.execute("PREPARE floor (text, text) AS UPDATE floor_probe SET type = $2 WHERE row_id = $1")
    return lambda number: cursor.execute(
        "EXECUTE floor (%s, %s)", (str(number * 7919 % count + 1), f"T{number % 16}")
    )


def measured(count: int, phase: Phase) -> dict[str, float]:
    """Medians of interleaved rounds, in microseconds."""
    with site(count, phase) as pipeline:
        lowest = floor(pipeline, count)

        def write(number: int) -> object:
            return pipeline.write(str(number * 7919 % count + 1), {"type": f"T{number % 16}"})

        each = EACH if phase.authority == "postgres" else 10
        seconds(lowest, 50)
        seconds(write, each // 4 or 1)
        ours, theirs = [], []
        for _ in range(ROUNDS):
            theirs.append(seconds(lowest, each))
            ours.append(seconds(write, each))
    return {"write_us": statistics.median(ours) * 1e6, "floor_us": statistics.median(theirs) * 1e6}


def main() -> int:
    """Measure, print, keep, and say whether a write's cost grows with the people."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--sizes", type=int, nargs="+", default=[500, 100_000])
    parser.add_argument("--to", type=Path, default=Path(__file__).parent / "results" / "writing.json")
    options = parser.parse_args()
    results: dict[str, dict[str, float]] = {}
    for phase in (Phase.DATABASE_NATIVE, Phase.DATABASE_PRIMARY):
        for size in options.sizes:
            found = measured(size, phase)
            results[f"{phase} {size}"] = found
            ratio = found["floor_us"] / found["write_us"]
            cost = f"{found['write_us']:8.0f} µs"
            print(f"{phase:18} {size:>9,} people  {cost}  {ratio:.2f} of the floor's rate")
    small, large = options.sizes[0], options.sizes[-1]
    growth = {
        str(phase): results[f"{phase} {large}"]["write_us"] / results[f"{phase} {small}"]["write_us"]
        for phase in (Phase.DATABASE_NATIVE, Phase.DATABASE_PRIMARY)
    }
    for phase_name, factor in growth.items():
        print(f"{phase_name:18} {large:,} people cost {factor:.2f} of {small:,}; goal at most 1.30")
    machine = {"python": platform.python_version(), "system": platform.system(), "cores": os.cpu_count()}
    options.to.parent.mkdir(exist_ok=True)
    options.to.write_text(json.dumps({"machine": machine, "results": results, "growth": growth}, indent=2))
    return 0 if all(factor <= 1.3 for factor in growth.values()) else 1  # noqa: PLR2004 - the goal


if __name__ == "__main__":
    sys.exit(main())

"""What publishing, restoring and saving a frame are made of: seconds of each step, and what the rest is."""

import argparse
import hashlib
import json
import os
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from itertools import pairwise
from pathlib import Path
from typing import Any
from unittest.mock import patch

import psycopg2
import zstandard

from benchmarks import floors, kept
from benchmarks.bench import Bench, Site, opened
from benchmarks.jobs.restore import EVERY
from benchmarks.ours import MARK, SPREAD
from benchmarks.shapes import DOCUMENTS, changed
from ingestion_pipeline import open_pipeline
from ingestion_pipeline.app.restorable import AS_USUAL
from ingestion_pipeline.domain.phase import Phase
from ingestion_pipeline.stores.atomic import draft
from ingestion_pipeline.stores.bucket import chain
from ingestion_pipeline.stores.postgres.rendering import render

ROUNDS = 3
BLOCK = 256 * 1024
SAVES = 40

Steps = dict[str, float]


def publish(bench: Bench, rows: int) -> Steps:
    """A version of so many rows: what each part of it takes alone, one after another."""
    csv = bench.file(DOCUMENTS, rows)
    with bench.site(csv) as site:
        site.ours("export")
        parts: dict[str, Callable[[], object]] = {
            "PostgreSQL renders, to nowhere": lambda: _rendered(site),
            "digest": lambda: _digested(csv),
            "packed": lambda: _packed(csv),
            "put in place: written, fsync, read back": lambda: _put(bench.folder, csv),
        }
        found = {name: _median(work) for name, work in parts.items()}
        found["all of it"] = statistics.median(_published(site, number) for number in range(ROUNDS))
        found["floor: COPY of one flat table"] = _flat(site, csv)
    return found


def _rendered(site: Site) -> None:
    class Nowhere:
        def write(self, data: bytes, /) -> None: ...

    connection = psycopg2.connect(site.url)
    try:
        with connection.cursor() as cursor:
            render(cursor, Nowhere())
    finally:
        connection.close()


def _blocks(path: Path) -> Iterator[bytes]:
    with path.open("rb") as file:
        while data := file.read(BLOCK):
            yield data


def _digested(path: Path) -> None:
    digest = hashlib.sha256()
    for data in _blocks(path):
        digest.update(data)


def _packed(path: Path) -> bytes:
    packing = zstandard.ZstdCompressor(chain._LEVEL, write_checksum=True).compressobj()  # noqa: SLF001 - as versions are
    return b"".join([*map(packing.compress, _blocks(path)), packing.flush()])


def _put(folder: Path, csv: Path) -> float:
    packed = _packed(csv)
    with tempfile.TemporaryDirectory(dir=folder) as place, draft(Path(place) / "version") as new:
        began = time.perf_counter()
        new.write(packed)
        new.create()
        return time.perf_counter() - began


def _published(site: Site, number: int) -> float:
    site.ours("change", "1", "type", f"T{number}")
    return site.ours("export").seconds


def _flat(site: Site, csv: Path) -> float:
    floors.create_flat(site.url)
    floors.copy_in(site.url, csv)
    return statistics.median(
        floors.copy_out(site.url, csv.with_suffix(".out")).seconds for _ in range(ROUNDS)
    )


def restore(bench: Bench, rows: int) -> Steps:
    """A version brought back to both sides, one person in ten another; the steps follow one another."""
    one = bench.file(DOCUMENTS, rows)
    other = bench.file(DOCUMENTS, rows, changed(rows, rows // EVERY, type="otherwise"), "otherwise")
    rounds = []
    with bench.site(one) as site:
        version = str(site.ours("export").answer["version"])
        for number in range(ROUNDS):
            site.put(other)
            site.ours("sync")
            # What is there was never published before.
            site.ours("change", "1", "type", f"T{number}")
            bench.calm()
            rounds.append(_restored(site, version))
    return {name: statistics.median(one[name] for one in rounds) for name in rounds[0]}


def _restored(site: Site, version: str) -> Steps:
    marks: list[tuple[str, float]] = []
    with patch.dict(os.environ, site.env), open_pipeline(site.config) as pipeline:
        pipeline.restore.version(
            version, replace(AS_USUAL, step=lambda name: marks.append((name, time.perf_counter())))
        )
    marks.append(("", time.perf_counter()))
    # One step may be named more than once, as what it calls has steps of the same name.
    found: Steps = {}
    for (name, began), (_, ended) in pairwise(marks):
        found[name] = found.get(name, 0.0) + ended - began
    return found


def save(bench: Bench, rows: int) -> Steps:
    """A frame of so many people saved with one of them changed, where PostgreSQL leads."""
    with (
        bench.site(bench.file(DOCUMENTS, rows), Phase.DATABASE_PRIMARY) as site,
        patch.dict(os.environ, site.env),
    ):
        return _saved(site.config)


def _saved(config: str) -> Steps:
    # What a script imports; no other step needs it.
    import pandas as pd  # noqa: PLC0415

    from ingestion_pipeline.legacy.own_table import OwnTable  # noqa: PLC0415

    whole, written = [], []
    with open_pipeline(config) as pipeline:
        own, write = OwnTable(pipeline), OwnTable._write  # noqa: SLF001 - a part of the save

        def timed(self: Any, found: Any) -> Any:
            began = time.perf_counter()
            left = write(self, found)
            written.append(time.perf_counter() - began)
            return left

        records = own.frame().to_dict("records")
        with patch.object(OwnTable, "_write", timed):
            for number in range(SAVES):
                records[number * SPREAD % len(records)] |= {"document_text": f"text {MARK} {number} " * 100}
                frame = pd.DataFrame(records)
                began = time.perf_counter()
                own.replace(frame)
                whole.append(time.perf_counter() - began)
    write_alone = statistics.median(written)
    return {"written and durable": write_alone, "told apart": statistics.median(whole) - write_alone}


def _median(work: Callable[[], object]) -> float:
    """Seconds of a few times; what the work itself says it took, if it does."""
    taken = []
    for _ in range(ROUNDS):
        began = time.perf_counter()
        said = work()
        taken.append(said if isinstance(said, float) else time.perf_counter() - began)
    return statistics.median(taken)


def main() -> int:
    """Measure, print and keep."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rows", type=int, default=100_000)
    parser.add_argument("--saved", type=int, default=10_000, help="people in the frame that is saved")
    parser.add_argument("--keep", action="store_true")
    options = parser.parse_args()
    with opened() as bench:
        found = {
            f"publish, {options.rows:,} rows": publish(bench, options.rows),
            f"restore, {options.rows:,} rows": restore(bench, options.rows),
            f"save-primary, {options.saved:,} rows": save(bench, options.saved),
        }
        machine = kept.machine(bench)
    for job, steps in found.items():
        for name, seconds in steps.items():
            print(f"{job:28} {name:42} {seconds * 1000:10.1f} ms")
    if options.keep:
        text = json.dumps({"machine": machine, "found": found}, indent=1)
        (kept.RESULTS / "steps.json").write_text(text + "\n", encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())

"""What each gate of a first sync costs: the client by its processor time, PostgreSQL by what is left out."""

import argparse
import hashlib
import io
import json
import statistics
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import psycopg2
from psycopg2.extensions import cursor as Cursor  # noqa: N812 - a type

from benchmarks import floors, kept
from benchmarks.bench import Bench, opened
from benchmarks.shapes import SHAPES, Shape
from ingestion_pipeline.domain.record import Examination
from ingestion_pipeline.stores.disk.csv_reading import CsvReading
from ingestion_pipeline.stores.postgres.first_load import _into, _Split  # the parts of one load

ROUNDS = 3

CARRY = """SELECT set_config('ingestion.epoch', '1', true), set_config('ingestion.bulk', 'on', true)"""
BEGIN = "INSERT INTO ingestion.migration_state (phase, epoch) VALUES ('dual_write', 1)"
PLAIN = {
    "typed": "CREATE TABLE typed (LIKE processing_status INCLUDING DEFAULTS INCLUDING IDENTITY)",
    "keys": "ALTER TABLE typed ADD PRIMARY KEY (id), ADD UNIQUE (person_id)",
}


def client(path: Path) -> dict[str, float]:
    """Seconds of the processor that each step of reading takes, all before it included."""

    def digested() -> None:
        digest = hashlib.sha256()
        with path.open("rb") as file:
            while data := file.read(256 * 1024):
                digest.update(data)

    def looked_at() -> None:
        with CsvReading(path) as file:
            for _ in file.blocks():
                pass

    def examined() -> None:
        with CsvReading(path) as file:
            examination = Examination(file.columns)
            for block in file.blocks():
                for _ in examination.examine(block, 1):
                    pass

    def cut_up() -> None:
        with CsvReading(path) as file:
            for _ in _Split(file, 0, io.BytesIO(), io.BytesIO(), io.BytesIO()).status_lines():
                pass

    steps = {"digest": digested, "byte gate": looked_at, "codecs": examined, "cut up": cut_up}
    return {name: statistics.median(_processor(step) for _ in range(ROUNDS)) for name, step in steps.items()}


def _processor(work: Callable[[], None]) -> float:
    began = time.process_time()
    work()
    return time.process_time() - began


class Load:
    """One file's lines for the three tables, loaded in parts of a transaction that is rolled back."""

    def __init__(self, path: Path, url: str) -> None:
        self._spools = [tempfile.TemporaryFile() for _ in range(3)]  # noqa: SIM115 - gone with the program
        with CsvReading(path) as file:
            split = _Split(file, 0, *self._spools)
            self._status = b"".join(split.status_lines())
        self._into = {one.table: one for one in (split.people, split.status, split.maps)}
        self._url = url

    def seconds(self, *steps: str) -> list[float]:
        """How long each step takes, one after another."""
        connection = psycopg2.connect(self._url)
        try:
            with connection.cursor() as cursor:
                cursor.execute(CARRY)
                return [self._step(cursor, step) for step in steps]
        finally:
            connection.rollback()
            connection.close()

    def _step(self, cursor: Cursor, step: str) -> float:
        began = time.perf_counter()
        match step:
            case "people":
                self._copy(cursor, "copy_people", "people", self._spools[0])
            case "status":
                self._copy(cursor, "copy_child", "processing_status", io.BytesIO(self._status))
            case "maps":
                self._copy(cursor, "copy_child", "s3_metadata", self._spools[1])
            case "typed":
                statement = _into("copy_child", self._into["processing_status"]).as_string(cursor)  # type: ignore[index]
                cursor.copy_expert(
                    statement.replace('"processing_status"', "typed"), io.BytesIO(self._status), 1 << 16
                )
            case _:
                cursor.execute(step)
        return time.perf_counter() - began

    def _copy(self, cursor: Cursor, name: str, table: str, lines: Any) -> None:
        lines.seek(0)
        cursor.copy_expert(_into(name, self._into[table]).as_string(cursor), lines, 1 << 16)  # type: ignore[index]


DEFERRED = "SET CONSTRAINTS ALL DEFERRED"
PASSED = "SET LOCAL session_replication_role = replica"
HEEDED = "SET LOCAL session_replication_role = origin"
ORPHANS = (
    "SELECT count(*) FROM processing_status WHERE NOT EXISTS (SELECT FROM people WHERE people.id = person_id)"
)
UNNOTED = "ALTER TABLE people DISABLE TRIGGER note_insert"
AT_ONCE = "SET CONSTRAINTS ALL IMMEDIATE"


def server(load: Load) -> dict[str, float]:
    """Seconds of each step, and of the same without what it is told apart by."""
    rounds = [_once(load) for _ in range(ROUNDS)]
    return {name: statistics.median(one[name] for one in rounds) for name in rounds[0]}


def _once(load: Load) -> dict[str, float]:
    typed = load.seconds(PLAIN["typed"], "typed")[-1]
    keyed = load.seconds(PLAIN["typed"], PLAIN["keys"], "typed")[-1]
    *_, status, people, checked = load.seconds(DEFERRED, "status", "people", AT_ONCE)
    _, _, passed, _, _, orphans = load.seconds(DEFERRED, PASSED, "status", HEEDED, "people", ORPHANS)
    _, unnoted, maps = load.seconds(UNNOTED, "people", "maps")
    return {
        "status, typed and logged": typed,
        "its keys": keyed - typed,
        "its triggers and what they queue": status - passed,
        "foreign keys, row by row": checked,
        "foreign keys, all at once": orphans,
        "people": unnoted,
        "history of who came": people - unnoted,
        "maps": maps,
    }


def measured(bench: Bench, shape: Shape, rows: int) -> dict[str, dict[str, float]]:
    """Both sides' steps, and the floor beside them."""
    path = bench.file(shape, rows)
    with bench.database(bench.schema) as url:
        floors.create_flat(url)
        floor = statistics.median(_flat(url, path) for _ in range(ROUNDS))
        _begin(url)
        found = {"client": client(path), "server": server(Load(path, url)), "floor": {"psql copy": floor}}
    bench.forget_files()
    return found


def _flat(url: str, path: Path) -> float:
    floors.create_flat(url)
    return floors.copy_in(url, path).seconds


def _begin(url: str) -> None:
    connection = psycopg2.connect(url)
    with connection, connection.cursor() as cursor:
        cursor.execute(BEGIN)
    connection.close()


def main() -> int:
    """Measure, print and keep."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rows", type=int, default=100_000)
    parser.add_argument("--keep", action="store_true")
    options = parser.parse_args()
    with opened() as bench:
        found = {shape.name: measured(bench, shape, options.rows) for shape in SHAPES.values()}
        machine = kept.machine(bench)
    for shape, sides in found.items():
        floor = sides["floor"]["psql copy"]
        for side in ("client", "server"):
            for name, seconds in sides[side].items():
                print(f"{shape:10} {side:7} {name:34} {seconds:6.2f} s {seconds / floor:6.2f} floors")
    if options.keep:
        text = json.dumps({"machine": machine, "rows": options.rows, "found": found}, indent=1)
        (kept.RESULTS / "gates.json").write_text(text + "\n", encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())

"""The least that a machine can do each job with, without any of what makes it safe."""

import shutil
from pathlib import Path
from typing import Any

import psycopg2

from benchmarks import child, ours
from benchmarks.bench import ask, psql, run
from benchmarks.child import Taken, seconds
from benchmarks.shapes import COLUMNS
from ingestion_pipeline.domain.columns import COLUMNS as CONTRACT
from ingestion_pipeline.domain.columns import Codec

NAMES = ", ".join(COLUMNS)

JOINED = """
    FROM people
    JOIN processing_status ON processing_status.person_id = people.id
    JOIN s3_metadata ON s3_metadata.person_id = people.id
"""
ORDERED = f"COPY (SELECT {NAMES} {JOINED} ORDER BY people.ordinal) TO STDOUT (FORMAT csv)"

_TEXT = {
    Codec.FLAG: "CASE WHEN {} THEN 'yes' ELSE '' END",
    Codec.TIMESTAMP: """coalesce(to_char({}, 'YYYY-MM-DD"T"HH24:MI:SS'), '')""",
    Codec.MAP: "coalesce({}::text, '')",
}
_OF = {column.name: column for column in CONTRACT}
_OTHERWISE = "coalesce({}, '')"
AS_TEXT = ", ".join(f"{_TEXT.get(_OF[name].codec, _OTHERWISE).format(name)} AS {name}" for name in COLUMNS)


def create_flat(url: str, name: str = "flat") -> None:
    """A table of text for all columns, without indexes and unlogged, empty."""
    columns = ", ".join(f"{column} text" for column in COLUMNS)
    run(url, f"DROP TABLE IF EXISTS {name}; CREATE UNLOGGED TABLE {name} ({columns})")


def copy_in(url: str, path: Path, name: str = "flat") -> Taken:
    """A file into such a table, with psql."""
    options = f"FORMAT csv, HEADER, FORCE_NOT_NULL ({NAMES})"
    return psql(url, f"\\copy {name} ({NAMES}) FROM '{path}' WITH ({options})")


def copy_out(url: str, path: Path, name: str = "flat") -> Taken:
    """Such a table into a file, with psql."""
    return psql(url, f"\\copy {name} TO '{path}' WITH (FORMAT csv, HEADER)")


def ordered_out(url: str) -> Taken:
    """The three tables, joined, in the file's order, to nowhere."""
    return psql(url, "\\o /dev/null", ORDERED)


def csv_reader(path: Path) -> Taken:
    """One pass of csv.reader, in a process of its own."""
    return child.work("benchmarks.plain:read", str(path))


def sync_and_copy(config: str, source: str, target: str) -> dict[str, Any]:
    """A file copied, and synced."""
    shutil.copyfile(source, target)
    return ours.sync(config)


def updates(url: str, rows: int, times: int) -> dict[str, Any]:
    """Prepared UPDATEs of one row each, committed one by one; seconds of each."""
    connection = psycopg2.connect(url)
    connection.autocommit = True
    with connection.cursor() as cursor:
        cursor.execute("CREATE TABLE IF NOT EXISTS bare AS SELECT row_id, 'INTJ' AS type FROM people")
        cursor.execute("CREATE UNIQUE INDEX IF NOT EXISTS bare_row_id ON bare (row_id)")
        cursor.execute("PREPARE one (text, text) AS UPDATE bare SET type = $2 WHERE row_id = $1")

        def one(number: int) -> None:
            cursor.execute("EXECUTE one (%s, %s)", (str(number * ours.SPREAD % rows + 1), f"T{number % 16}"))

        seconds(one, times // 4)
        taken = seconds(one, times)
    connection.close()
    return {"seconds": taken}


def people_in(url: str) -> int:
    """Rows that all three tables have."""
    counted = ask(url, f"SELECT count(*) {JOINED}")
    return int(str(counted))

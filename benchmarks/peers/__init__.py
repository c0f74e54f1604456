"""What others would do the jobs with, each library in a file of its own: only what is used is imported."""

from importlib.util import find_spec
from pathlib import Path
from shutil import which
from sys import prefix

from ingestion_pipeline.domain.columns import COLUMNS, Codec, Mode, Table

TABLES = Path(__file__).with_name("tables.sql").read_text(encoding="utf-8")

OF = {
    table: tuple(column for column in COLUMNS if column.table is table and Mode.FULL in column.modes)
    for table in Table
}
"""The columns of each table that a full CSV has."""

FLAGS = tuple(column.name for column in COLUMNS if column.codec is Codec.FLAG and Mode.FULL in column.modes)


def copy(table: Table, *, header: bool = False) -> str:
    """COPY of a table's columns, its person's number first."""
    names = [key_of(table), *(column.name for column in OF[table])]
    needed = ", ".join(column.name for column in OF[table] if column.required)
    options = [
        "FORMAT csv",
        *(["HEADER"] if header else []),
        *([f"FORCE_NOT_NULL ({needed})"] if needed else []),
    ]
    if table is Table.PEOPLE:
        names.append("ordinal")
    return f"COPY {table} ({', '.join(names)}) FROM STDIN ({', '.join(options)})"


def key_of(table: Table) -> str:
    """The column that says which person."""
    return "id" if table is Table.PEOPLE else "person_id"


def program(name: str) -> str | None:
    """Where a program is, in this environment or elsewhere."""
    here = Path(prefix) / "bin" / name
    return str(here) if here.exists() else which(name)


def lacking(*names: str) -> str | None:
    """What to say of a peer whose library or program is not here; None where all are."""
    return None if all(find_spec(name) or program(name) for name in names) else "not installed"

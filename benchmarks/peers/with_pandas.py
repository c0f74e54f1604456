"""pandas: as it is mostly used, and as fast as it goes."""

import io
from pathlib import Path
from typing import Any

import pandas as pd
import psycopg2
import zstandard
from sqlalchemy import create_engine

from benchmarks.floors import AS_TEXT, JOINED
from benchmarks.peers import FLAGS, OF, copy, key_of
from ingestion_pipeline.domain.columns import Table

ORDERED = f"SELECT {AS_TEXT} {JOINED} ORDER BY people.ordinal"


def tuned(url: str, path: str) -> dict[str, Any]:
    """read_csv, and COPY through a buffer into each table."""
    frame = _read(path)
    connection = psycopg2.connect(url)
    with connection, connection.cursor() as cursor:
        for table in Table:
            columns = [key_of(table), *(column.name for column in OF[table])]
            part = frame.assign(**{key_of(table): frame["id"]})
            buffer = io.StringIO()
            part[[*columns, "ordinal"] if table is Table.PEOPLE else columns].to_csv(
                buffer, index=False, header=False
            )
            buffer.seek(0)
            cursor.copy_expert(copy(table), buffer)
    connection.close()
    return {"rows": len(frame)}


def to_sql(url: str, path: str) -> dict[str, Any]:
    """read_csv and to_sql, a table at a time."""
    frame = _read(path)
    engine = create_engine("postgresql+psycopg2://", creator=lambda: psycopg2.connect(url))
    with engine.begin() as connection:
        for table in Table:
            required = {column.name for column in OF[table] if column.required}
            part = pd.DataFrame({key_of(table): frame["id"]})
            for column in OF[table]:
                cells = frame[column.name].astype(object)
                part[column.name] = cells if column.name in required else cells.where(cells != "", None)
            if table is Table.PEOPLE:
                part["ordinal"] = frame["id"]
            part.to_sql(table, connection, if_exists="append", index=False)
    return {"rows": len(frame)}


def _read(path: str) -> pd.DataFrame:
    frame = pd.read_csv(path, dtype=str, keep_default_na=False)
    frame["id"] = frame["ordinal"] = range(1, len(frame) + 1)
    for flag in FLAGS:
        frame[flag] = frame[flag].eq("yes")
    return frame


def compare(url: str, path: str) -> dict[str, Any]:
    """Both sides as frames, cell by cell."""
    here = pd.read_csv(path, dtype=str, keep_default_na=False)
    connection = create_engine("postgresql+psycopg2://", creator=lambda: psycopg2.connect(url))
    there = pd.read_sql_query(ORDERED, connection)
    merged = here.merge(there, on="row_id", how="outer", suffixes=("", " there"), indicator=True)
    both = merged["_merge"] == "both"
    cells = sum(
        int((merged.loc[both, column] != merged.loc[both, f"{column} there"]).sum())
        for column in here.columns
        if column != "row_id"
    )
    return {"differences": cells + int((~both).sum())}


def publish(url: str, path: str) -> dict[str, Any]:
    """A frame, written and packed."""
    engine = create_engine("postgresql+psycopg2://", creator=lambda: psycopg2.connect(url))
    text = pd.read_sql_query(ORDERED, engine).to_csv(index=False)
    Path(path).write_bytes(zstandard.compress(text.encode(), 3))
    return {}

"""polars: read, split into the three tables, COPY."""

import io
from typing import Any

import polars as pl
import psycopg2

from benchmarks.peers import FLAGS, OF, copy, key_of
from ingestion_pipeline.domain.columns import Table


def split(url: str, path: str) -> dict[str, Any]:
    """The file into the three tables."""
    frame = pl.read_csv(path, infer_schema=False)
    frame = frame.with_row_index("id", offset=1).with_columns(
        pl.col("id").alias("ordinal"), pl.col("id").alias("person_id"), pl.col(FLAGS) == "yes"
    )
    connection = psycopg2.connect(url)
    with connection, connection.cursor() as cursor:
        for table in Table:
            columns = [key_of(table), *(column.name for column in OF[table])]
            buffer = io.BytesIO()
            frame.select([*columns, "ordinal"] if table is Table.PEOPLE else columns).write_csv(
                buffer, include_header=False
            )
            buffer.seek(0)
            cursor.copy_expert(copy(table), buffer)
    connection.close()
    return {"rows": frame.height}

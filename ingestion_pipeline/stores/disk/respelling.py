"""A CSV with its cells changed, spelled as it was."""

from collections.abc import Callable
from pathlib import Path

from ingestion_pipeline.domain.ports import Sink
from ingestion_pipeline.stores.disk.csv_reading import CsvReading, dialect_of
from ingestion_pipeline.stores.disk.spelling import spell


def respell(path: Path, change: Callable[[str], str], sink: Sink) -> int:
    """Write a file with every cell of its rows changed, in constant memory; gives how many rows it has.

    Args:
        path: The file.
        change: Gives the new text of a cell, which must need quotes whenever the old one did, and be empty
            whenever that was.
        sink: Takes the bytes.

    Raises:
        InputRefusedError: The file does not keep the contract.
    """
    dialect = dialect_of(path)
    with CsvReading(path) as file:
        held = file.head
        for block in file.blocks():
            sink.write(held)
            rows = [[change(cell) for cell in row] for row in block.rows]
            held = spell(rows, dialect.quoting, dialect.line_end).encode()
        sink.write(held if dialect.final_newline else held.removesuffix(dialect.line_end.encode()))
        return file.rows

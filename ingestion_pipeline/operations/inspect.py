"""inspect: read the CSV through the gate and say what it is, without touching anything."""

import time
from dataclasses import dataclass

from ingestion_pipeline.domain.columns import generation
from ingestion_pipeline.domain.dialect import Dialect
from ingestion_pipeline.domain.ports import Csv


@dataclass(frozen=True, slots=True)
class InspectReport:
    """What a file is.

    Attributes:
        rows: Its rows, without the header.
        size: Its bytes.
        sha256: Hex digest.
        dialect: How it is spelled.
        generation: What its set of columns is known as.
        seconds: How long reading took.
    """

    rows: int
    size: int
    sha256: str
    dialect: Dialect
    generation: str
    seconds: float


def inspect(csv: Csv) -> InspectReport:
    """Read the CSV through the gate.

    Raises:
        InputRefusedError: The file does not keep the contract; the error says where.
        UnavailableError: There is no file.
    """
    began = time.monotonic()
    with csv.reading() as file:
        for _ in file.blocks():
            pass
        return InspectReport(
            file.rows,
            file.size,
            file.sha256,
            file.dialect,
            generation(file.columns),
            round(time.monotonic() - began, 3),
        )

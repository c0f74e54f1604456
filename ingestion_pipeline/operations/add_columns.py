"""add_columns: columns of the contract that the CSV has not got yet."""

from collections.abc import Sequence

from ingestion_pipeline.domain.brake import Brakes
from ingestion_pipeline.domain.columns import BY_NAME
from ingestion_pipeline.domain.errors import ProtectedError
from ingestion_pipeline.domain.phase import Side
from ingestion_pipeline.domain.ports import Csv
from ingestion_pipeline.domain.receipt import unknown_column
from ingestion_pipeline.domain.reports import State
from ingestion_pipeline.operations.write import Site, bring_level, in_phase, take_up


def add_columns(site: Site, csv: Csv, names: Sequence[str], *, brakes: Brakes) -> tuple[str, ...]:
    """Give the CSV, while it leads, columns behind its own, empty in every row.

    Args:
        site: Where the people are.
        csv: The CSV.
        names: Which columns of the contract; those that are there stay as they are.
        brakes: How many rows may be gone from a file that somebody else rewrote.

    Returns:
        The columns that were added.

    Raises:
        InputRefusedError: The contract has no such column.
        ProtectedError: PostgreSQL leads: it has every column, and renders those that the file last had.
    """
    for name in names:
        if name not in BY_NAME:
            raise unknown_column(name)

    def work(state: State) -> tuple[str, ...]:
        if state.phase.authority is not Side.CSV:
            raise ProtectedError(
                "the CSV does not lead, so its header is not changed", code="not_the_authority"
            )
        with csv.held() as held:
            take_up(site, held, state, brakes)
            lacking = tuple(name for name in dict.fromkeys(names) if name not in held.columns)
            if lacking:
                held.add_columns(lacking, state.epoch)
                bring_level(site, held, state, brakes)
        return lacking

    return in_phase(site, work)

"""delete: people who are to be gone, from the authority."""

from collections.abc import Collection
from dataclasses import dataclass
from typing import assert_never

from ingestion_pipeline.domain.brake import Brakes
from ingestion_pipeline.domain.phase import Phase, Side
from ingestion_pipeline.domain.ports import Csv
from ingestion_pipeline.domain.receipt import Standing
from ingestion_pipeline.domain.reports import State
from ingestion_pipeline.operations.write import Site, bring_level, in_phase, take_up


@dataclass(frozen=True, slots=True)
class DeleteReport:
    """What came of a deletion.

    Attributes:
        deleted: Who was there, and is gone.
        durable_in: The side that has it durably.
        follower: How the other side stands.
    """

    deleted: tuple[str, ...]
    durable_in: Side
    follower: Standing


def delete(site: Site, csv: Csv, row_ids: Collection[str], by: str, *, brakes: Brakes | None) -> DeleteReport:
    """Delete people, all or none. Who is not there does not matter, so it can be done again.

    Args:
        site: Where the people are.
        csv: The CSV.
        row_ids: Who is to be gone.
        by: Who deletes.
        brakes: How many may go at once; None for any number.

    Raises:
        UnavailableError: The side that leads is away; the CSV never stands in for PostgreSQL here.
        ProtectedError: Too many would be gone.
    """
    return in_phase(site, lambda state: _delete(site, csv, row_ids, by, state, brakes))


def _delete(
    site: Site, csv: Csv, row_ids: Collection[str], by: str, state: State, brakes: Brakes | None
) -> DeleteReport:
    match state.phase:
        case Phase.ORIGINAL | Phase.DUAL_WRITE:
            return _from_csv(site, csv, row_ids, by, state, brakes)
        case Phase.DATABASE_PRIMARY | Phase.DATABASE_NATIVE:
            return _from_postgres(site, row_ids, by, state, brakes)
        case _:
            assert_never(state.phase)


def _from_csv(
    site: Site, csv: Csv, row_ids: Collection[str], by: str, state: State, brakes: Brakes | None
) -> DeleteReport:
    with csv.held() as held:
        take_up(site, held, state, brakes)
        deleted = held.delete(row_ids, by, state.epoch, brakes)
        follower = bring_level(site, held, state, brakes)
    return DeleteReport(tuple(deleted), Side.CSV, follower)


def _from_postgres(
    site: Site, row_ids: Collection[str], by: str, state: State, brakes: Brakes | None
) -> DeleteReport:
    with site.reached() as tables:
        site.settle_first()
        deleted = tables.delete(state, by, row_ids, brakes)
    if state.phase is Phase.DATABASE_NATIVE:
        return DeleteReport(tuple(deleted), Side.POSTGRES, Standing.NONE)
    site.settle_soon()
    return DeleteReport(tuple(deleted), Side.POSTGRES, Standing.PENDING)

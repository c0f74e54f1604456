"""status: where the site stands."""

from dataclasses import dataclass

from ingestion_pipeline.domain.columns import contract_version
from ingestion_pipeline.domain.phase import Phase, Side
from ingestion_pipeline.domain.ports import Csv, Tables
from ingestion_pipeline.domain.proof import Present, Proof, why_not
from ingestion_pipeline.domain.quarantine import Count


@dataclass(frozen=True, slots=True)
class StatusReport:
    """Where the site stands.

    Attributes:
        wanted: The phase the configuration asks for.
        in_force: The phase in force; None on a site that has not begun.
        epoch: Counts the changes of phase; None likewise.
        authority: The side that leads.
        follower: The side that is kept equal, if any.
        pending: Rows not yet settled.
        quarantine: How many entries stand.
        proof: The newest proof.
        why_not: Every reason why the two sides are not known to be equal now.
    """

    wanted: Phase
    in_force: Phase | None
    epoch: int | None
    authority: Side | None
    follower: Side | None
    pending: int
    quarantine: Count
    proof: Proof | None
    why_not: tuple[str, ...]


def status(csv: Csv, tables: Tables, *, wanted: Phase) -> StatusReport:
    """Where the site stands; changes nothing.

    Raises:
        UnavailableError: PostgreSQL is away, or has no tables yet.
    """
    if tables.state() is None:
        return StatusReport(
            wanted, None, None, None, None, 0, Count(), None, ("nothing has been synced yet",)
        )
    proof = tables.last_proof()
    with tables.snapshot() as snapshot:
        state, count = snapshot.state(), snapshot.quarantine_count()
        present = Present(
            epoch=state.epoch,
            csv_sha256=csv.sha256() if csv.exists() else None,
            position=snapshot.position(),
            contract_version=contract_version(),
            pending=0,
            undecided=count.undecided,
        )
    return StatusReport(
        wanted=wanted,
        in_force=state.phase,
        epoch=state.epoch,
        authority=state.phase.authority,
        follower=state.phase.follower,
        pending=present.pending,
        quarantine=count,
        proof=proof,
        why_not=tuple(why_not(proof, present)),
    )

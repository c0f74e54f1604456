"""status: where the site stands."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import assert_never

from ingestion_pipeline.domain.columns import contract_version
from ingestion_pipeline.domain.errors import UnavailableError
from ingestion_pipeline.domain.host import Host
from ingestion_pipeline.domain.pending import Pending
from ingestion_pipeline.domain.phase import Phase, Side
from ingestion_pipeline.domain.phase_change import PhaseChange
from ingestion_pipeline.domain.ports import Csv, Snapshot, Tables
from ingestion_pipeline.domain.proof import Present, Proof, voided, why_not
from ingestion_pipeline.domain.quarantine import Count
from ingestion_pipeline.domain.reports import Merged, State


@dataclass(frozen=True, slots=True)
class StatusReport:
    """Where the site stands.

    Attributes:
        wanted: The phase the configuration asks for.
        in_force: The phase in force; None on a site that has not begun.
        epoch: Counts the changes of phase; None likewise.
        authority: The side that leads.
        follower: The side that is kept equal, if any.
        pending: What is not settled yet.
        degraded: Whether PostgreSQL leads and the CSV has taken writes in for it, or PostgreSQL is away.
        merged: What somebody else's last change of the CSV came to.
        quarantine: How many entries stand.
        proof: The newest proof.
        why_not: Every reason why the two sides are not known to be equal now.
        changing: A change of phase that was begun and nobody has seen the end of.
        is_proof_void: Whether the newest proof, as far as is known, says nothing of the present.
        host: The host that was asked, on a site of several.
    """

    wanted: Phase
    in_force: Phase | None
    epoch: int | None
    authority: Side | None
    follower: Side | None
    pending: Pending
    degraded: str | None
    merged: Merged | None
    quarantine: Count
    proof: Proof | None
    why_not: tuple[str, ...]
    changing: PhaseChange | None = None
    is_proof_void: bool = True
    host: Host | None = None


def status(csv: Csv, tables: Callable[[], Tables], *, wanted: Phase) -> StatusReport:
    """Where the site stands; changes nothing.

    Args:
        csv: The CSV.
        tables: Reaches PostgreSQL's tables; where it is away, the ledger beside the CSV must do.
        wanted: The phase the configuration asks for.

    Raises:
        UnavailableError: PostgreSQL is away, and nothing was ever written to the CSV through this package.
    """
    with csv.still() as still:
        ledger, merged, waiting = still.state(), still.merged(), still.waiting()
        changing = still.changing()
    report = _status(csv, tables, ledger, waiting, merged, wanted)
    return report if changing is None else replace(report, changing=changing)


def status_elsewhere(csv: Csv, tables: Callable[[], Tables], *, wanted: Phase) -> StatusReport:
    """The same on a host that has not the CSV: what PostgreSQL says.

    Raises:
        UnavailableError: PostgreSQL is away.
    """
    report = _status(csv, tables, None, Pending(), None, wanted)
    if report.in_force is None:
        return report
    return replace(report, why_not=("the CSV is on another host, and is not looked at from here",))


def _status(
    csv: Csv,
    tables: Callable[[], Tables],
    ledger: State | None,
    waiting: Pending,
    merged: Merged | None,
    wanted: Phase,
) -> StatusReport:
    try:
        reached = tables()
        found = reached.state()
        if ledger is not None and found is not None and found.epoch < ledger.epoch:
            left = f"PostgreSQL was left behind in epoch {found.epoch}"
            return _by_ledger(ledger, waiting, merged, wanted, left)
        if found is not None:
            return _with_postgres(csv, reached, waiting, merged, wanted)
    except UnavailableError as error:
        if ledger is None:
            raise
        return _by_ledger(ledger, waiting, merged, wanted, error.message)
    if ledger is not None:
        return _by_ledger(ledger, waiting, merged, wanted, "PostgreSQL holds nothing yet")
    nothing = ("nothing has been synced yet",)
    return StatusReport(wanted, None, None, None, None, waiting, None, merged, Count(), None, nothing)


def _by_ledger(
    state: State, waiting: Pending, merged: Merged | None, wanted: Phase, lacking: str
) -> StatusReport:
    degraded = lacking
    if waiting.fallback:
        degraded += f"; the CSV has taken in {waiting.fallback} writes for it"
    return StatusReport(
        wanted=wanted,
        in_force=state.phase,
        epoch=state.epoch,
        authority=state.phase.authority,
        follower=state.phase.follower,
        pending=waiting,
        degraded=None if state.phase is Phase.ORIGINAL else degraded,
        merged=merged,
        quarantine=Count(),
        proof=None,
        why_not=(lacking,),
    )


def _with_postgres(
    csv: Csv, tables: Tables, waiting: Pending, merged: Merged | None, wanted: Phase
) -> StatusReport:
    proof = tables.last_proof()
    with tables.snapshot() as snapshot:
        state, count = snapshot.state(), snapshot.quarantine_count()
        pending = _pending(state.phase, snapshot, waiting)
        present = Present(
            epoch=state.epoch,
            csv_sha256=csv.sha256() if csv.exists() else None,
            position=snapshot.position(),
            contract_version=contract_version(),
            pending=pending.all,
            undecided=count.undecided,
        )
    degraded = f"the CSV has taken in {pending.fallback} writes for PostgreSQL, which leads"
    return StatusReport(
        wanted=wanted,
        in_force=state.phase,
        epoch=state.epoch,
        authority=state.phase.authority,
        follower=state.phase.follower,
        pending=pending,
        degraded=degraded if pending.fallback else None,
        merged=merged,
        quarantine=count,
        proof=proof,
        why_not=tuple(why_not(proof, present)),
        is_proof_void=proof is None or any(voided(proof, present)),
    )


def _pending(phase: Phase, snapshot: Snapshot, waiting: Pending) -> Pending:
    match phase:
        case Phase.ORIGINAL | Phase.DUAL_WRITE:
            return waiting
        case Phase.DATABASE_PRIMARY | Phase.DATABASE_NATIVE:
            return replace(snapshot.pending(), fallback=waiting.fallback)
        case _:
            assert_never(phase)

"""compare: prove that the two sides are equal, or say where they are not."""

import time
from contextlib import ExitStack
from dataclasses import replace

from ingestion_pipeline.domain.brake import Brakes
from ingestion_pipeline.domain.columns import contract_version
from ingestion_pipeline.domain.errors import InputRefusedError, ProtectedError
from ingestion_pipeline.domain.pending import Dirty
from ingestion_pipeline.domain.phase import Phase, Side
from ingestion_pipeline.domain.ports import Csv, HeldCsv, Progress, Snapshot, Tables
from ingestion_pipeline.domain.proof import Proof
from ingestion_pipeline.domain.reports import FIRST, Compared, CompareReport, State
from ingestion_pipeline.operations.rehearse import rehearse
from ingestion_pipeline.operations.settle import bring_postgres_level, level


def compare(
    csv: Csv,
    tables: Tables,
    *,
    brakes: Brakes,
    limit: int = FIRST,
    run_id: str | None = None,
    progress: Progress | None = None,
    way_back: bool = False,
    aside: str | None = None,
) -> CompareReport:
    """Compare the CSV with the tables, and stamp a proof of what was found.

    Args:
        csv: The CSV.
        tables: The three tables, looked at in one snapshot.
        brakes: How much may vanish where pending rows are settled first.
        limit: Differences named at most; all are counted.
        run_id: The Dagster run that compares, if one does.
        progress: Told how many bytes of the file have been read, where rows are compared.
        way_back: Rehearse rolling back too: render the CSV on its own disk.
        aside: Render the CSV first where it is not kept equal, or is somebody else's; the folder for theirs.

    Raises:
        InputRefusedError: The file does not keep the contract.
        UnavailableError: A side is not there.
    """
    began = time.monotonic()
    levelled: list[Dirty] = []
    with ExitStack() as stack:
        # The file and the snapshot are of one instant: nobody writes the file between the two.
        with csv.held() as held:
            pending = _bring_postgres_level(held, tables, brakes)
            snapshot = stack.enter_context(tables.snapshot())
            state = snapshot.state()
            # PostgreSQL that was left behind is looked at, and has no part in the CSV.
            if state.phase.authority is Side.POSTGRES and _is_in_force(state, held):
                pending, levelled = _bring_csv_level(held, snapshot, state.phase, aside)
            pinned = stack.enter_context(csv.pinned())
            sequence = held.last_sequence()
        compared, failed = _compared(csv, pinned, snapshot, state, limit, progress, way_back=way_back)
        found = compared.found
        proof = Proof(
            epoch=state.epoch,
            csv_sha256=compared.csv_sha256,
            position=snapshot.position(),
            contract_version=contract_version(),
            rows=compared.rows,
            differences=found.counted,
            pending=pending,
            undecided=snapshot.quarantine_count().undecided,
            bytes_equal=compared.bytes_equal,
            way_back_rehearsed=way_back and failed is None and compared.bytes_equal,
            run_id=run_id,
            sequence=sequence,
            snapshot=snapshot.seen(),
        )
    if levelled:
        tables.clear(levelled)
    stamped = tables.stamp(proof)
    return CompareReport(
        equal=not found.counted,
        bytes_equal=compared.bytes_equal,
        missing=found.missing,
        extra=found.extra,
        changed=found.changed,
        differences=found.first,
        counted=found.counted,
        pending=pending,
        csv_sha256=compared.csv_sha256,
        rows=compared.rows,
        seconds=round(time.monotonic() - began, 3),
        not_rehearsed=failed,
        stamped=stamped,
    )


def _compared(
    csv: Csv,
    pinned: Csv,
    snapshot: Snapshot,
    state: State,
    limit: int,
    progress: Progress | None,
    *,
    way_back: bool,
) -> tuple[Compared, str | None]:
    """The pinned file beside the snapshot, and why the CSV's disk would not take what PostgreSQL renders."""
    failed = None
    if way_back:
        rendered, rows, failed = rehearse(csv, snapshot)
        if pinned.sha256() == rendered:
            return Compared(rendered, rendered, rows, snapshot.misspelled(limit)), failed
    try:
        return snapshot.compare(pinned, state.phase.authority, limit, progress), failed
    except InputRefusedError as error:
        # The name it was pinned under says nothing to anybody.
        error.place = replace(error.place, file=csv.place)
        raise


def _bring_postgres_level(held: HeldCsv, tables: Tables, brakes: Brakes) -> int:
    """Settle what is pending, but absorb nothing that somebody else did; gives what is pending still."""
    state = tables.state()
    if state is None or state.phase is not Phase.DUAL_WRITE or not _is_in_force(state, held):
        return 0
    if not held.is_used() or not held.is_ours():
        return 0
    try:
        bring_postgres_level(held, tables, state, brakes)
    except ProtectedError:
        return len({record.row_id for record in held.open()})
    return 0


def _is_in_force(state: State, held: HeldCsv) -> bool:
    """Whether the ledger, where there is one, says the same as PostgreSQL."""
    return held.state() in (None, state)


def _bring_csv_level(
    held: HeldCsv, snapshot: Snapshot, phase: Phase, aside: str | None
) -> tuple[int, list[Dirty]]:
    """Make the CSV what PostgreSQL, which leads, holds, if it may be; gives what is pending, and who was."""
    is_ours = held.is_ours()
    if aside is not None and (phase is Phase.DATABASE_NATIVE or not is_ours):
        dirty = snapshot.dirty(())
        held.render(snapshot.render, foreign=None if is_ours else aside)
        return held.waiting().fallback, dirty
    if phase is Phase.DATABASE_NATIVE:
        return 0, []
    if is_ours and not held.waiting().fallback:
        return 0, level(held, snapshot)
    return snapshot.pending().rows + held.waiting().fallback, []

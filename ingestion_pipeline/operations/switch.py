"""switch: put another phase in force, with nobody writing, once both sides are proved equal."""

import time
from collections.abc import Collection, Iterator
from dataclasses import replace
from typing import assert_never

from ingestion_pipeline.domain.brake import Brakes
from ingestion_pipeline.domain.columns import contract_version
from ingestion_pipeline.domain.errors import PipelineError, UnavailableError, stale_epoch
from ingestion_pipeline.domain.journal import WHOLE_FILE
from ingestion_pipeline.domain.phase import Move, Phase, Side
from ingestion_pipeline.domain.phase_change import PhaseChange
from ingestion_pipeline.domain.ports import Csv, Fence, HeldCsv, Tables
from ingestion_pipeline.domain.proof import Proof
from ingestion_pipeline.domain.reports import State
from ingestion_pipeline.domain.transition import (
    Condition,
    CsvFacts,
    Evidence,
    PostgresFacts,
    Since,
    Verdict,
    judge,
    required,
)
from ingestion_pipeline.operations.settle import (
    bring_back,
    bring_in_bulk,
    bring_postgres_level,
    followed,
    level,
)

_BEGINS_TO_FOLLOW = Move(Phase.DATABASE_NATIVE, Phase.DATABASE_PRIMARY)
"""The CSV, rendered on the way, is kept equal from then on."""

RECHECKED = 5_000
"""People compared once more at most while nobody can write."""


def switch(
    csv: Csv,
    tables: Tables,
    change: PhaseChange,
    *,
    overrides: Collection[Condition],
    brakes: Brakes | None,
    aside: str,
    synced_up_to: int | None = None,
) -> PhaseChange | Verdict:
    """Stop all writers, drain what is pending, look again at what changed since the proof, change the phase.

    The commit in PostgreSQL is the point of no return. Before it, a failure leaves everything as it was;
    after it, whoever looks next completes the change.

    Args:
        csv: The CSV.
        tables: The three tables.
        change: What is to be changed, and the receipt's beginning.
        overrides: Conditions that are let pass.
        brakes: How much may vanish.
        aside: Going back, the folder for a CSV that somebody else rewrote while PostgreSQL led.
        synced_up_to: From original, the last record of the journal that was in the file synced.

    Returns:
        The receipt, as far as it is known; the verdict where the gate stayed shut, with nothing changed.

    Raises:
        UnavailableError: A side is away; `outcome_unknown` where PostgreSQL went away at that very moment.
        ProtectedError: Another phase is in force.
    """
    began, ends = change.began, change.ends
    with csv.held() as held:
        stopped = time.monotonic()
        if held.state() != began:
            raise stale_epoch(began.epoch)
        drained = 0
        if change.after is not Phase.ORIGINAL:
            drained = _drain_to_postgres(csv, held, tables, began, brakes, synced_up_to)
        proof, synced = tables.last_proof(), tables.is_synced()
        made: PhaseChange | None = None
        try:
            with tables.fenced(began) as fence:
                if began.phase.authority is Side.POSTGRES:
                    stopped = time.monotonic()
                drained += _drain_to_csv(held, fence, change.move, aside)
                ours, theirs = _look(csv, held, fence, change, proof, synced=synced)
                verdict = judge(change.move, Evidence(ours, theirs), overrides)
                if not verdict.is_open:
                    return verdict
                if change.move == _BEGINS_TO_FOLLOW:
                    # What was written since the CSV was rendered.
                    fence.note_pending(theirs.since.changed)
                if change.after is not Phase.ORIGINAL:
                    held.close(ends.epoch, least=fence.last_revision() + 1)
                receipt = _receipt(change, verdict, held, ours, theirs, drained)
                held.mark(began, receipt)
                _change(fence, tables, held, began, ends, change.by)
                made = receipt
        except UnavailableError:
            # The connection may be lost, and the change made.
            if made is None:
                raise
        held.keep(ends)
        if change.after is Phase.ORIGINAL:
            # Not before: had the change failed, PostgreSQL would still have to get what was open.
            held.close(ends.epoch)
        return replace(made, pause=round(time.monotonic() - stopped, 4))


def leave_behind(csv: Csv, change: PhaseChange) -> PhaseChange:
    """Go on with the CSV alone, without PostgreSQL being told; only because somebody has decided so.

    What only PostgreSQL has is not in the CSV.

    Raises:
        ProtectedError: Another phase is in force.
        UnavailableError: The disk refuses.
    """
    with csv.held() as held:
        interrupted = held.changing()
        if interrupted is not None and interrupted.ends == change.began:
            held.keep(change.began)
        known = held.state()
        if known is None or (known.phase, known.epoch) != (change.before, change.began.epoch):
            raise stale_epoch(change.began.epoch)
        held.mark(change.began, change)
        held.keep(change.ends)
        held.close(change.epoch)
        return change


def _look(
    csv: Csv, held: HeldCsv, fence: Fence, change: PhaseChange, proof: Proof | None, *, synced: bool
) -> tuple[CsvFacts, PostgresFacts]:
    """The evidence of this moment, in which nobody writes."""
    move, is_ours, waiting = change.move, held.is_ours(), held.waiting()
    pending = waiting.rows if move.before.authority is Side.CSV else fence.pending().rows
    since = Since()
    if proof is not None and Condition.STALE_PROOF in required(move):
        since = _since(held, fence, move, change.began.epoch, proof, is_ours=is_ours)
    return (
        CsvFacts(csv.exists(), is_ours),
        PostgresFacts(
            synced=synced,
            pending=pending,
            fallback=waiting.fallback,
            undecided=fence.quarantine_count().undecided,
            proof=proof,
            since=since,
        ),
    )


def _since(held: HeldCsv, fence: Fence, move: Move, epoch: int, proof: Proof, *, is_ours: bool) -> Since:
    """Compare once more who has changed on either side since the proof; the others are as they were."""
    why = next(_voided(epoch, proof, is_ours=is_ours), None)
    if why is not None or proof.sequence is None or proof.snapshot is None:
        return Since(why or "the last comparison is of an older release")
    records = held.since(proof.sequence)
    changed = fence.changed_since(proof.snapshot, RECHECKED)
    if records is None or changed is None or any(record.kind in WHOLE_FILE for record in records):
        return Since("more has changed since the last comparison than some rows")
    row_ids, lines = changed | {record.row_id for record in records}, held.file[2]
    if move == _BEGINS_TO_FOLLOW:
        # They are pending; of the others nobody may be gone.
        row_ids, lines = row_ids - changed, lines + len(changed - held.placed(changed).keys())
    if len(row_ids) > RECHECKED or fence.lines() != lines:
        return Since("too many rows have changed since the last comparison, or some are gone")
    if fence.has_lost_rows(proof.position, proof.snapshot):
        return Since("rows of people who have not changed are gone since the last comparison")
    ours, theirs = held.placed(row_ids), fence.placed(row_ids, held.columns)
    differing = sum(ours.get(row_id) != theirs.get(row_id) for row_id in row_ids)
    return Since(rechecked=len(row_ids), differing=differing, changed=frozenset(changed))


def _voided(epoch: int, proof: Proof, *, is_ours: bool) -> Iterator[str]:
    if proof.epoch != epoch:
        yield f"the last comparison was made in epoch {proof.epoch}, now is {epoch}"
    if proof.contract_version != contract_version():
        yield "the contract has changed since the last comparison"
    if not is_ours:
        yield "the CSV has changed since the last comparison, other than through this package"


def _drain_to_postgres(
    csv: Csv, held: HeldCsv, tables: Tables, began: State, brakes: Brakes | None, synced_up_to: int | None
) -> int:
    """Bring PostgreSQL what only the CSV has; who writes through the CSV is waiting for its lock."""
    match began.phase:
        case Phase.ORIGINAL:
            return _catch_up(held, tables, began, brakes, synced_up_to)
        case Phase.DUAL_WRITE:
            return bring_postgres_level(held, tables, began, brakes) if held.is_ours() else 0
        case Phase.DATABASE_PRIMARY | Phase.DATABASE_NATIVE:
            return bring_back(csv, held, tables, began)[0]
        case _:
            assert_never(began.phase)


def _catch_up(
    held: HeldCsv, tables: Tables, began: State, brakes: Brakes | None, synced_up_to: int | None
) -> int:
    """What was written while the first sync was under way."""
    merged = held.refresh(brakes)
    records = None if synced_up_to is None or merged is not None else held.since(synced_up_to)
    if records is not None and not records:
        return 0
    if records is None or any(record.kind in WHOLE_FILE for record in records):
        return bring_in_bulk(held, tables, began, brakes, least=held.last_sequence())
    last = {record.row_id: record for record in records}
    people = held.read_all(list(last))
    # The sync has given higher numbers than the journal meanwhile.
    first = tables.last_revision() + 1
    rows = [
        replace(followed(one, people[one.row_id]), revision=revision)
        for revision, one in enumerate(last.values(), start=first)
        if one.row_id in people
    ]
    if len(rows) < len(last) or not tables.follow(began, rows, held.file):
        return bring_in_bulk(held, tables, began, brakes, least=held.last_sequence())
    return len(rows)


def _drain_to_csv(held: HeldCsv, fence: Fence, move: Move, aside: str) -> int:
    """Bring the CSV what only PostgreSQL has; somebody's edit is in the way of going on, not back."""
    if move.before.authority is Side.CSV or (move == _BEGINS_TO_FOLLOW and held.is_ours()):
        return 0
    if not held.is_ours():
        if not move.is_forward:
            held.render(fence.render, foreign=aside)
            fence.clear_pending()
        return 0
    settled = len(level(held, fence))
    fence.clear_pending()
    return settled


def _change(fence: Fence, tables: Tables, held: HeldCsv, began: State, ends: State, by: str) -> None:
    try:
        fence.change(ends, by)
    except PipelineError:
        # Perhaps it was done nevertheless; the mark in the ledger stands until somebody knows.
        try:
            found = tables.begin(ends.phase, known=began)
        except PipelineError:
            raise UnavailableError(
                "PostgreSQL went away as it was told to change the phase, so it is not known whether it did",
                code="outcome_unknown",
                hint="Nothing is written until PostgreSQL is back to say so; then run it again.",
            ) from None
        if found != ends:
            held.keep(began)
            raise


def _receipt(
    change: PhaseChange,
    verdict: Verdict,
    held: HeldCsv,
    ours: CsvFacts,
    theirs: PostgresFacts,
    drained: int,
) -> PhaseChange:
    """The receipt, with what the gate went by."""
    compared_at = None if theirs.proof is None else theirs.proof.stamped_at
    return replace(
        change,
        overridden=(*change.overridden, *(one.condition.value for one in verdict.overridden)),
        csv_sha256=held.file[0] if ours.is_ours else None,
        compared_at=None if compared_at is None else compared_at.isoformat(),
        drained=drained,
        rechecked=theirs.since.rechecked,
    )

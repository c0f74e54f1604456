"""settle: bring the follower what the authority has and it has not."""

import math
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import assert_never

from ingestion_pipeline.domain.brake import Brakes
from ingestion_pipeline.domain.counting import Counted
from ingestion_pipeline.domain.errors import ProtectedError, UnavailableError, stale_epoch
from ingestion_pipeline.domain.journal import WHOLE_FILE, Kind, Record
from ingestion_pipeline.domain.pending import Dirty, Followed
from ingestion_pipeline.domain.phase import Phase, Side
from ingestion_pipeline.domain.ports import Csv, HeldCsv, Progress, Sink, Snapshot, Step, Tables
from ingestion_pipeline.domain.reports import Merged, State

FOLLOWED = 1_000
"""People brought to PostgreSQL row by row; more are brought over in bulk."""

PUT = 5_000
"""People brought to the CSV row by row; for more it is rendered."""


@dataclass(frozen=True, slots=True)
class SettleReport:
    """What was settled.

    Attributes:
        settled: People brought over to the follower.
        taken_back: Writes brought to PostgreSQL that the CSV had taken in for it.
        conflicts: Cells of those that both sides had changed; they wait in quarantine.
        merged: What somebody else's change of the CSV came to, if there was one.
        phase: The phase in force.
        follower: The side brought level; None when the phase has none.
        seconds: How long it took.
    """

    settled: int
    taken_back: int
    conflicts: int
    merged: Merged | None
    phase: Phase
    follower: Side | None
    seconds: float


def settle(
    csv: Csv,
    tables: Tables | None,
    *,
    state: State,
    brakes: Brakes | None,
    aside: str,
    progress: Progress | None = None,
    step: Step = lambda _name: None,
) -> SettleReport:
    """Bring the follower level, and finish whatever was interrupted.

    Args:
        csv: The CSV.
        tables: PostgreSQL; not needed in phase original.
        state: The phase in force.
        brakes: How much may vanish; None to let anything vanish.
        aside: The folder for a CSV that somebody else rewrote while PostgreSQL led.
        progress: Told how many bytes have been read or written, where one side is brought over whole.
        step: Told the name of each longer step.

    Raises:
        UnavailableError: A side is away.
        ProtectedError: A brake stopped it, the journal is damaged, or the phase changed meanwhile.
    """
    began = time.monotonic()
    settled = taken_back = conflicts = 0
    merged: Merged | None = None
    with csv.held() as held:
        if held.state() != state:
            raise stale_epoch(state.epoch)
        match state.phase:
            case Phase.ORIGINAL:
                merged = held.refresh(brakes)
                held.close(state.epoch)
            case Phase.DUAL_WRITE:
                merged = held.refresh(brakes)
                settled = bring_postgres_level(
                    held, _needed(tables), state, brakes, progress=progress, step=step
                )
            case Phase.DATABASE_PRIMARY:
                taken_back, conflicts = bring_back(csv, held, _needed(tables), state)
                settled, merged = bring_csv_level(held, _needed(tables), state, aside, progress)
            case Phase.DATABASE_NATIVE:
                taken_back, conflicts = bring_back(csv, held, _needed(tables), state)
                held.close(state.epoch)
            case _:
                assert_never(state.phase)
    return SettleReport(
        settled,
        taken_back,
        conflicts,
        merged,
        state.phase,
        state.phase.follower,
        round(time.monotonic() - began, 3),
    )


def bring_postgres_level(
    csv: HeldCsv,
    tables: Tables,
    state: State,
    brakes: Brakes | None,
    *,
    at_most: float = math.inf,
    progress: Progress | None = None,
    step: Step = lambda _name: None,
) -> int:
    """Bring PostgreSQL what the CSV that leads has; gives how many people that were.

    Args:
        csv: The CSV, locked.
        tables: PostgreSQL.
        state: The phase in force.
        brakes: How much may vanish; None to let anything vanish.
        at_most: The most rows a file may have that is brought over whole.
        progress: Told how many bytes of the file have been read, where it is brought over whole.
        step: Told the name of each longer step then.

    Raises:
        UnavailableError: PostgreSQL is away; the rows stay pending.
        ProtectedError: A brake stopped it, or the phase changed.
    """
    records = csv.open()
    if not records:
        return 0
    last = {record.row_id: record for record in records if record.kind not in WHOLE_FILE}
    whole = any(record.kind in WHOLE_FILE for record in records)
    in_bulk = whole or len(last) > FOLLOWED
    if in_bulk and csv.file[2] > at_most:
        raise UnavailableError("what is pending is too much for one write", code="too_much_pending")
    people = {} if in_bulk else csv.read_all(list(last))
    if not in_bulk and len(people) == len(last):
        rows = [followed(last[row_id], cells) for row_id, cells in people.items()]
        if tables.follow(state, rows, csv.file):
            csv.close(state.epoch)
            return len(people)
    # What was acknowledged or restored has passed; only what somebody else did to the file is braked.
    merged = any(record.kind is Kind.MERGED for record in records)
    braked = None if in_bulk and not merged else brakes
    return bring_in_bulk(csv, tables, state, braked, least=records[-1].sequence, progress=progress, step=step)


def bring_in_bulk(
    csv: HeldCsv,
    tables: Tables,
    state: State,
    brakes: Brakes | None,
    *,
    least: int,
    progress: Progress | None = None,
    step: Step = lambda _name: None,
) -> int:
    """Make PostgreSQL equal to the whole CSV; gives how many people that changed.

    Args:
        csv: The CSV, locked.
        tables: PostgreSQL.
        state: The phase in force.
        brakes: How much may vanish; None to let anything vanish.
        least: Revisions that are given are higher.
        progress: Told how many bytes of the file have been read.
        step: Told the name of each longer step.
    """
    report = tables.sync(
        lambda: csv.reading(progress),
        began=state,
        brakes=brakes,
        dry_run=False,
        step=step,
        least_revision=least,
    )
    csv.close(state.epoch, least=tables.last_revision() + 1)
    return report.changed


def followed(record: Record, cells: dict[str, str]) -> Followed:
    """A person as the CSV has them, after their last record."""
    named = {name: text for name, text in cells.items() if name != "row_id"}
    return Followed(record.row_id, record.sequence, record.write_id, record.by, named)


def bring_back(csv: Csv, held: HeldCsv, tables: Tables, state: State) -> tuple[int, int]:
    """Bring PostgreSQL, which leads, what the CSV took in while it was away; gives writes and conflicts."""
    if not csv.takes_in:
        return 0, 0
    # Finishes what was interrupted. Another's file is not merged: the CSV does not lead.
    held.is_ours()
    records = [record for record in held.open() if record.kind is Kind.FALLBACK]
    conflicts = tables.take_back(state, records)
    held.close(state.epoch, least=tables.last_revision() + 1)
    return len(records), conflicts


def bring_csv_level(
    held: HeldCsv, tables: Tables, state: State, aside: str, progress: Progress | None = None
) -> tuple[int, Merged | None]:
    """Bring the CSV what PostgreSQL, which leads, has; gives how many people that were."""
    with tables.snapshot() as snapshot:
        if snapshot.state() != state:
            raise ProtectedError(
                "the phase in PostgreSQL is not the ledger's; the CSV is left as it is",
                code="stale_epoch",
                hint="Settle again. If it stays so: is this the right database?",
            )
        is_ours = held.is_ours()
        if is_ours:
            dirty, merged = level(held, snapshot, progress), None
        else:
            dirty = snapshot.dirty(())
            merged = held.render(_watched(snapshot, progress), foreign=aside)
    if dirty or not is_ours:
        tables.clear(dirty)
        # The journal's numbers go on from PostgreSQL's, should it have to take writes in.
        held.close(state.epoch, least=tables.last_revision() + 1)
    return len(dirty), merged


def level(held: HeldCsv, snapshot: Snapshot, progress: Progress | None = None) -> list[Dirty]:
    """Make the CSV what a snapshot of PostgreSQL holds; gives the people that had to be brought over."""
    dirty = snapshot.dirty(held.columns, PUT + 1)
    if len(dirty) > PUT:
        held.render(_watched(snapshot, progress), foreign=None)
        return snapshot.dirty(())
    if dirty:
        _put(held, snapshot, dirty)
    return dirty


def _watched(snapshot: Snapshot, progress: Progress | None) -> Callable[[Sink], object]:
    return lambda sink: snapshot.render(Counted(sink, progress))


def _put(held: HeldCsv, snapshot: Snapshot, dirty: Sequence[Dirty]) -> None:
    known = held.read_all([one.row_id for one in dirty])
    new = [one for one in dirty if one.ordinal is not None and one.row_id not in known]
    if any(one.moved for one in dirty) or not _are_on_top(snapshot, dirty, new):
        held.render(snapshot.render, foreign=None)
        return
    held.put({one.row_id: one.cells for one in dirty}, [one.row_id for one in new])


def _are_on_top(snapshot: Snapshot, dirty: Sequence[Dirty], new: Sequence[Dirty]) -> bool:
    """Whether the new rows stand above every line the file has."""
    if not new:
        return True
    fresh = {one.row_id for one in new}
    others = [one.ordinal for one in dirty if one.ordinal is not None and one.row_id not in fresh]
    lowest = min([snapshot.first_settled(), *others])
    return all(one.ordinal is not None and one.ordinal < lowest for one in new)


def _needed(tables: Tables | None) -> Tables:
    if tables is None:
        raise AssertionError("a phase with PostgreSQL is settled without it")
    return tables

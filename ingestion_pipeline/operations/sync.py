"""sync: make the follower equal to the authority."""

import time
from contextlib import ExitStack
from dataclasses import replace
from typing import assert_never

from ingestion_pipeline.domain.brake import Brakes
from ingestion_pipeline.domain.errors import ProtectedError
from ingestion_pipeline.domain.phase import Phase
from ingestion_pipeline.domain.ports import Csv, HeldCsv, Progress, Step, Tables
from ingestion_pipeline.domain.reports import State, SyncReport, go_by


def sync(
    csv: Csv,
    held: HeldCsv,
    tables: Tables,
    *,
    wanted: Phase,
    brakes: Brakes | None,
    dry_run: bool = False,
    progress: Progress | None = None,
    step: Step = lambda _name: None,
) -> SyncReport:
    """Make PostgreSQL equal to the CSV that leads, in one transaction; only what differs is written.

    Args:
        csv: The CSV, or a copy of it.
        held: The CSV that leads, locked, so that nobody writes meanwhile.
        tables: The three tables.
        wanted: The phase a fresh site begins in.
        brakes: How much may vanish; None to let anything vanish.
        dry_run: Count, and change nothing.
        progress: Told how many bytes of the file have been read.
        step: Told the name of each longer step.

    Raises:
        InputRefusedError: The file does not keep the contract; nothing was changed.
        ProtectedError: A brake stopped the load, or in the phase in force nothing is synced from the CSV.
    """
    began = time.monotonic()
    known = held.state()
    state = go_by(known, tables.begin(wanted, known=known, dry_run=dry_run))
    match state.phase:
        case Phase.DUAL_WRITE:
            if not dry_run:
                held.keep(state)
                if held.is_used():
                    held.refresh(brakes)
            report = tables.sync(
                lambda: csv.reading(progress),
                began=state,
                brakes=brakes,
                dry_run=dry_run,
                step=step,
                least_revision=held.last_sequence(),
            )
            if not dry_run:
                held.close(state.epoch, least=tables.last_revision() + 1, file=report.sha256)
        case Phase.ORIGINAL:
            raise ProtectedError(
                "in phase original PostgreSQL has no part yet",
                code="no_follower",
                hint="`ingest phase advance --to dual_write` syncs and changes the phase.",
            )
        case Phase.DATABASE_PRIMARY | Phase.DATABASE_NATIVE:
            raise ProtectedError(
                f"in phase {state.phase} PostgreSQL leads; the CSV must not overwrite it",
                code="not_the_authority",
                hint="`ingest render --to PATH` writes the CSV that PostgreSQL holds.",
            )
        case _:
            assert_never(state.phase)
    return replace(report, seconds=round(time.monotonic() - began, 3))


def first_sync(
    csv: Csv,
    tables: Tables,
    state: State,
    *,
    brakes: Brakes | None,
    step: Step,
    progress: Progress | None = None,
) -> int:
    """Make PostgreSQL equal to the CSV while that is still alone, and others go on writing it.

    Args:
        csv: The CSV.
        tables: The three tables.
        state: The phase in force.
        brakes: How much may vanish; None to let anything vanish.
        step: Told the name of each longer step.
        progress: Told how many bytes of the file have been read.

    Returns:
        The last record of the CSV's journal that was in the file.

    Raises:
        PipelineError: As `sync`.
    """
    with ExitStack() as stack:
        with csv.held() as held:
            # Also where nobody has written yet: from here on it is noticed who edits the file by hand.
            held.refresh(brakes)
            pinned = stack.enter_context(csv.pinned())
            sequence = held.last_sequence()
        tables.sync(
            lambda: pinned.reading(progress),
            began=state,
            brakes=brakes,
            dry_run=False,
            step=step,
            least_revision=sequence,
        )
    return sequence

"""restore: make the side that leads what it once was, as a new state, and bring the other one level."""

import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import assert_never

from ingestion_pipeline.domain.brake import Brakes, Loss
from ingestion_pipeline.domain.errors import (
    InputRefusedError,
    PipelineError,
    ProtectedError,
    SettingsError,
    UnavailableError,
    stale_epoch,
)
from ingestion_pipeline.domain.phase import Phase, Side
from ingestion_pipeline.domain.ports import Csv, HeldCsv, Incoming, Progress, Step, Tables
from ingestion_pipeline.domain.reports import State, SyncReport, Weighed
from ingestion_pipeline.operations.settle import bring_back, bring_in_bulk

_NAMES = {Side.CSV: "the CSV", Side.POSTGRES: "PostgreSQL"}


@dataclass(frozen=True, slots=True)
class Order:
    """How it is done.

    Attributes:
        state: The phase in force.
        brakes: How much may vanish; None for anything.
        aside: The folder for a CSV that somebody else rewrote while PostgreSQL led.
        keep: Keeps what is there; called when nobody writes the CSV any more, before anything is changed.
        is_new: Whether PostgreSQL leads in a database that was made anew, and holds nothing.
        dry_run: Count, and change nothing.
        progress: Told how many bytes of the file have been read.
        step: Told the name of each longer step as it begins.
    """

    state: State
    brakes: Brakes | None
    aside: str
    keep: Callable[[], object]
    is_new: bool = False
    dry_run: bool = False
    progress: Progress | None = None
    step: Step = lambda _name: None


@dataclass(frozen=True, slots=True)
class Restored:
    """What restoring did, or would do.

    Attributes:
        weighed: What it changed.
        sides: The sides that hold it now; the follower is left out where it has yet to get it.
        seconds: How long it took.
    """

    weighed: Weighed
    sides: tuple[Side, ...]
    seconds: float = 0.0


def restore(csv: Csv, tables: Callable[[], Tables], incoming: Incoming, order: Order) -> Restored:
    """Make the side that leads hold an earlier file, and its follower too.

    Args:
        csv: The CSV.
        tables: Reaches the three tables; not needed in phase original.
        incoming: The file, whole and checked, beside the CSV.
        order: How it is done.

    Raises:
        InputRefusedError: The file does not keep the contract; nothing was changed.
        ProtectedError: A brake stopped it, or the phase changed meanwhile.
        UnavailableError: The side that leads is away.
    """
    began = time.monotonic()
    order.step("reading")
    rows = incoming.look(order.progress)
    order.step("waiting for the CSV's lock")
    with csv.held() as held:
        if held.state() not in (None, order.state):
            raise stale_epoch(order.state.epoch)
        order.step("restoring")
        match order.state.phase.authority:
            case Side.CSV:
                found = _into_csv(held, tables, incoming, order)
            case Side.POSTGRES if order.dry_run and order.is_new:
                found = Restored(Weighed(rows, rows, 0, 0), ())
            case Side.POSTGRES:
                found = _into_postgres(csv, held, tables(), incoming, order)
            case _:
                assert_never(order.state.phase.authority)
    return replace(found, seconds=round(time.monotonic() - began, 3))


def _into_csv(held: HeldCsv, tables: Callable[[], Tables], incoming: Incoming, order: Order) -> Restored:
    state = order.state
    was_used = held.is_used()
    if not order.dry_run:
        _merge(held, order.brakes)
    weighed = incoming.weigh(order.brakes)
    if state.phase is Phase.DUAL_WRITE and not was_used:
        _weigh_in_postgres(held, tables, incoming, order)
    if order.dry_run:
        return Restored(weighed, ())
    order.keep()
    incoming.take_place(state.epoch)
    try:
        if state.phase is Phase.ORIGINAL:
            held.close(state.epoch)
        else:
            bring_in_bulk(held, tables(), state, None, least=held.last_sequence())
    except (PipelineError, OSError):
        # The CSV leads and has it: settling comes back to the rest.
        return Restored(weighed, (Side.CSV,))
    return Restored(weighed, _sides(state.phase))


def _merge(held: HeldCsv, brakes: Brakes | None) -> None:
    """Bring the CSV that leads up to what others have made of it: what is kept of it has every write then."""
    if held.identity() is None:
        return
    try:
        held.refresh(brakes)
    except InputRefusedError:
        return
    except ProtectedError as error:
        # What somebody has spoilt is what a restore mends: it is kept as it lies there.
        if error.code != "brake":
            raise


def _weigh_in_postgres(held: HeldCsv, tables: Callable[[], Tables], incoming: Incoming, order: Order) -> None:
    """See who would be gone from PostgreSQL, where nothing beside the CSV tells who was in it.

    Raises:
        ProtectedError: Too many would be.
    """
    try:
        _load(held, tables(), incoming, replace(order, dry_run=True, progress=None))
    except UnavailableError as error:
        # Where it is away, only the CSV is restored; busy, it has yet to say.
        if error.code == "postgres_busy":
            raise


def _into_postgres(csv: Csv, held: HeldCsv, tables: Tables, incoming: Incoming, order: Order) -> Restored:
    state = order.state
    if not order.is_new and order.brakes is not None:
        _check_columns(tables, incoming, order.brakes)
    if order.dry_run:
        return Restored(_weighed(_load(held, tables, incoming, order)), ())
    if not order.is_new:
        bring_back(csv, held, tables, state)
    ours = held.identity() if held.is_ours() else None
    order.keep()
    # The tables hold more than a settling of people brings over: lines, and how they are spelled.
    held.outdate(state.epoch)
    try:
        report = _load(held, tables, incoming, order)
    except (InputRefusedError, ProtectedError):
        held.close(state.epoch)
        raise
    try:
        if state.phase.follower is not None:
            render_anew(held, tables, ours, order.aside)
        held.close(state.epoch, least=tables.last_revision() + 1)
    except (PipelineError, OSError):
        # PostgreSQL leads and has it: settling comes back to the rest.
        return Restored(_weighed(report), (Side.POSTGRES,))
    return Restored(_weighed(report), _sides(state.phase))


def _check_columns(tables: Tables, incoming: Incoming, brakes: Brakes) -> None:
    """See that the file has every column of the one that PostgreSQL holds."""
    with tables.snapshot() as snapshot:
        missing = tuple(name for name in snapshot.columns() if name not in incoming.columns)
    Loss(0, 0, columns=missing).check(brakes)


def _load(held: HeldCsv, tables: Tables, incoming: Incoming, order: Order) -> SyncReport:
    return tables.sync(
        lambda: incoming.reading(order.progress),
        began=order.state,
        brakes=order.brakes,
        dry_run=order.dry_run,
        step=order.step,
        least_revision=held.last_sequence(),
    )


def _weighed(report: SyncReport) -> Weighed:
    return Weighed(report.rows_read, report.inserted, report.updated, report.deleted)


def render_anew(held: HeldCsv, tables: Tables, ours: object, aside: str) -> None:
    """Render the whole CSV, which may be spelled otherwise than the one that lies there.

    Args:
        held: The CSV, locked.
        tables: The three tables.
        ours: What told our own file from another; None where it was another's.
        aside: The folder for a file that is not ours.
    """
    foreign = aside if ours is None or held.identity() != ours else None
    with tables.snapshot() as snapshot:
        dirty = snapshot.dirty(())
        held.render(snapshot.render, foreign=foreign)
    tables.clear(dirty)


def _sides(phase: Phase) -> tuple[Side, ...]:
    return (phase.authority,) if phase.follower is None else (phase.authority, phase.follower)


def check_side(to: Side | None, phase: Phase) -> None:
    """See that what is to be restored can be: the follower is never restored on its own.

    Raises:
        SettingsError: It cannot.
    """
    if to is None or to is phase.authority:
        return
    if phase.follower is None:
        raise SettingsError(
            f"in phase {phase} {_NAMES[to]} has no part",
            code="no_part",
            hint="`--to PATH` writes the version to a file.",
        )
    raise SettingsError(
        f"in phase {phase} {_NAMES[to]} follows {_NAMES[phase.authority]}",
        code="follows",
        hint="`ingest settle` or `sync` makes it equal; `--to both` restores both.",
    )


def steps(phase: Phase) -> tuple[str, ...]:
    """What restoring does, step by step, for people."""
    leads, follower = _NAMES[phase.authority], phase.follower
    put = {
        Side.CSV: "put it in the CSV's place",
        Side.POSTGRES: "load it into PostgreSQL in one transaction",
    }
    follow = {
        Side.CSV: "render the CSV anew",
        Side.POSTGRES: "make PostgreSQL equal to it",
    }
    return (
        f"publish what {leads} holds now, or keep a copy of the CSV where that cannot be published",
        f"with writers waiting, {put[phase.authority]}",
        *(() if follower is None else (follow[follower], "compare both sides")),
    )

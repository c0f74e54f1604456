"""write: one person, or several, in the authority."""

from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager, suppress
from typing import Protocol, TypeVar, assert_never

from ingestion_pipeline.domain.brake import Brakes
from ingestion_pipeline.domain.errors import PipelineError, ProtectedError, UnavailableError, stale_epoch
from ingestion_pipeline.domain.journal import Kind, Record
from ingestion_pipeline.domain.phase import Phase, Side
from ingestion_pipeline.domain.ports import HeldCsv, Tables
from ingestion_pipeline.domain.receipt import Answered, Standing, Write, WriteReceipt
from ingestion_pipeline.domain.reports import State
from ingestion_pipeline.operations.settle import bring_postgres_level

TRIES = 5
"""How often a write is tried that a change of phase, or somebody at the file, came between."""

WITHIN_A_WRITE = 10_000
"""Rows of a file that is brought over whole within a write; a larger one waits to be settled."""

_Result = TypeVar("_Result")

Groups = Sequence[tuple[str, Sequence[Write]]]
Lead = Callable[[HeldCsv, Groups], list[Answered]]


class Submit(Protocol):
    """Has writes written by whoever holds the CSV's lock."""

    def __call__(self, writes: Sequence[Write], by: str, lead: Lead, /) -> Answered:
        """Write, or have written."""
        ...


class Site(Protocol):
    """Where writes go."""

    def in_force(self, *, again: bool = False) -> State:
        """The phase in force; again to ask PostgreSQL rather than the ledger."""
        ...

    def reached(self) -> AbstractContextManager[Tables]:
        """PostgreSQL's tables; fails at once when PostgreSQL was found away a moment ago."""
        ...

    def settle_soon(self) -> None:
        """Bring the CSV level in the background."""
        ...

    def settle_first(self) -> None:
        """Bring PostgreSQL what the CSV took in for it, if it took in anything."""
        ...


def write(
    site: Site, submit: Submit, writes: Sequence[Write], by: str, *, brakes: Brakes, fallback: bool
) -> Answered:
    """Write people, in order, each whole or not at all, up to the first that is refused.

    Args:
        site: Where the writes go.
        submit: Has them written under the CSV's lock.
        writes: What is to be written; at least one.
        by: Who writes.
        brakes: How many rows may be gone from a file that somebody else rewrote.
        fallback: Whether the CSV may take writes in while PostgreSQL leads and is away.
    """
    return in_phase(
        site, lambda state: _write(site, submit, writes, by, state, brakes=brakes, fallback=fallback)
    )


def in_phase(site: Site, work: Callable[[State], _Result]) -> _Result:
    """Do something in the phase in force; again where a change of phase, or of the file, came between."""
    again = False
    for _ in range(TRIES):
        state = site.in_force(again=again)
        try:
            return work(state)
        except ProtectedError as error:
            if error.code not in ("stale_epoch", "csv_changed"):
                raise
            # Where the ledger says another phase by now, nobody need be asked, nor the CSV's lock waited for.
            again = error.code == "stale_epoch" and site.in_force() == state
            last = error
    raise last


def _write(
    site: Site,
    submit: Submit,
    writes: Sequence[Write],
    by: str,
    state: State,
    *,
    brakes: Brakes,
    fallback: bool,
) -> Answered:
    match state.phase:
        case Phase.ORIGINAL | Phase.DUAL_WRITE:
            return submit(writes, by, lambda csv, groups: _in_csv(site, csv, groups, state, brakes))
        case Phase.DATABASE_PRIMARY | Phase.DATABASE_NATIVE:
            return _in_postgres(site, submit, writes, by, state, fallback=fallback)
        case _:
            assert_never(state.phase)


def _in_csv(site: Site, csv: HeldCsv, groups: Groups, state: State, brakes: Brakes) -> list[Answered]:
    """Write several callers' groups into the CSV that leads, and bring PostgreSQL level."""
    take_up(site, csv, state, brakes)
    outcomes = csv.write(groups, state.epoch, Kind.WRITE)
    follower = bring_level(site, csv, state, brakes)
    return [_answered(group, Side.CSV, follower) for group in outcomes]


def take_up(site: Site, csv: HeldCsv, state: State, brakes: Brakes | None) -> None:
    """Make sure that the CSV, locked, leads still, and bring it up to what others have made of it."""
    _check_epoch(csv, state)
    _check_follower(site, state)
    csv.refresh(brakes)


def _check_follower(site: Site, state: State) -> None:
    """See that PostgreSQL, if it is there, has not begun to lead: the ledger may be a copy's."""
    if state.phase is Phase.ORIGINAL:
        return
    with suppress(UnavailableError), site.reached() as tables:
        found = tables.state()
        if found is not None and found.epoch > state.epoch:
            raise stale_epoch(state.epoch)


def bring_level(site: Site, csv: HeldCsv, state: State, brakes: Brakes | None) -> Standing:
    """Bring PostgreSQL what the CSV that leads has been given, as far as it can be done now."""
    if state.phase is Phase.ORIGINAL:
        # The CSV has it: a note that the disk refuses is made with the next write.
        with suppress(PipelineError, OSError):
            csv.close(state.epoch)
        return Standing.NONE
    try:
        with site.reached() as tables:
            bring_postgres_level(csv, tables, state, brakes, at_most=WITHIN_A_WRITE)
    except (PipelineError, OSError):
        # The CSV leads and has it: the rows stay pending, status says so, settling comes back to them.
        return Standing.PENDING
    return Standing.SETTLED


def _in_postgres(
    site: Site, submit: Submit, writes: Sequence[Write], by: str, state: State, *, fallback: bool
) -> Answered:
    follower = Standing.PENDING if state.phase is Phase.DATABASE_PRIMARY else Standing.NONE
    try:
        with site.reached() as tables:
            site.settle_first()
            made, refusal = tables.write(state, by, writes)
    except UnavailableError as error:
        if error.code != "postgres_unavailable" or state.phase is not Phase.DATABASE_PRIMARY or not fallback:
            raise
        return submit(writes, by, lambda csv, groups: _taken_in(csv, groups, state))
    if follower is Standing.PENDING:
        site.settle_soon()
    receipts = (
        WriteReceipt(one.row_id, one.revision, one.write_id, Side.POSTGRES, follower, one.created)
        for one in made
    )
    return Answered(tuple(receipts), refusal)


def _taken_in(csv: HeldCsv, groups: Groups, state: State) -> list[Answered]:
    """Take writes into the CSV for PostgreSQL, which leads and is away."""
    _check_epoch(csv, state)
    if not csv.is_ours():
        raise changed_while_away()
    outcomes = csv.write(groups, state.epoch, Kind.FALLBACK)
    return [_answered(group, Side.CSV, Standing.AUTHORITY) for group in outcomes]


def changed_while_away() -> ProtectedError:
    """The CSV cannot stand in for PostgreSQL, because it is another's."""
    return ProtectedError(
        "PostgreSQL, which leads, is away, and somebody else has rewritten the CSV meanwhile",
        code="csv_changed_while_away",
        hint="Bring PostgreSQL back; `ingest settle` then renders the CSV and keeps the other aside.",
    )


def _check_epoch(csv: HeldCsv, state: State) -> None:
    in_force = csv.state()
    if in_force != state:
        raise stale_epoch(state.epoch)


def _answered(outcomes: Sequence[Record | PipelineError], durable_in: Side, follower: Standing) -> Answered:
    receipts = [
        WriteReceipt(one.row_id, one.sequence, one.write_id, durable_in, follower, one.created)
        for one in outcomes
        if isinstance(one, Record)
    ]
    refusal = next((one for one in outcomes if isinstance(one, PipelineError)), None)
    return Answered(tuple(receipts), refusal)

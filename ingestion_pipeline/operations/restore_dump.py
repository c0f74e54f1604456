"""restore dump: make the database what it once was, history and all, and bring the sides together again."""

from collections.abc import Callable
from contextlib import suppress
from typing import assert_never

from ingestion_pipeline.domain.errors import InputRefusedError, PipelineError, ProtectedError, stale_epoch
from ingestion_pipeline.domain.phase import Phase, Side
from ingestion_pipeline.domain.ports import Csv, HeldCsv, Tables
from ingestion_pipeline.domain.reports import State
from ingestion_pipeline.operations.restore import Order, render_anew
from ingestion_pipeline.operations.settle import bring_back, bring_in_bulk


def restore_dump(
    csv: Csv, tables: Callable[[], Tables], replace: Callable[[State], None], order: Order
) -> State:
    """Replace the database by a dump, under a new epoch; gives the phase in force then.

    The side that leads goes on leading: where that is the CSV, only history is another one afterwards.

    Args:
        csv: The CSV.
        tables: Reaches the three tables.
        replace: Makes the database what the dump holds, with this phase and epoch, or leaves it as it is.
        order: How it is done.

    Raises:
        ProtectedError: The phase changed meanwhile, or somebody has rewritten the CSV beyond the brakes.
        PipelineError: As `replace`; nothing was changed.
    """
    state = order.state
    ends = State(state.phase, state.epoch + 1)
    with csv.held() as held:
        if held.state() not in (None, state):
            raise stale_epoch(state.epoch)
        match state.phase.authority:
            case Side.CSV:
                _beside_the_csv(held, tables, replace, order, ends)
            case Side.POSTGRES:
                _where_postgres_leads(csv, held, tables, replace, order, ends)
            case _:
                assert_never(state.phase.authority)
    return ends


def _beside_the_csv(
    held: HeldCsv, tables: Callable[[], Tables], replace: Callable[[State], None], order: Order, ends: State
) -> None:
    # Before PostgreSQL gives up what a CSV that somebody has spoilt may lack.
    held.refresh(order.brakes)
    order.keep()
    held.have_followed(order.state.epoch)
    replace(ends)
    held.keep(ends)
    # Restored it is: settling comes back to the rest.
    with suppress(PipelineError, OSError):
        bring_in_bulk(held, tables(), ends, None, least=held.last_sequence())


def _where_postgres_leads(
    csv: Csv,
    held: HeldCsv,
    tables: Callable[[], Tables],
    replace: Callable[[State], None],
    order: Order,
    ends: State,
) -> None:
    if not order.is_new:
        bring_back(csv, held, tables(), order.state)
    ours = held.identity() if held.is_ours() else None
    order.keep()
    held.outdate(order.state.epoch)
    try:
        replace(ends)
    except (InputRefusedError, ProtectedError):
        held.close(order.state.epoch)
        raise
    held.keep(ends)
    # As above.
    with suppress(PipelineError, OSError):
        if ends.phase.follower is not None:
            render_anew(held, tables(), ours, order.aside)
        held.close(ends.epoch, least=tables().last_revision() + 1)


def steps(phase: Phase) -> tuple[str, ...]:
    """What restoring a dump does, step by step, for people."""
    follow = {
        Side.CSV: ("render the CSV anew", "compare both sides"),
        Side.POSTGRES: ("make PostgreSQL equal to the CSV, which leads", "compare both sides"),
        None: (),
    }
    return (
        "dump the database, and publish what the side that leads holds now, or keep a copy of the CSV",
        "with writers waiting, replace the tables and their history in one transaction, as a new epoch",
        *follow[phase.follower],
    )

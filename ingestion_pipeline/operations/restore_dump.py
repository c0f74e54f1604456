"""restore dump: make the database what it once was, history and all, and bring the sides together again."""

from collections.abc import Callable
from typing import assert_never

from ingestion_pipeline.domain.errors import stale_epoch
from ingestion_pipeline.domain.phase import Phase, Side
from ingestion_pipeline.domain.ports import Csv, Tables
from ingestion_pipeline.domain.reports import State
from ingestion_pipeline.operations.settle import bring_csv_level, bring_in_bulk


def restore_dump(
    csv: Csv, tables: Callable[[], Tables], replace: Callable[[State], None], *, state: State, aside: str
) -> State:
    """Replace the database by a dump, under a new epoch; gives the phase in force then.

    The side that leads goes on leading: where that is the CSV, only history is another one afterwards.

    Args:
        csv: The CSV.
        tables: Reaches the three tables.
        replace: Makes the database what the dump holds, with this phase and epoch, or leaves it as it is.
        state: The phase in force.
        aside: The folder for a CSV that somebody else rewrote while PostgreSQL led.

    Raises:
        ProtectedError: The phase changed meanwhile.
        PipelineError: As `replace`; nothing was changed.
    """
    ends = State(state.phase, state.epoch + 1)
    with csv.held() as held:
        if held.state() not in (None, state):
            raise stale_epoch(state.epoch)
        replace(ends)
        held.keep(ends)
        match state.phase.follower:
            case Side.POSTGRES:
                bring_in_bulk(held, tables(), ends, None, least=held.last_sequence())
            case Side.CSV:
                bring_csv_level(held, tables(), ends, aside)
            case None:
                pass
            case _:
                assert_never(state.phase.follower)
    return ends


def steps(phase: Phase) -> tuple[str, ...]:
    """What restoring a dump does, step by step, for people."""
    follow = {
        Side.CSV: ("render the CSV anew", "compare both sides"),
        Side.POSTGRES: ("make PostgreSQL equal to the CSV, which leads", "compare both sides"),
        None: (),
    }
    return (
        "publish what is there now, or keep a copy of the CSV where that cannot be published",
        "with writers waiting, replace the tables and their history in one transaction, as a new epoch",
        *follow[phase.follower],
    )

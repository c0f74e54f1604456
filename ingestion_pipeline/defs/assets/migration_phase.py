"""The phase in force: how far the move from the CSV to PostgreSQL has come."""

from collections.abc import Iterator

from dagster import (
    AssetCheckSeverity,
    AssetExecutionContext,
    Config,
    MaterializeResult,
    MetadataValue,
    TableColumn,
    TableMetadataValue,
    TableRecord,
    TableSchema,
    TimestampMetadataValue,
    asset,
)
from pydantic import Field

from ingestion_pipeline.app import Pipeline
from ingestion_pipeline.app.changing import How
from ingestion_pipeline.app.phases import Plan
from ingestion_pipeline.defs.phase_in_force import PHASE_IN_FORCE, moment, phase_in_force
from ingestion_pipeline.defs.resources import PipelineResource
from ingestion_pipeline.defs.standing import Standing
from ingestion_pipeline.domain.errors import UnavailableError
from ingestion_pipeline.domain.phase_change import PhaseChange
from ingestion_pipeline.domain.proof import Proof
from ingestion_pipeline.domain.transition import Verdict

SHOWN = 12
"""Characters of a digest: enough to tell files apart."""

Metadata = dict[str, str | int | float | TimestampMetadataValue | TableMetadataValue]

# In a wide table the browser would break a moment into four lines.
_UNBROKEN = str.maketrans({" ": "\N{NO-BREAK SPACE}", "-": "\N{NON-BREAKING HYPHEN}"})

_MOVES = TableSchema([TableColumn(name) for name in ("move", "gate", "why_not", "what_next")])
_HISTORY = TableSchema(
    [
        TableColumn("epoch", "int", "The epoch that began with it"),
        TableColumn("before"),
        TableColumn("after"),
        TableColumn("at"),
        TableColumn("by"),
        TableColumn("by_hand", "bool", "Named by somebody, rather than by the configuration"),
        TableColumn("overridden", description="Conditions of the gate that were let pass"),
        TableColumn("because", description="Why they were"),
        TableColumn("pause_seconds", "float", "For how long nobody could write"),
        TableColumn("drained", "int", "People brought over to the follower meanwhile"),
        TableColumn("rechecked", "int", "People compared once more meanwhile"),
        TableColumn("equal_after", "bool", "Whether a comparison afterwards found both sides equal"),
        TableColumn("version_before"),
        TableColumn("version_after"),
        TableColumn("unfinished", description="What could not be done afterwards; the change stands"),
    ]
)


class PhaseConfig(Config):
    """How the asset `migration_phase` is made."""

    apply: bool = Field(
        default=False,
        description="Go to the phase that the configuration asks for, as far as the gates are open.",
    )


@asset(
    group_name="phase",
    kinds={"csv", "postgres"},
    owners=["team:ingestion"],
    pool="writers",
    check_specs=[PHASE_IN_FORCE],
)
def migration_phase(
    context: AssetExecutionContext, config: PhaseConfig, pipeline: PipelineResource
) -> Iterator[MaterializeResult[None]]:
    """Which side leads, where the site could go from here, and where it has been.

    A gate that stays shut fails the check, not the run, and leaves everything as it is.
    """
    with pipeline.open() as site:
        standing = Standing.of(site, _apply(context, site) if config.apply else None)
    found = phase_in_force(standing)
    if not found.passed:
        tell = context.log.error if found.severity is AssetCheckSeverity.ERROR else context.log.warning
        tell(found.description)
    yield MaterializeResult(metadata=_shown(standing), check_results=[found])


def _apply(context: AssetExecutionContext, site: Pipeline) -> Verdict | None:
    """Go to the phase wanted; gives the verdict of the gate that stayed shut, if one did."""
    try:
        return site.phase.apply(How(run_id=context.run.run_id, step=context.log.info)).shut
    except UnavailableError as error:
        # Half-done, or being done by somebody else: that is to be shown, and seen to by the next run.
        if error.code != "changing" and site.phase.changing() is None:
            raise
        context.log.warning("%s", error)
        return None


def _shown(standing: Standing) -> Metadata:
    return {
        **_leading(standing),
        **_half_done(standing.changing),
        "pending": standing.status.pending.all,
        "undecided": standing.status.quarantine.undecided,
        **_proved(standing.status.proof),
        "changes": len(standing.history),
        **_paused(standing.history),
        **_moves(standing.plan),
        "history": TableMetadataValue([_record(one) for one in reversed(standing.history)], _HISTORY),
    }


def _leading(standing: Standing) -> Metadata:
    wanted = standing.wanted.value
    if standing.plan is None:
        return {"phase": "not known until PostgreSQL is back", "wanted": wanted}
    phase = standing.plan.state.phase
    return {
        "phase": phase.value,
        "wanted": wanted,
        "epoch": standing.plan.state.epoch,
        "authority": phase.authority.value,
        "follower": phase.follower.value if phase.follower else "none",
    }


def _half_done(change: PhaseChange | None) -> Metadata:
    return {} if change is None else {"half_done": f"{change.move}, begun on {moment(change.at)}"}


def _paused(history: list[PhaseChange]) -> Metadata:
    pause = history[-1].pause if history else None
    return {} if pause is None else {"last_pause_seconds": pause}


def _moves(plan: Plan | None) -> Metadata:
    if plan is None:
        return {}
    records = [record for verdict in plan.verdicts for record in _reasons(verdict)]
    return {"moves": TableMetadataValue(records, _MOVES)}


def _reasons(verdict: Verdict) -> Iterator[TableRecord]:
    """A line a reason against a move, or the one that says there is none."""
    said = {"move": str(verdict.move), "gate": verdict.gate}
    if verdict.is_open:
        yield TableRecord({**said, "why_not": None, "what_next": None})
    for one in verdict.unmet:
        yield TableRecord({**said, "why_not": one.why, "what_next": one.what_next})


def _proved(proof: Proof | None) -> Metadata:
    if proof is None:
        return {}
    shown: Metadata = {
        "compared_rows": proof.rows,
        "compared_sha256": proof.csv_sha256[:SHOWN],
        "differences": proof.differences,
    }
    if proof.stamped_at is None:
        return shown
    return {"compared_at": MetadataValue.timestamp(proof.stamped_at), **shown}


def _record(change: PhaseChange) -> TableRecord:
    shown = {
        **change.as_json(),
        "before": change.before.value,
        "after": change.after.value,
        "at": moment(change.at).translate(_UNBROKEN),
        "overridden": ", ".join(change.overridden),
        "pause_seconds": change.pause,
    }
    return TableRecord({column.name: shown.get(column.name) for column in _HISTORY.columns})

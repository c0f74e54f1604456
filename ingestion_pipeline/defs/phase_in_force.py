"""The check that the phase in force is the one wanted, and why it is not."""

from dagster import (
    AssetCheckResult,
    AssetCheckSeverity,
    AssetCheckSpec,
    TableColumn,
    TableMetadataValue,
    TableRecord,
    TableSchema,
)

from ingestion_pipeline.defs.contract import MIGRATION_PHASE
from ingestion_pipeline.defs.standing import Standing
from ingestion_pipeline.domain.phase_change import PhaseChange
from ingestion_pipeline.domain.transition import Verdict

PHASE_IN_FORCE = AssetCheckSpec(
    "phase_in_force",
    asset=MIGRATION_PHASE,
    description="The phase in force is the one the configuration asks for.",
)

_WHY_NOT = TableSchema([TableColumn(name) for name in ("condition", "why_not", "what_next")])


def phase_in_force(standing: Standing) -> AssetCheckResult:
    """Judge where a site stands."""
    severity, found = _judged(standing)
    return AssetCheckResult(
        check_name=PHASE_IN_FORCE.name,
        passed=severity is None,
        severity=severity or AssetCheckSeverity.ERROR,
        description=found,
        metadata={
            "wanted": standing.wanted.value,
            "in_force": standing.in_force.value if standing.in_force else "not known",
            **(_why_not(standing.in_the_way) if severity and standing.is_asked_for else {}),
        },
    )


def _judged(standing: Standing) -> tuple[AssetCheckSeverity | None, str]:
    """How bad it is, if it is, and a sentence."""
    if standing.changing is not None or standing.in_force is None:
        return AssetCheckSeverity.ERROR, _interrupted(standing.changing)
    if standing.in_force is standing.wanted:
        return None, f"{standing.in_force} is in force, and wanted"
    if not standing.is_asked_for:
        return AssetCheckSeverity.WARN, _by_hand(standing)
    verdict = standing.in_the_way
    if verdict is not None and (verdict is standing.shut or not verdict.is_within_reach):
        return AssetCheckSeverity.ERROR, _shut(verdict)
    found = f"{standing.wanted} is wanted; {standing.in_force} stays in force until job change_phase has run"
    return AssetCheckSeverity.WARN, found


def _interrupted(change: PhaseChange | None) -> str:
    if change is None:
        return "it is not known which phase is in force"
    return (
        f"the change from {change.before} to {change.after}, begun on {moment(change.at)}, was interrupted; "
        "whether it was made is known once PostgreSQL is back, and nothing is written until then"
    )


def _by_hand(standing: Standing) -> str:
    last = standing.history[-1]
    by_hand = f"changed by hand on {moment(last.at)} by {last.by}"
    return f"{by_hand}; the configuration still asks for {standing.wanted}"


def _shut(verdict: Verdict) -> str:
    reasons = "\n".join(f"- {one.why}: {one.hint}" for one in verdict.unmet)
    return f"the gate of {verdict.move} is shut:\n{reasons}"


def _why_not(verdict: Verdict | None) -> dict[str, TableMetadataValue]:
    records = [
        TableRecord({"condition": one.condition.value, "why_not": one.why, "what_next": one.hint})
        for one in (verdict.unmet if verdict else ())
    ]
    return {"why_not": TableMetadataValue(records, _WHY_NOT)} if records else {}


def moment(at: str) -> str:
    """A moment in ISO 8601 and UTC, for people."""
    return f"{at[:19].replace('T', ' ')} UTC"

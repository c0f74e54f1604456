"""How the site is: every figure, drawn over time, and a check for each thing that is looked at."""

from collections.abc import Iterator

from dagster import (
    AssetCheckResult,
    AssetCheckSeverity,
    AssetCheckSpec,
    AssetExecutionContext,
    MaterializeResult,
    asset,
)

from ingestion_pipeline.defs.contract import DATABASE_HEALTH
from ingestion_pipeline.defs.resources import PipelineResource
from ingestion_pipeline.domain.findings import GRAVE, NAMES
from ingestion_pipeline.domain.health import Finding, Health, Signal

ABOUT = {
    "postgres": "PostgreSQL answers.",
    "consistency": "The last comparison found no more differences than the limit.",
    "proof_age": "Both sides were compared lately.",
    "pending_age": "Nothing waits too long for the other side.",
    "gate": "No phase is asked for whose gate is shut, and no change of phase is half-done.",
    "slower": "Nothing takes much longer than it used to.",
    "disk": "There is room on the disks of the CSV and of the state folder.",
    "long_transaction": "No transaction is open too long.",
    "replica_lag": "No replica lags too far behind.",
    "version_age": "A version was published lately, or nothing has changed since.",
    "backup_age": "A dump was published lately.",
    "conflicts": "No conflict is undecided beyond the limit.",
    "fallback": "The CSV holds no writes that PostgreSQL, which leads, has yet to get.",
    "cache_hit": "PostgreSQL finds what it reads in its cache, where a limit is set.",
}


@asset(
    group_name="health",
    kinds={"postgres", "csv"},
    owners=["team:ingestion"],
    check_specs=[AssetCheckSpec(name, asset=DATABASE_HEALTH, description=ABOUT[name]) for name in NAMES],
)
def database_health(
    context: AssetExecutionContext, pipeline: PipelineResource
) -> Iterator[MaterializeResult[None]]:
    """The figures of the CSV, of PostgreSQL and of this pipeline at one time.

    What is not as it should be fails its check, never the run.
    """
    with pipeline.open() as site:
        health = site.health()
    for finding in health.findings:
        if not finding.ok:
            context.log.warning("%s: %s", finding.name, finding.message)
    yield MaterializeResult(
        metadata=dict(_shown(health)), check_results=[_check(finding) for finding in health.findings]
    )


def _shown(health: Health) -> Iterator[tuple[str, float | bool]]:
    yield "healthy", health.ok
    yield "findings", sum(not finding.ok for finding in health.findings)
    for signal in health.signals:
        yield _named(signal), signal.value


def _named(signal: Signal) -> str:
    return " ".join((signal.name, *(about for _, about in signal.labels)))


def _check(finding: Finding) -> AssetCheckResult:
    known = {"measured": finding.measured, "limit": finding.limit}
    metadata: dict[str, float | str] = {
        name: float(value) for name, value in known.items() if value is not None
    }
    if finding.hint:
        metadata["what_next"] = finding.hint
    return AssetCheckResult(
        check_name=finding.name,
        passed=finding.ok,
        severity=AssetCheckSeverity.ERROR if finding.name in GRAVE else AssetCheckSeverity.WARN,
        description=finding.message,
        metadata=metadata,
    )

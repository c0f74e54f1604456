"""The checks that what was published can be brought back."""

from dagster import AssetCheckResult, asset_check

from ingestion_pipeline.defs.contract import DATABASE_BACKUP, VERSIONED_EXPORT
from ingestion_pipeline.defs.resources import PipelineResource
from ingestion_pipeline.domain.phase import Phase
from ingestion_pipeline.operations.drill import Drilled


@asset_check(
    asset=VERSIONED_EXPORT,
    description="The newest version, restored into a database of its own, renders the same again.",
)
def latest_version_restores(pipeline: PipelineResource) -> AssetCheckResult:
    """Restore the newest version somewhere else."""
    with pipeline.open() as site:
        return _result(site.backups.drill_version())


@asset_check(
    asset=DATABASE_BACKUP,
    description="The newest dump, restored into a database of its own, renders the same again.",
)
def latest_backup_restores(pipeline: PipelineResource) -> AssetCheckResult:
    """Restore the newest dump somewhere else."""
    with pipeline.open() as site:
        found = site.backups.drill_dump()
        if found.key is None and site.in_force().phase is Phase.ORIGINAL:
            note = "In phase original PostgreSQL has no part, and nothing is dumped."
            return AssetCheckResult(passed=True, description=note)
    return _result(found)


def _result(found: Drilled) -> AssetCheckResult:
    return AssetCheckResult(
        passed=found.passed,
        description=found.amiss or "",
        metadata={"restored": found.key or "", "rows": found.rows, "seconds": found.seconds},
    )


DRILL = [latest_version_restores, latest_backup_restores]

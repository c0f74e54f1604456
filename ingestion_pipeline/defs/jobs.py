"""One job per verb."""

from dagster import AssetSelection, RunConfig, define_asset_job, job

from ingestion_pipeline.defs import ops
from ingestion_pipeline.defs.assets.migration_phase import PhaseConfig
from ingestion_pipeline.defs.checks import consistency
from ingestion_pipeline.defs.contract import (
    CSV_SNAPSHOT,
    DATABASE_BACKUP,
    DATABASE_HEALTH,
    MIGRATION_PHASE,
    SEARCH_INDEX,
    VERSIONED_EXPORT,
)
from ingestion_pipeline.defs.drill import DRILL
from ingestion_pipeline.domain.columns import Table
from ingestion_pipeline.domain.figures import View

LONGEST_SETTLE = 3600
"""Seconds after which a run of `settle` is ended: one that has died would keep all others waiting."""

LONGEST_CHANGE = 4 * 3600
"""The same of `change_phase`, which may sync and compare everybody more than once."""

_TABLES = AssetSelection.assets(*(table.value for table in Table))
# What is derived from them, so that nobody who asks waits for it.
_INDEX = AssetSelection.assets(SEARCH_INDEX)
_PHASE = AssetSelection.assets(MIGRATION_PHASE)
# What is published is tried out now and then, not each time.
_EXPORT = AssetSelection.assets(VERSIONED_EXPORT).without_checks()
_BACKUP = AssetSelection.assets(DATABASE_BACKUP).without_checks()

migrate = define_asset_job(
    "migrate",
    # By name, so that a site's own assets do not run whenever the CSV changes.
    selection=AssetSelection.assets(CSV_SNAPSHOT) | _EXPORT | _TABLES | _INDEX,
    description="The whole way: read the CSV, sync the tables, check and compare them, publish a version, "
    "refresh the search index.",
)
sync = define_asset_job(
    "sync",
    selection=AssetSelection.assets(CSV_SNAPSHOT) | _TABLES | _INDEX,
    description="Read the CSV, sync the tables, check and compare them, refresh the search index.",
)
compare = define_asset_job(
    "compare",
    selection=AssetSelection.checks(consistency),
    description="Prove that the two sides are equal, or name what differs.",
)
check = define_asset_job(
    "check",
    selection=AssetSelection.checks_for_assets(*(table.value for table in Table)) | _PHASE,
    description="Every check of the tables: the contract's rules, the quarantine, the phase, the comparison.",
)
export = define_asset_job(
    "export",
    selection=_EXPORT | AssetSelection.checks(consistency),
    description="Publish a version, unless the two sides differ.",
)
backup = define_asset_job(
    "backup",
    selection=_BACKUP,
    description="Dump the database, and publish the dump.",
)
drill = define_asset_job(
    "drill",
    selection=AssetSelection.checks(*DRILL),
    description="Restore the newest version and the newest dump somewhere else, and see what they hold.",
)
reports = define_asset_job(
    "reports",
    selection=AssetSelection.assets(*(view.value for view in View)),
    description="Count the figures of the report anew, while others read and write.",
)
health = define_asset_job(
    "health",
    selection=AssetSelection.assets(DATABASE_HEALTH),
    description="Look at the whole site, and say what is not as it should be.",
)
change_phase = define_asset_job(
    "change_phase",
    selection=_PHASE,
    config=RunConfig(ops={MIGRATION_PHASE.path[-1]: PhaseConfig(apply=True)}),
    tags={"dagster/max_runtime": LONGEST_CHANGE},
    description="Go to the phase that the configuration asks for, as far as the gates are open.",
)


@job(tags={"dagster/max_runtime": LONGEST_SETTLE})
def settle() -> None:
    """Bring the follower what the authority has and it has not."""
    ops.settle()


JOBS = (migrate, sync, compare, check, export, backup, drill, reports, health, change_phase, settle)

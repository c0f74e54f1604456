"""One job per verb."""

from dagster import AssetSelection, define_asset_job

from ingestion_pipeline.defs.checks import consistency
from ingestion_pipeline.defs.contract import CSV_SNAPSHOT, VERSIONED_EXPORT
from ingestion_pipeline.domain.columns import Table

_TABLES = AssetSelection.assets(*(table.value for table in Table))

migrate = define_asset_job(
    "migrate",
    selection=AssetSelection.all(),
    description="The whole way: read the CSV, sync the tables, check and compare them, publish a version.",
)
sync = define_asset_job(
    "sync",
    selection=AssetSelection.assets(CSV_SNAPSHOT) | _TABLES,
    description="Read the CSV, sync the tables, check and compare them.",
)
compare = define_asset_job(
    "compare",
    selection=AssetSelection.checks(consistency),
    description="Prove that the two sides are equal, or name what differs.",
)
check = define_asset_job(
    "check",
    selection=AssetSelection.checks_for_assets(*(table.value for table in Table)),
    description="Every check of the tables: the contract's rules, the quarantine, the phase, the comparison.",
)
export = define_asset_job(
    "export",
    selection=AssetSelection.assets(VERSIONED_EXPORT) | AssetSelection.checks(consistency),
    description="Publish a version, unless the two sides differ.",
)

JOBS = [migrate, sync, compare, check, export]

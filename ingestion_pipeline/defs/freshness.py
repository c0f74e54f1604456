"""How old what Dagster shows of an asset may be, before it says so."""

from collections.abc import Mapping
from datetime import timedelta

from dagster import AssetKey, AssetSpec, FreshnessPolicy

from ingestion_pipeline.defs.contract import CSV_SNAPSHOT, DATABASE_BACKUP, DATABASE_HEALTH, VERSIONED_EXPORT
from ingestion_pipeline.domain.columns import Table
from ingestion_pipeline.settings import Settings

WARNED = 0.75
"""The share of the time after which it is a warning."""

WHOLE = timedelta(days=30)
"""File and tables are taken over as a whole when others rewrite the CSV, which on many sites nobody does."""

LOOKED = timedelta(hours=2)


def policies(settings: Settings) -> Mapping[AssetKey, FreshnessPolicy]:
    """The policy of each asset that has one; none where nothing runs by itself."""
    if not settings.automation.enabled:
        return {}
    limits = settings.health
    whole = _within(WHOLE)
    return {
        CSV_SNAPSHOT: whole,
        **{AssetKey(table.value): whole for table in Table},
        VERSIONED_EXPORT: _within(timedelta(hours=limits.version_age_hours)),
        DATABASE_BACKUP: _within(timedelta(hours=limits.backup_age_hours)),
        DATABASE_HEALTH: _within(LOOKED),
    }


def with_policy(spec: AssetSpec, found: Mapping[AssetKey, FreshnessPolicy]) -> AssetSpec:
    """An asset with its policy, if it has one."""
    policy = found.get(spec.key)
    return spec if policy is None else spec.replace_attributes(freshness_policy=policy)


def _within(fail: timedelta) -> FreshnessPolicy:
    # Dagster knows nothing shorter than a minute.
    window = max(fail, timedelta(minutes=4))
    return FreshnessPolicy.time_window(fail_window=window, warn_window=WARNED * window)

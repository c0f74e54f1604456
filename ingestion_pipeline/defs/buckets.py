"""Bulk work in buckets: one run whose steps several workers take, or a partition per bucket."""

from dataclasses import asdict
from typing import Any

from dagster import (
    AssetExecutionContext,
    AssetsDefinition,
    Backoff,
    DagsterRun,
    Failure,
    In,
    JobDefinition,
    MaterializeResult,
    MetadataValue,
    Nothing,
    OpDefinition,
    OpExecutionContext,
    Out,
    RetryPolicy,
    StaticPartitionsDefinition,
    TimestampMetadataValue,
    asset,
    job,
    op,
)

from ingestion_pipeline.defs.apart import sync_apart
from ingestion_pipeline.defs.site import SiteResource
from ingestion_pipeline.domain.buckets import (
    Added,
    BucketCompared,
    BucketReported,
    BucketSynced,
    Reported,
    Split,
    names,
)
from ingestion_pipeline.domain.figures import Processing, Storage
from ingestion_pipeline.domain.reports import SyncReport

BACKFILL = "dagster/backfill"
"""The tag that the runs of one backfill share."""

AGAIN = RetryPolicy(max_retries=5, delay=5, backoff=Backoff.EXPONENTIAL)

LONGEST = 6 * 3600
"""Seconds after which a run is ended: one whose workers are all gone would wait for ever."""

Entries = dict[str, str | int | float | bool]

_OF_THE_SITE = {"in_quarantine", "undecided"}
"""What every bucket counts as a whole, as it is nobody's."""

_NOT_ONE_STATE = (
    "somebody wrote meanwhile: each bucket is right by itself, but the sum is of no one state\n"
    "Launch the job anew when it is quiet, or use `ingest report`."
)


@op(out=Out(Nothing), pool="writers", retry_policy=AGAIN)
def split_to_sync(context: OpExecutionContext, pipeline: SiteResource) -> None:
    """Pin the CSV and split it into buckets."""
    with pipeline.open() as site:
        context.add_output_metadata(_of_split(site.buckets.split_to_sync(_key(context.run))))


@op(out=Out(Nothing), retry_policy=AGAIN)
def split_to_compare(context: OpExecutionContext, pipeline: SiteResource) -> None:
    """Pin both sides, and split the CSV into buckets."""
    with pipeline.open() as site:
        context.add_output_metadata(_of_split(site.buckets.split_to_compare(_key(context.run))))


def _sync_bucket(bucket: int, name: str) -> OpDefinition:
    @op(name=f"sync_bucket_{name}", ins={"split": In(Nothing)}, out=Out(Nothing), retry_policy=AGAIN)
    def sync_bucket(context: OpExecutionContext, pipeline: SiteResource) -> None:
        """Write what of one bucket is new or otherwise."""
        with pipeline.open() as site:
            context.add_output_metadata(_of_bucket(site.buckets.sync(_key(context.run), bucket)))

    return sync_bucket


def _compare_bucket(bucket: int, name: str) -> OpDefinition:
    @op(name=f"compare_bucket_{name}", ins={"split": In(Nothing)}, out=Out(Nothing), retry_policy=AGAIN)
    def compare_bucket(context: OpExecutionContext, pipeline: SiteResource) -> None:
        """Compare one bucket, line by line."""
        with pipeline.open() as site:
            context.add_output_metadata(_of_bucket(site.buckets.compare(_key(context.run), bucket)))

    return compare_bucket


def _report_bucket(bucket: int, name: str) -> OpDefinition:
    @op(name=f"report_bucket_{name}", out=Out(Nothing), retry_policy=AGAIN)
    def report_bucket(context: OpExecutionContext, pipeline: SiteResource) -> None:
        """Count the people of one bucket, as PostgreSQL has them."""
        with pipeline.open() as site:
            context.add_output_metadata(_of_counts(site.buckets.report(_key(context.run), bucket)))

    return report_bucket


@op(ins={"buckets": In(Nothing)}, out=Out(Nothing), pool="writers", retry_policy=AGAIN)
def level(context: OpExecutionContext, pipeline: SiteResource) -> None:
    """Do what no bucket can: deletions, order, quarantine, brakes."""
    report = sync_apart(pipeline.config)
    with pipeline.open() as site:
        done = site.buckets.end(_key(context.run))
    context.add_output_metadata(_of_sync(report, done))


@op(ins={"buckets": In(Nothing)}, out=Out(Nothing), retry_policy=AGAIN)
def add_up(context: OpExecutionContext, pipeline: SiteResource) -> None:
    """Put together what the buckets came to; fails where the two sides are not equal."""
    with pipeline.open() as site:
        added = site.buckets.add_up(_key(context.run))
    if not added.equal:
        raise Failure(_said(added), metadata=_of_comparison(added), allow_retries=False)
    context.add_output_metadata(_of_comparison(added))


@op(ins={"buckets": In(Nothing)}, out=Out(Nothing), retry_policy=AGAIN)
def add_up_report(context: OpExecutionContext, pipeline: SiteResource) -> None:
    """Put together what was counted of the buckets, and count the files, which none of them can."""
    with pipeline.open() as site:
        report = site.buckets.add_up_report(_key(context.run))
    if not report.one_state:
        context.log.warning(_NOT_ONE_STATE)
    context.add_output_metadata(_of_report(report))


def bucket_jobs(buckets: int) -> list[JobDefinition]:
    """One run each: split, every bucket as a step of its own, and what puts them together.

    Args:
        buckets: How many; the split fails where its site's configuration says another number.
    """

    @job(
        name="sync_in_buckets",
        tags={"dagster/max_runtime": LONGEST},
        description="Sync the tables in buckets, which several workers share; one transaction each.",
    )
    def sync_in_buckets() -> None:
        begun = split_to_sync()
        level([_sync_bucket(bucket, name)(begun) for bucket, name in enumerate(names(buckets))])

    @job(
        name="compare_in_buckets",
        tags={"dagster/max_runtime": LONGEST},
        description="Compare the two sides in buckets, which several workers share.",
    )
    def compare_in_buckets() -> None:
        begun = split_to_compare()
        add_up([_compare_bucket(bucket, name)(begun) for bucket, name in enumerate(names(buckets))])

    @job(
        name="report_in_buckets",
        tags={"dagster/max_runtime": LONGEST},
        description="Count the figures of the report in buckets, which several workers share.",
    )
    def report_in_buckets() -> None:
        add_up_report([_report_bucket(bucket, name)() for bucket, name in enumerate(names(buckets))])

    return [sync_in_buckets, compare_in_buckets, report_in_buckets]


def bucket_assets(buckets: int) -> list[AssetsDefinition]:
    """A partition per bucket, for backfills: the runs of one share a split. `sync` puts the rest right.

    Args:
        buckets: How many.
    """
    known = names(buckets)
    partitions = StaticPartitionsDefinition(known)

    @asset(
        name="synced_bucket",
        partitions_def=partitions,
        group_name="buckets",
        kinds={"postgres"},
        owners=["team:ingestion"],
        retry_policy=AGAIN,
        description="The people of one bucket as the CSV has them; deletions and order are the job sync's.",
    )
    def synced_bucket(context: AssetExecutionContext, pipeline: SiteResource) -> MaterializeResult[None]:
        with pipeline.open() as site:
            key = f"{_key(context.run)}-sync"
            site.buckets.split_to_sync(key)
            done = site.buckets.sync(key, known.index(context.partition_key))
        return MaterializeResult(metadata=_of_bucket(done))

    @asset(
        name="compared_bucket",
        partitions_def=partitions,
        deps=[synced_bucket],
        group_name="buckets",
        owners=["team:ingestion"],
        retry_policy=AGAIN,
        description="What a comparison of one bucket found.",
    )
    def compared_bucket(context: AssetExecutionContext, pipeline: SiteResource) -> MaterializeResult[None]:
        with pipeline.open() as site:
            key = f"{_key(context.run)}-compare"
            site.buckets.split_to_compare(key)
            found = site.buckets.compare(key, known.index(context.partition_key))
        return MaterializeResult(metadata=_of_bucket(found))

    @asset(
        name="reported_bucket",
        partitions_def=partitions,
        deps=[synced_bucket],
        group_name="buckets",
        kinds={"postgres"},
        owners=["team:ingestion"],
        retry_policy=AGAIN,
        description="The figures of the people of one bucket; only numbers are shown.",
    )
    def reported_bucket(context: AssetExecutionContext, pipeline: SiteResource) -> MaterializeResult[None]:
        with pipeline.open() as site:
            key = f"{_key(context.run)}-report"
            found = site.buckets.report(key, known.index(context.partition_key))
        return MaterializeResult(metadata=_of_counts(found))

    return [synced_bucket, compared_bucket, reported_bucket]


def _key(run: DagsterRun) -> str:
    """What the runs that belong together call their buckets."""
    return run.tags.get(BACKFILL) or run.root_run_id or run.run_id


def _of_split(split: Split) -> Entries:
    return {"buckets": split.buckets, "rows": split.rows, "sha256": split.sha256, "pending": split.pending}


def _of_bucket(done: BucketSynced | BucketCompared | None) -> Entries:
    if done is None:
        return {"note": "all of it was over; nothing was done"}
    if isinstance(done, BucketSynced):
        return {"rows": done.rows, "inserted": done.inserted, "updated": done.updated, "left": done.left}
    return {
        "csv_rows": done.csv_rows,
        "rows": done.rows,
        "differences": done.differences,
        "csv_sum": done.csv_sum,
        "sum": done.sum,
    }


def _of_counts(found: BucketReported) -> Entries:
    return {**_of_people(found.counts.processing), "position": found.position}


def _of_report(report: Reported) -> dict[str, int | bool | TimestampMetadataValue]:
    return {
        "buckets": report.buckets,
        "one_state": report.one_state,
        **_numbers(report.counts.processing),
        "types": len(report.counts.types),
        "outcomes": len(report.counts.outcomes),
        **_numbers(report.storage),
        "counted_at": MetadataValue.timestamp(report.at),
    }


def _of_people(processing: Processing) -> dict[str, int]:
    counted = _numbers(processing)
    return {name: value for name, value in counted.items() if name not in _OF_THE_SITE}


def _numbers(found: Processing | Storage) -> dict[str, int]:
    return {name: value for name, value in asdict(found).items() if isinstance(value, int)}


def _of_sync(report: SyncReport, done: list[BucketSynced]) -> Entries:
    return {
        "rows_read": report.rows_read,
        "inserted": report.inserted + sum(one.inserted for one in done),
        "updated": report.updated + sum(one.updated for one in done),
        "changed_by_level": report.inserted + report.updated,
        "deleted": report.deleted,
        "moved": report.moved,
        "quarantined_rows": report.quarantined_rows,
        "quarantined_cells": report.quarantined_cells,
        "sha256": report.sha256,
        "seconds": report.seconds,
    }


def _of_comparison(added: Added) -> dict[str, Any]:
    return {
        "buckets": added.buckets,
        "rows": added.rows,
        "differences": added.differences,
        "misspelled": added.misspelled,
        "bytes_equal": added.bytes_equal,
        "one_state": added.one_state,
        "pending": added.pending,
        "csv_sum": added.csv_sum,
        "sum": added.sum,
        "csv_sha256": added.csv_sha256,
    }


def _said(added: Added) -> str:
    if not added.one_state:
        return "somebody wrote meanwhile, so that nothing is proved\nLaunch the job anew when it is quiet."
    if added.pending:
        return f"{added.pending} people are pending\n`ingest settle` brings them over; then compare again."
    return (
        f"the two sides differ: {added.differences} lines, {added.misspelled} misspelled cells\n"
        "`ingest compare` names them."
    )

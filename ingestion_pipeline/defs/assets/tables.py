"""The three tables, made equal to the CSV in one transaction while the CSV leads."""

from collections.abc import Iterator
from typing import assert_never

from dagster import AssetExecutionContext, AssetSpec, Backoff, MaterializeResult, RetryPolicy, multi_asset

from ingestion_pipeline.app import Pipeline
from ingestion_pipeline.defs.contract import CSV_SNAPSHOT, from_csv, table_schema
from ingestion_pipeline.defs.resources import PipelineResource
from ingestion_pipeline.domain.columns import Table
from ingestion_pipeline.domain.phase import Phase
from ingestion_pipeline.domain.reports import SyncReport

Counts = dict[str, str | int | float]

_ABOUT = {
    Table.PEOPLE: "One row per person: name, e-mail, personality type, document link.",
    Table.PROCESSING_STATUS: "One row per person: links found, document text, how downloads went.",
    Table.S3_METADATA: "One row per person: which files lie where in S3.",
}


def _spec(table: Table) -> AssetSpec:
    return AssetSpec(
        table.value,
        deps=[CSV_SNAPSHOT],
        description=_ABOUT[table],
        group_name="tables",
        kinds={"postgres", "table"},
        owners=["team:ingestion"],
        metadata={
            "dagster/column_schema": table_schema(table),
            "dagster/column_lineage": from_csv(table),
            "dagster/table_name": f"public.{table}",
        },
    )


@multi_asset(
    name="tables",
    specs=[_spec(table) for table in Table],
    pool="writers",
    retry_policy=RetryPolicy(max_retries=5, delay=10, backoff=Backoff.EXPONENTIAL),
)
def tables(context: AssetExecutionContext, pipeline: PipelineResource) -> Iterator[MaterializeResult[None]]:
    """Make the tables equal to the CSV; where PostgreSQL leads, write nothing and report what is there."""
    with pipeline.open() as site:
        phase = site.begin().phase
        match phase:
            case Phase.ORIGINAL:
                metadata: Counts = {"note": "PostgreSQL has no part yet"}
            case Phase.DUAL_WRITE:
                metadata = _counted(site.sync(step=context.log.info))
            case Phase.DATABASE_PRIMARY | Phase.DATABASE_NATIVE:
                metadata = {"note": "PostgreSQL leads; nothing was written"}
            case _:
                assert_never(phase)
        yield from _results(site, metadata | {"phase": phase.value})


def _results(site: Pipeline, metadata: Counts) -> Iterator[MaterializeResult[None]]:
    pending = site.status().pending
    metadata |= {"pending": pending.all, "lag_seconds": pending.seconds}
    for table, rows in site.tables.counts().items():
        yield MaterializeResult(asset_key=table.value, metadata={"dagster/row_count": rows, **metadata})


def _counted(report: SyncReport) -> Counts:
    return {
        "rows_read": report.rows_read,
        "inserted": report.inserted,
        "updated": report.updated,
        "unchanged": report.unchanged,
        "deleted": report.deleted,
        "changed": report.changed,
        "moved": report.moved,
        "repeated": report.repeated,
        "quarantined_rows": report.quarantined_rows,
        "quarantined_cells": report.quarantined_cells,
        "sha256": report.sha256,
        "seconds": report.seconds,
    }

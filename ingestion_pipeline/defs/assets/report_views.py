"""The materialized views that reports are made of; only numbers are shown, never a cell."""

from collections.abc import Iterator
from dataclasses import asdict

from dagster import AssetExecutionContext, AssetKey, AssetSpec, MaterializeResult, MetadataValue, multi_asset

from ingestion_pipeline.defs.resources import PipelineResource
from ingestion_pipeline.domain.columns import Table
from ingestion_pipeline.domain.figures import Figures, View

_ABOUT = {
    View.PROCESSING_SUMMARY: "How far the work on people has come, in one row.",
    View.TYPE_DISTRIBUTION: "How many people have which type.",
    View.DOWNLOAD_OUTCOMES: "How the downloads from YouTube and from Drive went, by status.",
    View.STORAGE_INVENTORY: "How many files there are, and where UUIDs and paths do not fit together.",
}

_SOURCES = {
    View.PROCESSING_SUMMARY: (Table.PEOPLE, Table.PROCESSING_STATUS),
    View.TYPE_DISTRIBUTION: (Table.PEOPLE,),
    View.DOWNLOAD_OUTCOMES: (Table.PEOPLE, Table.PROCESSING_STATUS),
    View.STORAGE_INVENTORY: (Table.PEOPLE, Table.S3_METADATA),
}


def _spec(view: View) -> AssetSpec:
    return AssetSpec(
        view.value,
        deps=[AssetKey(table.value) for table in _SOURCES[view]],
        description=_ABOUT[view],
        group_name="reports",
        kinds={"postgres", "view"},
        owners=["team:ingestion"],
        metadata={"dagster/table_name": f"ingestion.{view}"},
        skippable=True,
    )


@multi_asset(name="report_views", specs=[_spec(view) for view in View])
def report_views(
    context: AssetExecutionContext, pipeline: PipelineResource
) -> Iterator[MaterializeResult[None]]:
    """Count everything anew, in one state of the tables, while others read and write."""
    with pipeline.open() as site:
        report = site.reports.read()
    if report.figures is None:
        context.log.info("nothing is counted: %s", report.why_no_figures)
        return
    for one in report.figures.refreshed:
        yield MaterializeResult(
            asset_key=one.view.value,
            metadata={
                "dagster/row_count": one.rows,
                "seconds": one.seconds,
                "refreshed_at": MetadataValue.timestamp(one.at),
                **_counts(one.view, report.figures),
            },
        )


def _counts(view: View, figures: Figures) -> dict[str, int]:
    """What Dagster draws over time."""
    named = asdict(figures)
    found = {View.PROCESSING_SUMMARY: named["processing"], View.STORAGE_INVENTORY: named["storage"]}
    return {name: value for name, value in found.get(view, {}).items() if isinstance(value, int)}

"""The CSV as it lies on disk."""

from dagster import AssetExecutionContext, DataVersion, MaterializeResult, asset

from ingestion_pipeline.defs.contract import csv_schema
from ingestion_pipeline.defs.resources import PipelineResource


@asset(
    group_name="csv",
    kinds={"csv"},
    owners=["team:ingestion"],
    metadata={"dagster/column_schema": csv_schema()},
)
def csv_snapshot(context: AssetExecutionContext, pipeline: PipelineResource) -> MaterializeResult[None]:
    """The people as the CSV holds them, read through the byte gate: what parses must render the same."""
    with pipeline.open() as site:
        report = site.inspect()
    context.log.info("read %d rows", report.rows)
    return MaterializeResult(
        metadata={
            "dagster/row_count": report.rows,
            "dagster/uri": f"file://{site.csv.place}",
            "bytes": report.size,
            "columns": len(report.dialect.columns),
            "generation": report.generation,
            "quoting": report.dialect.quoting.value,
            "line_end": report.dialect.line_end.name,
            "sha256": report.sha256,
            "seconds": report.seconds,
        },
        data_version=DataVersion(report.sha256),
    )

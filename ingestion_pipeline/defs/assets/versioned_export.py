"""The versions published."""

from dagster import AssetExecutionContext, AssetKey, DataVersion, MaterializeResult, asset

from ingestion_pipeline.defs.contract import csv_schema, from_tables
from ingestion_pipeline.defs.resources import PipelineResource
from ingestion_pipeline.domain.columns import Table


@asset(
    deps=[AssetKey(table.value) for table in Table],
    group_name="versions",
    kinds={"csv", "file"},
    owners=["team:ingestion"],
    pool="writers",
    metadata={"dagster/column_schema": csv_schema(), "dagster/column_lineage": from_tables()},
)
def versioned_export(context: AssetExecutionContext, pipeline: PipelineResource) -> MaterializeResult[None]:
    """The CSV as PostgreSQL renders it, published where it can be restored from.

    Nothing is published while the two sides differ, nor when the newest version holds the same bytes.
    """
    with pipeline.open() as site:
        report = site.export(run_id=context.run.run_id)
    content = report.manifest.content
    return MaterializeResult(
        metadata={
            "dagster/row_count": content.rows,
            "version": report.manifest.key,
            "place": report.place,
            "published": report.published,
            "bytes": content.size,
            "sha256": content.sha256,
            "phase": content.phase.value,
            "seconds": report.seconds,
        },
        data_version=DataVersion(content.sha256),
    )

"""The dumps of the database that are published."""

from collections.abc import Iterator

from dagster import AssetExecutionContext, AssetKey, MaterializeResult, asset

from ingestion_pipeline.defs.resources import PipelineResource
from ingestion_pipeline.domain.columns import Table
from ingestion_pipeline.domain.phase import Phase


@asset(
    deps=[AssetKey(table.value) for table in Table],
    group_name="versions",
    kinds={"postgres", "file"},
    owners=["team:ingestion"],
    output_required=False,
)
def database_backup(
    context: AssetExecutionContext, pipeline: PipelineResource
) -> Iterator[MaterializeResult[None]]:
    """All that PostgreSQL holds, history too, dumped at one instant while others write.

    In phase original there is nothing to dump.
    """
    with pipeline.open() as site:
        if site.in_force().phase is Phase.ORIGINAL:
            context.log.info("In phase original PostgreSQL has no part: nothing is dumped.")
            return
        manifest = site.backups.make(run_id=context.run.run_id)
        place = site.backups.place
    yield MaterializeResult(
        metadata={
            "dagster/row_count": manifest.content.rows,
            "backup": manifest.key,
            "place": place,
            "bytes": manifest.stored.size,
            "sha256": manifest.stored.sha256,
            "renders": manifest.content.sha256,
            "made_by": manifest.stored.made_by or "",
            "phase": manifest.content.phase.value,
        }
    )

"""The search index: the words and files that people are found by."""

from collections.abc import Iterator

from dagster import AssetExecutionContext, AssetKey, MaterializeResult, asset

from ingestion_pipeline.defs.resources import PipelineResource
from ingestion_pipeline.domain.columns import Table
from ingestion_pipeline.domain.phase import Phase


@asset(
    deps=[AssetKey(table.value) for table in Table],
    group_name="reports",
    kinds={"postgres", "table"},
    owners=["team:ingestion"],
    output_required=False,
)
def search_index(
    context: AssetExecutionContext, pipeline: PipelineResource
) -> Iterator[MaterializeResult[None]]:
    """What `ingest search` and `ingest find` look in, made level with the tables.

    Whoever asks does this too; made here, after a load, nobody waits for it. In phase original there is none.
    """
    with pipeline.open() as site:
        if site.in_force().phase is Phase.ORIGINAL:
            context.log.info("In phase original PostgreSQL has no part: nothing is indexed.")
            return
        index = site.asking.refresh()
    yield MaterializeResult(metadata={"changed": index.changed, "behind": index.behind})

"""What Dagster sees. No other folder imports it; a body calls one verb and shows what came of it."""

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from ingestion_pipeline.defs.build import build_definitions
    from ingestion_pipeline.defs.resources import PipelineResource

__all__ = ["PipelineResource", "build_definitions"]


def __getattr__(name: str) -> object:
    # A worker that takes buckets only needs neither, and they bring the client for S3.
    match name:
        case "build_definitions":
            from ingestion_pipeline.defs.build import build_definitions  # noqa: PLC0415

            return build_definitions
        case "PipelineResource":
            from ingestion_pipeline.defs.resources import PipelineResource  # noqa: PLC0415

            return PipelineResource
        case _:
            raise AttributeError(name)

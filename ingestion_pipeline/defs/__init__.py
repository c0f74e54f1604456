"""What Dagster sees. No other folder imports it; a body calls one verb and shows what came of it."""

from ingestion_pipeline.defs.build import build_definitions
from ingestion_pipeline.defs.resources import PipelineResource

__all__ = ["PipelineResource", "build_definitions"]

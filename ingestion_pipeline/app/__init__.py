"""The composition root: settings in, a pipeline with its places out."""

from ingestion_pipeline.app.pipeline import Pipeline, open_pipeline

__all__ = ["Pipeline", "open_pipeline"]

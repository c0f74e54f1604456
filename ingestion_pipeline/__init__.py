"""The safe way from a CSV that acts as a database to PostgreSQL, and back."""

from ingestion_pipeline.app import Pipeline, open_pipeline

__all__ = ["Pipeline", "open_pipeline"]

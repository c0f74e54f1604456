"""What `dagster dev` loads."""

from ingestion_pipeline.defs.build import build_definitions

defs = build_definitions()

from ingestion_pipeline_tests.in_phases import opened, phase
from ingestion_pipeline_tests.reused import database, reused_database

__all__ = ["database", "opened", "phase", "reused_database"]

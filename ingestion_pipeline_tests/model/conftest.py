from ingestion_pipeline_tests.reused import database, reused_database

__all__ = ["database", "reused_database"]

"""Dumps of what PostgreSQL holds, made and restored with PostgreSQL's own programs.

A dump is pg_dump's custom format, of one instant, and holds the pipeline's own tables only: schema
`ingestion`, and people, processing_status and s3_metadata in `public`.
"""

from ingestion_pipeline.stores.postgres.dumping.making import Dumped, dump
from ingestion_pipeline.stores.postgres.dumping.restoring import replace, restore_into
from ingestion_pipeline.stores.postgres.dumping.scratch import scratch_database

__all__ = ["Dumped", "dump", "replace", "restore_into", "scratch_database"]

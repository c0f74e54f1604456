"""One database for many tests: making one takes twenty times as long as emptying it."""

from collections.abc import Iterator

import psycopg2
import pytest

from ingestion_pipeline_tests.conftest import Server

EMPTY = """
    SELECT pg_terminate_backend(pid, 5000) FROM pg_stat_activity
    WHERE datname = current_database() AND pid <> pg_backend_pid();
    DELETE FROM ingestion.migration_state; DELETE FROM people; DELETE FROM ingestion.quarantine;
    DELETE FROM processing_status; DELETE FROM s3_metadata;
    DELETE FROM ingestion.history; DELETE FROM ingestion.pending;
    DELETE FROM ingestion.csv_file; DELETE FROM ingestion.proof; DELETE FROM ingestion.refreshed;
    DELETE FROM ingestion.search_index; DELETE FROM ingestion.file; DELETE FROM ingestion.indexed;
    REFRESH MATERIALIZED VIEW ingestion.download_outcomes WITH NO DATA;
    REFRESH MATERIALIZED VIEW ingestion.processing_summary WITH NO DATA;
    REFRESH MATERIALIZED VIEW ingestion.storage_inventory WITH NO DATA;
    REFRESH MATERIALIZED VIEW ingestion.type_distribution WITH NO DATA;
    SELECT setval('ingestion.quarantine_id_seq', 1, false)
"""


@pytest.fixture(scope="session")
def reused_database(server: Server, template: str) -> Iterator[str]:
    with server.new_database(template) as url:
        yield url


@pytest.fixture
def database(reused_database: str) -> str:
    """The URL of a database with the schema in it and nothing else; tests leave the schema as it is."""
    connection = psycopg2.connect(reused_database)
    try:
        with connection, connection.cursor() as cursor:
            cursor.execute(EMPTY)
    finally:
        connection.close()
    return reused_database

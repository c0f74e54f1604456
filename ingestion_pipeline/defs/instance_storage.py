"""Dagster's own storage: in the pipeline's PostgreSQL, in a schema of its own.

dagster.yaml knows no conditions, so the choice between the embedded server and a named one is made here.
"""

from contextlib import ExitStack
from typing import Any, Self
from urllib.parse import quote

import psycopg2
from dagster._config.config_schema import UserConfigSchema
from dagster._serdes import ConfigurableClassData
from dagster_postgres import DagsterPostgresStorage
from psycopg2 import errors

from ingestion_pipeline.settings import load_settings
from ingestion_pipeline.stores.postgres.pool import translated
from ingestion_pipeline.stores.postgres.server import serving

SCHEMA = "dagster"

# Holds the embedded server for as long as this process lives.
_held = ExitStack()


class PipelineStorage(DagsterPostgresStorage):
    """dagster-postgres on the server that the site's settings name, or on the embedded one."""

    @classmethod
    def config_type(cls) -> UserConfigSchema:
        """Nothing to configure here: the site's settings say where."""
        return {}

    @classmethod
    def from_config_value(cls, inst_data: ConfigurableClassData | None, config_value: Any) -> Self:  # noqa: ARG003 - Dagster's call
        """Made by Dagster from dagster.yaml."""
        return cls(postgres_url=_storage_url(), inst_data=inst_data)


def _storage_url() -> str:
    settings = load_settings()
    named = settings.database_url
    url = _held.enter_context(
        serving(None if named is None else named.get_secret_value(), settings.paths.state_dir)
    )
    with translated():
        _create_schema(url)
    separator = "&" if "?" in url else "?"
    return f"{url}{separator}options={quote(f'-c search_path={SCHEMA}')}".replace(
        "postgresql://", "postgresql+psycopg2://", 1
    )


def _create_schema(url: str) -> None:
    connection = psycopg2.connect(url)
    try:
        with connection, connection.cursor() as cursor:
            cursor.execute(f"CREATE SCHEMA IF NOT EXISTS {SCHEMA}")
    except (errors.UniqueViolation, errors.DuplicateSchema):
        """Another process was quicker."""
    finally:
        connection.close()

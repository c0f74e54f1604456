"""The old scripts' calls, on a site of this process's own."""

from collections.abc import Iterator

import pytest

from ingestion_pipeline.legacy import table
from ingestion_pipeline_tests.in_phases import opened, phase
from ingestion_pipeline_tests.reused import database, reused_database

__all__ = ["database", "opened", "phase", "reused_database"]


@pytest.fixture(autouse=True)
def _closed() -> Iterator[None]:
    """Nothing stays open of a site that is gone."""
    table.close()
    yield
    table.close()

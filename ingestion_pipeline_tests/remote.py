"""A pipeline whose line to PostgreSQL can be cut."""

from collections.abc import Iterator

import pytest

from ingestion_pipeline.app import Pipeline, authority, open_pipeline
from ingestion_pipeline_tests.conftest import Site
from ingestion_pipeline_tests.proxy import Proxy, through


@pytest.fixture
def proxy(database: str) -> Iterator[Proxy]:
    with through(database) as opened:
        yield opened


@pytest.fixture
def remote(site: Site, proxy: Proxy, monkeypatch: pytest.MonkeyPatch) -> Iterator[Pipeline]:
    """A pipeline that reaches PostgreSQL through the proxy, and tries it again at once when it was away."""
    monkeypatch.setenv("DATABASE_URL", proxy.url)
    monkeypatch.setattr(authority, "LEFT_ALONE", 0.0)
    with open_pipeline(site.config) as opened:
        yield opened

"""Work in buckets: the same as without, whoever does which step how often, and is killed where."""

import threading
from collections.abc import Callable
from pathlib import Path

import pytest

from ingestion_pipeline.app import Pipeline, open_pipeline
from ingestion_pipeline.domain.buckets import Added, Sum, bucket_of
from ingestion_pipeline.domain.errors import ProtectedError, UnavailableError
from ingestion_pipeline.domain.phase import Phase
from ingestion_pipeline_tests.conftest import SAMPLES, Site
from ingestion_pipeline_tests.phases import lead

BUCKETS = 4
KEY = "a-run"


@pytest.fixture
def pipeline(site: Site, monkeypatch: pytest.MonkeyPatch) -> Pipeline:
    monkeypatch.setenv("INGESTION__BULK__BUCKETS", str(BUCKETS))
    return Pipeline(load(site))


def load(site: Site):  # type: ignore[no-untyped-def]
    from ingestion_pipeline.settings import load_settings

    return load_settings(site.config)


def sync(pipeline: Pipeline, key: str = KEY) -> None:
    pipeline.buckets.split_to_sync(key)
    for bucket in range(pipeline.buckets.count):
        pipeline.buckets.sync(key, bucket)


def compared(pipeline: Pipeline, key: str = "compared") -> Added:
    pipeline.buckets.split_to_compare(key)
    for bucket in range(pipeline.buckets.count):
        pipeline.buckets.compare(key, bucket)
    added = pipeline.buckets.add_up(key)
    assert added is not None
    return added


def test_sync(site: Site, pipeline: Pipeline) -> None:
    sync(pipeline)
    report, done = pipeline.buckets.level(KEY)
    print(report, done)
    print(compared(pipeline))

"""A site of four persons in each of the phases."""

from collections.abc import Iterator

import pytest

from ingestion_pipeline.app import Pipeline, open_pipeline
from ingestion_pipeline.domain.phase import Phase, Side
from ingestion_pipeline_tests.conftest import Site
from ingestion_pipeline_tests.files import people, spelled
from ingestion_pipeline_tests.phases import lead


@pytest.fixture(params=Phase)
def phase(request: pytest.FixtureRequest) -> Phase:
    assert isinstance(request.param, Phase)
    return request.param


@pytest.fixture
def opened(site: Site, phase: Phase) -> Iterator[Pipeline]:
    """A site of four persons in each of the phases."""
    site.put(spelled(people("4321")))
    if phase is Phase.ORIGINAL:
        site.config.write_text("migration:\n  phase: original\n")
    with open_pipeline(site.config) as pipeline:
        if phase is not Phase.ORIGINAL:
            pipeline.sync()
        if phase.authority is Side.POSTGRES:
            lead(pipeline, phase)
        yield pipeline

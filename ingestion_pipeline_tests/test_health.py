"""The look at a whole site, on a real one."""

from ingestion_pipeline.app import Pipeline
from ingestion_pipeline.domain.findings import NAMES
from ingestion_pipeline.domain.health import Finding, Health
from ingestion_pipeline_tests.conftest import Site


def found(health: Health) -> dict[str, Finding]:
    return {one.name: one for one in health.findings}


def signals(health: Health) -> dict[str, float]:
    return {one.name: one.value for one in health.signals if not one.labels}


def amiss(health: Health) -> set[str]:
    return {one.name for one in health.findings if not one.ok}


def test_a_fresh_site_is_looked_at_and_left_alone(site: Site, pipeline: Pipeline) -> None:
    health = pipeline.health()

    assert tuple(one.name for one in health.findings) == NAMES
    assert health.ok, amiss(health)
    assert site.execute("SELECT count(*) FROM ingestion.migration_state") == [(0,)]
    assert not pipeline.csv.state_dir.exists()


def test_a_site_as_it_should_be(pipeline: Pipeline) -> None:
    pipeline.sync()
    pipeline.compare()
    pipeline.export()
    pipeline.write("1", {"link": "x"})

    health = pipeline.health()

    assert health.ok, amiss(health)

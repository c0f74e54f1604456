"""The asset that indexes after a load, so that nobody who asks waits for it."""

from dagster import materialize

from ingestion_pipeline.app import open_pipeline
from ingestion_pipeline.defs.assets.search_index import search_index
from ingestion_pipeline.defs.resources import PipelineResource
from ingestion_pipeline_tests.conftest import Site
from ingestion_pipeline_tests.defs.conftest import Dagster, failure, materialized, metadata

INDEXED = "SELECT count(*) FROM ingestion.search_index"


def test_a_sync_indexes_what_it_loaded(dagster: Dagster, site: Site) -> None:
    assert dagster.run("sync").success

    assert site.execute(INDEXED) == [(509,)]
    assert metadata(dagster, "search_index") == {"changed": 509, "behind": 0}
    with open_pipeline(site.config) as pipeline:
        assert pipeline.search("vera okafor").total > 0
    assert dagster.run("sync").success
    assert metadata(dagster, "search_index")["changed"] == 0


def test_in_phase_original_nothing_is_indexed(dagster: Dagster, site: Site) -> None:
    site.config.write_text("migration:\n  phase: original\n")

    result = dagster.run("sync")

    assert result.success
    assert "search_index" not in materialized(result)


def test_a_language_that_the_server_does_not_know_fails_clearly(dagster: Dagster, site: Site) -> None:
    assert dagster.run("sync").success
    site.config.write_text("migration:\n  phase: dual_write\nsearch:\n  language: klingon\n")

    result = materialize(
        [search_index],
        resources={"pipeline": PipelineResource(config=str(site.config))},
        instance=dagster.instance,
        raise_on_error=False,
    )

    assert not result.success
    assert failure(result)["code"] == "unknown_language"

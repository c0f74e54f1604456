"""The figures as assets: counted every hour, and only numbers are shown."""

import pytest

from ingestion_pipeline.app import Pipeline
from ingestion_pipeline.domain.figures import View
from ingestion_pipeline.domain.phase import Phase
from ingestion_pipeline_tests.conftest import Site
from ingestion_pipeline_tests.defs.conftest import Dagster, away, materialized, metadata
from ingestion_pipeline_tests.figures import VARIED, processing_of, rows_of, types_of
from ingestion_pipeline_tests.phases import lead


@pytest.fixture
def synced(site: Site, pipeline: Pipeline) -> Pipeline:
    site.put(VARIED)
    pipeline.sync()
    return pipeline


def test_views_are_counted_and_shown(dagster: Dagster, synced: Pipeline) -> None:
    result = dagster.run("reports")

    assert result.success
    assert materialized(result) == sorted(View)
    shown, counted = metadata(dagster, "processing_summary"), processing_of(rows_of(VARIED))
    assert {name: shown[name] for name in counted} == counted
    assert metadata(dagster, "type_distribution")["dagster/row_count"] == len(types_of(rows_of(VARIED)))
    assert metadata(dagster, "storage_inventory")["distinct_paths"] == 4
    figures = synced.reports.read(refresh=False).figures
    assert figures is not None
    assert figures.processing.people == 10


@pytest.mark.parametrize("view", View)
def test_only_numbers_are_shown(dagster: Dagster, synced: Pipeline, view: View) -> None:
    assert synced.in_force().phase is Phase.DUAL_WRITE
    dagster.run("reports")

    assert {type(value) for value in metadata(dagster, view).values()} <= {int, float}


@pytest.mark.parametrize("phase", [None, Phase.ORIGINAL], ids=str)
def test_where_postgres_has_no_part_nothing_is_counted(
    dagster: Dagster, pipeline: Pipeline, phase: Phase | None
) -> None:
    if phase is not None:
        pipeline.sync()
        lead(pipeline, phase)

    result = dagster.run("reports")

    assert result.success
    assert materialized(result) == []


def test_postgres_away_fails_the_run(dagster: Dagster, synced: Pipeline) -> None:
    assert synced.in_force().phase is Phase.DUAL_WRITE
    with away():
        assert not dagster.run("reports").success

import pytest
from dagster import Failure

from ingestion_pipeline.defs.resources import PipelineResource
from ingestion_pipeline.domain.errors import PipelineError, Place, ProtectedError, UnavailableError
from ingestion_pipeline_tests.conftest import Site


def fail(site: Site, error: PipelineError) -> Failure:
    with pytest.raises(Failure) as caught, PipelineResource(config=str(site.config)).open():
        raise error
    return caught.value


def test_an_error_is_shown_with_where_and_what_next(site: Site) -> None:
    place = Place(file="x.csv", line=7, column="name", row_id="12")

    failure = fail(site, ProtectedError("stopped", code="brake", place=place, hint="do this"))

    assert failure.description == "x.csv, line 7, column name, row_id 12: stopped\ndo this"
    assert {name: value.value for name, value in failure.metadata.items()} == {
        "code": "brake", "file": "x.csv", "line": 7, "column": "name", "row_id": "12", "hint": "do this",
    }  # fmt: skip


def test_only_a_store_that_is_away_is_tried_again(site: Site) -> None:
    assert fail(site, UnavailableError("away")).allow_retries
    assert not fail(site, ProtectedError("stopped")).allow_retries

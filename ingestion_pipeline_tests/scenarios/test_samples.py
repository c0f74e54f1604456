"""The bundled samples, there and back."""

import io

import pytest

from ingestion_pipeline.app import Pipeline
from ingestion_pipeline_tests.conftest import SAMPLES, Site


@pytest.mark.parametrize("name", sorted(path.name for path in SAMPLES.glob("*.csv")))
def test_comes_back_byte_for_byte(site: Site, pipeline: Pipeline, name: str) -> None:
    original = (SAMPLES / name).read_bytes()
    site.put(original)

    pipeline.sync()

    rendered = io.BytesIO()
    pipeline.render(rendered)
    assert rendered.getvalue() == original
    assert pipeline.compare().equal


def test_full_sample_is_509_people_in_510_rows(pipeline: Pipeline) -> None:
    report = pipeline.sync()

    assert (report.rows_read, report.people, report.repeated, report.quarantined_rows) == (510, 509, 1, 0)

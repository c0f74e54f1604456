"""add_columns: the CSV gets columns of the contract, and both sides stay equal."""

import pytest

from ingestion_pipeline.app import Pipeline, open_pipeline
from ingestion_pipeline.domain.columns import Mode, header
from ingestion_pipeline.domain.errors import InputRefusedError, ProtectedError
from ingestion_pipeline.domain.phase import Phase, Side
from ingestion_pipeline_tests.conftest import Site
from ingestion_pipeline_tests.files import assert_agree, person, spelled
from ingestion_pipeline_tests.phases import both

BASIC = header(Mode.BASIC)
ROWS = [person(key)[: len(BASIC)] for key in "21"]


@pytest.mark.parametrize("final", [True, False])
@pytest.mark.parametrize("end", ["\n", "\r\n"])
def test_columns_are_added_behind_the_others(site: Site, *, final: bool, end: str) -> None:
    site.put(spelled(ROWS, BASIC, end=end, final=final, header_quoting="all"))
    with open_pipeline(site.config) as pipeline:
        pipeline.sync()

        assert pipeline.add_columns(["processed", "link", "s3_paths"]) == ("processed", "s3_paths")

        wider = [[*row, "", ""] for row in ROWS]
        names = (*BASIC, "processed", "s3_paths")
        assert site.csv.read_bytes() == spelled(wider, names, end=end, final=final, header_quoting="all")
        assert pipeline.columns() == names
        assert_agree(site, pipeline)
        pipeline.write("1", {"processed": True})
        assert_agree(site, pipeline)
        assert pipeline.add_columns(["processed"]) == ()


def test_only_where_the_csv_leads(site: Site, opened: Pipeline, phase: Phase) -> None:
    if phase.authority is Side.POSTGRES:
        with pytest.raises(ProtectedError):
            opened.add_columns(["extraction_date"])
        return
    opened.add_columns(["extraction_date"])
    assert site.csv.read_bytes().partition(b"\n")[0].endswith(b",extraction_date")
    assert len(set(both(site, opened, phase))) == 1


def test_unknown_column(pipeline: Pipeline) -> None:
    with pytest.raises(InputRefusedError) as refused:
        pipeline.add_columns(["shoe_size"])

    assert (refused.value.code, refused.value.place.column) == ("unknown_column", "shoe_size")

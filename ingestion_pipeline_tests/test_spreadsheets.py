"""The CSV for a spreadsheet program: escaped, and back to the byte."""

import io
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ingestion_pipeline.app import Pipeline
from ingestion_pipeline.domain.errors import InputRefusedError, ProtectedError
from ingestion_pipeline.domain.spreadsheet import escape, unescape
from ingestion_pipeline.stores.disk.respelling import respell
from ingestion_pipeline_tests.conftest import Site
from ingestion_pipeline_tests.files import person, rendered, spelled

FORMULAS = [
    person(2, name="=1+1", link="@SUM(A1)", document_text="\tx", type="'=y"),
    person(1, name="-5", link='+"a",b', document_text="two\nlines", type="'z"),
]

DIALECTS = [
    {"quoting": quoting, "end": end, "bom": bom, "final": final}
    for quoting in ("minimal", "all", "nonempty")
    for end in ("\n", "\r\n")
    for bom in (False, True)
    for final in (False, True)
]
cells = st.text(alphabet="'=+-@\t,\"x\n", max_size=4)


@settings(max_examples=60, deadline=None)
@given(rows=st.lists(st.tuples(cells, cells, cells), max_size=4), dialect=st.sampled_from(DIALECTS))
def test_any_file_comes_back(
    tmp_path_factory: pytest.TempPathFactory, rows: list[list[str]], dialect: dict[str, str]
) -> None:
    folder = tmp_path_factory.mktemp("spreadsheet")
    numbered = [[str(number), *row] for number, row in enumerate(rows)]
    file = spelled(numbered, ("row_id", "name", "link", "email"), **dialect)  # type: ignore[arg-type]

    escaped = changed(folder / "a.csv", file, escape)
    back = changed(folder / "b.csv", escaped, unescape)

    assert back == file


def changed(path: Path, file: bytes, change: object) -> bytes:
    path.write_bytes(file)
    sink = io.BytesIO()
    respell(path, change, sink)  # type: ignore[arg-type]
    return sink.getvalue()


def test_there_and_back(site: Site, pipeline: Pipeline) -> None:
    site.put(spelled(FORMULAS, end="\r\n", bom=True))
    pipeline.sync()
    there, back = site.folder / "sheet.csv", site.folder / "back.csv"

    rows, written = pipeline.spreadsheets.render_to(there)
    pipeline.spreadsheets.unescape_to(there, back)

    assert (rows, written.size) == (2, there.stat().st_size)
    for cell in (b",'=1+1,", b",'@SUM(A1),", b",'-5,", b',"\'+""a"",b",', b",'\tx,", b",''=y,", b",'z,"):
        assert cell in there.read_bytes()
    assert back.read_bytes() == rendered(pipeline) == site.csv.read_bytes()
    assert list(pipeline.csv.state_dir.glob("*scratch*")) == []


def test_sites_own_is_left_alone(site: Site, pipeline: Pipeline) -> None:
    pipeline.sync()
    before = site.csv.read_bytes()

    for write in (
        pipeline.spreadsheets.render_to,
        lambda target: pipeline.spreadsheets.unescape_to(site.csv, target),
    ):
        with pytest.raises(ProtectedError) as refused:
            write(site.csv)
        assert refused.value.code == "sites_own"

    assert site.csv.read_bytes() == before


def test_file_that_a_program_spelled_otherwise_is_refused(site: Site, pipeline: Pipeline) -> None:
    mixed = site.folder / "mixed.csv"
    mixed.write_bytes(b'row_id,name\n1,\'=a\n"2",b\n')

    with pytest.raises(InputRefusedError):
        pipeline.spreadsheets.unescape_to(mixed, site.folder / "back.csv")

    assert not (site.folder / "back.csv").exists()

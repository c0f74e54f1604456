"""Every call of the old module, on the pipeline's own CSV in every phase, and on a plain file."""

import csv
import gzip
import json
import logging
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from ingestion_pipeline import legacy
from ingestion_pipeline.app import Pipeline, open_pipeline
from ingestion_pipeline.domain.adoption.access import LEGACY
from ingestion_pipeline.domain.columns import Mode, header
from ingestion_pipeline.domain.errors import InputRefusedError, PipelineError, UnavailableError
from ingestion_pipeline.domain.phase import Phase, Side
from ingestion_pipeline.legacy import CSVManager, DownloadResult
from ingestion_pipeline_tests.conftest import Site
from ingestion_pipeline_tests.files import COLUMNS, people, person, spelled
from ingestion_pipeline_tests.phases import both

SHARED = spelled([*people("43"), person(2, link="nan| a |None|b"), person(1, document_text="x")])
PLAIN = spelled(
    [["1", "Ada", "yes", " spaces "], ["2", "Bob, the second", "", '"NA"'], ["3", "nan", "", ""]],
    ("row_id", "name", "processed", "note"),
)


@pytest.fixture
def plain(site: Site) -> Path:
    path = site.folder / "other.csv"
    path.write_bytes(PLAIN)
    return path


def test_everything_that_adopt_knows_is_there() -> None:
    assert set(legacy.__all__) == set(LEGACY)


def test_reading(opened: Pipeline) -> None:
    frame = CSVManager().read()

    assert frame["row_id"].tolist() == ["4", "3", "2", "1"]
    assert set(frame.columns) == set(opened.columns())
    assert {str(dtype) for dtype in frame.dtypes} == {"str"}
    assert frame["link"].isna().all()
    assert CSVManager.safe_csv_read("outputs/output.csv").equals(frame)
    assert legacy.load_output_csv().equals(frame)
    assert legacy.safe_csv_read(legacy.get_standard_csv_path()).equals(frame)


def test_finding(opened: Pipeline, caplog: pytest.LogCaptureFixture) -> None:
    manager = CSVManager()
    found = manager.find_row_by_id(3)

    assert found is not None
    assert (found["name"], pd.isna(found["link"])) == ("Name 3", True)
    assert manager.find_row_by_id("9") is None
    assert manager.find_rows_by_criteria({"type": "INTJ", "link": None})["row_id"].tolist() == [
        "4",
        "3",
        "2",
        "1",
    ]
    assert manager.find_rows_by_criteria({"name": "Name 2"})["row_id"].tolist() == ["2"]
    assert manager.find_rows_by_criteria({"shoe_size": "44"}).empty
    assert "shoe_size" in caplog.text
    named = [(index, row["name"]) for index, row in manager.iterate_rows(lambda row: row["row_id"] < "3")]
    assert named == [(2, "Name 2"), (3, "Name 1")]
    assert opened.in_force()


def test_updating_rows(site: Site, opened: Pipeline, phase: Phase, caplog: pytest.LogCaptureFixture) -> None:
    manager = CSVManager()

    assert manager.update_row_by_id(3, {"type": "ENTP", "shoe_size": "44"})
    assert manager.update_s3_mappings("2", {"u": "s3://b/k"}, {"YouTube: x": "u"})
    assert not manager.update_row_by_id("9", {"type": "ENTP"})
    assert not manager.update_row_by_id("1", {"last_download_attempt": "yesterday"})

    maps = {"file_uuids": '{"YouTube: x": "u"}', "s3_paths": '{"u": "s3://b/k"}'}
    expected = [person(4), person(3, type="ENTP"), person(2, **maps), person(1)]
    assert set(both(site, opened, phase)) == {spelled(expected)}
    assert "shoe_size" in caplog.text
    row = manager.find_row_by_id("2")
    assert row is not None
    assert (manager.load_s3_paths(row), manager.load_file_uuids(row)) == (
        {"u": "s3://b/k"},
        {"YouTube: x": "u"},
    )


def test_downloads(opened: Pipeline) -> None:
    manager = CSVManager()
    assert manager.ensure_tracking_columns()
    assert set(header(Mode.FULL)) <= set(opened.columns())
    pending = manager.get_pending_downloads("youtube")
    assert [(one.row_id, one.row_index, one.name, one.type) for one in pending][:2] == [
        ("4", 0, "Name 4", "INTJ"),
        ("3", 1, "Name 3", "INTJ"),
    ]

    done = DownloadResult(success=True, files_downloaded=["a.mp4", "b.mp4"], media_id="m1")
    failed = DownloadResult(success=False, error_message="timed out", row_context=pending[1])
    opened.write("new", {"name": "", "email": "", "type": ""})  # moves every row down by one
    assert manager.update_download_status(0, "youtube", done)
    assert manager.update_download_status(99, "drive", failed)
    assert not manager.update_download_status(99, "youtube", done)
    assert not manager.update_download_status(0, "torrent", done)

    first, second = (opened.read(row_id) or {} for row_id in "43")
    assert (first["youtube_status"], first["youtube_files"]) == ("completed", "a.mp4|b.mp4")
    assert (first["youtube_media_id"], first["permanent_failure"]) == ("m1", "")
    assert (second["drive_status"], second["download_errors"]) == ("failed", "timed out")
    assert second["last_download_attempt"]
    assert [one.row_id for one in manager.get_pending_downloads("drive", include_failed=False)] == [
        *("new", "4", "2", "1")
    ]
    assert {one.row_id for one in manager.get_pending_downloads("youtube")} == {"new", "3", "2", "1"}
    with pytest.raises(ValueError, match="both, youtube or drive"):
        manager.get_pending_downloads("torrent")
    assert manager.get_download_status_summary() == {
        "total_rows": 5,
        "youtube": {"pending": 4, "completed": 1, "failed": 0},
        "drive": {"pending": 4, "completed": 0, "failed": 1},
    }


def test_writing_rows(site: Site, opened: Pipeline, phase: Phase) -> None:
    manager = CSVManager()
    rows = [dict(zip(COLUMNS, row, strict=True)) for row in people("4321")]

    assert manager.atomic_append(
        [{"row_id": "5", "name": "E", "email": "", "type": ""}, {"row_id": "1", "type": "T"}]
    )
    assert manager.atomic_append(
        [{"row_id": "2", "type": "T", "name": "not this"}], fieldnames=["row_id", "type"]
    )
    assert not manager.atomic_append([{"row_id": "6", "type": "a person without a name"}])
    with manager.atomic_context(mode="a") as writer:
        writer.writerow({"row_id": "4", "link": "l"})
    with legacy.atomic_csv_update(fieldnames=["row_id", "type"], mode="a") as writer:
        writer.writeheader()
        writer.writerows([["3", "T"]])

    expected = [
        person(5, name="E", email="", type=""),
        person(4, link="l"),
        *(person(key, type="T") for key in "321"),
    ]
    assert set(both(site, opened, phase)) == {spelled(expected)}
    assert manager.atomic_write([dict(zip(COLUMNS, row, strict=True)) for row in expected[1:]])
    with manager.atomic_context(fieldnames=list(COLUMNS)) as writer:
        writer.writerows(rows)
    assert set(both(site, opened, phase)) == {spelled(people("4321"))}


def test_context_with_an_error_writes_nothing(site: Site, opened: Pipeline, phase: Phase) -> None:
    before = both(site, opened, phase)

    with pytest.raises(RuntimeError), CSVManager().atomic_context(mode="a") as writer:  # noqa: PT012
        writer.writerow({"row_id": "4", "link": "l"})
        raise RuntimeError
    with pytest.raises(InputRefusedError), CSVManager().atomic_context(mode="a") as writer:
        writer.writerow({"row_id": "4", "last_download_attempt": "yesterday"})

    assert both(site, opened, phase) == before


def test_streaming(site: Site, opened: Pipeline, phase: Phase) -> None:
    target = site.folder / "filtered.csv"
    manager = CSVManager(chunk_size=3)
    sizes: list[int] = []

    def shout(rows: list[dict[str, str]]) -> list[dict[str, Any]]:
        sizes.append(len(rows))
        return [row | {"name": row["name"].upper()} for row in rows]

    assert manager.stream_process(shout) == 4
    assert sizes == [3, 1]
    expected = [person(key, name=f"NAME {key}") for key in "4321"]
    assert set(both(site, opened, phase)) == {spelled(expected)}
    assert manager.stream_filter(lambda row: row["row_id"] in "13", target) == 2
    with target.open(newline="") as file:
        assert [row["name"] for row in csv.DictReader(file)] == ["NAME 3", "NAME 1"]
    assert manager.stream_process(lambda rows: rows[:1], target, ["row_id"]) == 4
    assert target.read_text() == "row_id\n4\n1\n"
    with legacy.streaming_csv_update(None, lambda rows: [row | {"type": "T"} for row in rows]) as count:
        assert count == 4
    assert {row["type"] for row in opened.rows()} == {"T"}


def test_streaming_into_the_own_csv(site: Site, opened: Pipeline, phase: Phase) -> None:
    source = site.folder / "source.csv"
    source.write_bytes(spelled([*people("43"), person(2, type="streamed"), *people("1")]))
    with_links = [person(4, link="l"), person(3, link="l"), person(2, type="streamed", link="l")]

    assert CSVManager(source).stream_filter(lambda row: row["row_id"] != "1", site.csv) == 3
    assert CSVManager().stream_process(lambda rows: [row | {"link": "l"} for row in rows], site.csv) == 3

    assert set(both(site, opened, phase)) == {spelled(with_links)}
    assert opened.history("2")[-1].operation == "update"


def test_working_off_row_by_row(opened: Pipeline) -> None:
    done = legacy.process_csv_safely(
        None, lambda row: {"link": f"of {row['row_id']}"}, lambda row: row["row_id"] > "2"
    )

    assert done == (True, 2, None)
    assert [row["link"] for row in opened.rows()] == ["of 4", "of 3", "", ""]
    assert legacy.update_csv_column(None, "nonsense", lambda _: "x") == (False, 0)
    assert legacy.update_csv_column(None, "processed", lambda row: "yes" if row["link"] else None) == (
        True,
        4,
    )
    assert [row["processed"] for row in opened.rows()] == ["yes", "yes", "", ""]
    ok, _, error = legacy.process_csv_safely(None, lambda _row: {"last_download_attempt": "yesterday"})
    assert not ok
    assert "not_a_timestamp" in str(error)


def test_links(site: Site, opened: Pipeline) -> None:
    opened.add_columns(
        ["youtube_playlist", "google_drive"]
    ) if opened.in_force().phase.authority is Side.CSV else None
    opened.write("4", {"youtube_playlist": "a|b", "link": "c"})
    opened.write("3", {"google_drive": " d |nan|"})
    rows = CSVManager().read()

    assert legacy.count_links_by_type() == {"youtube": 2, "drive": 1, "total": 3}
    assert legacy.extract_links_from_row(rows.iloc[1], "google_drive") == ["d"]
    assert legacy.extract_links_from_row({"link": None}, "link") == []
    assert legacy.extract_all_links_from_row(rows.iloc[0]) == ["c", "a", "b"]
    assert legacy.load_and_filter_csv(has_youtube=True)["row_id"].tolist() == ["4"]
    assert legacy.load_and_filter_csv(str(site.csv), has_drive=True, row_ids=[3, "4"])["row_id"].tolist() == [
        "3"
    ]
    assert legacy.load_and_filter_csv(row_ids=[1, 2])["row_id"].tolist() == ["2", "1"]


def test_copy(site: Site, opened: Pipeline, phase: Phase) -> None:
    opened.write("4", {"link": "l"})

    copy = Path(CSVManager().create_backup("before/../cleaning up"))

    assert copy.parent == site.folder / "backups" / "output" or copy.is_relative_to(site.folder)
    assert "before_cleaning_up" in copy.name
    assert gzip.decompress(copy.read_bytes()) == spelled([person(4, link="l"), *people("321")])
    assert copy.stat().st_mode & 0o777 == 0o600
    assert Path(legacy.create_csv_backup()).exists()
    assert phase is opened.in_force().phase


@pytest.mark.parametrize(("mode", "columns"), [("basic", 5), ("text", 8), ("full", 21), ("other", 5)])
def test_records(mode: str, columns: int, caplog: pytest.LogCaptureFixture) -> None:
    who = {"row_id": 7, "name": "Ada", "email": None, "type": "INTP", "doc_link": "d", "link": "l"}

    record = CSVManager.create_record(who, mode, doc_text="text")

    assert len(record) == columns
    assert (record["row_id"], record["email"], record["link"]) == ("7", "", "d")
    if mode != "full":
        assert ("processed" in record) is (mode == "text")
    if mode in ("text", "full"):
        assert (record["processed"], record["document_text"]) == ("yes", "text")
    assert bool(record.get("extraction_date")) is (mode == "text")
    assert ("no mode" in caplog.text) is (mode == "other")


def test_record_with_links_and_files() -> None:
    record = CSVManager.create_record(
        {"row_id": "7", "link": "l"},
        "full",
        links={"youtube": ["y1", "y2"], "drive_files": ["f"], "drive_folders": ["d"], "all_links": "one"},
        s3_uuids={"file_uuids": {"YouTube: x": "u1", "Drive: y": "u2"}, "s3_paths": {"u1": "p"}},
    )

    assert (record["youtube_playlist"], record["google_drive"], record["extracted_links"]) == (
        "y1|y2",
        "f|d",
        "one",
    )
    assert json.loads(record["file_uuids"]) == {"YouTube: x": "u1", "Drive: y": "u2"}
    assert (record["youtube_status"], record["drive_status"]) == ("streamed", "streamed")
    empty = CSVManager.create_record({"row_id": "7"}, "full")
    assert (empty["file_uuids"], empty["s3_paths"], empty["drive_status"]) == ("{}", "{}", "")
    failed = CSVManager.create_error_record({"row_id": "7"}, error_message="gone")
    assert failed["document_text"] == "EXTRACTION_FAILED: gone"


def test_maps() -> None:
    assert CSVManager.save_s3_paths({}) == CSVManager.save_file_uuids(None) == "{}"
    assert CSVManager.load_s3_paths({"s3_paths": "[1]"}) == {}
    assert CSVManager.load_s3_paths({"s3_paths": "not JSON"}) == CSVManager.load_s3_paths({}) == {}
    assert CSVManager.load_file_uuids({"file_uuids": '{"a": "b"}'}) == {"a": "b"}


def test_columns() -> None:
    assert CSVManager.get_standard_columns() == list(header(Mode.FULL))
    assert CSVManager.get_required_columns() == ["row_id", "name", "processed"]
    assert CSVManager.get_columns_by_type("basic") == list(header(Mode.BASIC))
    assert CSVManager.get_columns_by_type("s3") == ["file_uuids", "s3_paths"]
    assert CSVManager.get_columns_by_type("nonsense") == []


def test_schema(site: Site) -> None:
    manager = CSVManager(site.folder / "other.csv")

    assert manager.validate_schema(pd.DataFrame(columns=["row_id", "name", "processed"])) == (True, [])
    assert manager.validate_schema(pd.DataFrame(columns=["name"])) == (False, ["row_id", "processed"])


def test_plain_file_is_read_and_written_as_it_is(plain: Path) -> None:
    manager = CSVManager(csv_path=plain)
    frame = manager.read()

    assert frame["name"].tolist() == ["Ada", "Bob, the second", "nan"]
    assert frame["note"].tolist()[:2] == [" spaces ", '"NA"']
    assert manager.safe_csv_write(frame)
    assert plain.read_bytes() == PLAIN
    assert plain.stat().st_mode & 0o777 in (0o600, 0o644)
    assert manager.atomic_append([{"row_id": "2", "processed": True}, {"row_id": "4", "name": "New"}])
    assert manager.update_row_by_id("3", {"note": "n"})
    assert not manager.update_row_by_id("9", {"note": "n"})
    assert plain.read_text().splitlines()[2:] == [
        '2,"Bob, the second",True,"""NA"""',
        "3,nan,,n",
        "4,New,,",
    ]
    assert manager.stream_process(lambda rows: rows[1:]) == 4
    assert len(CSVManager(plain).read()) == 3
    assert manager.ensure_tracking_columns()
    assert set(header(Mode.FULL)) <= set(CSVManager(plain).read().columns)
    assert gzip.decompress(Path(manager.create_backup()).read_bytes()) == plain.read_bytes()


def test_plain_file_that_is_missing_or_torn(site: Site) -> None:
    missing = CSVManager(site.folder / "missing.csv")
    with pytest.raises(UnavailableError):
        missing.read()
    assert missing.safe_csv_write(pd.DataFrame({"a": ["1"]}))
    assert (site.folder / "missing.csv").read_text() == "a\n1\n"
    torn = site.folder / "torn.csv"
    torn.write_text("a,b\n1,2\n3\n")
    with pytest.raises(InputRefusedError, match="as many cells"):
        CSVManager(torn).read()


@pytest.mark.parametrize(
    ("content", "why"),
    [
        (b"row_id,a\n1,\xe9\n", "not in utf-8"),
        (b"row_id,a,a\n1,2,3\n", "same name"),
        (b'row_id,a\n1,"un"closed\n', "no CSV"),
        (b"row_id,a\n1\n", "as many cells"),
    ],
)
def test_plain_file_that_cannot_be_read(
    plain: Path, content: bytes, why: str, caplog: pytest.LogCaptureFixture
) -> None:
    plain.write_bytes(content)

    assert not CSVManager(plain).atomic_append([{"row_id": "2"}])

    assert why in caplog.text
    assert plain.read_bytes() == content
    with pytest.raises(PipelineError, match=why):
        CSVManager(plain).read()


def test_plain_file_that_cannot_be_written(plain: Path) -> None:
    before = plain.read_bytes()
    manager = CSVManager(plain, encoding="latin-1")

    assert not manager.safe_csv_write(pd.DataFrame({"row_id": ["1"], "a": ["→"]}))
    assert not manager.safe_csv_write(pd.DataFrame([["1", "2"]], columns=["a", "a"]))
    assert not CSVManager(plain.parent).safe_csv_write(pd.DataFrame({"a": ["1"]}))
    with pytest.raises(PipelineError, match="cannot be read"):
        CSVManager(plain.parent).read()

    assert plain.read_bytes() == before


def test_plain_file_with_a_bom_or_without_row_ids(plain: Path) -> None:
    plain.write_bytes(b"\xef\xbb\xbfrow_id,a\n1,x\n1,y\n")

    assert CSVManager(plain).update_row_by_id("1", {"a": "z"})
    assert CSVManager(plain).atomic_append([{"row_id": "", "a": "p"}, {"a": "q"}])

    assert plain.read_bytes() == b"row_id,a\n1,z\n1,y\n,p\n,q\n"


def test_columns_that_a_plain_file_lacks(plain: Path) -> None:
    plain.write_text("row_id\n1\n")

    assert legacy.update_csv_column(plain, "a", lambda row: f"of {row['row_id']}") == (True, 1)
    assert plain.read_text() == "row_id,a\n1,of 1\n"
    ok, _, error = legacy.process_csv_safely(plain, lambda _row: {"b": "lost"})
    assert (ok, "column b" in str(error)) == (False, True)
    assert plain.read_text() == "row_id,a\n1,of 1\n"


def test_function_of_the_script_that_fails(opened: Pipeline) -> None:
    before = list(opened.rows())

    ok, _, error = legacy.process_csv_safely(None, lambda row: {"name": row["no such column"]})

    assert (ok, error) == (False, "'no such column'")
    assert list(opened.rows()) == before


def test_answer_is_false_where_nothing_can_be_read(site: Site) -> None:
    manager = CSVManager(site.folder / "missing.csv")

    assert not manager.update_row_by_id("1", {"a": "b"})
    assert not manager.update_download_status(0, "youtube", DownloadResult(success=True))
    assert not manager.ensure_tracking_columns()


def test_file_without_a_header(site: Site) -> None:
    path, target = site.folder / "bare.csv", site.folder / "target.csv"
    path.write_text("1,Ada\n2,Bob\n")

    count = CSVManager(path, chunk_size=1).stream_process(
        lambda rows: rows, target, ["id", "name"], has_header=False
    )

    assert (count, target.read_text()) == (2, "id,name\n1,Ada\n2,Bob\n")


def test_path_that_names_the_same_file_otherwise(site: Site, opened: Pipeline, phase: Phase) -> None:
    (site.folder / "link.csv").symlink_to(site.csv)

    for path in (site.csv, "outputs/../outputs/output.csv", site.folder / "link.csv"):
        assert CSVManager(path).update_row_by_id("4", {"link": str(path)})
        assert (opened.read("4") or {})["link"] == str(path)
    assert phase


@pytest.mark.parametrize("fallback", [True, False])
def test_postgres_away(site: Site, monkeypatch: pytest.MonkeyPatch, *, fallback: bool) -> None:
    site.put(spelled(people("4321")))
    site.config.write_text(
        f"migration:\n  phase: dual_write\ndatabase:\n  fallback_to_csv: {str(fallback).lower()}\n"
    )
    with open_pipeline(site.config) as pipeline:
        pipeline.sync()
        assert pipeline.phase.advance(Phase.DATABASE_PRIMARY).state.phase is Phase.DATABASE_PRIMARY
        pipeline.settle()
    url = os.environ["DATABASE_URL"]
    monkeypatch.setenv("DATABASE_URL", "postgresql://127.0.0.1:1/nobody?connect_timeout=1")
    made: list[Mapping[str, str]] = [dict(zip(COLUMNS, row, strict=True)) for row in people("4321")]
    made[0] = {**made[0], "document_text": "while it was away"}

    saved = CSVManager().safe_csv_write(pd.DataFrame(made))

    assert saved is fallback
    # Nobody can be deleted now; that does not keep others from being written.
    del made[-1]
    made[1] = {**made[1], "link": "too"}
    assert not CSVManager().safe_csv_write(pd.DataFrame(made))
    legacy.table.close()
    monkeypatch.setenv("DATABASE_URL", url)
    with open_pipeline(site.config) as pipeline:
        pipeline.settle()
        assert (pipeline.read("4") or {})["document_text"] == ("while it was away" if fallback else "")
        assert (pipeline.read("3") or {})["link"] == ("too" if fallback else "")
        assert pipeline.read("1") is not None


def test_configuration_that_cannot_be_used(site: Site) -> None:
    site.config.write_text("migration:\n  phase: nonsense\n")

    with pytest.raises(PipelineError):
        CSVManager()


def test_log_names_what_was_in_the_way(site: Site, caplog: pytest.LogCaptureFixture) -> None:
    site.put(b"no,table\n")
    caplog.set_level(logging.ERROR)

    assert not CSVManager().safe_csv_write(pd.DataFrame({"row_id": ["1"], "name": ["secret"]}))

    assert "safe" not in caplog.text
    assert "write: " in caplog.text
    assert "secret" not in caplog.text

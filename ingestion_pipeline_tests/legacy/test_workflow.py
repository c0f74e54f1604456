"""What the old scripts do all day: build all records, and save all of them after each person."""

import subprocess
import sys
import textwrap

import pandas as pd
import pytest

from ingestion_pipeline.app import Pipeline, open_pipeline
from ingestion_pipeline.domain.columns import Mode, header
from ingestion_pipeline.domain.phase import Phase
from ingestion_pipeline.legacy import CSVManager, DownloadResult, safe_csv_read
from ingestion_pipeline_tests.conftest import Site
from ingestion_pipeline_tests.files import COLUMNS, people, person, spelled
from ingestion_pipeline_tests.phases import both, go

Records = list[dict[str, str]]


def records() -> Records:
    """What a script that has read the table works on."""
    frame = CSVManager().read().fillna("")
    return [dict(row) for _, row in frame.iterrows()]


def save(made: Records, number: int = 0) -> bool:
    return CSVManager().safe_csv_write(pd.DataFrame(made), operation_name=f"incremental_update_{number}")


def test_each_person_is_saved_and_no_more_is_written(site: Site, opened: Pipeline, phase: Phase) -> None:
    made = records()
    before = {key: len(opened.history(key)) for key in "1234"}

    for number, record in enumerate(made):
        record |= {"processed": "yes", "document_text": f"text {number}"}
        assert save(made, number)
        found = opened.read(record["row_id"]) or {}
        assert (found["processed"], found["document_text"]) == ("yes", f"text {number}")

    expected = [person(4 - number, processed="yes", document_text=f"text {number}") for number in range(4)]
    assert set(both(site, opened, phase)) == {spelled(expected)}
    changes = {
        key: {(one.revision, one.write_id) for one in opened.history(key)[before[key] :]} for key in "1234"
    }
    assert [len(one) for one in changes.values()] == [1, 1, 1, 1]


def test_what_others_wrote_meanwhile_stays(site: Site, opened: Pipeline, phase: Phase) -> None:
    made = records()
    assert save(made)
    opened.write("3", {"processed": "yes", "document_text": "by another"})
    opened.write("5", {"name": "New", "email": "", "type": ""})
    opened.delete(["1"])
    made[0]["name"] = "changed here"
    made[1]["link"] = "failed"

    assert save(made)

    expected = [
        person(5, name="New", email="", type=""),
        person(4, name="changed here"),
        person(3, processed="yes", document_text="by another", link="failed"),
        person(2),
    ]
    assert set(both(site, opened, phase)) == {spelled(expected)}


def test_reading_does_not_make_an_older_frame_newer(opened: Pipeline) -> None:
    made = records()
    assert save(made)
    opened.write("3", {"document_text": "by another"})
    assert CSVManager().read()["document_text"].notna().sum() == 1
    made[0]["type"] = "ENTP"

    assert save(made)

    assert (opened.read("3") or {})["document_text"] == "by another"
    assert (opened.read("4") or {})["type"] == "ENTP"


def test_rows_come_and_go(site: Site, opened: Pipeline, phase: Phase) -> None:
    made = records()
    made.append(dict(zip(COLUMNS, person("new", link="x"), strict=True)))
    assert save(made)
    del made[0]
    assert save(made)

    assert set(both(site, opened, phase)) == {spelled([person("new", link="x"), *people("321")])}


def test_brakes(site: Site, opened: Pipeline, phase: Phase, caplog: pytest.LogCaptureFixture) -> None:
    made = records()
    before = both(site, opened, phase)

    assert not save(made[:2])
    assert not save([record | {"type": ""} for record in made])
    assert not save([record | {"name": f"{record['name']} changed", "email": ""} for record in made])

    assert both(site, opened, phase) == before
    assert "2 of 4 people would be gone" in caplog.text
    assert "4 of 4 people would lose what a cell of theirs holds" in caplog.text
    assert "mail3@" not in caplog.text


def test_first_save_of_a_process_that_has_not_read(site: Site, opened: Pipeline, phase: Phase) -> None:
    made = [dict(zip(COLUMNS, row, strict=True)) for row in people("4321")]
    made[2]["processed"] = "yes"

    assert save(made)

    expected = [*people("43"), person(2, processed="yes"), *people("1")]
    assert set(both(site, opened, phase)) == {spelled(expected)}


def test_refused_cell_is_told_and_nothing_of_its_row_is_written(
    site: Site, opened: Pipeline, phase: Phase, caplog: pytest.LogCaptureFixture
) -> None:
    made = records()
    before = both(site, opened, phase)
    made[0] |= {"type": "ENTP", "last_download_attempt": "yesterday"}

    assert not save(made)

    assert both(site, opened, phase) == before
    assert "not_a_timestamp" in caplog.text
    assert "yesterday" not in caplog.text
    made[0]["last_download_attempt"] = ""
    assert save(made)
    assert (opened.read("4") or {})["type"] == "ENTP"


def test_unknown_and_expected_columns(opened: Pipeline, caplog: pytest.LogCaptureFixture) -> None:
    frame = CSVManager().read().assign(shoe_size="44", type="ENTP")

    assert not CSVManager().safe_csv_write(frame, expected_columns=["row_id", "hat_size"])
    assert (opened.read("4") or {})["type"] == "INTJ"
    assert CSVManager().safe_csv_write(frame, expected_columns=["row_id", "shoe_size"])

    assert (opened.read("4") or {})["type"] == "ENTP"
    assert "hat_size" in caplog.text
    assert "shoe_size" in caplog.text


def test_columns_that_the_csv_lacks_are_added(site: Site) -> None:
    basic = header(Mode.BASIC)
    site.put(spelled([row[: len(basic)] for row in people("21")], basic))
    made = records()
    made[0] |= {"processed": "yes", "document_text": "", "file_uuids": "{}"}
    made[1] |= {"processed": "", "document_text": "", "file_uuids": ""}

    assert save(made)

    assert safe_csv_read(site.csv)["processed"].tolist()[0] == "yes"
    names = site.csv.read_text().partition("\n")[0].split(",")
    assert names == [*basic, "processed", "file_uuids"]


def test_phase_changes_in_between(site: Site) -> None:
    site.config.write_text("migration:\n  phase: original\n")
    site.put(spelled(people("4321")))
    made = records()
    for number, phase in enumerate((Phase.DUAL_WRITE, Phase.DATABASE_PRIMARY, Phase.DATABASE_NATIVE)):
        made[number]["document_text"] = f"before {phase}"
        assert save(made, number)
        with open_pipeline(site.config) as other:
            assert go(other, phase).state.phase is phase
            other.write("1", {"file_uuids": {"phase": phase.value}})
        made[number]["link"] = f"after {phase}"
        assert save(made, number)

    with open_pipeline(site.config) as other:
        assert (other.read("4") or {})["link"] == "after dual_write"
        assert (other.read("2") or {})["document_text"] == "before database_native"
        assert (other.read("1") or {})["file_uuids"] == '{"phase": "database_native"}'


SCRIPT = """
import sys
import pandas as pd
{line}
mine, column = sys.argv[1].split(","), sys.argv[2]
manager = CSVManager(csv_path="outputs/output.csv")
records = manager.read().fillna("").to_dict("records")
for number, record in enumerate(records):
    if record["row_id"] in mine:
        record[column] = "by " + column
        frame = pd.DataFrame(records)
        assert CSVManager(csv_path="outputs/output.csv").safe_csv_write(
            frame, operation_name=f"incremental_update_{{number}}"
        )
print("done")
"""


def test_two_processes_and_a_downloader_at_once(site: Site, opened: Pipeline, phase: Phase) -> None:
    for key in range(5, 41):
        opened.write(str(key), {"name": f"Name {key}", "email": "", "type": ""})
    keys = [str(key) for key in range(40, 0, -1)]
    line = "from ingestion_pipeline.legacy import CSVManager"
    script = textwrap.dedent(SCRIPT).format(line=line)
    running = [
        subprocess.Popen(
            [sys.executable, "-c", script, ",".join(keys), column],
            cwd=site.folder,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        for column in ("document_text", "link")
    ]
    manager = CSVManager()
    for context in manager.get_pending_downloads("youtube"):
        done = DownloadResult(
            success=True,
            files_downloaded=["a.mp4"],
            media_id="m",
            row_context=context,
            download_type="youtube",
        )
        assert manager.update_download_status(context.row_index, "youtube", done)
    for one in running:
        out, err = one.communicate(timeout=100)
        assert (out, one.returncode) == ("done\n", 0), err

    for row in opened.rows():
        assert (row["document_text"], row["link"]) == ("by document_text", "by link")
        assert (row["youtube_status"], row["youtube_media_id"]) == ("completed", "m")
    assert len(set(both(site, opened, phase))) == 1

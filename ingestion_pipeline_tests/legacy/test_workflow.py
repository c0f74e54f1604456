"""What the old scripts do all day: build all records, and save all of them after each person."""

import os
import subprocess
import sys
import textwrap
from collections.abc import Sequence
from typing import Any

import pandas as pd
import pytest

from ingestion_pipeline import legacy
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


def save(made: Sequence[dict[str, Any]], number: int = 0) -> bool:
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


def test_one_bad_row_does_not_keep_others_from_being_written(
    opened: Pipeline, caplog: pytest.LogCaptureFixture
) -> None:
    made = records()
    assert save(made)
    opened.delete(["1"])
    made[0]["last_download_attempt"] = "yesterday"
    made[1]["type"] = "ENTP"
    made[3]["link"] = "of somebody who is gone"
    assert not save(made)
    assert [row["type"] for row in opened.rows()] == ["INTJ", "ENTP", "INTJ"]
    assert "2 people are not written" in caplog.text
    opened.write("3", {"type": "by another"})
    made[2]["type"] = "ENTP"

    assert not save(made)

    assert [row["type"] for row in opened.rows()] == ["INTJ", "by another", "ENTP"]
    made[0]["last_download_attempt"] = "2024-01-02T03:04:05"
    del made[3]
    assert save(made)
    assert (opened.read("4") or {})["last_download_attempt"] == "2024-01-02T03:04:05"


def test_map_that_is_changed_in_place(opened: Pipeline) -> None:
    made: list[dict[str, Any]] = [dict(record) for record in records()]
    made[0]["file_uuids"] = {"a": "1"}
    assert save(made)
    made[0]["file_uuids"]["b"] = "2"

    assert save(made)

    assert (opened.read("4") or {})["file_uuids"] == '{"a": "1", "b": "2"}'


def test_empty_table_that_was_read(opened: Pipeline) -> None:
    opened.delete("4321", accept_loss=True)
    assert CSVManager().read().empty
    opened.write("9", {"name": "By another", "email": "", "type": ""})

    assert save([dict(zip(COLUMNS, person(1), strict=True))])

    assert {row["row_id"] for row in opened.rows()} == {"1", "9"}


def test_frame_is_known_however_much_is_read_meanwhile(opened: Pipeline) -> None:
    frame = CSVManager().read()
    opened.write("3", {"type": "by another"})
    for _ in range(4):
        CSVManager().read()
        CSVManager().find_rows_by_criteria({"type": "INTJ"})
    frame.loc[0, "link"] = "x"

    assert CSVManager().safe_csv_write(frame)

    assert (opened.read("3") or {})["type"] == "by another"
    assert (opened.read("4") or {})["link"] == "x"


def test_forked_child_goes_on_from_what_its_parent_has_read(opened: Pipeline) -> None:
    frame = CSVManager().read()
    parents = legacy.table._opened.table()  # noqa: SLF001
    opened.write("3", {"document_text": "by another"})
    child = os.fork()
    if not child:
        code = 1
        try:
            frame.loc[0, "link"] = "by the child"
            code = 0 if CSVManager().safe_csv_write(frame) else 2
            legacy.table.close()
        finally:
            os._exit(code)

    assert os.waitpid(child, 0)[1] == 0

    assert legacy.table._opened.table() is parents  # noqa: SLF001
    assert (opened.read("3") or {})["document_text"] == "by another"
    assert (opened.read("4") or {})["link"] == "by the child"


FORKING = """
import os, sys
from ingestion_pipeline.legacy import CSVManager
from ingestion_pipeline.legacy.table import _opened

def session():
    with _opened.table()._pipeline.pool.transaction() as cursor:
        cursor.execute("SELECT pg_backend_pid()")
        return cursor.fetchone()

CSVManager().read()
before = session()
child = os.fork()
if not child:
    sys.exit()
assert os.waitpid(child, 0)[1] == 0
print(session() == before)
"""


def test_child_that_ends_leaves_its_parents_connections_alone(site: Site, pipeline: Pipeline) -> None:
    site.put(spelled(people("4321")))
    pipeline.sync()

    found = subprocess.run(
        [sys.executable, "-c", FORKING],
        cwd=site.folder,
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
    )

    assert found.stdout == "True\n"


def test_process_that_goes_elsewhere_keeps_its_site(
    site: Site, opened: Pipeline, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    made = records()
    other = site.folder / "elsewhere"
    (other / "config").mkdir(parents=True)
    (other / "config" / "config.yaml").write_text("")
    monkeypatch.chdir(other)
    made[0]["link"] = "from elsewhere"
    assert CSVManager(site.csv).safe_csv_write(pd.DataFrame(made))
    assert (opened.read("4") or {})["link"] == "from elsewhere"
    legacy.table.close()
    before = site.csv.read_bytes()

    assert not CSVManager(site.csv).safe_csv_write(pd.DataFrame(made[:1]))

    assert site.csv.read_bytes() == before
    assert "not this process's own" in caplog.text


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

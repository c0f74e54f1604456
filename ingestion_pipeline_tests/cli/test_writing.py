"""`ingest write`, `settle` and `history`: their answers, their exit codes, and what they never show."""

import json
from uuid import uuid4

import pytest
from click.testing import CliRunner

from ingestion_pipeline.app import open_pipeline
from ingestion_pipeline.cli import ingest
from ingestion_pipeline.domain.phase import Phase
from ingestion_pipeline_tests.cli.conftest import Answer, Call
from ingestion_pipeline_tests.conftest import Site
from ingestion_pipeline_tests.files import people, person, spelled
from ingestion_pipeline_tests.phases import lead

CANARY = "canary.person@example.org"
RECEIPT = {"row_id", "revision", "write_id", "durable_in", "follower", "created"}
NEW = ("name=New", "email=new@example.org", "type=INTJ")


@pytest.fixture(autouse=True)
def _synced(site: Site, call: Call) -> None:
    site.put(spelled(people([3, 2, 1])))
    assert call("sync").code == 0


def feed(*arguments: str, lines: str) -> Answer:
    result = CliRunner().invoke(ingest, arguments, input=lines)
    assert result.exception is None or isinstance(result.exception, SystemExit), result.exception
    return Answer(result.exit_code, result.stdout, result.stderr)


def test_write(site: Site, call: Call) -> None:
    answer = call("write", "2", "processed=yes", "link=a=b", "--json")

    assert (answer.code, answer.err) == (0, "")
    assert answer.json.keys() == RECEIPT
    receipt = {name: answer.json[name] for name in ("row_id", "durable_in", "follower", "created")}
    assert receipt == {"row_id": "2", "durable_in": "csv", "follower": "settled", "created": False}
    assert site.csv.read_bytes() == spelled([person(3), person(2, processed="yes", link="a=b"), person(1)])
    assert call("compare").code == 0


def test_a_new_person_goes_on_top(site: Site, call: Call) -> None:
    answer = call("write", "9", *NEW, "--json")

    assert answer.json["created"] is True
    assert site.csv.read_text().splitlines()[1].startswith("9,New,new@example.org,INTJ,")


def test_a_write_id_is_written_once(site: Site, call: Call) -> None:
    write_id = str(uuid4())
    first = call("write", "2", "type=ENFP", "--write-id", write_id, "--json")
    call("write", "2", "type=ISTJ")

    again = call("write", "2", "type=ENFP", "--write-id", write_id, "--json")

    assert again.json["revision"] == first.json["revision"]
    assert site.csv.read_bytes() == spelled([person(3), person(2, type="ISTJ"), person(1)])


@pytest.mark.parametrize(
    ("arguments", "code", "said"),
    [
        (("nobody", "type=x"), 3, "name name, email too"),
        (("2", "processed=maybe"), 3, "not_a_flag"),
        (("2", "typ=x"), 3, "no such column"),
        (("2", "row_id=7"), 3, "row_id"),
        (("2", "extraction_date="), 3, "no such column"),
        (("2", f"email={CANARY * 20}"), 3, "too_long"),
        (("2", "type"), 2, "COLUMN=TEXT"),
        (("2", "type=x", "type=y"), 2, "twice"),
        (("2",), 2, "COLUMN=VALUE"),
        ((), 2, "ROW_ID"),
        (("2", "type=x", "--stdin"), 2, "--stdin"),
        (("2", "type=x", "--write-id", "7"), 3, "UUID"),
    ],
)
def test_what_is_refused(site: Site, call: Call, arguments: tuple[str, ...], code: int, said: str) -> None:
    before = site.csv.read_bytes()

    answer = call("write", *arguments)

    assert (answer.code, answer.out) == (code, "")
    assert said in answer.err
    assert CANARY not in answer.err
    assert site.csv.read_bytes() == before


def test_lines_of_json(site: Site) -> None:
    lines = [
        {"row_id": "1", "processed": True, "file_uuids": {"a": "b"}, "link": None},
        {"row_id": "9", "name": "Nine", "email": "nine@example.org", "type": "INTJ"},
        {"row_id": "9", "type": "ENTP"},
    ]

    answer = feed("write", "--stdin", "--json", lines="\n\n".join(map(json.dumps, lines)))

    assert answer.code == 0
    receipts = [json.loads(line) for line in answer.out.splitlines()]
    assert [receipt["row_id"] for receipt in receipts] == ["1", "9", "9"]
    assert all(receipt.keys() == RECEIPT for receipt in receipts)
    assert site.csv.read_bytes() == spelled(
        [
            person(9, name="Nine", email="nine@example.org", type="ENTP"),
            person(3),
            person(2),
            person(1, processed="yes", file_uuids='{"a": "b"}'),
        ]
    )


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ("{", "line 2"),
        ("[]", "line 2"),
        ('{"type": "x"}', "row_id"),
        ('{"row_id": 7}', "row_id"),
        ('{"row_id": "1", "type": 7}', "column type"),
        (f'{{"row_id": "1", "processed": "{CANARY}"}}', "line 2, column processed, row_id 1"),
        ('{"row_id": "nobody", "type": "x"}', "row_id nobody"),
    ],
)
def test_a_line_that_is_refused_ends_it_and_those_before_stand(site: Site, line: str, said: str) -> None:
    answer = feed("write", "--stdin", lines=f'{{"row_id": "1", "type": "ENFP"}}\n{line}\n')

    assert answer.code == 3
    assert said in answer.err
    assert CANARY not in answer.said
    assert "1 lines before it are written" in answer.err
    assert site.csv.read_bytes() == spelled([person(3), person(2), person(1, type="ENFP")])


def test_no_lines() -> None:
    assert feed("write", "--stdin", lines="").out == "0 written\n"


def test_settle_and_status(site: Site, call: Call) -> None:
    with open_pipeline(site.config) as pipeline:
        lead(pipeline, Phase.DATABASE_PRIMARY)
    site.execute("UPDATE people SET type = 'ENFP' WHERE row_id = '2'")
    waiting = call("status", "--json").json

    settled = call("settle", "--json")

    assert (waiting["pending"], waiting["degraded"]) == (1, None)
    assert (settled.code, settled.json["settled"], settled.json["follower"]) == (0, 1, "csv")
    assert site.csv.read_bytes() == spelled([person(3), person(2, type="ENFP"), person(1)])
    assert call("status", "--json").json["pending"] == 0
    assert "Nothing was pending" in call("settle").out


def test_history(call: Call) -> None:
    call("write", "2", "type=ENFP")

    answer = call("history", "2", "--json")
    shown = call("history", "2")

    assert answer.code == 0
    loaded, written = answer.json["changes"]
    assert (loaded["operation"], loaded["changed"]) == ("insert", None)
    assert (written["operation"], written["changed"]) == ("update", {"type": ["INTJ", "ENFP"]})
    assert written["actor"]
    assert "ENFP" in shown.out


def test_no_history(call: Call) -> None:
    answer = call("history", "nobody")

    assert (answer.code, answer.out) == (1, "There is no history of this row_id.\n")


def test_the_journal_has_the_history_of_phase_original(site: Site, call: Call) -> None:
    site.config.write_text("migration:\n  phase: original\n")
    site.execute("DELETE FROM ingestion.migration_state")
    (site.csv.parent / ".output.csv.ingestion" / "ledger.json").unlink()
    call("write", "2", "type=ENFP")

    [change] = call("history", "2", "--json").json["changes"]

    assert (change["table"], change["changed"]) == ("csv", {"type": ["INTJ", "ENFP"]})


def test_a_write_ends_as_a_program_ends(site: Site, program: Call) -> None:
    answer = program("write", "2", "type=ENFP", "--json")

    assert (answer.code, answer.err) == (0, "")
    assert site.csv.read_text().count("ENFP") == 1

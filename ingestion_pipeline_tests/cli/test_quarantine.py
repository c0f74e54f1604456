"""`ingest quarantine`: listed without a value, decided with a sync where that is due."""

import pytest

from ingestion_pipeline_tests.cli.conftest import Call
from ingestion_pipeline_tests.conftest import Site
from ingestion_pipeline_tests.files import person, spelled

CANARY = "canary.person@example.org"
SHOWN = ("id", "scope", "reason", "row_id", "column", "decision")


@pytest.fixture(autouse=True)
def _quarantined(site: Site, call: Call) -> None:
    site.put(spelled([person(1, processed=CANARY), person("", email=CANARY), person(2)]))
    assert call("sync").code == 0


def test_list(call: Call) -> None:
    answer = call("quarantine", "list", "--json")

    assert answer.code == 0
    assert [tuple(entry[name] for name in SHOWN) for entry in answer.json["entries"]] == [
        (1, "row", "missing_row_id", "", "row_id", None),
        (2, "cell", "not_a_flag", "1", "processed", None),
    ]
    assert CANARY not in answer.said
    shown = call("quarantine", "list")
    assert "not_a_flag" in shown.out
    assert CANARY not in shown.said


def test_decide(site: Site, call: Call) -> None:
    dropped = call("quarantine", "decide", "1", "drop", "--json")
    fixed = call("quarantine", "decide", "2", "fix", "processed=yes", "--json")

    assert (dropped.code, dropped.json) == (0, {"id": 1, "decision": "drop", "file_changed": True})
    assert (fixed.code, fixed.json) == (0, {"id": 2, "decision": "fix", "file_changed": True})
    assert site.csv.read_bytes() == spelled([person(1, processed="yes"), person(2)])
    assert call("compare").code == 0
    assert call("quarantine", "list", "--json").json == {"entries": []}
    assert call("quarantine", "list").out == "Nothing waits for a decision.\n"
    listed = call("quarantine", "list", "--all", "--json").json["entries"]
    assert [entry["decision"] for entry in listed] == ["drop", "fix"]


def test_accept(site: Site, call: Call) -> None:
    before = site.csv.read_bytes()

    answer = call("quarantine", "decide", "2", "accept", "--json")

    assert answer.json == {"id": 2, "decision": "accept", "file_changed": False}
    assert site.csv.read_bytes() == before
    assert call("compare").code == 0
    assert call("status", "--json").json["quarantine"] == {"undecided": 1, "accepted": 1}


def test_text_may_hold_an_equals_sign(site: Site, call: Call) -> None:
    assert call("quarantine", "decide", "1", "fix", "row_id=3", "link=https://example.org/?a=b").code == 0

    assert site.execute("SELECT link FROM people WHERE row_id = '3'") == [("https://example.org/?a=b",)]


@pytest.mark.parametrize(
    ("arguments", "code", "word"),
    [
        (("9", "drop"), 2, "no_such_entry"),
        (("2", "fix"), 2, "usage"),
        (("2", "fix", "name=x"), 2, "usage"),
        (("2", "drop", "processed=yes"), 2, "usage"),
        (("2", "fix", f"processed={CANARY}"), 3, "not_a_flag"),
    ],
)
def test_what_cannot_be_decided(
    site: Site, call: Call, arguments: tuple[str, ...], code: int, word: str
) -> None:
    before = site.csv.read_bytes()

    answer = call("quarantine", "decide", *arguments, "--json")

    assert (answer.code, answer.json["error"]["code"]) == (code, word)
    assert CANARY not in answer.said
    assert site.csv.read_bytes() == before


def test_nothing_in_quarantine(site: Site, call: Call) -> None:
    site.put(spelled([person(1)]))
    site.execute("DELETE FROM ingestion.quarantine")

    assert call("quarantine", "list", "--all").out == "Nothing is in quarantine.\n"

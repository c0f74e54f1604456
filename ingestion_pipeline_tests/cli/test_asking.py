"""`ingest search` and `find`: answers for people and for programs."""

from contextlib import closing

import psycopg2
import pytest

from ingestion_pipeline_tests.cli.conftest import Call
from ingestion_pipeline_tests.conftest import Site
from ingestion_pipeline_tests.files import person, spelled

FILMS = {"file_uuids": '{"film": "u1"}', "s3_paths": '{"u1": "p1"}'}


@pytest.fixture
def asked(site: Site, call: Call) -> Call:
    site.put(
        spelled(
            [
                person(1, name="Ada", document_text="notes on\nthe engine", **FILMS),
                person(2, name="Charles [bold]", document_text="the difference engine\x1b[2J", **FILMS),
                person(3, name="Grace", file_uuids='{"lost": "u3"}'),
            ]
        )
    )
    assert call("sync").code == 0
    return call


def test_search_shows_who_and_where(asked: Call) -> None:
    answer = asked("search", "engine")

    assert answer.code == 0
    assert "2 of 2 people" in answer.out
    assert "notes on the «engine»" in answer.out
    assert "Charles [bold]" in answer.out
    assert "\x1b" not in answer.out


def test_search_in_json(asked: Call) -> None:
    answer = asked("search", '"difference engine"', "--json").json

    assert (answer["total"], answer["more"], answer["behind"], answer["csv_changed"]) == (1, False, 0, False)
    [hit] = answer["hits"]
    assert (hit["row_id"], hit["name"]) == ("2", "Charles [bold]")
    assert hit["rank"] > 0
    assert "«difference» «engine»" in hit["highlight"]


def test_words_may_be_told_apart_or_left_out(asked: Call) -> None:
    def rows(words: str) -> set[str]:
        return {hit["row_id"] for hit in asked("search", "--json", "--", words).json["hits"]}

    assert rows("grace or ada") == {"1", "3"}
    assert rows("engine -difference") == {"1"}
    assert rows("-engine") == {"3"}


def test_a_limit(asked: Call) -> None:
    answer = asked("search", "engine", "--limit", "1")

    assert "1 of 2 people" in answer.out
    assert len(asked("find", "--uuid", "u1", "--limit", "1", "--json").json["files"]) == 1
    assert asked("search", "engine", "--limit", "0").code == 2


def test_nothing_found_is_an_answer(asked: Call) -> None:
    found, in_json = asked("search", "nowhere"), asked("search", "nowhere", "--json")

    assert (found.code, found.out) == (0, "Nobody is found.\n")
    assert (in_json.json["total"], in_json.json["hits"]) == (0, [])
    assert asked("find", "--uuid", "u9").out == "No file is found.\n"


@pytest.mark.parametrize(
    ("arguments", "rows"),
    [
        (("--uuid", "u1"), ["1", "2"]),
        (("--path", "p1"), ["1", "2"]),
        (("--description", "lost"), ["3"]),
        (("--mismatched",), ["3"]),
        (("--uuid", "none"), []),
    ],
)
def test_find_says_whose_file_it_is(asked: Call, arguments: tuple[str, ...], rows: list[str]) -> None:
    answer, in_text = asked("find", *arguments, "--json").json, asked("find", *arguments)

    assert [one["row_id"] for one in answer["files"]] == rows
    assert (answer["total"], answer["behind"], in_text.code) == (len(rows), 0, 0)
    if rows:
        assert f"{len(rows)} of {len(rows)} files" in in_text.out


def test_find_says_what_is_shared(asked: Call) -> None:
    answer, in_text = asked("find", "--shared", "--json").json, asked("find", "--shared")

    assert answer["shared"] == [
        {"kind": "uuid", "text": "u1", "people": 2, "row_ids": ["1", "2"]},
        {"kind": "path", "text": "p1", "people": 2, "row_ids": ["1", "2"]},
    ]
    assert "2 of 2 UUIDs and paths" in in_text.out
    assert "1, 2" in in_text.out


def test_find_wants_one_question(asked: Call) -> None:
    for arguments in ((), ("--uuid", "a", "--shared")):
        answer = asked("find", *arguments, "--json")
        assert (answer.code, answer.json["error"]["code"]) == (2, "bad_question")


def test_phase_original(site: Site, call: Call) -> None:
    site.config.write_text("migration:\n  phase: original\n")
    assert call("write", "515", "link=x").code == 0

    for arguments in (("search", "ada"), ("find", "--shared")):
        answer, in_json = call(*arguments), call(*arguments, "--json")
        assert (answer.code, in_json.code, in_json.json["error"]["code"]) == (2, 2, "no_part")
        assert "ingest phase advance" in answer.err


def test_an_answer_says_what_it_may_lack(site: Site, asked: Call, monkeypatch: pytest.MonkeyPatch) -> None:
    assert "not in the search index" not in asked("search", "engine").out
    monkeypatch.setenv("INGESTION__DATABASE__LOCK_TIMEOUT", "0.1")
    assert asked("write", "1", "name=Augusta").code == 0
    site.put(site.csv.read_bytes().replace(b"Grace", b"Hopper"))

    with closing(psycopg2.connect(site.database)) as other, other.cursor() as cursor:
        # Somebody else indexes all the time.
        cursor.execute("SELECT pg_advisory_lock(hashtext('ingestion.search_index'))")
        answers = [asked("search", "ada"), asked("find", "--uuid", "u1"), asked("find", "--shared")]
        in_json = asked("search", "ada", "--json").json

    for answer in answers:
        assert answer.code == 0
        assert "1 people are not in the search index as they are now" in answer.out
        assert "Somebody changed the CSV" in answer.out
    assert (in_json["total"], in_json["behind"], in_json["csv_changed"]) == (1, 1, True)


def test_a_failure_shows_nothing_of_the_question(asked: Call) -> None:
    for answer in (asked("search", "canary " * 200), asked("find", "--uuid", "canary", "--path", "canary")):
        assert answer.code == 2
        assert "canary" not in answer.said

"""The commands: their answers, their exit codes, and what they never show."""

import json
import socket
import time
from contextlib import closing
from pathlib import Path

import pytest

from ingestion_pipeline.app import Pipeline
from ingestion_pipeline.cli import show
from ingestion_pipeline_tests.cli.conftest import Call
from ingestion_pipeline_tests.conftest import Site
from ingestion_pipeline_tests.files import people, person, spelled

CANARY = "canary.person@example.org"
PASSWORD = "s3cret-canary"  # noqa: S105 - a canary
SYNC = {
    "rows_read", "inserted", "updated", "unchanged", "deleted", "quarantined_rows", "quarantined_cells",
    "seconds",
}  # fmt: skip
COMPARE = {"equal", "bytes_equal", "missing", "extra", "changed", "differences"}
STATUS = {"phase", "authority", "follower", "pending", "quarantine", "proved_equal"}


def test_sync(site: Site, call: Call) -> None:
    site.put(spelled([person(1), person(2, processed="maybe"), person(""), person(1)]))

    answer = call("sync", "--json")

    assert (answer.code, answer.err) == (0, "")
    assert answer.json.keys() >= SYNC
    found = {name: answer.json[name] for name in SYNC - {"seconds"}}
    assert found == {
        "rows_read": 4, "inserted": 2, "updated": 0, "unchanged": 0, "deleted": 0, "quarantined_rows": 1,
        "quarantined_cells": 1,
    }  # fmt: skip
    assert call("sync", "--json").json["unchanged"] == 2


def test_compare(site: Site, call: Call) -> None:
    site.put(spelled(people([1, 2, 3])))
    call("sync")
    equal = call("compare", "--json")
    site.execute("UPDATE people SET name = 'x' WHERE row_id = '2'")
    site.execute("DELETE FROM people WHERE row_id = '3'")

    unequal = call("compare", "--json")
    first = call("compare", "--json", "--limit", "1")

    assert (equal.code, unequal.code) == (0, 1)
    assert equal.json.keys() >= COMPARE
    assert {name: equal.json[name] for name in COMPARE} == {
        "equal": True, "bytes_equal": True, "missing": 0, "extra": 0, "changed": 0, "differences": [],
    }  # fmt: skip
    assert {name: unequal.json[name] for name in COMPARE} == {
        "equal": False,
        "bytes_equal": False,
        "missing": 1,
        "extra": 0,
        "changed": 1,
        "differences": [
            {"row_id": "2", "column": "name", "kind": "changed"},
            {"row_id": "3", "column": None, "kind": "missing"},
        ],
    }
    assert len(first.json["differences"]) == 1


def test_status(site: Site, call: Call) -> None:
    fresh = call("status", "--json")
    site.put(spelled([person(1, processed="maybe")]))
    call("sync")
    call("compare")

    answer = call("status", "--json")

    assert (fresh.code, answer.code) == (0, 0)
    assert fresh.json["phase"] == {"wanted": "dual_write", "in_force": None, "epoch": None}
    assert answer.json.keys() >= STATUS
    assert {name: answer.json[name] for name in STATUS} == {
        "phase": {"wanted": "dual_write", "in_force": "dual_write", "epoch": 1},
        "authority": "csv",
        "follower": "postgres",
        "pending": 0,
        "quarantine": {"undecided": 1, "accepted": 0},
        "proved_equal": {"now": False, "why_not": ["1 quarantine entries are undecided"]},
    }


@pytest.mark.parametrize("command", ["status", "sync", "compare", "export", "versions"])
def test_people_are_answered_too(site: Site, call: Call, command: str) -> None:
    site.put(spelled(people([1, 2])))
    call("sync")

    answer = call(command)

    assert (answer.code, answer.err) == (0, "")
    titles = {"status": "Status", "sync": "Synced", "compare": "Equal", "export": "Published"}
    assert titles.get(command, "Versions in") in answer.out


def test_differences_are_shown_to_people(site: Site, call: Call) -> None:
    call("sync")
    site.execute("UPDATE people SET name = 'x'")

    answer = call("compare")

    assert answer.code == 1
    assert "Not equal" in answer.out
    assert "509 differences, the first of them" in answer.out


def test_render_to_a_file(site: Site, call: Call) -> None:
    call("sync")
    target = site.folder / "rendered.csv"

    answer = call("render", "--to", str(target), "--json")

    assert answer.code == 0
    assert target.read_bytes() == site.csv.read_bytes()
    assert (answer.json["rows"], answer.json["size"]) == (510, site.csv.stat().st_size)


def test_render_to_standard_output(site: Site, call: Call) -> None:
    site.put(spelled(people([1, 2]), end="\r\n", bom=True, final=False))
    call("sync")

    answer = call("render", "--to", "-")

    assert answer.code == 0
    assert answer.out.encode().replace(b"\r\n", b"\n") == site.csv.read_bytes().replace(b"\r\n", b"\n")


def test_export_and_versions(site: Site, call: Call) -> None:
    call("sync")

    first, second = call("export", "--json"), call("export", "--json")
    listed = call("versions", "--json")

    assert (first.code, second.code, listed.code) == (0, 0, 0)
    assert (first.json["published"], second.json["published"]) == (True, False)
    assert first.json["version"] == second.json["version"]
    assert [one["good"] for one in listed.json["versions"]] == [True]
    version = site.folder / "exports" / first.json["version"]
    version.chmod(0o600)
    version.write_bytes(b"damaged")
    assert call("versions").code == 1


def test_normalise(site: Site, call: Call) -> None:
    site.put(b'row_id,name,link\n"1",Ada,\n2,Bob,"x"\n3,Eve,\n')
    assert call("sync").code == 3

    answer = call("sync", "--normalise", "--json")

    assert answer.code == 0
    assert answer.json["inserted"] == 3
    assert answer.json["normalised"]["changes"] == [
        {"line": 2, "column": "row_id"},
        {"line": 3, "column": "link"},
    ]
    copy = Path(answer.json["normalised"]["path"])
    assert copy.read_bytes() == b"row_id,name,link\n1,Ada,\n2,Bob,x\n3,Eve,\n"
    assert call("compare").code == 3
    site.put(copy)
    assert call("compare").code == 0
    assert "are spelled otherwise" in call("sync", "--normalise").out


def test_dry_run(site: Site, call: Call) -> None:
    answer = call("sync", "--dry-run", "--json")

    assert answer.code == 0
    assert (answer.json["dry_run"], answer.json["inserted"]) == (True, 509)
    assert site.execute("SELECT count(*) FROM people") == [(0,)]
    assert "nothing was changed" in call("sync", "--dry-run").out


def test_brake(site: Site, call: Call) -> None:
    site.put(spelled(people(range(40))))
    call("sync")
    site.put(spelled(people(range(30))))

    stopped = call("sync", "--json")
    let = call("sync", "--accept-loss", "--json")

    assert (stopped.code, let.code) == (5, 0)
    assert stopped.json["error"]["code"] == "brake"
    assert "--accept-loss" in stopped.json["error"]["hint"]
    assert let.json["deleted"] == 10


# Options stand before and after the verb


@pytest.mark.parametrize(
    "arguments",
    [
        ("--config", "{config}", "--json", "status"),
        ("status", "--config", "{config}", "--json"),
        ("--json", "status", "--config", "{config}"),
        ("--config", "{config}", "status", "--json"),
        ("--config", "/nowhere", "status", "--config", "{config}", "--json"),
        ("--config", "{config}", "--json", "quarantine", "list"),
        ("quarantine", "list", "--config", "{config}", "--json"),
        ("--config", "{config}", "db", "upgrade", "--json"),
    ],
)
def test_options_stand_before_and_after(
    site: Site, call: Call, monkeypatch: pytest.MonkeyPatch, arguments: tuple[str, ...]
) -> None:
    other = site.folder / "elsewhere"
    other.mkdir()
    monkeypatch.chdir(other)

    answer = call(*(argument.replace("{config}", str(site.config)) for argument in arguments))

    assert answer.code == 0
    assert answer.json


# Errors


def test_refused_file_says_where(site: Site, call: Call) -> None:
    site.put(b'row_id,name\n1,a\n2,"b"\n')

    in_json, in_text = call("sync", "--json"), call("sync")

    assert (in_json.code, in_text.code) == (3, 3)
    error = in_json.json["error"]
    assert (error["code"], error["file"], error["line"], error["column"]) == (
        "not_reproducible",
        str(site.csv),
        3,
        "name",
    )
    assert error["message"]
    assert error["hint"]
    assert "row_id" not in error
    assert in_text.out == ""
    assert "line 3, column name" in in_text.err
    assert "--normalise" in in_text.err


def test_error_names_the_row(site: Site, call: Call) -> None:
    site.put(spelled([person(7, processed="maybe")]))
    call("sync")

    error = call("quarantine", "decide", "1", "fix", "processed=perhaps", "--json").json["error"]

    assert (error["code"], error["row_id"], error["column"]) == ("not_a_flag", "7", "processed")


@pytest.mark.parametrize(
    "arguments",
    [
        ("nonsense",),
        ("sync", "--nonsense"),
        ("render",),
        ("compare", "--limit", "-1"),
        ("compare", "--limit", "many"),
        ("quarantine", "decide", "1", "keep"),
        ("quarantine", "decide", "one", "drop"),
        ("quarantine", "decide", "1", "fix", "processed"),
        ("quarantine", "decide", "1", "drop"),
        ("status", "--config", "/nowhere/config.yaml"),
    ],
)
def test_usage(site: Site, call: Call, arguments: tuple[str, ...]) -> None:
    assert site.csv.exists()

    assert call(*arguments).code == 2


def test_bad_configuration(site: Site, call: Call) -> None:
    site.config.write_text("migration:\n  phase: sideways\n")

    answer = call("sync", "--json")

    assert answer.code == 2
    assert answer.json["error"]["file"] == str(site.config)


def test_missing_file(site: Site, call: Call) -> None:
    site.csv.unlink()

    answer = call("sync", "--json")

    assert (answer.code, answer.json["error"]["code"]) == (4, "csv_missing")


@pytest.mark.parametrize(
    "arguments",
    [
        *(("status",), ("sync",), ("compare",), ("render", "--to", "-"), ("export",), ("db", "upgrade")),
        *(("search", "ada"), ("find", "--shared")),
    ],
)
def test_database_away(
    site: Site, call: Call, monkeypatch: pytest.MonkeyPatch, arguments: tuple[str, ...]
) -> None:
    assert site.csv.exists()
    with closing(socket.create_server(("127.0.0.1", 0))) as unused:
        port = unused.getsockname()[1]
    monkeypatch.setenv("DATABASE_URL", f"postgresql://somebody:{PASSWORD}@127.0.0.1:{port}/people")

    in_json, in_text = call(*arguments, "--json"), call(*arguments)

    assert (in_json.code, in_text.code) == (4, 4)
    assert in_json.json["error"]["code"] == "postgres_unavailable"
    assert PASSWORD not in in_json.said + in_text.said


def test_database_that_does_not_answer(site: Site, call: Call, monkeypatch: pytest.MonkeyPatch) -> None:
    assert site.csv.exists()
    monkeypatch.setenv("INGESTION__DATABASE__CONNECT_TIMEOUT", "1")
    with closing(socket.create_server(("127.0.0.1", 0))) as silent:
        port = silent.getsockname()[1]
        monkeypatch.setenv("DATABASE_URL", f"postgresql://somebody:{PASSWORD}@127.0.0.1:{port}/people")
        began = time.monotonic()

        answer = call("status")

    assert answer.code == 4
    assert time.monotonic() - began < 5
    assert PASSWORD not in answer.said


def test_foreign_tables(site: Site, call: Call, empty_database: str, monkeypatch: pytest.MonkeyPatch) -> None:
    theirs = Site(site.folder, empty_database)
    theirs.execute("CREATE TABLE people (id int)")
    monkeypatch.setenv("DATABASE_URL", empty_database)

    answer = call("sync", "--json")

    assert (answer.code, answer.json["error"]["code"]) == (5, "tables_in_the_way")


REFUSED = {
    "width": spelled([person(1, email=CANARY)]) + f"2,{CANARY}\n".encode(),
    "quoting": spelled([person(1, email=CANARY)]) + f'"{CANARY}"'.encode() + b"," * 10 + b"\n",
    "open quote": spelled([person(1)]) + f'"{CANARY}'.encode(),
    "encoding": spelled([person(1, email=CANARY)]) + CANARY.encode() + b"\xff\n",
    "other table": f"{CANARY},name\n".encode(),
    "emptied": spelled([person(key) for key in range(3)]),
}


@pytest.mark.parametrize("file", REFUSED.values(), ids=REFUSED)
@pytest.mark.parametrize("form", [(), ("--json",)], ids=["text", "json"])
def test_no_failure_shows_a_value(site: Site, call: Call, file: bytes, form: tuple[str, ...]) -> None:
    site.put(spelled([person(key, link=CANARY, processed=CANARY) for key in range(4)]))
    call("sync")
    site.put(file)

    for verb in ("sync", "compare", "export", "doctor"):
        answer = call(verb, *form)
        assert answer.code != 0
        assert CANARY not in answer.said
    assert CANARY not in call("quarantine", "list", *form).said


def test_no_password_is_shown(site: Site, call: Call, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DATABASE_URL", f"postgresql://somebody:{PASSWORD}@127.0.0.1:1/people?nonsense=1")

    for verb in ("status", "sync", "doctor"):
        answer = call(verb)
        assert answer.code in (1, 2, 4)
        assert PASSWORD not in answer.said
    assert site.csv.exists()


# As a program of its own


def test_program_renders_the_files_bytes(site: Site, program: Call) -> None:
    site.put(spelled(people([1, 2]), end="\r\n"))

    synced, out = program("sync", "--json"), program("render", "--to", "-")

    assert (synced.code, synced.err, json.loads(synced.out)["inserted"]) == (0, "", 2)
    assert out.out.encode() == site.csv.read_bytes()


def test_program_ends_with_its_code(site: Site, program: Call) -> None:
    site.put(b"row_id,name\n1\n")

    answer = program("sync")

    assert answer.code == 3
    assert "Traceback" not in answer.said
    assert program("--json", "status").code == 0
    assert program("--version").code == 0


@pytest.mark.parametrize(("raised", "code"), [(ValueError(CANARY), 70), (KeyboardInterrupt(CANARY), 130)])
def test_an_unforeseen_end_shows_no_value(
    call: Call, monkeypatch: pytest.MonkeyPatch, raised: BaseException, code: int
) -> None:
    def fail(_pipeline: Pipeline) -> None:
        raise raised

    monkeypatch.setattr(Pipeline, "status", fail)

    answer = call("status")

    assert answer.code == code
    assert CANARY not in answer.out + answer.err


def test_a_section_nearly_named_is_warned_of(site: Site, call: Call) -> None:
    site.config.write_text("migration:\n  phase: dual_write\ndatabse:\n  host: db\n")

    answer = call("status", "--json")

    assert answer.code == 0
    assert "did you mean database?" in answer.err


def test_a_dry_run_writes_no_normalised_copy(site: Site, call: Call) -> None:
    assert call("sync", "--dry-run", "--normalise").code == 2
    assert list(site.csv.parent.iterdir()) == [site.csv]


def test_a_brake_stops_a_decision_before_the_csv_is_changed(site: Site, call: Call) -> None:
    site.put(spelled([*people(range(1, 60)), person("")]))
    call("sync")
    site.put(spelled([*people(range(1, 30)), person("")]))
    before = site.csv.read_bytes()

    answer = call("quarantine", "decide", "1", "drop")

    assert answer.code == 5
    assert site.csv.read_bytes() == before
    assert site.execute("SELECT decision FROM ingestion.quarantine") == [(None,)]


def test_long_path_is_shown_whole(capsys: pytest.CaptureFixture[str]) -> None:
    path = "/a folder" + "/of a long name" * 20

    show.rows("Kept", [("kept before", path), ("of PostgreSQL", None)])

    assert capsys.readouterr().out == f"Kept\nkept before    {path}\nof PostgreSQL  -\n"

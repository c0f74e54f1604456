"""`ingest phase`: its answers, its exit codes, what it shows and what it keeps."""

import json

import pytest

from ingestion_pipeline.app import Pipeline, open_pipeline
from ingestion_pipeline.domain.phase import Phase
from ingestion_pipeline_tests.cli.conftest import Call
from ingestion_pipeline_tests.conftest import Site
from ingestion_pipeline_tests.files import people, person, spelled


@pytest.fixture(autouse=True)
def _small(site: Site) -> None:
    site.put(spelled(people([3, 2, 1])))


def in_force(site: Site) -> Phase:
    with open_pipeline(site.config) as pipeline:
        return pipeline.in_force().phase


def test_there_and_back(site: Site, call: Call) -> None:
    there = call("phase", "advance", "--to", "database_native", "--json")

    assert there.code == 0
    assert [one["after"] for one in there.json["changes"]] == ["database_primary", "database_native"]
    assert (there.json["began"], there.json["phase"], there.json["epoch"]) == (
        "dual_write",
        "database_native",
        3,
    )
    assert all(one["pause"] > 0 for one in there.json["changes"])
    back = call("phase", "rollback", "--to", "original", "--json")
    assert (back.code, back.json["phase"], back.json["shut"]) == (0, "original", None)
    assert in_force(site) is Phase.ORIGINAL
    assert site.csv.read_bytes() == spelled(people([3, 2, 1]))


def test_one_step_without_a_name(site: Site, call: Call) -> None:
    assert call("phase", "advance").code == 0
    assert in_force(site) is Phase.DATABASE_PRIMARY
    assert call("phase", "rollback").code == 0
    assert in_force(site) is Phase.DUAL_WRITE


def test_advance_goes_as_far_as_the_configuration_asks(site: Site, call: Call) -> None:
    site.config.write_text("migration:\n  phase: database_native\n")

    assert call("phase", "advance").code == 0

    assert in_force(site) is Phase.DATABASE_NATIVE


def test_people_are_told_that_the_configuration_asks_for_something_else(call: Call) -> None:
    answer = call("phase", "advance")

    assert "The configuration asks for dual_write" in answer.out
    assert "writers paused" in answer.out


def test_plan_says_what_is_in_the_way(site: Site, call: Call) -> None:
    moves = call("phase", "plan", "--json").json["moves"]
    assert [(one["after"], one["gate"]) for one in moves] == [
        ("database_primary", "within reach"),
        ("original", "open"),
    ]
    assert moves[0]["first"] == ["sync"]
    call("sync")
    call("compare")
    site.csv.write_bytes(spelled(people([3, 2])))

    answer = call("phase", "plan", "--json")

    assert answer.code == 0
    assert answer.json["moves"][0]["gate"] == "shut"
    assert "csv_edited" in {one["condition"] for one in answer.json["moves"][0]["why_not"]}
    shown = call("phase", "plan").out
    assert "In force: dual_write, epoch 1. Wanted: dual_write." in shown


def test_a_shut_gate_is_a_finding(site: Site, call: Call) -> None:
    call("sync")
    site.csv.write_bytes(spelled(people([3, 2])))

    answer = call("phase", "advance", "--json")

    assert answer.code == 1
    [reason] = answer.json["shut"]["why_not"]
    assert (reason["condition"], answer.json["phase"]) == ("csv_edited", "dual_write")
    shown = call("phase", "advance")
    assert (shown.code, "stays in force" in shown.out) == (1, True)
    assert in_force(site) is Phase.DUAL_WRITE


def test_dry_run_lists_the_steps(site: Site, call: Call) -> None:
    answer = call("phase", "advance", "--to", "database_native", "--dry-run", "--json")

    assert (answer.code, answer.json["dry_run"], in_force(site)) == (0, True, Phase.DUAL_WRITE)
    assert sum(step.startswith("switch to") for step in answer.json["steps"]) == 2
    assert "nothing was changed" in call("phase", "advance", "--dry-run").out
    assert call("phase", "history").out == "The phase has never been changed.\n"


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("advance", "--override", "undecided"), "--because"),
        (("advance", "--override", "pending", "--because", "x"), "cannot be overridden"),
        (("advance", "--override", "nonsense"), "nonsense"),
        (("advance", "--to", "original"), "rollback"),
        (("rollback", "--to", "database_native"), "advance"),
        (("rollback", "--to", "nowhere"), "nowhere"),
    ],
)
def test_what_cannot_be_meant_is_refused(call: Call, arguments: tuple[str, ...], said: str) -> None:
    answer = call("phase", *arguments)

    assert answer.code == 2
    assert said in answer.said


def test_tables_are_dropped_in_original_only(site: Site, call: Call) -> None:
    assert call("phase", "advance").code == 0
    assert call("phase", "rollback", "--drop-tables").code == 2
    assert in_force(site) is Phase.DATABASE_PRIMARY

    assert call("phase", "rollback", "--to", "original", "--drop-tables").code == 0

    assert site.execute("SELECT to_regclass('public.people') IS NULL") == [(True,)]
    assert call("phase", "advance", "--to", "database_primary").code == 0


def test_what_was_let_pass_is_kept(site: Site, call: Call) -> None:
    site.put(spelled([*people([3, 2, 1]), person("x" * 60)]))
    assert call("sync").code == 0
    assert call("phase", "advance").code == 1

    answer = call("phase", "advance", "--override", "undecided", "--because", "they wait for Monday")

    assert (answer.code, "let pass" in answer.out) == (0, True)
    [kept] = call("phase", "history", "--json").json["changes"]
    assert (kept["overridden"], kept["because"]) == (["undecided"], "they wait for Monday")


def test_history_outlives_the_tables(call: Call) -> None:
    call("phase", "advance")
    call("phase", "rollback", "--to", "original", "--drop-tables")
    call("phase", "advance")

    found = call("phase", "history", "--json").json

    assert [(one["epoch"], one["after"]) for one in found["changes"]] == [
        (2, "database_primary"),
        (3, "dual_write"),
        (4, "original"),
        (5, "dual_write"),
    ]
    assert found["changing"] is None


def test_a_change_that_is_half_done_is_shown(pipeline: Pipeline, call: Call) -> None:
    call("phase", "advance")
    ledger = pipeline.csv.state_dir / "ledger.json"
    [change] = call("phase", "history", "--json").json["changes"]
    ledger.write_text(json.dumps({"phase": "dual_write", "epoch": 1, "changing": change}))

    shown = call("status")

    assert "half-done" in shown.out
    assert call("status", "--json").json["changing"]["after"] == "database_primary"
    assert "is not over" in call("phase", "history").out
    assert call("phase", "advance", "--to", "database_primary").code == 0
    assert call("status", "--json").json["changing"] is None
    assert len(call("phase", "history", "--json").json["changes"]) == 1

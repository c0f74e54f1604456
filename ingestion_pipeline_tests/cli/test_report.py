"""The report at the terminal and as a file: in every state of a site, numbers only."""

from pathlib import Path

import pytest

from ingestion_pipeline.app import open_pipeline
from ingestion_pipeline.domain.phase import Phase
from ingestion_pipeline_tests.cli.conftest import Call
from ingestion_pipeline_tests.conftest import Site
from ingestion_pipeline_tests.figures import VARIED, processing_of, rows_of, types_of
from ingestion_pipeline_tests.phases import lead

ANSWER = {
    "made_at", "phase", "pending", "pending_seconds", "proved_equal", "changes", "comparisons", "latencies",
    "figures", "why_no_figures", "replica",
}  # fmt: skip


@pytest.fixture
def varied(site: Site, call: Call) -> Site:
    """A site with something of everything."""
    site.put(VARIED)
    assert call("sync").code == 0
    return site


@pytest.mark.usefixtures("varied")
def test_everything_is_told_to_a_program(call: Call) -> None:
    call("compare")

    answer = call("report", "--json")

    assert (answer.code, answer.err) == (0, "")
    assert answer.json.keys() == ANSWER
    assert answer.json["phase"] == {"wanted": "dual_write", "in_force": "dual_write", "epoch": 1}
    figures, rows = answer.json["figures"], rows_of(VARIED)
    counted = processing_of(rows)
    assert {name: figures["processing"][name] for name in counted} == counted
    assert {one["type"]: one["people"] for one in figures["types"]} == types_of(rows)
    assert "" in types_of(rows)
    [compared] = answer.json["comparisons"]
    assert (compared["rows"], compared["differences"], compared["undecided"]) == (12, 0, 2)
    assert {one["operation"] for one in answer.json["latencies"]} >= {"sync", "compare"}
    assert all(0 < one["p50"] <= one["p95"] <= one["p99"] for one in answer.json["latencies"])
    assert (answer.json["why_no_figures"], answer.json["replica"]) == (None, None)


@pytest.mark.usefixtures("varied")
def test_everything_is_told_to_people(call: Call) -> None:
    call("compare")

    answer = call("report")

    assert (answer.code, answer.err) == (0, "")
    titles = ("The migration", "Comparisons", "Processing", "Types", "Downloads", "Files", "Paths", "Counted")
    assert [title for title in titles if title not in answer.out] == []
    assert "Latencies" in answer.out
    assert "The phase has never been changed." in answer.out
    assert "because" in answer.out
    assert "quarantine" in answer.out.partition("Comparisons")[0]


def test_nothing_of_one_person_is_told(varied: Site, call: Call) -> None:
    target = varied.folder / "report.html"

    said = call("report").said + call("report", "--json").said + call("report", "--html", str(target)).said

    for one in ("canary", "Canary", "example.org", "naked", "somebody else"):
        assert one not in said + target.read_text()


@pytest.mark.usefixtures("varied")
def test_counted_anew_unless_it_is_not_to_be(call: Call) -> None:
    unfilled = call("report", "--no-refresh", "--json")
    call("report")
    call("write", "99", "name=new", "email=", "type=INTJ")

    stale, fresh = call("report", "--no-refresh", "--json"), call("report", "--json")

    assert (unfilled.code, unfilled.json["figures"]) == (0, None)
    assert "never been counted" in unfilled.json["why_no_figures"]
    people = [answer.json["figures"]["processing"]["people"] for answer in (stale, fresh)]
    assert people == [10, 11]


def test_site_that_has_not_begun(site: Site, call: Call) -> None:
    target = site.folder / "report.html"

    answer, shown = call("report", "--html", str(target), "--json"), call("report")

    assert (answer.code, shown.code) == (0, 0)
    assert answer.json["phase"]["in_force"] is None
    assert answer.json["why_no_figures"] == "nothing has been synced yet"
    assert "No figures: nothing has been synced yet." in shown.out
    assert "nothing has been synced yet" in target.read_text()


@pytest.mark.usefixtures("site")
def test_database_without_the_schema(
    call: Call, empty_database: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DATABASE_URL", empty_database)

    answer = call("report", "--json")

    assert (answer.code, answer.json["figures"]) == (0, None)


def test_nobody_is_there(site: Site, call: Call) -> None:
    site.put(VARIED.splitlines(keepends=True)[0])
    call("sync")
    target = site.folder / "report.html"

    answer, shown = call("report", "--html", str(target), "--json"), call("report")

    assert (answer.code, shown.code) == (0, 0)
    assert answer.json["figures"]["processing"]["people"] == 0
    assert "Types: none." in shown.out
    assert "Nobody is there yet." in target.read_text()


def test_phase_original_has_no_figures(varied: Site, call: Call) -> None:
    call("report")
    with open_pipeline(varied.config) as pipeline:
        lead(pipeline, Phase.ORIGINAL)

    answer = call("report", "--json")

    assert (answer.code, answer.json["figures"]) == (0, None)
    assert "original" in answer.json["why_no_figures"]
    assert [one["after"] for one in answer.json["changes"]] == ["original"]


def test_postgres_away(varied: Site, call: Call, monkeypatch: pytest.MonkeyPatch) -> None:
    target = varied.folder / "report.html"
    monkeypatch.setenv("DATABASE_URL", "postgresql://somebody@127.0.0.1:1/people")

    answer = call("report", "--html", str(target), "--json")

    assert (answer.code, answer.json["error"]["code"]) == (4, "postgres_unavailable")
    assert not target.exists()


def test_page_takes_a_files_place_and_is_its_owners_only(varied: Site, call: Call) -> None:
    target = varied.folder / "report.html"
    target.write_text("old")
    target.chmod(0o644)

    answer = call("report", "--html", str(target), "--json")
    shown = call("report", "--html", str(target))

    assert (answer.code, shown.code) == (0, 0)
    assert target.read_text().startswith("<!DOCTYPE html>")
    assert target.stat().st_mode & 0o777 == 0o600
    assert answer.json["html"]["path"] == str(target)
    assert str(target) in shown.out
    assert answer.json.keys() == ANSWER | {"html"}


@pytest.mark.parametrize(
    ("target", "code", "known"),
    [
        ("missing/report.html", 4, "disk"),
        ("outputs", 5, "not_a_file"),
        ("outputs/output.csv", 5, "sites_own"),
        ("-", 2, None),
    ],
)
def test_page_is_written_to_a_file_of_its_own(
    varied: Site, call: Call, target: str, code: int, known: str | None
) -> None:
    answer = call("report", "--html", target if target == "-" else str(varied.folder / target), "--json")

    assert answer.code == code
    assert known is None or answer.json["error"]["code"] == known
    assert varied.csv.read_bytes() == VARIED
    assert not Path("-").exists()

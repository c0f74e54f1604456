"""Versions at the terminal: listed, restored, written to files and taken away; and never a cell's value."""

import re
import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import click
import pytest

from ingestion_pipeline.app import open_pipeline
from ingestion_pipeline.cli.restore import moment, restore
from ingestion_pipeline.domain.phase import Phase
from ingestion_pipeline_tests.cli.conftest import Call
from ingestion_pipeline_tests.conftest import Site
from ingestion_pipeline_tests.files import people, person, spelled
from ingestion_pipeline_tests.phases import lead

FOUR = spelled(people("4321"))
CANARY = "canary.person@example.org"


@pytest.fixture
def four(site: Site, call: Call) -> Site:
    """A site of four persons, both sides equal, with one version."""
    site.put(FOUR)
    assert call("sync").code == 0
    assert call("export").code == 0
    return site


def publish(site: Site, call: Call, number: int) -> list[str]:
    """So many versions more; gives their keys."""
    keys = []
    for turn in range(number):
        assert call("write", "1", f"link={CANARY} {turn}").code == 0
        keys.append(call("export", "--json").json["version"])
    assert site.csv.exists()
    return keys


def damage(site: Site, key: str) -> None:
    path = site.folder / "exports" / key
    path.chmod(0o600)
    path.write_bytes(b"damaged")


def lead_by_postgres(site: Site) -> None:
    with open_pipeline(site.config) as pipeline:
        lead(pipeline, Phase.DATABASE_PRIMARY)


# versions


def test_versions_are_listed_newest_first(four: Site, call: Call) -> None:
    keys = publish(four, call, 3)

    listed = call("versions", "--json")
    two, unread = call("versions", "--json", "--limit", "2"), call("versions", "--json", "--no-read")

    assert (listed.code, two.code, unread.code) == (0, 0, 0)
    assert listed.json["place"] == str(four.folder / "exports")
    found = listed.json["versions"]
    assert [one["key"] for one in found][:3] == keys[::-1]
    assert [one["key"] for one in two.json["versions"]] == keys[:0:-1]
    known = {"number": 1, "phase": "dual_write", "epoch": 1, "rows": 4, "size": len(FOUR), "good": True}
    assert {name: found[-1][name] for name in known} == known
    assert found[-1]["stored"]["form"] == "csv"
    assert [one["good"] for one in unread.json["versions"]] == [None] * 4
    assert re.search(r"output_\S+\.csv", call("versions").out)
    assert CANARY not in listed.said + call("versions").said


def test_more_than_twenty_are_listed_where_that_is_asked_for(four: Site, call: Call) -> None:
    with open_pipeline(four.config) as pipeline:
        for turn in range(21):
            pipeline.write("1", {"link": str(turn)})
            pipeline.export()

    assert len(call("versions", "--json").json["versions"]) == 20
    assert len(call("versions", "--json", "--all", "--no-read").json["versions"]) == 22


def test_version_that_is_not_good_is_a_finding(four: Site, call: Call) -> None:
    [bad, _] = publish(four, call, 2)
    damage(four, bad)

    listed, in_text = call("versions", "--json"), call("versions")
    newest, unread = call("versions", "--limit", "1"), call("versions", "--no-read")

    assert (listed.code, in_text.code, newest.code, unread.code) == (1, 1, 0, 0)
    assert [one["good"] for one in listed.json["versions"]] == [True, False, True]
    assert listed.json["versions"][1]["amiss"] == "its bytes are not those that were published"
    assert "its bytes" in in_text.out


def test_break_of_the_chain_is_a_finding(four: Site, call: Call) -> None:
    publish(four, call, 2)
    manifest = four.folder / "exports" / "csv-versions" / "manifests" / "00000002.json"
    manifest.unlink()

    listed, unread = call("versions", "--json"), call("versions", "--no-read", "--json")

    assert (listed.code, unread.code) == (1, 1)
    assert [one["good"] for one in listed.json["versions"]] == [True, False, True]
    assert listed.json["versions"][1]["amiss"] == "its manifest is gone"
    assert call("versions").code == 1


def test_version_that_was_kept_before_a_restore_says_so(four: Site, call: Call) -> None:
    [version] = publish(four, call, 1)
    call("write", "1", "link=later")

    call("restore", version)

    listed = call("versions", "--json").json["versions"]
    assert [one["before"] for one in listed] == [version, None, None]
    assert call("versions").out.count("before a restore") == 1


def test_without_versions_there_is_nothing_amiss(site: Site, call: Call) -> None:
    answer = call("versions")

    assert (answer.code, "none yet" in answer.out) == (0, True)
    assert call("versions", "--json").json == {"place": str(site.folder / "exports"), "versions": []}


# restore


def test_restore(four: Site, call: Call) -> None:
    publish(four, call, 1)
    before = four.csv.read_bytes()
    [_, version] = [one["key"] for one in call("versions", "--json").json["versions"]]

    dry = call("restore", version, "--dry-run", "--json")
    assert (dry.code, four.csv.read_bytes()) == (0, before)
    done = call("restore", version, "--json")

    assert (done.code, done.err, four.csv.read_bytes()) == (0, "", FOUR)
    counts = {"rows": 4, "inserted": 0, "updated": 1, "deleted": 0, "source": version, "phase": "dual_write"}
    assert {name: dry.json[name] for name in counts} == counts
    assert {name: done.json[name] for name in counts} == counts
    assert (dry.json["dry_run"], dry.json["sides"], dry.json["version_before"]) == (True, [], None)
    assert (done.json["dry_run"], done.json["sides"], done.json["equal"]) == (
        False,
        ["csv", "postgres"],
        True,
    )
    assert (four.folder / "exports" / done.json["version_before"]).read_bytes() == before
    assert CANARY not in dry.said + done.said


def test_people_are_told_what_would_be_done_and_what_was(four: Site, call: Call) -> None:
    publish(four, call, 1)
    [version] = [one["key"] for one in call("versions", "--json").json["versions"]][1:]

    dry, done = call("restore", version, "--dry-run"), call("restore", version)

    assert (dry.code, done.code) == (0, 0)
    for said in ("nothing was changed", "compare both sides", "updated"):
        assert said in " ".join(dry.out.split())
    for said in ("Restored", "version before", "csv and postgres", "equal"):
        assert said in done.out
    assert CANARY not in dry.said + done.said


@pytest.mark.parametrize("target", ["csv", "both"])
def test_restore_to_the_side_that_leads(four: Site, call: Call, target: str) -> None:
    publish(four, call, 1)
    call("write", "2", "link=x")

    assert call("restore", "latest", "--to", target).code == 0

    assert CANARY.encode() in four.csv.read_bytes()


def test_follower_alone_is_a_wrong_use(four: Site, call: Call) -> None:
    answer = call("restore", "latest", "--to", "postgres", "--json")

    assert (answer.code, answer.json["error"]["code"]) == (2, "follows")
    assert four.csv.read_bytes() == FOUR


def test_restore_to_a_file(four: Site, call: Call) -> None:
    publish(four, call, 1)
    before = four.csv.read_bytes()
    [version] = [one["key"] for one in call("versions", "--json").json["versions"]][1:]

    answer = call("restore", version, "--to", "old.csv", "--json")

    assert (answer.code, answer.json["source"], answer.json["size"]) == (0, version, len(FOUR))
    assert (four.folder / "old.csv").read_bytes() == FOUR
    assert four.csv.read_bytes() == before
    assert "Written" in call("restore", "latest", "--to", "older.csv").out
    own = call("restore", version, "--to", str(four.csv), "--json")
    assert (own.code, own.json["error"]["code"]) == (5, "sites_own")


def test_damaged_version_is_refused_and_the_one_before_it_named(four: Site, call: Call) -> None:
    good, bad = publish(four, call, 2)
    damage(four, bad)
    before = four.csv.read_bytes()

    for arguments in ((), ("--dry-run",), ("--to", "x.csv")):
        in_json, in_text = (
            call("restore", "latest", *arguments, "--json"),
            call("restore", "latest", *arguments),
        )
        assert (in_json.code, in_text.code) == (3, 3)
        assert in_json.json["error"]["code"] == "version_damaged"
        assert good in in_json.json["error"]["hint"]
        assert good in in_text.err

    assert four.csv.read_bytes() == before
    assert not (four.folder / "x.csv").exists()


def test_brake(four: Site, call: Call) -> None:
    four.put(spelled(people([*"4321", *range(100, 130)])))
    call("sync")
    [version] = [one["key"] for one in call("versions", "--json").json["versions"]]

    stopped, let = call("restore", version, "--json"), call("restore", version, "--accept-loss", "--json")

    assert (stopped.code, stopped.json["error"]["code"]) == (5, "brake")
    assert (let.code, let.json["deleted"], four.csv.read_bytes()) == (0, 30, FOUR)


def test_database_that_leads_and_is_empty(four: Site, call: Call) -> None:
    lead_by_postgres(four)
    four.execute("DELETE FROM ingestion.migration_state")

    stopped = call("restore", "latest", "--json")

    assert (stopped.code, stopped.json["error"]["code"]) == (5, "database_empty")
    assert call("restore", "latest", "--accept-loss").code == 0


@pytest.fixture
def _elsewhere() -> Iterator[None]:
    """This machine's zone is another one."""
    with pytest.MonkeyPatch.context() as patched:
        patched.setenv("TZ", "Etc/GMT-5")
        time.tzset()
        yield
    time.tzset()


@pytest.mark.usefixtures("_elsewhere")
def test_as_of(four: Site, call: Call) -> None:
    at = datetime.now(UTC)
    publish(four, call, 1)
    local = at.astimezone()
    assert local.utcoffset() == timedelta(hours=5)

    for text in (at.isoformat(), f"{at:%Y-%m-%d %H:%M:%S.%f}Z", f"{local:%Y-%m-%dT%H:%M:%S.%f}"):
        target = four.folder / "as_of.csv"
        target.unlink(missing_ok=True)
        answer = call("restore", "--as-of", text, "--to", str(target), "--json")
        assert (answer.code, target.read_bytes()) == (0, FOUR)
        assert datetime.fromisoformat(answer.json["source"]) == at
    dry = call("restore", "--as-of", at.isoformat(), "--dry-run", "--json")
    assert (dry.code, dry.json["updated"]) == (0, 1)
    done = call("restore", "--as-of", at.isoformat(), "--json")
    assert (done.code, done.json["equal"], four.csv.read_bytes()) == (0, True, FOUR)


def test_as_of_so_long_ago(four: Site, call: Call) -> None:
    publish(four, call, 1)
    answer = call("restore", "--as-of", "0 seconds ago", "--to", "now.csv", "--json")
    assert (answer.code, (four.folder / "now.csv").read_bytes()) == (0, four.csv.read_bytes())

    for text, seconds in (
        ("90 seconds ago", 90),
        ("5 minutes ago", 300),
        ("1 hour ago", 3600),
        ("2 days ago", 172_800),
    ):
        early = call("restore", "--as-of", text, "--dry-run", "--json")
        assert (early.code, early.json["error"]["code"]) == (2, "before_history")
        meant = datetime.now(UTC) - _moment_of(text)
        assert abs(meant.total_seconds() - seconds) < 10


def _moment_of(text: str) -> datetime:
    found = moment(click.Context(restore), restore.params[1], text)
    assert found is not None
    return found


def test_as_of_a_time_to_come(four: Site, call: Call) -> None:
    answer = call("restore", "--as-of", (datetime.now(UTC) + timedelta(hours=1)).isoformat(), "--json")

    assert (answer.code, answer.json["error"]["code"]) == (2, "in_future")
    assert four.csv.read_bytes() == FOUR


@pytest.mark.parametrize(
    "arguments",
    [
        ("restore",),
        ("restore", "latest", "--as-of", "0 seconds ago", "--dry-run"),
        ("restore", "--as-of", "yesterday"),
        ("restore", "--as-of", "99999999999 weeks ago"),
        ("restore", "latest", "--to", "x.csv", "--dry-run"),
        ("restore", "no such"),
        ("versions", "--limit", "0"),
        ("restore", "--database", "--as-of", "5 minutes ago"),
        ("restore", "latest", "--database", "--to", "y.csv"),
        ("restore", "latest", "--to", "-"),
        ("restore", "latest", "--to", "CSV"),
        ("render", "--unescape", "x.csv", "--to", "-"),
        ("render", "--unescape", "nowhere.csv", "--to", "y.csv"),
        ("render", "--unescape", "x.csv", "--spreadsheet", "--to", "y.csv"),
    ],
)
def test_usage(four: Site, call: Call, arguments: tuple[str, ...]) -> None:
    (four.folder / "x.csv").write_bytes(FOUR)

    assert call(*arguments).code == 2

    assert (four.folder / "x.csv").read_bytes() == FOUR
    assert not (four.folder / "y.csv").exists()


# dumps


def test_restore_of_a_dump(four: Site, call: Call) -> None:
    lead_by_postgres(four)
    key = call("backup", "--json").json["backup"]
    assert call("write", "1", f"link={CANARY}").code == 0
    listed = call("versions", "--database", "--json").json["versions"]
    assert [(one["key"], one["good"]) for one in listed] == [(key, True)]

    dry = call("restore", "latest", "--database", "--dry-run", "--json")
    in_text = call("restore", key, "--database", "--dry-run")
    assert (dry.code, in_text.code) == (0, 0)
    assert (dry.json["source"], dry.json["rows"], dry.json["dry_run"]) == (key, 4, True)
    assert "nothing was changed" in in_text.out
    done = call("restore", "latest", "--database", "--json")

    assert (done.code, done.json["equal"], done.json["epoch"]) == (0, True, dry.json["epoch"] + 1)
    assert four.csv.read_bytes() == FOUR
    assert CANARY not in dry.said + in_text.said + done.said


def test_damaged_dump_is_refused(four: Site, call: Call) -> None:
    first, second = (call("backup", "--json").json["backup"] for _ in range(2))
    damage(four, second)

    refused = call("restore", "latest", "--database", "--json")

    assert refused.code == 3
    assert first in refused.json["error"]["hint"]


# prune


def test_prune(four: Site, call: Call) -> None:
    keys = publish(four, call, 4)
    none = call("prune")
    assert (none.code, "All are kept" in none.out) == (0, True)
    assert call("prune", "--json").json == {"keep": None, "versions": [], "dry_run": False}
    four.config.write_text("migration:\n  phase: dual_write\nexports:\n  keep:\n    last: 3\n")

    dry, in_text = call("prune", "--dry-run", "--json"), call("prune", "--dry-run")
    assert len(call("versions", "--json").json["versions"]) == 5
    done = call("prune", "--json")

    assert (dry.code, in_text.code, done.code) == (0, 0, 0)
    assert (dry.json["versions"], dry.json["dry_run"]) == (done.json["versions"], True)
    assert len(done.json["versions"]) == 2
    assert done.json["versions"][0] == keys[0]
    assert done.json["keep"]["last"] == 3
    assert "nothing was changed" in in_text.out
    listed = call("versions", "--json")
    assert (listed.code, [one["key"] for one in listed.json["versions"]]) == (0, keys[:0:-1])
    assert "none that need not be kept" in call("prune").out


# render


def test_render_for_a_spreadsheet_and_back(site: Site, call: Call) -> None:
    site.put(spelled([person(2, name="=1+1"), person(1, link="@x", name="-5")], end="\r\n"))
    call("sync")

    there = call("render", "--spreadsheet", "--to", "sheet.csv", "--json")
    back = call("render", "--unescape", "sheet.csv", "--to", "back.csv", "--json")
    out = call("render", "--spreadsheet", "--to", "-")

    assert (there.code, back.code, out.code, there.json["rows"], back.json["rows"]) == (0, 0, 0, 2, 2)
    assert b",'=1+1," in Path("sheet.csv").read_bytes()
    assert Path("back.csv").read_bytes() == site.csv.read_bytes()
    assert ",'@x," in out.out
    assert (call("render", "--spreadsheet", "--to", str(site.csv)).code, site.csv.exists()) == (5, True)
    assert "Unescaped" in call("render", "--unescape", "sheet.csv", "--to", "back.csv").out

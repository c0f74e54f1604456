"""change phase: through each gate there and back, shut by each reason alone, whatever comes between."""

import errno
import io
import json
import os
import subprocess
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from ingestion_pipeline.app import Pipeline, changing, open_pipeline
from ingestion_pipeline.app.changing import Changing, How
from ingestion_pipeline.domain.errors import PipelineError, ProtectedError, SettingsError, UnavailableError
from ingestion_pipeline.domain.phase import Move, Phase, Side
from ingestion_pipeline.domain.phase_change import PhaseChange
from ingestion_pipeline.domain.quarantine import Decision
from ingestion_pipeline.domain.reports import State
from ingestion_pipeline.domain.transition import Condition
from ingestion_pipeline.operations import switch as switching
from ingestion_pipeline.operations.change_phase import ChangeReport
from ingestion_pipeline.operations.sync import first_sync
from ingestion_pipeline.stores.atomic import Draft
from ingestion_pipeline.stores.disk.csv_store import CsvStore
from ingestion_pipeline.stores.disk.locked_csv import LockedCsv
from ingestion_pipeline.stores.postgres import schema
from ingestion_pipeline.stores.postgres.fence import PostgresFence
from ingestion_pipeline.stores.postgres.tables import PostgresTables
from ingestion_pipeline_tests.conftest import Server, Site
from ingestion_pipeline_tests.files import assert_agree, content, people, person, rendered, spelled
from ingestion_pipeline_tests.phases import lead
from ingestion_pipeline_tests.proxy import Proxy
from ingestion_pipeline_tests.remote import proxy, remote
from ingestion_pipeline_tests.strays import stray

__all__ = ["proxy", "remote"]

ORIGINAL, DUAL, PRIMARY, NATIVE = Phase
NEW = {"name": "New", "email": "", "type": ""}
FOUR = spelled(people("4321"))
EDITED = spelled([person(4), person(3, name="edited"), *people("21")])
PAST_TRIGGERS = "SET session_replication_role = replica; "


def let_pass(*conditions: Condition, **how: Any) -> How:
    return How(overrides=frozenset(conditions), because="it is known", **how)


@pytest.fixture
def four(site: Site, pipeline: Pipeline) -> Pipeline:
    """A site of four persons in dual_write, both sides equal."""
    site.put(FOUR)
    pipeline.sync()
    return pipeline


@pytest.fixture
def far(site: Site, remote: Pipeline) -> Pipeline:
    """The same, with a line to PostgreSQL that can be cut."""
    site.put(FOUR)
    remote.sync()
    return remote


def unmet(report: ChangeReport) -> list[Condition]:
    assert report.shut is not None
    return [one.condition for one in report.shut.unmet]


def hidden(site: Site, name: str) -> bytes | None:
    path = site.csv.with_name(f".{site.csv.name}.ingestion") / name
    return path.read_bytes() if path.exists() else None


def standing(site: Site) -> tuple[object, ...]:
    """All that a gate that stays shut must leave as it is."""
    state = stray(site.database, "SELECT xmin::text, t.* FROM ingestion.migration_state t")
    csv = site.csv.read_bytes() if site.csv.exists() else None
    return hidden(site, "ledger.json"), hidden(site, "phases.jsonl"), state, csv


def assert_in(site: Site, pipeline: Pipeline, phase: Phase) -> None:
    """This phase is in force on both sides, and where both have a part, they are equal."""
    state = pipeline.in_force()
    assert (state.phase, pipeline.tables.state(), pipeline.csv.state()) == (phase, state, state)
    assert pipeline.phase.changing() is None
    if phase in (DUAL, PRIMARY):
        pipeline.settle()
        assert_agree(site, pipeline)


@contextmanager
def before_the_fence(monkeypatch: pytest.MonkeyPatch, *plant: Callable[[], object]) -> Iterator[None]:
    """Have something done each time, in turn, between the comparison and the switch."""
    left = list(plant)
    switch = Changing.switch

    def planted(actions: Changing, *args: Any) -> Any:
        if left:
            left.pop(0)()
        return switch(actions, *args)

    with monkeypatch.context() as patch:
        patch.setattr(Changing, "switch", planted)
        yield
    assert left == []


# There and back.


def test_there_and_back_over_every_phase(site: Site, pipeline: Pipeline) -> None:
    pipeline.sync()
    before = site.csv.read_bytes()

    for phase in (PRIMARY, NATIVE, PRIMARY, DUAL, ORIGINAL, DUAL, PRIMARY, NATIVE):
        lead(pipeline, phase)
        assert_in(site, pipeline, phase)
        assert rendered(pipeline) == site.csv.read_bytes() == before

    lead(pipeline, ORIGINAL)
    assert pipeline.in_force() == State(ORIGINAL, 12)
    assert [change.after for change in pipeline.phase.history()] == [
        PRIMARY,
        NATIVE,
        PRIMARY,
        DUAL,
        ORIGINAL,
        DUAL,
        PRIMARY,
        NATIVE,
        PRIMARY,
        DUAL,
        ORIGINAL,
    ]
    assert site.csv.read_bytes() == before


def test_writes_of_every_phase_come_along(site: Site, four: Pipeline) -> None:
    way = (PRIMARY, NATIVE, PRIMARY, DUAL, ORIGINAL, DUAL, PRIMARY)

    for number, phase in enumerate(way):
        lead(four, phase)
        receipt = four.write("1", {"link": f"l{number}"})
        four.write(f"n{number}", NEW)
        assert receipt.durable_in is phase.authority
    four.settle()

    assert_in(site, four, PRIMARY)
    assert (four.read("1") or {})["link"] == "l6"
    assert [row["row_id"] for row in four.rows()] == [*(f"n{number}" for number in range(6, -1, -1)), *"4321"]


def test_several_gates_are_passed_at_once_each_with_its_own_receipt(site: Site, four: Pipeline) -> None:
    report = four.phase.advance(NATIVE)

    assert (report.began, report.state, report.shut) == (State(DUAL, 1), State(NATIVE, 3), None)
    assert [(one.before, one.after, one.epoch) for one in report.changes] == [
        (DUAL, PRIMARY, 2),
        (PRIMARY, NATIVE, 3),
    ]
    assert list(report.changes) == four.phase.history()
    assert report.changes[0].equal_after
    assert all((one.pause or 0) > 0 and one.version_before and one.compared_at for one in report.changes)
    assert_in(site, four, NATIVE)


def test_receipt_says_who_went_where_and_what_the_gate_went_by(four: Pipeline) -> None:
    [change] = four.phase.advance(PRIMARY, How(run_id="run")).changes

    assert (change.by_hand, change.wanted, change.run_id) == (True, DUAL, "run")
    assert (change.overridden, change.because, change.unfinished) == ((), None, None)
    assert change.csv_sha256 == four.csv.sha256()
    assert (change.drained, change.rechecked) == (0, 0)
    assert change.version_before == change.version_after


@pytest.mark.usefixtures("four")
def test_configuration_s_phase_is_applied_until_somebody_decides_otherwise(site: Site) -> None:
    site.config.write_text("migration:\n  phase: database_native\n")
    with open_pipeline(site.config) as opened:
        assert opened.phase.wants_change()
        assert opened.phase.apply().state.phase is NATIVE
        opened.phase.rollback()
        assert opened.phase.apply().state.phase is PRIMARY
        assert not opened.phase.wants_change()
    site.config.write_text("migration:\n  phase: dual_write\n")
    with open_pipeline(site.config) as opened:
        assert opened.phase.apply().state.phase is DUAL
        assert not opened.phase.history()[-1].by_hand


def test_forward_is_not_back(four: Pipeline) -> None:
    for go, to, code in (
        (four.phase.advance, ORIGINAL, "not_ahead"),
        (four.phase.rollback, NATIVE, "not_behind"),
    ):
        with pytest.raises(SettingsError) as refused:
            go(to)
        assert refused.value.code == code
    assert four.phase.advance(DUAL).changes == ()


def test_two_do_not_change_the_phase_at_once(site: Site, four: Pipeline) -> None:
    before = standing(site)

    with four.csv.switching(), pytest.raises(UnavailableError) as refused:
        four.phase.advance(PRIMARY)

    assert refused.value.code == "changing"
    assert standing(site) == before


# Each reason alone.


def test_difference_shuts_the_gate(site: Site, four: Pipeline) -> None:
    site.execute("UPDATE people SET name = 'canary' WHERE row_id = '1'")
    before = standing(site)

    report = four.phase.advance(PRIMARY)

    assert Condition.DIFFERENCES in unmet(report)
    assert set(unmet(report)) <= {Condition.DIFFERENCES, Condition.BYTES_DIFFER, Condition.NOT_REHEARSED}
    assert "canary" not in repr(report)
    assert standing(site) == before
    four.sync()
    assert four.phase.advance(PRIMARY).state.phase is PRIMARY


def test_undecided_row_shuts_the_gate(site: Site, pipeline: Pipeline) -> None:
    site.put(spelled([*people("21"), person("", name="nobody")]))
    pipeline.sync()
    before = standing(site)

    report = pipeline.phase.advance(PRIMARY)

    assert unmet(report) == [Condition.UNDECIDED]
    assert "1 quarantine entry" in ((report.shut and report.shut.unmet[0].why) or "")
    assert standing(site) == before


def test_edited_csv_shuts_the_gate_until_it_is_merged(site: Site, four: Pipeline) -> None:
    four.write("1", {"link": "l"})
    site.put(EDITED)
    before = standing(site)

    report = four.phase.advance(PRIMARY)

    assert unmet(report) == [Condition.CSV_EDITED]
    assert standing(site) == before
    four.settle()
    assert four.phase.advance(PRIMARY).state.phase is PRIMARY
    assert ((four.read("3") or {})["name"], (four.read("1") or {})["link"]) == ("edited", "l")


def test_csv_that_is_gone_shuts_the_gate(site: Site, four: Pipeline) -> None:
    site.csv.unlink()
    before = standing(site)

    assert unmet(four.phase.advance(PRIMARY)) == [Condition.CSV_MISSING]
    assert unmet(four.phase.rollback(ORIGINAL)) == [Condition.CSV_MISSING]
    assert standing(site) == before


def refuse(*_: object, **__: object) -> None:
    raise ProtectedError("PostgreSQL refuses it", code="refused")


def test_row_that_postgres_refuses_shuts_the_gate(
    site: Site, four: Pipeline, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(PostgresTables, "follow", refuse)
    four.write("1", {"name": "pending"})
    before = standing(site)

    assert Condition.PENDING in [one.condition for one in four.phase.plan().verdicts[0].unmet]
    with pytest.raises(ProtectedError, match="PostgreSQL refuses it"):
        four.phase.advance(PRIMARY)

    assert standing(site) == before
    monkeypatch.undo()


def test_postgres_away_shuts_the_gate(site: Site, far: Pipeline, proxy: Proxy) -> None:
    before = standing(site)
    proxy.away()

    assert unmet(far.phase.advance(PRIMARY)) == [Condition.POSTGRES_AWAY]
    assert unmet(far.phase.rollback(ORIGINAL)) == [Condition.POSTGRES_AWAY]

    assert standing(site) == before
    proxy.back()
    assert far.phase.advance(PRIMARY).state.phase is PRIMARY


@pytest.fixture
def own(server: Server, template: str, site: Site, monkeypatch: pytest.MonkeyPatch) -> Iterator[Pipeline]:
    """A site of four persons with a database of its own, whose schema may be changed."""
    with server.new_database(template) as url:
        monkeypatch.setenv("DATABASE_URL", url)
        site.put(FOUR)
        with open_pipeline(site.config) as opened:
            opened.sync()
            yield opened


def test_schema_that_is_behind_shuts_the_gate(site: Site, own: Pipeline) -> None:
    schema.downgrade(own.pool, "0002")
    before = standing(site)

    with open_pipeline(site.config) as opened:
        report = opened.phase.advance(PRIMARY)
        assert unmet(report) == [Condition.SCHEMA_BEHIND]
        assert standing(site) == before
        schema.upgrade(opened.pool)
        assert opened.phase.advance(PRIMARY).state.phase is PRIMARY


class FullDraft:
    """Takes some bytes, and then the disk is full."""

    def __init__(self, scratch: Draft, room: int) -> None:
        self._scratch, self._room = scratch, room

    def write(self, data: bytes, /) -> object:
        self._room -= len(data)
        if self._room < 0:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        self._scratch.write(data)
        return None

    def settle(self) -> object:
        return self._scratch.settle()


@pytest.mark.parametrize("room", [-1, 0, 100])
def test_disk_without_room_for_the_way_back_shuts_the_gate(
    site: Site, four: Pipeline, monkeypatch: pytest.MonkeyPatch, room: int
) -> None:
    scratch = CsvStore.scratch

    @contextmanager
    def full(csv: CsvStore) -> Iterator[FullDraft]:
        if room < 0:
            raise UnavailableError("No space left on device", code="disk")
        with scratch(csv) as new:
            yield FullDraft(new, room)

    monkeypatch.setattr(CsvStore, "scratch", full)
    before = standing(site)

    report = four.phase.advance(PRIMARY)

    assert unmet(report) == [Condition.NOT_REHEARSED]
    assert "No space left" in ((report.shut and report.shut.unmet[0].why) or "")
    assert standing(site) == before
    monkeypatch.undo()


@pytest.fixture
def small_disk(site: Site) -> Iterator[Path]:
    """A disk of 256 KiB under the CSV."""
    mount = ["mount", "-t", "tmpfs", "-o", "size=256k", "tmpfs", str(site.csv.parent)]
    if os.geteuid() != 0 or subprocess.run(mount, check=False, capture_output=True).returncode:
        pytest.skip("only root mounts a disk")
    try:
        yield site.csv.parent
    finally:
        subprocess.run(["umount", "-l", str(site.csv.parent)], check=True)


def test_full_disk_shuts_the_gate_and_room_opens_it(site: Site, small_disk: Path, pipeline: Pipeline) -> None:
    site.put(spelled([person(key, document_text="x" * 10_000) for key in range(6)]))
    pipeline.sync()
    ballast = small_disk / "ballast"
    ballast.write_bytes(b"x" * 140_000)
    before = standing(site)

    report = pipeline.phase.advance(PRIMARY)

    assert unmet(report) == [Condition.NOT_REHEARSED]
    assert "No space left" in ((report.shut and report.shut.unmet[0].why) or "")
    assert standing(site) == before
    ballast.unlink()
    assert pipeline.phase.advance(PRIMARY).state.phase is PRIMARY
    assert not list(small_disk.rglob("*scratch*"))


def test_writes_the_csv_took_in_shut_the_gate_until_postgres_has_them(
    site: Site, far: Pipeline, proxy: Proxy, monkeypatch: pytest.MonkeyPatch
) -> None:
    lead(far, PRIMARY)
    proxy.away()
    far.write("1", {"name": "taken in"})
    proxy.back()
    monkeypatch.setattr(PostgresTables, "take_back", refuse)
    before = standing(site)

    shut = far.phase.plan().verdicts[0]
    assert Condition.FALLBACK in [one.condition for one in shut.unmet]
    with pytest.raises(ProtectedError, match="PostgreSQL refuses it"):
        far.phase.advance(NATIVE)

    assert standing(site) == before
    monkeypatch.undo()
    assert far.phase.advance(NATIVE).state.phase is NATIVE
    assert (far.read("1") or {})["name"] == "taken in"


def planned(pipeline: Pipeline, after: Phase) -> list[Condition]:
    [verdict] = [one for one in pipeline.phase.plan().verdicts if one.move.after is after]
    return [one.condition for one in verdict.unmet]


def test_plan_names_what_a_change_of_phase_would_see_to(site: Site, four: Pipeline) -> None:
    assert planned(four, PRIMARY) == [Condition.NEVER_COMPARED]
    four.compare()
    assert planned(four, PRIMARY) == [Condition.NOT_REHEARSED]
    four.write("1", {"link": "l"})
    assert planned(four, PRIMARY) == [Condition.STALE_PROOF, Condition.NOT_REHEARSED]
    assert planned(four, ORIGINAL) == []
    before = standing(site), content(site)
    assert four.phase.plan().state == State(DUAL, 1)
    assert (standing(site), content(site)) == before


def test_plan_of_a_site_that_never_synced_says_so(pipeline: Pipeline) -> None:
    pipeline.begin()
    assert planned(pipeline, PRIMARY) == [Condition.NOT_SYNCED]


# What comes between.


def write(pipeline: Pipeline, row_id: str, **cells: str) -> Callable[[], object]:
    return lambda: pipeline.write(row_id, cells)


def test_writes_that_come_between_are_looked_at_again(
    site: Site, four: Pipeline, monkeypatch: pytest.MonkeyPatch
) -> None:
    def both() -> None:
        four.write("1", {"name": "late"})
        four.write("new", NEW)

    with before_the_fence(monkeypatch, both):
        report = four.phase.advance(PRIMARY)

    assert report.state.phase is PRIMARY
    assert report.changes[0].rechecked >= 2
    assert [row["row_id"] for row in four.rows()] == ["new", *"4321"]
    assert_in(site, four, PRIMARY)


def test_write_that_is_pending_still_is_drained_while_nobody_writes(
    site: Site, four: Pipeline, monkeypatch: pytest.MonkeyPatch
) -> None:
    def pending() -> None:
        with monkeypatch.context() as patch:
            patch.setattr(PostgresTables, "follow", refuse)
            four.write("1", {"name": "late"})

    with before_the_fence(monkeypatch, pending):
        report = four.phase.advance(PRIMARY)

    assert (report.state.phase, report.changes[0].drained) == (PRIMARY, 1)
    assert (four.read("1") or {})["name"] == "late"
    assert_in(site, four, PRIMARY)


def test_too_many_writes_that_come_between_have_both_sides_compared_anew(
    site: Site, four: Pipeline, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(switching, "RECHECKED", 2)

    def many() -> None:
        for key in "123":
            four.write(key, {"name": "late"})

    with before_the_fence(monkeypatch, many):
        report = four.phase.advance(PRIMARY)

    assert report.state.phase is PRIMARY
    assert sum(step.startswith("compare both sides, and") for step in report.steps) == 2
    assert_in(site, four, PRIMARY)


def test_gate_gives_up_where_too_much_comes_between_each_time(
    site: Site, four: Pipeline, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(switching, "RECHECKED", 0)
    one = write(four, "1", name="late")

    with before_the_fence(monkeypatch, one, write(four, "1", name="later"), write(four, "1", name="last")):
        report = four.phase.advance(PRIMARY)

    assert (unmet(report), report.state) == ([Condition.STALE_PROOF], State(DUAL, 1))
    assert (four.read("1") or {})["name"] == "last"
    assert_in(site, four, DUAL)


BETWEEN = {
    "a cell": "UPDATE people SET name = 'stray' WHERE row_id = '1'",
    "a status": "UPDATE processing_status SET processed = true",
    "a map": """UPDATE s3_metadata SET file_uuids = '{"a": "b"}'""",
    "one gone": "DELETE FROM people WHERE row_id = '2'",
    "one more": "INSERT INTO people (row_id, name, email, type) VALUES ('n', '', '', '')",
    "one gone and one more": """
        DELETE FROM people WHERE row_id = '2';
        INSERT INTO people (row_id, name, email, type) VALUES ('n', '', '', '')
    """,
    "a status gone": """
        DELETE FROM processing_status WHERE person_id = (SELECT id FROM people WHERE row_id = '1')
    """,
    "another row_id": "UPDATE people SET row_id = 'other' WHERE row_id = '2'",
    "places exchanged": """
        UPDATE people SET ordinal = (SELECT sum(ordinal) FROM people WHERE row_id IN ('1', '2')) - ordinal
        WHERE row_id IN ('1', '2')
    """,
    "all gone": "DELETE FROM people",
}
SET = spelled([person(key, processed="TRUE") for key in "4321"])


@pytest.mark.parametrize("statement", BETWEEN.values(), ids=BETWEEN)
def test_change_past_all_triggers_that_comes_between_is_caught_at_the_fence(
    site: Site, pipeline: Pipeline, monkeypatch: pytest.MonkeyPatch, statement: str
) -> None:
    site.put(spelled([person(key, document_text="text") for key in "4321"]))
    pipeline.sync()
    ledger, log = hidden(site, "ledger.json"), hidden(site, "phases.jsonl")
    before = site.csv.read_bytes()

    with before_the_fence(monkeypatch, lambda: stray(site.database, PAST_TRIGGERS + statement)):
        report = pipeline.phase.advance(PRIMARY)

    assert Condition.DIFFERENCES in unmet(report)
    assert (hidden(site, "ledger.json"), hidden(site, "phases.jsonl")) == (ledger, log)
    assert (site.csv.read_bytes(), pipeline.tables.state()) == (before, State(DUAL, 1))


@pytest.mark.parametrize("move", [(PRIMARY, NATIVE), (NATIVE, PRIMARY), (PRIMARY, DUAL)], ids=str)
@pytest.mark.parametrize("statement", BETWEEN.values(), ids=BETWEEN)
def test_what_postgres_that_leads_got_between_is_in_the_csv(
    site: Site, four: Pipeline, monkeypatch: pytest.MonkeyPatch, statement: str, move: tuple[Phase, Phase]
) -> None:
    lead(four, move[0])
    if move[0] is NATIVE:
        four.write("4", {"link": "not in the CSV yet"})

    with before_the_fence(monkeypatch, lambda: stray(site.database, statement)):
        lead(four, move[1])

    assert site.csv.read_bytes() == rendered(four)
    if move[1] is not NATIVE:
        assert_in(site, four, move[1])


@pytest.mark.parametrize("put", [EDITED, spelled(people("43"))], ids=["edited", "rows gone"])
def test_csv_that_is_edited_between_is_caught_at_the_fence(
    site: Site, four: Pipeline, monkeypatch: pytest.MonkeyPatch, put: bytes
) -> None:
    before = standing(site)

    with before_the_fence(monkeypatch, lambda: site.put(put)):
        report = four.phase.advance(PRIMARY)

    assert Condition.CSV_EDITED in unmet(report)
    assert standing(site) == (*before[:-1], put)


def test_csv_that_is_gone_between_is_caught_at_the_fence(
    site: Site, four: Pipeline, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = standing(site)

    with before_the_fence(monkeypatch, site.csv.unlink):
        report = four.phase.advance(PRIMARY)

    assert Condition.CSV_MISSING in unmet(report)
    assert standing(site) == (*before[:-1], None)


@pytest.fixture
def accepted(site: Site, pipeline: Pipeline) -> int:
    """A site in dual_write with one cell in quarantine that may stay as it is."""
    site.put(spelled([person(2, processed="maybe"), person(1)]))
    pipeline.sync()
    pipeline.write("1", {"link": "l"})
    [entry] = pipeline.quarantine()
    pipeline.decide(entry.id, Decision.ACCEPT, {})
    return entry.id


def fixed(pipeline: Pipeline, number: int) -> Callable[[], object]:
    return lambda: pipeline.decide(number, Decision.FIX, {"processed": "yes"})


def test_decision_that_comes_between_is_caught_at_the_fence(
    site: Site, pipeline: Pipeline, accepted: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    with before_the_fence(monkeypatch, fixed(pipeline, accepted)):
        report = pipeline.phase.advance(PRIMARY)

    assert Condition.DIFFERENCES in unmet(report)
    pipeline.sync()
    assert pipeline.phase.advance(PRIMARY).state.phase is PRIMARY
    assert (pipeline.read("2") or {})["processed"] == "yes"
    assert_in(site, pipeline, PRIMARY)


def test_decision_that_is_synced_between_has_both_sides_compared_anew(
    site: Site, pipeline: Pipeline, accepted: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    with before_the_fence(monkeypatch, lambda: (fixed(pipeline, accepted)(), pipeline.sync())):
        report = pipeline.phase.advance(PRIMARY)

    assert report.state.phase is PRIMARY
    assert (pipeline.read("2") or {})["processed"] == "yes"
    assert_in(site, pipeline, PRIMARY)


def test_decision_that_is_interrupted_shuts_the_gate(
    site: Site, pipeline: Pipeline, accepted: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    def interrupted() -> None:
        with monkeypatch.context() as patch:
            patch.setattr(PostgresTables, "decide", refuse)
            with pytest.raises(ProtectedError, match="PostgreSQL refuses it"):
                fixed(pipeline, accepted)()

    with before_the_fence(monkeypatch, interrupted):
        report = pipeline.phase.advance(PRIMARY)

    assert Condition.CSV_EDITED in unmet(report)
    pipeline.settle()
    assert pipeline.phase.advance(PRIMARY).state.phase is PRIMARY
    assert (pipeline.read("2") or {})["processed"] == "yes"
    assert_in(site, pipeline, PRIMARY)


def test_write_over_a_cell_in_quarantine_that_comes_between_costs_no_comparison(
    site: Site, pipeline: Pipeline, accepted: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    with before_the_fence(monkeypatch, write(pipeline, "2", processed="yes")):
        report = pipeline.phase.advance(PRIMARY)

    assert report.state.phase is PRIMARY
    assert sum(step.startswith("compare both sides, and") for step in report.steps) == 1
    [entry] = [one for one in pipeline.quarantine(decided=True) if one.id == accepted]
    assert entry.decision is Decision.SUPERSEDED
    assert_in(site, pipeline, PRIMARY)


def test_decision_waits_until_the_first_sync_is_over(
    site: Site, alone: Pipeline, monkeypatch: pytest.MonkeyPatch
) -> None:
    site.put(spelled([person(2, processed="maybe"), person(1)]))

    def decide() -> None:
        [entry] = alone.quarantine()
        with pytest.raises(ProtectedError) as refused:
            fixed(alone, entry.id)()
        assert refused.value.code == "no_follower"

    with before_the_fence(monkeypatch, decide):
        alone.phase.advance(DUAL)

    assert_in(site, alone, DUAL)


def rewritten_by_others(site: Site) -> None:
    site.put(EDITED)


def taken_away(site: Site) -> None:
    site.csv.unlink()


@pytest.mark.parametrize("meddle", [rewritten_by_others, taken_away])
def test_going_back_renders_the_csv_whatever_lies_there(
    site: Site, four: Pipeline, meddle: Callable[[Site], None]
) -> None:
    lead(four, PRIMARY)
    four.write("4", {"name": "acknowledged"})
    meddle(site)

    lead(four, ORIGINAL)

    assert site.csv.read_bytes() == spelled([person(4, name="acknowledged"), *people("321")])


@pytest.mark.parametrize("meddle", [rewritten_by_others, taken_away])
def test_going_back_is_not_stopped_by_who_keeps_rewriting_the_csv(
    site: Site, four: Pipeline, monkeypatch: pytest.MonkeyPatch, meddle: Callable[[Site], None]
) -> None:
    lead(four, PRIMARY)

    with before_the_fence(monkeypatch, lambda: meddle(site)):
        report = four.phase.rollback()

    assert report.state.phase is DUAL
    assert site.csv.read_bytes() == FOUR
    assert_in(site, four, DUAL)


def test_a_ledger_from_a_copy_lets_nobody_write_the_csv(site: Site, four: Pipeline) -> None:
    ledger = site.csv.with_name(f".{site.csv.name}.ingestion") / "ledger.json"
    four.write("3", {"name": "before"})
    kept = ledger.read_bytes()
    lead(four, PRIMARY)
    ledger.write_bytes(kept)

    receipt = four.write("4", {"name": "acknowledged"})

    assert receipt.durable_in is Side.POSTGRES
    assert_in(site, four, PRIMARY)
    assert (four.read("4") or {})["name"] == "acknowledged"


# The first sync, while others write.


@pytest.fixture
def alone(site: Site, pipeline: Pipeline) -> Pipeline:
    """A site of four persons in which PostgreSQL has no part yet."""
    site.config.write_text("migration:\n  phase: original\n")
    site.put(FOUR)
    with open_pipeline(site.config) as opened:
        assert opened.in_force() == State(ORIGINAL, 1)
    return pipeline


def after_the_first_sync(monkeypatch: pytest.MonkeyPatch, plant: Callable[[], object]) -> None:
    def planted(*args: Any, **kwargs: Any) -> int:
        sequence = first_sync(*args, **kwargs)
        plant()
        return sequence

    monkeypatch.setattr(changing, "first_sync", planted)


LATE: dict[str, Callable[[Site, Pipeline], object]] = {
    "a write": lambda _, pipeline: pipeline.write("1", {"name": "late"}),
    "a new person": lambda _, pipeline: pipeline.write("new", NEW),
    "both, twice": lambda _, pipeline: [
        pipeline.write(key, cells)
        for key, cells in (("a", NEW), ("1", {"name": "x"}), ("b", NEW), ("a", NEW))
    ],
    "an edit": lambda site, _: site.csv.write_bytes(EDITED),
    "a write and an edit": lambda site, pipeline: (
        pipeline.write("1", {"link": "l"}),
        site.csv.write_bytes(EDITED),
    ),
    "a row taken out": lambda site, _: site.csv.write_bytes(spelled(people("431"))),
}


@pytest.mark.parametrize("used", [False, True], ids=["never written before", "written before"])
@pytest.mark.parametrize("late", LATE.values(), ids=LATE)
def test_first_sync_catches_up_with_those_who_go_on(
    site: Site,
    alone: Pipeline,
    monkeypatch: pytest.MonkeyPatch,
    late: Callable[[Site, Pipeline], object],
    used: bool,  # noqa: FBT001 - parametrized
) -> None:
    if used:
        alone.write("2", {"link": "before"})
    after_the_first_sync(monkeypatch, lambda: late(site, alone))

    report = alone.phase.advance(DUAL)

    assert (report.state, report.changes[0].equal_after) == (State(DUAL, 2), True)
    assert rendered(alone) == site.csv.read_bytes() != FOUR
    assert_in(site, alone, DUAL)


def test_going_on_once_more_syncs_before_it_stops_anybody(site: Site, alone: Pipeline) -> None:
    alone.phase.advance(DUAL)
    alone.phase.rollback(ORIGINAL)
    alone.write("1", {"name": "meanwhile"})

    report = alone.phase.advance(DUAL)

    assert "sync: make PostgreSQL equal to the CSV" in report.steps
    assert report.changes[0].drained == 0
    assert_in(site, alone, DUAL)


# Overrides.


def test_override_needs_a_reason(site: Site, four: Pipeline) -> None:
    before = standing(site)

    for because in (None, "", "  "):
        with pytest.raises(SettingsError) as refused:
            four.phase.advance(PRIMARY, How(overrides=frozenset({Condition.UNDECIDED}), because=because))
        assert refused.value.code == "no_reason"

    assert standing(site) == before


@pytest.mark.parametrize("condition", [Condition.PENDING, Condition.CSV_EDITED, Condition.POSTGRES_AWAY])
def test_what_must_not_pass_cannot_be_named(site: Site, four: Pipeline, condition: Condition) -> None:
    before = standing(site)

    with pytest.raises(SettingsError) as refused:
        four.phase.advance(PRIMARY, let_pass(condition))

    assert refused.value.code == "not_overridable"
    assert "undecided" in refused.value.hint
    assert standing(site) == before


def test_override_is_kept_with_its_reason(site: Site, pipeline: Pipeline) -> None:
    site.put(spelled([*people("21"), person("", name="nobody")]))
    pipeline.sync()

    how = let_pass(Condition.UNDECIDED, Condition.DIFFERENCES)
    assert pipeline.phase.advance(PRIMARY, how).state.phase is PRIMARY

    [change] = pipeline.phase.history()
    assert (change.overridden, change.because) == (("undecided",), "it is known")
    assert_in(site, pipeline, PRIMARY)


def gone(far: Pipeline, proxy: Proxy, phase: Phase) -> ChangeReport:
    """PostgreSQL is gone in this phase, and the CSV goes on alone."""
    lead(far, phase)
    proxy.away()
    return far.phase.rollback(ORIGINAL, let_pass(Condition.POSTGRES_AWAY))


@pytest.mark.parametrize("phase", [DUAL, PRIMARY, NATIVE])
def test_csv_goes_on_alone_when_postgres_is_gone_and_takes_it_along_when_it_is_back(
    site: Site, far: Pipeline, proxy: Proxy, phase: Phase
) -> None:
    report = gone(far, proxy, phase)

    assert (report.state.phase, report.shut) == (ORIGINAL, None)
    assert report.changes[0].overridden == ("postgres_away",)
    assert far.write("1", {"name": "alone"}).durable_in is Side.CSV
    proxy.back()
    assert far.write("2", {"name": "alone"}).durable_in is Side.CSV
    assert unmet(far.phase.advance(DUAL)) == [Condition.LEFT_BEHIND]
    taken = far.phase.advance(DUAL, let_pass(Condition.LEFT_BEHIND))
    assert (taken.state, taken.changes[0].overridden) == (
        State(DUAL, report.state.epoch + 1),
        ("left_behind",),
    )
    assert [(far.tables.read(key) or {})["name"] for key in "12"] == ["alone", "alone"]
    assert_in(site, far, DUAL)


def test_override_of_an_outage_that_is_none_loses_nothing(site: Site, far: Pipeline) -> None:
    lead(far, PRIMARY)
    stray(site.database, "UPDATE people SET name = 'pending' WHERE row_id = '1'")

    report = far.phase.rollback(ORIGINAL, let_pass(Condition.POSTGRES_AWAY))

    assert report.state.phase is ORIGINAL
    assert (far.read("1") or {})["name"] == "pending"
    assert all(change.overridden == () for change in report.changes)
    assert far.tables.state() == report.state


def test_nothing_but_an_outage_has_postgres_left_behind(site: Site, far: Pipeline) -> None:
    lead(far, PRIMARY)
    far.write("1", {"name": "stale"})

    report = far.phase.rollback(ORIGINAL, let_pass(Condition.POSTGRES_AWAY, Condition.STALE_PROOF))

    assert [change.move for change in report.changes] == [Move(PRIMARY, DUAL), Move(DUAL, ORIGINAL)]
    assert (far.tables.state(), (far.read("1") or {})["name"]) == (report.state, "stale")
    assert b"stale" in site.csv.read_bytes()


@pytest.mark.parametrize(("before", "after"), [(DUAL, PRIMARY), (PRIMARY, DUAL), (DUAL, ORIGINAL)])
def test_csv_goes_on_alone_where_only_postgres_which_is_gone_knows_the_phase(
    far: Pipeline, proxy: Proxy, before: Phase, after: Phase
) -> None:
    lead(far, before)
    mark(far, after)
    proxy.away()

    report = far.phase.rollback(ORIGINAL, let_pass(Condition.POSTGRES_AWAY))

    assert (report.state.phase, far.csv.state()) == (ORIGINAL, report.state)
    assert far.phase.history()[-1].overridden == ("postgres_away",)
    assert far.write("1", {"name": "alone"}).durable_in is Side.CSV


def mark(pipeline: Pipeline, after: Phase) -> PhaseChange:
    """Begin to change the phase, and go no further."""
    state = pipeline.in_force()
    change = PhaseChange(state.epoch + 1, state.phase, after, at="", by="", wanted=after, by_hand=True)
    with pipeline.csv.held() as held:
        held.mark(state, change)
    return change


def test_another_database_does_not_say_which_phase_it_is(four: Pipeline) -> None:
    change = mark(four, PRIMARY)
    schema.downgrade(four.pool)

    for ask in (four.in_force, lambda: four.write("1", {"name": "new"}), four.begin):
        with pytest.raises(ProtectedError) as refused:
            ask()
        assert refused.value.code == "epochs_contradict"
    assert four.phase.changing() == change


@pytest.mark.parametrize("phase", [PRIMARY, NATIVE])
def test_csv_goes_on_alone_when_the_database_that_led_is_empty(four: Pipeline, phase: Phase) -> None:
    lead(four, phase)
    four.settle()
    schema.downgrade(four.pool)

    with pytest.raises(ProtectedError):
        four.phase.rollback(ORIGINAL)
    report = four.phase.rollback(ORIGINAL, let_pass(Condition.POSTGRES_AWAY))

    assert (report.state.phase, report.changes[0].overridden) == (ORIGINAL, ("postgres_away",))
    assert four.write("1", {"name": "alone"}).durable_in is Side.CSV


def test_csv_that_was_looked_at_while_it_was_written_is_not_taken_for_edited(
    four: Pipeline, monkeypatch: pytest.MonkeyPatch
) -> None:
    with four.csv.held() as locked:
        pass
    looks_ours = LockedCsv.looks_ours
    monkeypatch.setattr(LockedCsv, "looks_ours", lambda csv: csv is locked and looks_ours(csv))

    assert four.phase.advance(PRIMARY).shut is None


def test_postgres_that_is_busy_is_not_left_behind(
    site: Site, four: Pipeline, monkeypatch: pytest.MonkeyPatch
) -> None:
    lead(four, PRIMARY)
    before = standing(site)

    def busy(_tables: PostgresTables) -> None:
        raise UnavailableError("somebody keeps the tables locked", code="postgres_busy")

    monkeypatch.setattr(PostgresTables, "last_proof", busy)
    with pytest.raises(UnavailableError) as refused:
        four.phase.rollback(ORIGINAL, let_pass(Condition.POSTGRES_AWAY))

    assert (refused.value.code, standing(site)) == ("postgres_busy", before)


def test_gate_that_shuts_at_the_fence_leaves_nobody_pending(
    site: Site, four: Pipeline, monkeypatch: pytest.MonkeyPatch
) -> None:
    lead(four, NATIVE)
    four.write("1", {"name": "new"})
    monkeypatch.setattr(PostgresFence, "has_lost_rows", lambda *_: True)

    assert unmet(four.phase.rollback(PRIMARY)) == [Condition.STALE_PROOF]

    assert site.execute("SELECT count(*) FROM ingestion.pending") == [(0,)]


def test_who_was_written_after_the_rendering_is_pending_in_the_csv_that_begins_to_follow(
    site: Site, four: Pipeline, monkeypatch: pytest.MonkeyPatch
) -> None:
    lead(four, NATIVE)

    with before_the_fence(monkeypatch, lambda: four.write("1", {"name": "late"})):
        report = four.phase.rollback(PRIMARY)

    assert report.changes[0].equal_after
    assert b"late" in site.csv.read_bytes()


@pytest.fixture(params=[DUAL, PRIMARY, NATIVE])
def left(site: Site, far: Pipeline, proxy: Proxy, request: pytest.FixtureRequest) -> Pipeline:
    """PostgreSQL was left behind in some phase with a row that the CSV never got, and is back."""
    lead(far, request.param)
    site.execute("UPDATE people SET name = 'theirs' WHERE row_id = '1'")
    gone(far, proxy, request.param)
    far.write("1", {"name": "ours"})
    proxy.back()
    return far


@pytest.mark.parametrize("verb", ["compare", "settle", "sync", "export", "status", "render"])
def test_postgres_that_was_left_behind_changes_nothing_in_the_csv_that_leads(
    site: Site, left: Pipeline, verb: str
) -> None:
    before = standing(site)

    try:
        left.render_to(site.csv) if verb == "render" else getattr(left, verb)()
    except PipelineError as error:
        assert error.code in ("not_the_authority", "no_follower")  # noqa: PT017 - some do their work

    assert standing(site) == before
    assert (left.read("1") or {})["name"] == "ours"


def test_version_is_of_the_csv_that_leads_though_postgres_was_left_behind(left: Pipeline) -> None:
    report = left.export()

    assert report.manifest.content.sha256 == left.csv.sha256()
    assert report.manifest.content.phase is ORIGINAL


def test_what_was_left_behind_is_overwritten_by_name_and_noted_once(left: Pipeline) -> None:
    before = left.tables.state()
    assert unmet(left.phase.advance(DUAL)) == [Condition.LEFT_BEHIND]
    assert left.tables.state() == before

    report = left.phase.advance(PRIMARY, let_pass(Condition.LEFT_BEHIND))

    assert [change.overridden for change in report.changes] == [("left_behind",), ()]


def test_tables_of_what_was_left_behind_are_not_dropped(left: Pipeline) -> None:
    with pytest.raises(ProtectedError) as refused:
        left.phase.rollback(ORIGINAL, How(drop_tables=True))

    assert refused.value.code == "left_behind"
    assert schema.current(left.pool) is not None


def test_nothing_is_noted_where_nothing_was_left_behind(four: Pipeline) -> None:
    lead(four, ORIGINAL)

    report = four.phase.advance(DUAL, let_pass(Condition.LEFT_BEHIND))

    assert report.changes[0].overridden == ()


def test_tables_cannot_be_dropped_without_postgres(site: Site, four: Pipeline) -> None:
    before = standing(site)

    with pytest.raises(SettingsError):
        four.phase.rollback(ORIGINAL, let_pass(Condition.POSTGRES_AWAY, drop_tables=True))

    assert standing(site) == before


def test_status_goes_by_the_csv_that_leads_though_postgres_was_left_behind(left: Pipeline) -> None:
    status = left.status()

    assert (status.in_force, status.authority) == (ORIGINAL, Side.CSV)
    assert State(ORIGINAL, status.epoch or 0) == left.in_force()


# Back to original, with and without tables.


def test_without_tables_original_goes_on_and_can_advance_again(site: Site, own: Pipeline) -> None:
    report = own.phase.rollback(ORIGINAL, How(drop_tables=True))

    assert "drop the tables" in report.steps
    assert schema.current(own.pool) is None
    assert own.write("1", {"name": "alone"}).durable_in is Side.CSV
    assert own.status().in_force is ORIGINAL
    with open_pipeline(site.config) as opened:
        assert opened.export().published
        assert opened.in_force() == State(ORIGINAL, 2)
        assert opened.phase.advance(DUAL).state == State(DUAL, 3)
        assert_in(site, opened, DUAL)
        assert (opened.tables.read("1") or {})["name"] == "alone"


def test_tables_are_dropped_on_the_way_to_original_only(site: Site, four: Pipeline) -> None:
    before = standing(site)

    with pytest.raises(SettingsError):
        four.phase.advance(PRIMARY, How(drop_tables=True))

    assert standing(site) == before


# Saying what would be done.


def files(folder: Path) -> dict[str, tuple[bytes, int]]:
    """Every file and when it was written, but for the locks."""
    found = (path for path in folder.rglob("*") if path.is_file() and "lock" not in path.name)
    return {
        str(path): (path.read_bytes(), path.stat().st_mtime_ns)
        for path in found
        if not path.name.startswith("switch")
    }


@pytest.mark.parametrize("end", [ORIGINAL, PRIMARY, NATIVE])
def test_dry_run_changes_nothing_and_lists_every_step(site: Site, four: Pipeline, end: Phase) -> None:
    four.write("1", {"link": "l"})
    before = files(site.folder), content(site)
    how = How(dry_run=True, drop_tables=end is ORIGINAL)

    report = four.phase.rollback(end, how) if end is ORIGINAL else four.phase.advance(end, how)

    assert (files(site.folder), content(site)) == before
    assert (report.dry_run, report.state.phase, report.shut) == (True, end, None)
    assert sum(step.startswith("switch to") for step in report.steps) == len(report.changes)
    done = four.phase.rollback(end) if end is ORIGINAL else four.phase.advance(end)
    assert [*done.steps, *["drop the tables"] * (end is ORIGINAL)] == list(report.steps)


def test_dry_run_stops_at_the_gate_that_is_shut(site: Site, pipeline: Pipeline) -> None:
    site.put(spelled([*people("21"), person("", name="nobody")]))
    pipeline.sync()
    before = files(site.folder), content(site)

    report = pipeline.phase.advance(NATIVE, How(dry_run=True))

    assert (unmet(report), report.state) == ([Condition.UNDECIDED], State(DUAL, 1))
    assert (files(site.folder), content(site)) == before


# Back from database_native.


def aside(site: Site) -> list[bytes]:
    return [path.read_bytes() for path in (site.folder / "backups").glob("*foreign*")]


def test_csv_is_rendered_on_the_way_back_though_it_is_gone(site: Site, four: Pipeline) -> None:
    lead(four, NATIVE)
    four.write("1", {"name": "native"})
    site.csv.unlink()

    assert four.phase.rollback().state.phase is PRIMARY

    assert site.csv.read_bytes() == spelled([*people("432"), person(1, name="native")])
    assert_in(site, four, PRIMARY)


def test_foreign_csv_is_kept_aside_on_the_way_back(site: Site, four: Pipeline) -> None:
    lead(four, NATIVE)
    four.write("1", {"name": "native"})
    site.put(EDITED)

    assert four.phase.rollback().state.phase is PRIMARY

    assert aside(site) == [EDITED]
    assert_in(site, four, PRIMARY)
    assert (four.read("3") or {})["name"] == "Name 3"


def test_own_csv_that_is_only_old_is_nobody_s_edit(site: Site, four: Pipeline) -> None:
    lead(four, NATIVE)
    four.write("1", {"name": "native"})

    assert four.phase.rollback().state.phase is PRIMARY

    assert (aside(site), four.status().merged) == ([], None)
    assert_in(site, four, PRIMARY)


# The proof.


def test_proof_is_stamped_and_voided_by_any_change(site: Site, four: Pipeline) -> None:
    four.compare()
    status = four.status()
    assert status.proof is not None
    assert (status.proof.differences, status.proof.bytes_equal, status.why_not) == (0, True, ())
    assert (status.proof.sequence, status.proof.snapshot) != (None, None)

    four.write("1", {"link": "l"})
    assert "the CSV has changed since the last comparison" in four.status().why_not
    four.compare()
    assert four.status().why_not == ()
    site.execute("UPDATE people SET link = 'stray'")
    assert four.status().why_not == ("PostgreSQL has changed since the last comparison",)


def test_proof_survives_in_postgres_and_says_that_the_way_back_was_rehearsed(
    site: Site, four: Pipeline
) -> None:
    four.phase.advance(PRIMARY)

    kept = stray(site.database, "SELECT way_back_rehearsed, epoch FROM ingestion.proof ORDER BY id")
    assert kept == [(True, 1), (False, 2)]
    with open_pipeline(site.config) as opened:
        assert opened.status().proof == four.status().proof
        assert opened.status().why_not == ()


def test_change_of_phase_voids_the_proof(four: Pipeline) -> None:
    four.phase.advance(NATIVE)

    assert any("epoch" in why for why in four.status().why_not)


# What is told afterwards.


def test_change_stands_though_what_is_done_afterwards_fails(
    site: Site, four: Pipeline, monkeypatch: pytest.MonkeyPatch
) -> None:
    def away(*_: object, **__: object) -> bool:
        raise UnavailableError("PostgreSQL went away", code="postgres_unavailable")

    monkeypatch.setattr(Changing, "prove", away)

    report = four.phase.advance(PRIMARY)

    assert (report.state.phase, report.changes[0].unfinished) == (PRIMARY, "PostgreSQL went away")
    assert four.phase.history()[0].unfinished == "PostgreSQL went away"
    assert_in(site, four, PRIMARY)


def test_damaged_log_is_found_out_before_anything_is_changed(site: Site, four: Pipeline) -> None:
    four.phase.advance(PRIMARY)
    log = site.csv.with_name(f".{site.csv.name}.ingestion") / "phases.jsonl"
    log.write_bytes(b"damaged\n" + log.read_bytes())
    before = standing(site)

    with pytest.raises(ProtectedError) as damaged:
        four.phase.advance(NATIVE)

    assert damaged.value.code == "phase_log_damaged"
    assert standing(site) == before
    assert four.write("1", {"link": "l"}).durable_in is Side.POSTGRES


def test_no_cell_is_in_what_is_kept(site: Site, four: Pipeline) -> None:
    four.write("1", {"name": "canary"})
    report = four.phase.advance(PRIMARY)

    kept = io.StringIO()
    json.dump([change.as_json() for change in report.changes], kept)
    assert "canary" not in kept.getvalue() + repr(report)
    assert b"canary" not in (hidden(site, "phases.jsonl") or b"") + (hidden(site, "ledger.json") or b"")

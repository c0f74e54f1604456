"""delete: people are gone from both sides, and only as many as may be."""

import pytest

from ingestion_pipeline.app import Pipeline
from ingestion_pipeline.domain.errors import ProtectedError
from ingestion_pipeline.domain.phase import Phase, Side
from ingestion_pipeline_tests.conftest import Site
from ingestion_pipeline_tests.files import people, person, spelled
from ingestion_pipeline_tests.phases import DURABLE, both, lead

NEW = {"name": "New", "email": "new@example.org", "type": "INTJ"}


def test_who_is_deleted_is_gone_from_both_sides(site: Site, opened: Pipeline, phase: Phase) -> None:
    report = opened.delete(["3", "unknown"])

    assert report.deleted == ("3",)
    assert (report.durable_in, report.follower) == DURABLE[phase]
    assert set(both(site, opened, phase)) == {spelled(people("421"))}
    assert opened.read("3") is None
    *_, last = opened.history("3")
    assert last.operation == "delete"
    assert opened.delete(["3"]).deleted == ()


def test_nobody_can_have_such_a_row_id(opened: Pipeline) -> None:
    assert opened.delete(["a\0b", "\ud800", ""]).deleted == ()


def test_who_is_deleted_can_come_back(site: Site, opened: Pipeline, phase: Phase) -> None:
    opened.write("3", {"name": "Before"})
    opened.delete(["3"])

    assert opened.write("3", NEW).created

    assert set(both(site, opened, phase)) == {spelled([person(3, **NEW), *people("421")])}


def test_brake_stops_before_anybody_is_gone(site: Site, opened: Pipeline, phase: Phase) -> None:
    before = both(site, opened, phase)

    with pytest.raises(ProtectedError) as stopped:
        opened.delete(["3", "2"])

    assert stopped.value.code == "brake"
    assert "2 of 4" in stopped.value.message
    assert both(site, opened, phase) == before
    assert opened.delete(["3", "2"], accept_loss=True).deleted in (("3", "2"), ("2", "3"))
    assert set(both(site, opened, phase)) == {spelled(people("41"))}


def test_lines_that_repeat_a_person_go_too(site: Site, opened: Pipeline, phase: Phase) -> None:
    if phase.authority is not Side.CSV:
        pytest.skip("only a file that others write has such lines")
    site.put(spelled([*people("4321"), *people("3")]))

    opened.delete(["3"], accept_loss=True)

    assert set(both(site, opened, phase)) == {spelled(people("421"))}


def test_old_script_does_not_bring_writes_of_the_deleted_back(
    site: Site, opened: Pipeline, phase: Phase
) -> None:
    if phase.authority is not Side.CSV:
        pytest.skip("the CSV of others is set aside")
    opened.write("new", NEW)
    opened.write("3", {"name": "Ada Lovelace"})
    read = site.csv.read_bytes()
    opened.delete(["new"])
    opened.delete(["3"])
    gone = site.csv.read_bytes()

    site.put(gone.replace(b"row_id,", b"row_id,", 1) + spelled([person(5)]).partition(b"\n")[2])
    opened.settle()

    assert (opened.read("3"), opened.read("new")) == (None, None)
    site.put(read)
    opened.settle()
    assert (opened.read("3") or {})["name"] == "Ada Lovelace"
    assert len(set(both(site, opened, phase))) == 1


def test_cells_in_quarantine_go_with_their_person(site: Site, pipeline: Pipeline) -> None:
    site.put(spelled([person(2), person(1, processed="maybe")]))
    pipeline.sync()
    lead(pipeline, Phase.DATABASE_PRIMARY)
    assert [entry.row_id for entry in pipeline.quarantine()] == ["1"]

    pipeline.delete(["1"])

    assert pipeline.quarantine() == []

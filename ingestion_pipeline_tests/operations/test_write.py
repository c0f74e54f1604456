"""write: one person in whichever side leads; what the receipt says is so."""

from uuid import UUID, uuid4

import pytest

from ingestion_pipeline.app import Pipeline
from ingestion_pipeline.domain.errors import InputRefusedError, ProtectedError, SettingsError
from ingestion_pipeline.domain.phase import Phase, Side
from ingestion_pipeline.domain.receipt import Standing, checked
from ingestion_pipeline.domain.reports import State
from ingestion_pipeline.stores.disk.locked_csv import LockedCsv
from ingestion_pipeline.stores.postgres.tables import PostgresTables
from ingestion_pipeline_tests.conftest import Site
from ingestion_pipeline_tests.files import assert_agree, people, person, spelled
from ingestion_pipeline_tests.phases import DURABLE, advance, both, lead
from ingestion_pipeline_tests.strays import stray

NEW = {"name": "New", "email": "new@example.org", "type": "INTJ"}
CELLS = {
    "name": 'Ötzi, "the" man',
    "processed": "TRUE",
    "document_text": "two\nlines",
    "last_download_attempt": "2024-02-03 04:05:06",
    "file_uuids": '{"b":"c"}',
}


def test_write_is_where_the_receipt_says(site: Site, opened: Pipeline, phase: Phase) -> None:
    receipt = opened.write("3", CELLS)

    assert (receipt.row_id, receipt.created) == ("3", False)
    assert (receipt.durable_in, receipt.follower) == DURABLE[phase]
    expected = spelled([person(4), person(3, **CELLS), person(2), person(1)])
    assert set(both(site, opened, phase)) == {expected}
    assert {name: text for name, text in (opened.read("3") or {}).items() if name in CELLS} == CELLS


def test_batch_is_written_in_order_up_to_a_refusal(site: Site, opened: Pipeline, phase: Phase) -> None:
    with pytest.raises(InputRefusedError) as refused, opened.batch() as batch:  # noqa: PT012 - at its end
        batch.write("n1", NEW)
        batch.write("n1", {"name": "Second"})
        batch.write("unknown", {"name": "X"})
        batch.write("2", {"name": "X"})

    assert (refused.value.code, refused.value.place.row_id) == ("unknown_row_id", "unknown")
    expected = spelled([person("n1", **(NEW | {"name": "Second"})), *people("4321")])
    assert set(both(site, opened, phase)) == {expected}


def test_write_brought_again_is_made_once(site: Site, opened: Pipeline, phase: Phase) -> None:
    write_id = uuid4()
    first = opened.write("n1", NEW, write_id=write_id)
    opened.write("n1", {"name": "Later"})

    again = opened.write("n1", NEW, write_id=str(write_id))

    assert (again.revision, again.created, again.write_id) == (first.revision, True, write_id)
    expected = spelled([person("n1", **(NEW | {"name": "Later"})), *people("4321")])
    assert set(both(site, opened, phase)) == {expected}


def test_new_people_are_on_top_in_order(site: Site, opened: Pipeline, phase: Phase) -> None:
    writes = (checked(f"n{number}", NEW) for number in range(5))

    receipts = list(opened.write_each(writes, group=2))

    assert [receipt.row_id for receipt in receipts] == ["n0", "n1", "n2", "n3", "n4"]
    assert all(receipt.created for receipt in receipts)
    revisions = [receipt.revision for receipt in receipts]
    assert revisions == sorted(set(revisions))
    new = [person(key, **NEW) for key in ("n4", "n3", "n2", "n1", "n0")]
    assert set(both(site, opened, phase)) == {spelled([*new, *people("4321")])}
    assert [row["row_id"] for row in opened.rows()] == ["n4", "n3", "n2", "n1", "n0", *"4321"]


def test_follower_is_level_after_every_write(site: Site, pipeline: Pipeline) -> None:
    site.put(spelled([*people("43"), person("4"), person(2, processed="maybe"), person("", name="x")]))
    pipeline.sync()

    for row_id, cells in (
        ("4", {"name": "Other"}),
        ("2", {"link": "l"}),
        ("n1", NEW),
        ("2", {"processed": "1"}),
    ):
        assert pipeline.write(row_id, cells).follower is Standing.SETTLED
        assert_agree(site, pipeline)


def test_several_callers_writes_are_settled_together_with_their_names(site: Site, pipeline: Pipeline) -> None:
    site.put(spelled(people("21")))
    pipeline.sync()
    with pipeline.csv.held() as held:
        held.refresh(None)
        groups = [(by, [checked(key, {"name": by})]) for by, key in (("ann", "1"), ("bob", "2"))]
        held.write(groups, 1)

    assert pipeline.settle().settled == 2

    assert [pipeline.history(key)[-1].actor for key in "12"] == ["ann", "bob"]


def test_settling_that_was_cut_short_is_not_done_twice(
    site: Site, pipeline: Pipeline, monkeypatch: pytest.MonkeyPatch
) -> None:
    site.put(spelled(people("21")))
    pipeline.sync()
    with monkeypatch.context() as patch:
        patch.setattr(LockedCsv, "close", stopped)
        assert pipeline.write("1", {"name": "Other"}).follower is Standing.PENDING
    before = pipeline.history("1")

    assert pipeline.status().pending.rows == 1
    assert pipeline.settle().settled == 1

    assert before[-1].changed == {"name": ("Name 1", "Other")}
    assert pipeline.history("1") == before
    assert pipeline.status().pending.all == 0


def stopped(*_: object, **__: object) -> None:
    raise ProtectedError("stopped", code="stopped")


def test_load_whose_end_the_journal_did_not_see_hides_no_later_write(
    site: Site, pipeline: Pipeline, monkeypatch: pytest.MonkeyPatch
) -> None:
    site.put(spelled(people("21")))
    with monkeypatch.context() as patch:
        patch.setattr(LockedCsv, "close", stopped)
        with pytest.raises(ProtectedError):
            pipeline.sync()

    for number in range(3):
        assert pipeline.write("1", {"name": f"Other {number}"}).follower is Standing.SETTLED
        assert_agree(site, pipeline)
        monkeypatch.setattr(PostgresTables, "sync", stopped)


BACK = [
    (Phase.DATABASE_PRIMARY, Phase.DATABASE_NATIVE),
    (Phase.DATABASE_NATIVE, Phase.DATABASE_PRIMARY),
    (Phase.DATABASE_PRIMARY, Phase.DUAL_WRITE),
]


@pytest.mark.parametrize(("before", "after"), BACK)
def test_change_of_phase_is_noticed(site: Site, pipeline: Pipeline, before: Phase, after: Phase) -> None:
    site.put(spelled(people("21")))
    pipeline.sync()
    lead(pipeline, before)
    assert (pipeline.write("1", {"link": "l"}).durable_in, before.authority) == (Side.POSTGRES, Side.POSTGRES)
    pipeline.settle()
    advance(pipeline, after)
    epoch = pipeline.in_force().epoch + 1

    receipt = pipeline.write("1", {"name": "Other"})

    assert (receipt.durable_in, receipt.follower) == DURABLE[after]
    assert pipeline.csv.state() == State(after, epoch)
    pipeline.settle()
    assert pipeline.history("1")[-1].epoch == epoch
    assert (pipeline.read("1") or {})["name"] == "Other"
    stands = stray(site.database, "SELECT name, link FROM people WHERE row_id = '1'")
    assert stands == [("Other", "l")]


def test_a_write_id_is_one_persons(site: Site, pipeline: Pipeline) -> None:
    site.put(spelled(people([2, 1])))
    pipeline.sync()
    for phase in (Phase.DUAL_WRITE, Phase.DATABASE_NATIVE):
        if phase is not Phase.DUAL_WRITE:
            lead(pipeline, phase)
        write_id = uuid4()
        pipeline.write("1", {"type": "ENFP"}, write_id=write_id)
        with pytest.raises(InputRefusedError) as caught:
            pipeline.write("2", {"type": "ENFP"}, write_id=write_id)
        assert caught.value.code == "write_id_taken"


def test_what_would_be_dropped_unseen_is_refused(site: Site, pipeline: Pipeline) -> None:
    site.put(spelled(people([1])))
    with pytest.raises(SettingsError):
        pipeline.write_each([], group=0)
    with pipeline.batch() as batch:
        batch.write("1", {"type": "ENFP"})
    with pytest.raises(SettingsError):
        batch.write("1", {"type": "ISTJ"})
    with pytest.raises(InputRefusedError):
        pipeline.write("1", {"type": "ENFP"}, write_id=UUID(int=0))


@pytest.mark.parametrize("row_id", ["\ud800", "\0"])
def test_nobody_has_a_row_id_that_is_no_text(site: Site, pipeline: Pipeline, row_id: str) -> None:
    site.put(spelled(people([1])))
    assert pipeline.read(row_id) is None
    assert pipeline.history(row_id) == []

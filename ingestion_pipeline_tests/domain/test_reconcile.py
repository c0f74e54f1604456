"""A write the CSV took in while PostgreSQL was away: it holds, or both texts wait."""

import pytest

from ingestion_pipeline.domain.reconcile import Reconciled, reconcile


@pytest.mark.parametrize(
    ("now", "before", "text"),
    [
        pytest.param("old", "old", "new", id="nobody changed it meanwhile"),
        pytest.param("new", "old", "new", id="both changed it to the same"),
        pytest.param("", "", "new", id="it was empty and still is"),
        pytest.param("same", "same", "same", id="nothing changed at all"),
    ],
)
def test_a_cell_is_written_unless_the_other_side_changed_it(now: str, before: str, text: str) -> None:
    assert reconcile({"name": now}, {"name": (before, text)}) == Reconciled({"name": text}, {})


@pytest.mark.parametrize("before", ["old", "", None])
def test_a_cell_that_both_sides_changed_is_a_conflict(before: str | None) -> None:
    assert reconcile({"name": "theirs"}, {"name": (before, "ours")}) == Reconciled(
        {}, {"name": {"postgres": "theirs", "csv": "ours"}}
    )


def test_each_column_is_decided_by_itself() -> None:
    present = {"name": "old", "link": "theirs"}
    cells: dict[str, tuple[str | None, str]] = {"name": ("old", "new"), "link": ("", "ours")}
    assert reconcile(present, cells) == Reconciled(
        {"name": "new"}, {"link": {"postgres": "theirs", "csv": "ours"}}
    )


def test_a_new_person_is_written_whole() -> None:
    assert reconcile(None, {"name": (None, "new"), "link": (None, "")}) == Reconciled(
        {"name": "new", "link": ""}, {}
    )


def test_a_new_person_whom_the_other_side_has_meanwhile_is_a_conflict_where_they_differ() -> None:
    cells: dict[str, tuple[str | None, str]] = {"name": (None, "ours"), "type": (None, "INTJ")}
    assert reconcile({"name": "theirs", "type": "INTJ"}, cells) == Reconciled(
        {"type": "INTJ"}, {"name": {"postgres": "theirs", "csv": "ours"}}
    )


def test_what_is_written_to_a_person_who_is_gone_is_kept_and_not_written() -> None:
    assert reconcile(None, {"name": ("old", "new"), "link": ("", "l")}) == Reconciled(
        {}, {"name": {"csv": "new"}, "link": {"csv": "l"}}
    )


def test_a_column_that_the_other_side_does_not_name_is_empty() -> None:
    assert reconcile({}, {"link": ("", "new")}) == Reconciled({"link": "new"}, {})

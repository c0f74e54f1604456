"""Brakes: from how many lost rows on a load must be asked for."""

import pytest

from ingestion_pipeline.domain.brake import Brakes, Loss


@pytest.mark.parametrize(
    ("lost", "stored", "stops"),
    [
        (0, 0, False),
        (1, 1, False),
        (1, 1000, False),
        (2, 2, True),
        (5, 100, False),
        (6, 100, True),
        (20, 400, False),
        (20, 399, True),
        (21, 100_000, True),
    ],
)
def test_too_many_or_too_large_a_share_stops(lost: int, stored: int, *, stops: bool) -> None:
    assert Brakes(rows=20, percent=5).stop(lost, stored) is stops


def test_a_single_row_stops_only_by_number() -> None:
    assert Brakes(rows=0, percent=100).stop(1, 1000)
    assert not Brakes(rows=1, percent=0).stop(1, 1)


def test_a_share_may_be_a_fraction() -> None:
    assert not Brakes(rows=100, percent=0.2).stop(2, 1000)
    assert Brakes(rows=100, percent=0.2).stop(3, 1000)


def test_nothing_lost_is_not_stopped() -> None:
    assert Loss(deleted=0, stored=10).stopped_by(Brakes(rows=0, percent=0)) is None


def test_deleted_people_stop_and_are_counted() -> None:
    assert Loss(deleted=3, stored=10).stopped_by(Brakes()) == "delete 3 of 10 people"


def test_emptied_cells_of_all_columns_count_together() -> None:
    loss = Loss(deleted=0, stored=1000, emptied={"name": 11, "email": 10})
    assert loss.stopped_by(Brakes()) == "empty 21 cells: name (11), email (10)"
    assert Loss(deleted=0, stored=1000, emptied={"name": 10, "email": 10}).stopped_by(Brakes()) is None


def test_both_reasons_are_named() -> None:
    loss = Loss(deleted=30, stored=1000, emptied={"link": 25})
    assert loss.stopped_by(Brakes()) == "delete 30 of 1000 people and empty 25 cells: link (25)"


def test_deleted_people_and_emptied_cells_are_braked_apart() -> None:
    assert Loss(deleted=15, stored=1000, emptied={"link": 15}).stopped_by(Brakes()) is None

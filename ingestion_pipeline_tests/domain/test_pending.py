"""What is pending: rows for the follower and writes for the authority, together."""

from ingestion_pipeline.domain.pending import Pending


def test_nothing_is_pending_by_itself() -> None:
    assert Pending().all == 0


def test_rows_and_writes_taken_in_count_together() -> None:
    assert Pending(rows=2, seconds=5.0, fallback=3).all == 5

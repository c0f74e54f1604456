"""Bulk work in buckets, which several workers share."""

from collections.abc import Callable
from contextlib import suppress

from ingestion_pipeline.app.places import Places
from ingestion_pipeline.app.timed import timed
from ingestion_pipeline.domain.buckets import (
    Added,
    BucketCompared,
    BucketReported,
    BucketSynced,
    Reported,
    Split,
)
from ingestion_pipeline.domain.errors import PipelineError
from ingestion_pipeline.domain.ports import Step
from ingestion_pipeline.domain.reports import SyncReport
from ingestion_pipeline.operations import bucketed
from ingestion_pipeline.stores.disk.shares import Shares
from ingestion_pipeline.stores.postgres import schema


class Bucketed:
    """Sync, compare and report in buckets: split the file, do every bucket somewhere, and finish.

    Every step is told the same key, finds done what is done, and may be killed or done twice. A report needs
    no file, and splits none.

    Args:
        places: The site's.
        before_load: Backs the CSV up, as before any load.
        sync: The ordinary sync, given what is told of its steps.
        pending: How much the side that follows has yet to get.
        settle: Brings it level.
    """

    def __init__(
        self,
        places: Places,
        before_load: Callable[[], object],
        sync: Callable[[Step], SyncReport],
        pending: Callable[[], int],
        settle: Callable[[], object],
    ) -> None:
        self._places = places
        self._before_load = before_load
        self._sync = sync
        self._pending = pending
        self._settle = settle
        self._shares = Shares(places.csv.state_dir / "buckets")

    @property
    def count(self) -> int:
        """How many buckets the configuration asks for."""
        return self._places.settings.bulk.buckets

    def split_to_sync(self, key: str) -> Split:
        """Pin and split the CSV; see `operations.bucketed`."""
        schema.ensure(self._places.pool)
        self._before_load()
        return bucketed.split_to_sync(
            self._places.csv,
            self._places.tables,
            self._shares,
            key,
            self.count,
            wanted=self._places.settings.wanted_phase,
            brakes=self._places.brakes,
        )

    def split_to_compare(self, key: str) -> Split:
        """Settle what is pending, pin both sides and split the CSV; see `operations.bucketed`."""
        # Where nothing is, it would only read the whole file, and take the memory of an index of it.
        if self._pending():
            with suppress(PipelineError):
                self._settle()
        return bucketed.split_to_compare(self._places.csv, self._places.tables, self._shares, key, self.count)

    def known(self, key: str) -> Split | None:
        """What is known of a file that was split; None where there is none."""
        return self._shares.known(key)

    @timed("sync_bucket")
    def sync(self, key: str, bucket: int) -> BucketSynced | None:
        """Write one bucket; None where all is over."""
        return bucketed.sync_bucket(self._places.tables, self._shares, key, bucket)

    @timed("compare_bucket")
    def compare(self, key: str, bucket: int) -> BucketCompared | None:
        """Compare one bucket; None where all is over."""
        return bucketed.compare_bucket(self._places.tables, self._shares, key, bucket)

    def level(self, key: str, step: Step = lambda _name: None) -> tuple[SyncReport, list[BucketSynced]]:
        """Do what no bucket can: deletions, order, quarantine, brakes; and end it.

        Returns:
            What the ordinary sync found still to do, and what the buckets had done before it.
        """
        report = self._sync(step)
        return report, self.end(key)

    def end(self, key: str) -> list[BucketSynced]:
        """Take the shares away once the ordinary sync has been; gives what the buckets had done."""
        done = bucketed.synced(self._shares, key)
        self._shares.end(key)
        return done

    def add_up(self, key: str) -> Added:
        """Put together what the comparisons found, and end it; the same however often it is asked."""
        added = bucketed.add_up(self._places.tables, self._shares, key)
        self._shares.end(key)
        return added

    @timed("report_bucket")
    def report(self, key: str, bucket: int) -> BucketReported:
        """Count the people of one bucket, as PostgreSQL has them."""
        schema.check(self._places.pool)
        return bucketed.report_bucket(self._places.tables, self._shares, key, bucket, self.count)

    def add_up_report(self, key: str) -> Reported:
        """Put together what was counted, and count what no bucket can; the same however often it is asked."""
        return bucketed.add_up_report(self._places.tables, self._shares, key, self.count)

"""Sync, compare and report in buckets, which workers share; each step may be done again, or twice at once."""

from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import asdict
from datetime import UTC, datetime

from ingestion_pipeline.domain.brake import Brakes
from ingestion_pipeline.domain.buckets import (
    Added,
    BucketCompared,
    BucketReported,
    BucketSynced,
    Pinned,
    Reported,
    Split,
    Sum,
)
from ingestion_pipeline.domain.errors import ProtectedError, UnavailableError
from ingestion_pipeline.domain.figures import Counts
from ingestion_pipeline.domain.phase import Phase
from ingestion_pipeline.domain.ports import Csv, HeldCsv, Shares, Tables
from ingestion_pipeline.domain.reports import State, go_by

SYNCED, COMPARED, REPORTED = "synced", "compared", "reported"
"""What is kept of each bucket."""

COMPARISON, REPORT = "comparison", "report"
"""What is kept of all of them."""


def split_to_sync(
    csv: Csv, tables: Tables, shares: Shares, key: str, buckets: int, *, wanted: Phase, brakes: Brakes | None
) -> Split:
    """Pin the CSV that leads, and split it; others go on writing it from the next instant on.

    Args:
        csv: The CSV.
        tables: The three tables.
        shares: Where the buckets are put.
        key: What they are called; done already, nothing is done again.
        buckets: How many.
        wanted: The phase a fresh site begins in.
        brakes: How much may vanish of a file that somebody else has rewritten.

    Raises:
        InputRefusedError: The file does not keep the contract.
        ProtectedError: In the phase in force nothing is synced from the CSV, or a brake stopped it.
    """

    def prepare(held: HeldCsv) -> tuple[State, int]:
        known = held.state()
        state = go_by(known, tables.begin(wanted, known=known))
        if state.phase is not Phase.DUAL_WRITE:
            raise ProtectedError(
                f"in phase {state.phase} nothing is synced from the CSV",
                code="not_the_authority",
                hint="`ingest phase plan` shows where the site stands.",
            )
        held.keep(state)
        if not held.is_used():
            return state, tables.next_revision()
        held.refresh(brakes)
        return state, held.last_sequence()

    return shares.known(key) or _split(csv, tables, shares, key, buckets, prepare)


def split_to_compare(csv: Csv, tables: Tables, shares: Shares, key: str, buckets: int) -> Split:
    """Pin the CSV and the state of the tables, and split the CSV; see `split_to_sync`."""

    def prepare(_held: HeldCsv) -> tuple[State, int]:
        state = tables.state()
        if state is None or state.phase.follower is None:
            raise ProtectedError(
                "there are no two sides that are kept equal",
                code="no_follower",
                hint="`ingest phase plan` shows where the site stands.",
            )
        return state, 0

    return shares.known(key) or _split(csv, tables, shares, key, buckets, prepare)


def _split(
    csv: Csv,
    tables: Tables,
    shares: Shares,
    key: str,
    buckets: int,
    prepare: Callable[[HeldCsv], tuple[State, int]],
) -> Split:
    with ExitStack() as stack:
        with csv.held() as held:
            state, sequence = prepare(held)
            file = stack.enter_context(csv.pinned())
            above, position, pending = tables.pin()
            pinned = Pinned(
                state=state,
                sequence=sequence,
                above=above,
                position=position,
                pending=pending + held.waiting().all,
            )
        with file.reading() as blocks:
            return shares.split(key, pinned, blocks, buckets)


def sync_bucket(tables: Tables, shares: Shares, key: str, bucket: int) -> BucketSynced | None:
    """Write one bucket; None where all of it is over, and nothing is left to do.

    Raises:
        ProtectedError: The phase has changed since the file was split.
        UnavailableError: There is no such bucket here, or PostgreSQL is away.
    """
    split = _known(shares, key, bucket)
    if shares.is_over(key):
        return None
    known = shares.result(key, SYNCED, bucket)
    if known is not None:
        return BucketSynced(**known)
    try:
        done = tables.sync_bucket(lambda: shares.reading(key, bucket), split, key, bucket)
        shares.keep_result(key, SYNCED, bucket, asdict(done))
    except UnavailableError:
        if shares.is_over(key):
            return None
        raise
    return done


def compare_bucket(tables: Tables, shares: Shares, key: str, bucket: int) -> BucketCompared | None:
    """Compare one bucket; None where all of it is over. See `sync_bucket`."""
    split = _known(shares, key, bucket)
    if shares.is_over(key):
        return None
    known = shares.result(key, COMPARED, bucket)
    if known is not None:
        return BucketCompared(**known)
    try:
        with shares.reading(key, bucket) as share:
            found = tables.compare_bucket(share, split, bucket)
        shares.keep_result(key, COMPARED, bucket, asdict(found))
    except UnavailableError:
        if shares.is_over(key):
            return None
        raise
    return found


def synced(shares: Shares, key: str) -> list[BucketSynced]:
    """What came of the buckets that were written."""
    split = _known(shares, key)
    kept = (shares.result(key, SYNCED, bucket) for bucket in range(split.buckets))
    return [BucketSynced(**one) for one in kept if one is not None]


def add_up(tables: Tables, shares: Shares, key: str) -> Added:
    """Put together what the comparisons of all buckets found; done again, it is the same.

    Raises:
        UnavailableError: A bucket has not been compared.
    """
    known = shares.result(key, COMPARISON, 0)
    if known is not None:
        return Added(**known)
    split = _known(shares, key)
    kept = [shares.result(key, COMPARED, bucket) for bucket in range(split.buckets)]
    found = [BucketCompared(**one) for one in kept if one is not None]
    if len(found) < split.buckets:
        raise _missing(split.buckets - len(found), split.buckets, "compared")
    misspelled, respelled, position = tables.look_over(split)
    added = Added(
        buckets=split.buckets,
        rows=sum(one.csv_rows for one in found),
        csv_sum=Sum.of(one.csv_sum for one in found).hex,
        sum=Sum.of(one.sum for one in found).hex,
        csv_sha256=split.sha256,
        differences=sum(one.differences for one in found),
        misspelled=misspelled,
        respelled=respelled,
        pending=split.pending,
        one_state={one.position for one in found} | {position} == {split.position},
    )
    shares.keep_result(key, COMPARISON, 0, asdict(added))
    return added


def report_bucket(tables: Tables, shares: Shares, key: str, bucket: int, buckets: int) -> BucketReported:
    """Count the people of one bucket, as PostgreSQL has them; no file is read.

    Raises:
        ProtectedError: PostgreSQL has no part.
        UnavailableError: PostgreSQL is away.
    """
    known = shares.result(key, REPORTED, bucket)
    if known is not None:
        return BucketReported.from_json(known)
    state = tables.state()
    if state is None or state.phase is Phase.ORIGINAL:
        raise ProtectedError(
            "PostgreSQL has no part here, so that there is nothing to count",
            code="no_part",
            hint="`ingest phase plan` shows where the site stands.",
        )
    found = tables.count_bucket(bucket, buckets)
    shares.begin(key)
    shares.keep_result(key, REPORTED, bucket, found.as_json())
    return found


def add_up_report(tables: Tables, shares: Shares, key: str, buckets: int) -> Reported:
    """Put together what was counted of all buckets, and count what none of them can.

    Raises:
        UnavailableError: A bucket has not been counted, or as one of another number.
    """
    known = shares.result(key, REPORT, 0)
    if known is not None:
        return Reported.from_json(known)
    kept = [shares.result(key, REPORTED, bucket) for bucket in range(buckets)]
    found = [BucketReported.from_json(one) for one in kept if one is not None]
    counted = [one for one in found if one.buckets == buckets]
    if len(counted) < buckets:
        raise _missing(buckets - len(counted), buckets, "counted")
    storage, position = tables.count_files()
    report = Reported(
        buckets=buckets,
        counts=Counts.of([one.counts for one in counted]),
        storage=storage,
        one_state={one.position for one in counted} == {position},
        at=datetime.now(UTC),
    )
    shares.keep_result(key, REPORT, 0, report.as_json())
    return report


def _missing(missing: int, buckets: int, verb: str) -> UnavailableError:
    return UnavailableError(
        f"{missing} of {buckets} buckets have not been {verb}",
        code="bucket_missing",
        hint="Launch the job anew. Every worker must have the same configuration.",
    )


def _known(shares: Shares, key: str, bucket: int = 0) -> Split:
    split = shares.known(key)
    if split is None or bucket >= split.buckets:
        raise UnavailableError(
            "there is no such bucket here",
            code="bucket_missing",
            hint="Every worker must see the CSV's folder and have the same configuration.",
        )
    return split

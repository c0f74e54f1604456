"""How long things took: counted in buckets, so that the counts of many processes can be added up."""

from bisect import bisect_left
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from itertools import pairwise

BOUNDS = (0.0005, 0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1.0, 2.0, 5.0, 10.0, 20.0, 30.0, 60.0)
"""The longest time of each bucket, in seconds; one more bucket takes what took longer."""

OK = "ok"
"""The outcome of what did not fail; of what did, it is the error's code."""

MOST = 0.95
"""The share of the times by which one look is compared with others."""

_EDGES = tuple(pairwise((0.0, *BOUNDS, BOUNDS[-1])))


class Kind(StrEnum):
    """What took time."""

    OPERATION = "operation"
    """A verb of the pipeline, from the call to the answer."""
    TRANSACTION = "transaction"
    """One in PostgreSQL, with the wait for a connection."""
    QUERY = "query"
    """One statement in PostgreSQL."""


@dataclass(frozen=True, slots=True, order=True)
class Timed:
    """What is counted together.

    Attributes:
        kind: What took time.
        operation: The verb during which it did.
        outcome: `ok`, or the code of the error that ended it.
    """

    kind: Kind
    operation: str
    outcome: str


@dataclass(frozen=True, slots=True)
class Histogram:
    """How often something took how long.

    Attributes:
        counts: How often by bucket, one more than there are BOUNDS.
        seconds: All of them together.
    """

    counts: tuple[int, ...] = (0,) * (len(BOUNDS) + 1)
    seconds: float = 0.0

    @property
    def count(self) -> int:
        """How often in all."""
        return sum(self.counts)

    def __add__(self, other: "Histogram") -> "Histogram":
        counts = (one + two for one, two in zip(self.counts, other.counts, strict=True))
        return Histogram(tuple(counts), self.seconds + other.seconds)

    def since(self, before: "Histogram") -> "Histogram":
        """What has come to it since; all of it, where it was begun anew meanwhile."""
        counts = tuple(now - then for now, then in zip(self.counts, before.counts, strict=True))
        return self if min(counts) < 0 else Histogram(counts, max(0.0, self.seconds - before.seconds))

    def percentile(self, share: float) -> float:
        """The seconds that so large a share took at most, by interpolation in the bucket; 0 of nothing.

        What took longer than the last bound counts as that.

        Args:
            share: From 0 to 1.
        """
        rank, below = share * self.count, 0
        for count, (least, most) in zip(self.counts, _EDGES, strict=True):
            if count and below + count >= rank:
                return least + (most - least) * (rank - below) / count
            below += count
        return 0.0


@dataclass(frozen=True, slots=True)
class Latency:
    """How long an operation takes.

    Attributes:
        operation: Which, such as write.
        p50: Seconds that half of them take at most.
        p95: Seconds that 95 of 100 take at most.
        p99: Seconds that 99 of 100 take at most.
    """

    operation: str
    p50: float
    p95: float
    p99: float


Timings = Mapping[Timed, Histogram]
ByOperation = Mapping[tuple[Kind, str], Histogram]


def bucket(seconds: float) -> int:
    """The bucket of a time."""
    return bisect_left(BOUNDS, seconds)


def added(several: Iterable[Timings]) -> dict[Timed, Histogram]:
    """Several processes' timings together."""
    found: dict[Timed, Histogram] = {}
    for timings in several:
        for timed, histogram in timings.items():
            found[timed] = found.get(timed, Histogram()) + histogram
    return found


def since(now: Timings, before: Timings) -> dict[Timed, Histogram]:
    """What has come since; nothing is left out but what had no part in it."""
    parts = ((timed, one.since(before.get(timed, Histogram()))) for timed, one in now.items())
    return {timed: one for timed, one in parts if one.count}


def by_operation(timings: Timings) -> dict[tuple[Kind, str], Histogram]:
    """By kind and operation, whatever the outcome."""
    found: dict[tuple[Kind, str], Histogram] = {}
    for timed, histogram in timings.items():
        key = (timed.kind, timed.operation)
        found[key] = found.get(key, Histogram()) + histogram
    return found


def latencies(timings: ByOperation, kind: Kind) -> tuple[Latency, ...]:
    """How long the operations took by which something of a kind was done, by name."""
    return tuple(
        Latency(operation, one.percentile(0.5), one.percentile(0.95), one.percentile(0.99))
        for (is_kind, operation), one in sorted(timings.items())
        if is_kind is kind
    )


def plain(timings: Timings) -> list[list[object]]:
    """As JSON has it: kind, operation, outcome, seconds, and how often by bucket where it happened."""
    return [[*_name(timed), one.seconds, sparse(one)] for timed, one in sorted(timings.items())]


def read(lines: Iterable[Sequence[object]]) -> dict[Timed, Histogram]:
    """The timings that `plain` gave.

    Raises:
        ValueError, TypeError: They are none.
    """
    found = {}
    for kind, operation, outcome, seconds, counts in lines:
        if not isinstance(seconds, int | float) or not isinstance(counts, Mapping):
            raise TypeError("these are no timings")
        timed = Timed(Kind(str(kind)), str(operation), str(outcome))
        found[timed] = Histogram(dense(counts), float(seconds))
    return found


def sparse(histogram: Histogram) -> dict[str, int]:
    """How often by bucket, where it happened."""
    return {str(index): count for index, count in enumerate(histogram.counts) if count}


def dense(counts: Mapping[str, int]) -> tuple[int, ...]:
    """How often by bucket, of what `sparse` gave."""
    return tuple(int(counts.get(str(index), 0)) for index in range(len(BOUNDS) + 1))


def _name(timed: Timed) -> tuple[str, str, str]:
    return timed.kind.value, timed.operation, timed.outcome

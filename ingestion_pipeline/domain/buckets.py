"""Buckets: the people of a file in shares that several workers take, and what came of each share."""

import hashlib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from ingestion_pipeline.domain.figures import Counts, Figures, Storage
from ingestion_pipeline.domain.reports import State

MOST = 256
"""The most buckets: each is a file that is open while a file is split."""

_MODULUS = 1 << 256


def bucket_of(row_id: str, buckets: int) -> int:
    """The bucket of a person, from 0; `buckets.sql` of the store says the same in SQL."""
    if buckets == 1:
        return 0
    return int.from_bytes(hashlib.sha256(row_id.encode()).digest()[:4]) % buckets


def names(buckets: int) -> list[str]:
    """What so many buckets are called, all of one width."""
    width = len(str(buckets - 1))
    return [f"{bucket:0{width}}" for bucket in range(buckets)]


class Sum:
    """The sha256 of each line behind its place, added up modulo 2^256.

    Whatever shares the lines are taken in, and in whatever order, their sums add up to the same.
    """

    def __init__(self, value: int = 0) -> None:
        self._value = value

    def add(self, place: int, line: bytes) -> bytes:
        """Take a line, without its end, and its place in the file, from 1; gives the digest of both."""
        digest = hashlib.sha256(b"%d," % place)
        digest.update(line)
        found = digest.digest()
        self._value += int.from_bytes(found)
        return found

    @property
    def hex(self) -> str:
        """The sum in 64 hex digits."""
        return f"{self._value % _MODULUS:064x}"

    @classmethod
    def of(cls, sums: Iterable[str]) -> "Sum":
        """The sum of sums."""
        return cls(sum(int(one, 16) for one in sums))


@dataclass(frozen=True, slots=True)
class Split:
    """A file as it was pinned and split.

    Attributes:
        state: The phase that was in force.
        sequence: The number that the file's changes get: no lower than what was there before, and lower than
            what is written after it. 0 where none are made.
        above: An ordinal below which every line stood that PostgreSQL held.
        position: The state of the tables at that instant.
        buckets: How many there are.
        rows: Of the whole file.
        sha256: Of the whole file.
        dialect: How it is spelled, as `Dialect.as_json` gives it.
        pending: How many people the side that follows had yet to get.
        shares: Per bucket, the sha256 of its file and its rows.
    """

    state: State
    sequence: int
    above: int
    position: str
    buckets: int
    rows: int
    sha256: str
    dialect: dict[str, object]
    pending: int
    shares: tuple[tuple[str, int], ...]


@dataclass(frozen=True, slots=True)
class Pinned:
    """What is known of both sides at the instant in which a file is pinned; see Split."""

    state: State
    sequence: int
    above: int
    position: str
    pending: int


@dataclass(frozen=True, slots=True)
class BucketSynced:
    """What a sync of one bucket did. Counts of rows.

    Attributes:
        rows: Of the file.
        inserted: People who were new.
        updated: People who were otherwise.
        left: Rows that are left to the last step, which sees all buckets at once: those that quarantine or
            a brake may have to do with.
    """

    rows: int
    inserted: int
    updated: int
    left: int


@dataclass(frozen=True, slots=True)
class BucketCompared:
    """What a comparison of one bucket found.

    Attributes:
        csv_rows: Lines of the file.
        rows: Lines of the tables.
        csv_sum: The Sum of the file's lines, in hex.
        sum: That of the tables' lines.
        differences: Lines that one side has and the other has not.
        position: The state of the tables that was looked at.
    """

    csv_rows: int
    rows: int
    csv_sum: str
    sum: str
    differences: int
    position: str


@dataclass(frozen=True, slots=True)
class Added:
    """What the comparisons of all buckets come to.

    Attributes:
        buckets: How many there are.
        rows: Lines of the file.
        csv_sum: The Sum of the file's lines, in hex; the same for any number of buckets.
        sum: That of the tables' lines.
        csv_sha256: Of the file that was compared.
        differences: Lines that one side has and the other has not.
        misspelled: Cells whose kept original text no longer means their value.
        respelled: Whether the tables' file is spelled otherwise as a whole: columns, quotes, line ends.
        pending: How many people the side that follows had yet to get.
        one_state: Whether every bucket was compared with the tables as they were when the file was pinned.
    """

    buckets: int
    rows: int
    csv_sum: str
    sum: str
    csv_sha256: str
    differences: int
    misspelled: int
    respelled: bool
    pending: int
    one_state: bool

    @property
    def equal(self) -> bool:
        """Whether the two sides were the same, to the byte and in one state."""
        return self.bytes_equal and not self.misspelled and self.one_state

    @property
    def bytes_equal(self) -> bool:
        """Whether every line stood on both sides in the same place, spelled the same."""
        return self.csv_sum == self.sum and not self.differences and not self.respelled


@dataclass(frozen=True, slots=True)
class BucketReported:
    """What was counted of the people of one bucket.

    Attributes:
        buckets: How many there were.
        counts: Of its people.
        position: The state of the tables that was looked at.
    """

    buckets: int
    counts: Counts
    position: str

    def as_json(self) -> dict[str, Any]:
        """As `from_json` takes it."""
        return {"buckets": self.buckets, "counts": self.counts.as_json(), "position": self.position}

    @classmethod
    def from_json(cls, kept: Mapping[str, Any]) -> "BucketReported":
        """From what `as_json` gave."""
        return cls(kept["buckets"], Counts.from_json(kept["counts"]), kept["position"])


@dataclass(frozen=True, slots=True)
class Reported:
    """What the counts of all buckets come to, and what no bucket can count.

    Attributes:
        buckets: How many there are.
        counts: Of everybody.
        storage: Everybody's files.
        one_state: Whether all of it was counted in one state of the tables.
        at: When it was added up.
    """

    buckets: int
    counts: Counts
    storage: Storage
    one_state: bool
    at: datetime

    @property
    def figures(self) -> Figures:
        """The same as figures; the views were not refreshed for them."""
        counts = self.counts
        return Figures(counts.processing, counts.types, counts.outcomes, self.storage, ())

    def as_json(self) -> dict[str, Any]:
        """As `from_json` takes it."""
        return {
            "buckets": self.buckets,
            "counts": self.counts.as_json(),
            "storage": self.storage.as_json(),
            "one_state": self.one_state,
            "at": self.at.isoformat(),
        }

    @classmethod
    def from_json(cls, kept: Mapping[str, Any]) -> "Reported":
        """From what `as_json` gave."""
        return cls(
            kept["buckets"],
            Counts.from_json(kept["counts"]),
            Storage.from_json(kept["storage"]),
            kept["one_state"],
            datetime.fromisoformat(kept["at"]),
        )

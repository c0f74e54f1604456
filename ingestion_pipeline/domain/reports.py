"""What an operation found or did, as frozen values."""

from dataclasses import dataclass

from ingestion_pipeline.domain.difference import Difference
from ingestion_pipeline.domain.errors import epochs_contradict
from ingestion_pipeline.domain.phase import Phase

FIRST = 10_000
"""Differences named at most, unless more are asked for; all are counted."""

READ = "read"
"""What is said where the replica answered."""


@dataclass(frozen=True, slots=True)
class State:
    """The phase in force.

    Attributes:
        phase: Which side leads.
        epoch: Counts the changes of phase, from 1.
        changing: Whether a change of phase was begun and nobody has seen its end; only PostgreSQL knows then.
    """

    phase: Phase
    epoch: int
    changing: bool = False


def go_by(known: State | None, found: State) -> State:
    """The phase in force, given what the ledger beside the CSV says and what PostgreSQL does.

    Raises:
        ProtectedError: They contradict each other.
    """
    if known is None or found.epoch >= known.epoch:
        return found
    if known.phase is Phase.ORIGINAL:
        # PostgreSQL was left behind, and has no part in this phase.
        return known
    raise epochs_contradict(
        f"the ledger beside the CSV is in epoch {known.epoch}, PostgreSQL in {found.epoch}"
    )


@dataclass(frozen=True, slots=True)
class Respelled:
    """A row that a normalised copy spells otherwise.

    Attributes:
        line: Its line in the source.
        column: The first column respelled; None for the header.
    """

    line: int
    column: str | None


@dataclass(frozen=True, slots=True)
class Normalised:
    """A normalised copy of a file.

    Attributes:
        path: Where it lies.
        changes: Every row respelled, in order.
    """

    path: str
    changes: tuple[Respelled, ...]


@dataclass(frozen=True, slots=True)
class SyncReport:
    """What a sync did, or with dry_run would do. Counts of rows, but for the cells."""

    rows_read: int
    inserted: int
    updated: int
    unchanged: int
    deleted: int
    moved: int
    repeated: int
    quarantined_rows: int
    quarantined_cells: int
    sha256: str
    dry_run: bool
    seconds: float

    @property
    def people(self) -> int:
        """People the file holds."""
        return self.inserted + self.updated + self.unchanged

    @property
    def changed(self) -> int:
        """People written."""
        return self.inserted + self.updated + self.deleted


@dataclass(frozen=True, slots=True)
class Weighed:
    """What putting another file in the place of what is there changes.

    Attributes:
        rows: Rows of the file.
        inserted: People who were not there.
        updated: People who were another; None where that is not told: the two files are spelled otherwise, or
            the one that is there cannot be read.
        deleted: People who are not there any more.
    """

    rows: int
    inserted: int
    updated: int | None
    deleted: int


@dataclass(frozen=True, slots=True)
class Found:
    """Where the file and the tables part.

    Attributes:
        missing: Records the follower has not.
        extra: Records only the follower has.
        changed: Records that differ in some column, or stand elsewhere.
        first: The first differences, at most as many as were asked for.
        counted: How many there are in all.
    """

    missing: int = 0
    extra: int = 0
    changed: int = 0
    first: tuple[Difference, ...] = ()
    counted: int = 0


@dataclass(frozen=True, slots=True)
class Compared:
    """The file beside what PostgreSQL holds, in one state of both.

    Attributes:
        csv_sha256: Hex digest of the file.
        rendered_sha256: Of the file that PostgreSQL renders.
        rows: Rows of the file.
        found: Where they differ; where the digests are one, in what the same bytes do not show.
    """

    csv_sha256: str
    rendered_sha256: str
    rows: int
    found: Found

    @property
    def bytes_equal(self) -> bool:
        """Whether PostgreSQL renders the file's bytes."""
        return self.csv_sha256 == self.rendered_sha256


@dataclass(frozen=True, slots=True)
class CompareReport:
    """What a comparison found, seen from the follower.

    Attributes:
        equal: Whether nothing differs.
        bytes_equal: Whether PostgreSQL renders exactly the file's bytes.
        rows: Rows of the file; None when equal bytes ended the question.
        missing: Records the follower has not.
        extra: Records only the follower has.
        changed: Records that differ in some column.
        differences: The first of them, by row and column, never by value.
        counted: How many differences there are in all.
        pending: Rows not settled when the two were compared.
        csv_sha256: Hex digest of the file compared.
        seconds: How long it took.
        not_rehearsed: Why the way back could not be rehearsed, where that was asked for.
        stamped: Whether a proof of it was kept; who may only read keeps none.
        replica: Where a replica is configured, `read`, or why the primary was read instead.
    """

    equal: bool
    bytes_equal: bool
    missing: int
    extra: int
    changed: int
    differences: tuple[Difference, ...]
    counted: int
    pending: int
    csv_sha256: str
    rows: int
    seconds: float
    not_rehearsed: str | None = None
    stamped: bool = True
    replica: str | None = None


@dataclass(frozen=True, slots=True)
class Merged:
    """What was made of a CSV that somebody else rewrote.

    Attributes:
        at: When it was noticed, in ISO 8601, UTC.
        restored: Rows with acknowledged writes that the other had not seen, written again.
        kept: Rows in which the other's change stands over an earlier write.
        gone: Rows that are not in the file any more.
        aside: Where the other's file is kept, if it was replaced.
    """

    at: str
    restored: int = 0
    kept: int = 0
    gone: int = 0
    aside: str | None = None

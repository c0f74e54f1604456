"""What the operations ask of a place, without saying which place it is."""

from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from typing import Any, Protocol

from ingestion_pipeline.domain.brake import Brakes
from ingestion_pipeline.domain.buckets import BucketCompared, BucketReported, BucketSynced, Pinned, Split
from ingestion_pipeline.domain.dialect import Dialect
from ingestion_pipeline.domain.errors import InputRefusedError
from ingestion_pipeline.domain.figures import Storage
from ingestion_pipeline.domain.journal import Kind, Record
from ingestion_pipeline.domain.pending import Dirty, Followed, Pending, Placed
from ingestion_pipeline.domain.phase import Phase, Side
from ingestion_pipeline.domain.phase_change import PhaseChange
from ingestion_pipeline.domain.proof import Proof
from ingestion_pipeline.domain.quarantine import Count, Decision, Entry
from ingestion_pipeline.domain.receipt import Made, Write
from ingestion_pipeline.domain.record import Cells
from ingestion_pipeline.domain.reports import Compared, Found, Merged, State, SyncReport, Weighed
from ingestion_pipeline.domain.version import Content, Form, Manifest, Version

Step = Callable[[str], None]
"""Told the name of each longer step as it begins."""

Progress = Callable[[int], None]
"""Told how many bytes of the file have been read."""


class Sink(Protocol):
    """Takes bytes in order."""

    def write(self, data: bytes, /) -> object:
        """Take some bytes."""
        ...


class RowBlock(Cells, Protocol):
    """Some whole rows of a file, in its order."""

    @property
    def position(self) -> int:
        """The first row's position in the file, from 1."""
        ...

    @property
    def rows(self) -> Sequence[Sequence[str]]:
        """Their cells, every row as wide as the header."""
        ...

    @property
    def raw(self) -> bytes:
        """Their bytes in the file."""
        ...

    def cells(self, column: int, /) -> Sequence[str]:
        """One column's cells."""
        ...

    def spans(self, first: int, last: int, /) -> list[bytes]:
        """Each row's bytes from one column to another, as they stand in the file."""
        ...

    def __len__(self) -> int: ...


class Blocks(Protocol):
    """One pass over a file that keeps the contract."""

    @property
    def columns(self) -> tuple[str, ...]:
        """The header's names, in the file's order."""
        ...

    @property
    def head(self) -> bytes:
        """The bytes before the rows."""
        ...

    @property
    def dialect(self) -> Dialect:
        """How the file is spelled; settled once the blocks are exhausted."""
        ...

    @property
    def sha256(self) -> str:
        """Hex digest of the file once the blocks are exhausted."""
        ...

    @property
    def size(self) -> int:
        """Bytes read; of the whole file once the blocks are exhausted."""
        ...

    @property
    def rows(self) -> int:
        """Rows read; of the whole file once the blocks are exhausted."""
        ...

    @property
    def total(self) -> int:
        """Bytes the file had when it was opened."""
        ...

    def blocks(self) -> Iterator[RowBlock]:
        """The rows, in blocks.

        Raises:
            InputRefusedError: At the first row that does not keep the contract.
        """
        ...

    def check_current(self) -> None:
        """See that the path still names this file, unchanged."""
        ...


class Shared(Protocol):
    """The rows of one bucket."""

    @property
    def file(self) -> Blocks:
        """They, as a file of their own."""
        ...

    @property
    def places(self) -> Sequence[int]:
        """The place of each in the whole file, from 1."""
        ...


class Shares(Protocol):
    """Files in buckets, and what came of each bucket, where every worker sees them."""

    def known(self, key: str) -> Split | None:
        """What is known of a file that was split; None where there is none."""
        ...

    def is_over(self, key: str) -> bool:
        """Whether all has been done that was to be done with the shares."""
        ...

    def split(self, key: str, pinned: Pinned, file: Blocks, buckets: int) -> Split:
        """Split a file; where another process was quicker, its shares stand."""
        ...

    def reading(self, key: str, bucket: int) -> AbstractContextManager[Shared]:
        """One pass over the file of a bucket, through the gate."""
        ...

    def begin(self, key: str) -> None:
        """Make a place for what comes of buckets that need no rows of a file."""
        ...

    def result(self, key: str, kind: str, bucket: int) -> Mapping[str, Any] | None:
        """What came of a bucket; None where nothing has yet."""
        ...

    def keep_result(self, key: str, kind: str, bucket: int, result: Mapping[str, Any]) -> None:
        """Keep what came of a bucket."""
        ...

    def end(self, key: str) -> None:
        """Note that all is done, and take the rows away."""
        ...


class Incoming(Protocol):
    """A file that is received beside the CSV."""

    @property
    def columns(self) -> tuple[str, ...]:
        """Its columns, once it was looked at."""
        ...

    def write(self, data: bytes, /) -> object:
        """Append bytes."""
        ...

    def reading(self, progress: Progress | None = None) -> AbstractContextManager[Blocks]:
        """One pass over it, through the gate."""
        ...

    def look(self, progress: Progress | None = None) -> int:
        """See that it keeps the contract, and where its rows lie; gives how many there are."""
        ...

    def weigh(self, brakes: Brakes | None) -> Weighed:
        """What it would change of the CSV, which is locked."""
        ...

    def take_place(self, epoch: int) -> None:
        """Make the CSV, which is locked, this file."""
        ...


class HeldCsv(Protocol):
    """The CSV while its lock is held."""

    def state(self) -> State | None:
        """The phase in force, by the ledger."""
        ...

    def keep(self, state: State) -> None:
        """Keep the phase in force; a change of phase that was begun has led to it, or was cancelled."""
        ...

    def mark(self, state: State, change: PhaseChange) -> None:
        """Note that the phase in force is about to be changed: until it is kept, only PostgreSQL knows it."""
        ...

    def changing(self) -> PhaseChange | None:
        """The change of phase that was begun and nobody has seen the end of."""
        ...

    def refresh(self, brakes: Brakes | None) -> Merged | None:
        """Finish what was interrupted, and merge what somebody else made of the file."""
        ...

    def is_ours(self) -> bool:
        """Whether the file is the one this package wrote last."""
        ...

    def looks_ours(self) -> bool:
        """As `is_ours`, but only to look at."""
        ...

    @property
    def columns(self) -> tuple[str, ...]:
        """The file's columns, in its order."""
        ...

    @property
    def file(self) -> tuple[str, int, int]:
        """The file's sha256, bytes and rows."""
        ...

    def read_all(self, row_ids: Sequence[str]) -> dict[str, dict[str, str]]:
        """Several persons' cells by column; those who are not there are left out."""
        ...

    def placed(self, row_ids: Collection[str]) -> dict[str, Placed]:
        """Where several persons stand in the file, and their cells in its order."""
        ...

    def since(self, sequence: int) -> list[Record] | None:
        """What was written or merged after a record; None where that is not known any more."""
        ...

    def write(
        self, groups: Sequence[tuple[str, Sequence[Write]]], epoch: int, kind: Kind
    ) -> list[list[Record | InputRefusedError]]:
        """Write cells, all groups in one replacement of the file."""
        ...

    def add_columns(self, names: Sequence[str], epoch: int) -> None:
        """Give the file more columns behind its own, empty in every row."""
        ...

    def delete(self, row_ids: Collection[str], by: str, epoch: int, brakes: Brakes | None) -> list[str]:
        """Take people out of the file; gives who was there."""
        ...

    def put(self, lines: Mapping[str, Sequence[str] | None], on_top: Sequence[str]) -> None:
        """Make rows what PostgreSQL says they are, while it leads."""
        ...

    def render(self, write: Callable[[Sink], object], *, foreign: str | None) -> Merged | None:
        """Replace the whole file by what is written."""
        ...

    def outdate(self, epoch: int) -> None:
        """Note that PostgreSQL is made what it once was: until it is rendered anew, the file is not ours."""
        ...

    def have_followed(self, epoch: int) -> None:
        """Note that PostgreSQL, which follows, is to be made equal to the whole file."""
        ...

    def identity(self) -> object:
        """What tells the file that is there from another one; None where there is none."""
        ...

    def open(self) -> list[Record]:
        """The records that the other side has yet to get."""
        ...

    def reading(self, progress: Progress | None = None) -> AbstractContextManager[Blocks]:
        """One pass over the file, through the gate."""
        ...

    def last_sequence(self) -> int:
        """The number of the journal's last record; 1 where there is none."""
        ...

    def is_used(self) -> bool:
        """Whether anybody has written through the journal."""
        ...

    def adopt(self) -> None:
        """Take the file as it lies there for the one that was written last."""
        ...

    def close(self, epoch: int, *, least: int = 0, file: str | None = None) -> None:
        """Note that the other side holds all there is."""
        ...

    def waiting(self) -> Pending:
        """What the other side has yet to get, by the journal."""
        ...

    def merged(self) -> Merged | None:
        """What somebody else's last change of the file came to."""
        ...


class Scratch(Protocol):
    """A file that is written to be looked at only."""

    def write(self, data: bytes, /) -> object:
        """Append bytes."""
        ...

    def settle(self) -> object:
        """Bring the bytes to disk and read them back."""
        ...


class Csv(Protocol):
    """The CSV that is one of the two sides."""

    @property
    def place(self) -> str:
        """Where it lies, for people."""
        ...

    def exists(self) -> bool:
        """Whether there is a file."""
        ...

    def reading(self, progress: Progress | None = None) -> AbstractContextManager[Blocks]:
        """One pass over the file, through the gate."""
        ...

    def sha256(self) -> str:
        """Hex digest of the file as it lies there."""
        ...

    def held(self) -> AbstractContextManager[HeldCsv]:
        """The CSV while nobody else writes or needs it to stand still."""
        ...

    def pinned(self) -> AbstractContextManager["Csv"]:
        """The file as it is now, whatever takes its place meanwhile."""
        ...

    def still(self) -> AbstractContextManager[HeldCsv]:
        """The CSV while nobody writes; only to look at."""
        ...

    def scratch(self) -> AbstractContextManager["Scratch"]:
        """A file on the CSV's own disk that is gone at the end."""
        ...

    def incoming(self) -> AbstractContextManager[Incoming]:
        """A file that is received on the CSV's own disk."""
        ...

    @property
    def takes_in(self) -> bool:
        """Whether the CSV holds writes that PostgreSQL, which leads, has yet to get."""
        ...

    def rewrite_rows(
        self, sha256: str, positions: Collection[int], cells: Mapping[str, str] | None
    ) -> object:
        """Put other cells in rows of the file with this digest, or leave the rows out."""
        ...


class Snapshot(Protocol):
    """One state of the tables, however long it is looked at."""

    def columns(self) -> tuple[str, ...]:
        """The columns of the CSV that the tables hold; none before the first sync."""
        ...

    def render(self, sink: Sink) -> tuple[int, Dialect]:
        """Write the CSV that the tables hold; gives its rows and how it is spelled."""
        ...

    def rendered_digest(self) -> tuple[str, int]:
        """The sha256 of the CSV that the tables hold, and its rows."""
        ...

    def misspelled(self, limit: int) -> Found:
        """Cells whose kept original text no longer means their value."""
        ...

    def compare(self, csv: Csv, authority: Side, limit: int, progress: Progress | None) -> Compared:
        """Whether the tables render the file's bytes, and every record and column in which they differ."""
        ...

    def state(self) -> State:
        """The phase in force."""
        ...

    def position(self) -> str:
        """The state of the tables: another one after every write that was committed."""
        ...

    def quarantine_count(self) -> Count:
        """How many quarantine entries stand."""
        ...

    def seen(self) -> str:
        """Which transactions are in this state."""
        ...

    def pending(self) -> Pending:
        """How much the CSV that follows has yet to get."""
        ...

    def dirty(self, columns: Sequence[str], limit: int | None = None) -> list[Dirty]:
        """People whose present row the CSV has yet to get, in the file's order."""
        ...

    def first_settled(self) -> int:
        """The ordinal of the first line the CSV has already."""
        ...


class Fence(Snapshot, Protocol):
    """The tables, which nobody else writes while the phase is changed."""

    def changed_since(self, seen: str, limit: int) -> set[str] | None:
        """Who was changed by what a snapshot had not seen, but for those who are gone; None for too many."""
        ...

    def has_lost_rows(self, position: str, seen: str) -> bool:
        """Whether people who have not changed since have lost their rows in another table."""
        ...

    def lines(self) -> int:
        """How many lines the CSV has that the tables hold."""
        ...

    def placed(self, row_ids: Collection[str], columns: Collection[str]) -> dict[str, Placed]:
        """Where several persons stand in the CSV that the tables hold, and their cells."""
        ...

    def last_revision(self) -> int:
        """The highest revision given so far."""
        ...

    def note_pending(self, row_ids: Collection[str]) -> None:
        """Note that the CSV has yet to get these people."""
        ...

    def clear_pending(self) -> None:
        """Note that the CSV has everybody."""
        ...

    def change(self, state: State, by: str) -> None:
        """Put another phase in force: what cannot be taken back any more."""
        ...


class Tables(Protocol):
    """The three tables and what guards them."""

    def state(self) -> State | None:
        """The phase in force; None on a site that has not begun."""
        ...

    def begin(self, wanted: Phase, *, known: State | None = None, dry_run: bool = False) -> State:
        """Begin on a fresh site; a site that has begun stays as it is."""
        ...

    def is_synced(self) -> bool:
        """Whether the tables were ever made equal to a file."""
        ...

    def pin(self) -> tuple[int, str, int]:
        """An ordinal behind all lines, the tables' position, and how many people are pending."""
        ...

    def next_revision(self) -> int:
        """A number that no change has had."""
        ...

    def sync_bucket(
        self, opened: Callable[[], AbstractContextManager[Shared]], split: Split, key: str, bucket: int
    ) -> BucketSynced:
        """Write what of a bucket is new or otherwise, in one transaction."""
        ...

    def compare_bucket(self, share: Shared, split: Split, bucket: int) -> BucketCompared:
        """Compare a bucket with one state of the tables."""
        ...

    def look_over(self, split: Split) -> tuple[int, bool, str]:
        """What no bucket shows: misspelled cells, whether all is spelled otherwise, and the position."""
        ...

    def count_bucket(self, bucket: int, count: int) -> BucketReported:
        """Count the people of one of so many buckets, in one state of the tables."""
        ...

    def count_files(self) -> tuple[Storage, str]:
        """Count everybody's files; gives the position, too."""
        ...

    def fenced(self, state: State) -> AbstractContextManager[Fence]:
        """The tables while nobody else writes them, in the phase that is to be in force."""
        ...

    def go_on_from(self, state: State) -> None:
        """Say what the ledger says, as what PostgreSQL says was left behind."""
        ...

    def sync(
        self,
        opened: Callable[[], AbstractContextManager[Blocks]],
        *,
        began: State,
        brakes: Brakes | None,
        dry_run: bool,
        step: Step,
        least_revision: int = 1,
    ) -> SyncReport:
        """Make the tables equal to the file, in one transaction."""
        ...

    def render(self, sink: Sink) -> tuple[int, Dialect]:
        """Write the CSV that the tables hold; gives its rows and how it is spelled."""
        ...

    def snapshot(self) -> AbstractContextManager[Snapshot]:
        """One state of the tables."""
        ...

    def stamp(self, proof: Proof) -> bool:
        """Keep a proof; False for who may only read."""
        ...

    def last_proof(self) -> Proof | None:
        """The newest proof kept."""
        ...

    def quarantine(self, *, decided: bool) -> list[Entry]:
        """The entries, with or without those decided."""
        ...

    def quarantined_text(self, number: int) -> tuple[Entry, dict[str, str]] | None:
        """One entry and the text it keeps by column; None when there is none."""
        ...

    def decide(self, number: int, decision: Decision, by: str) -> None:
        """Keep a decision."""
        ...

    def write(
        self, state: State, by: str, writes: Sequence[Write]
    ) -> tuple[list[Made], InputRefusedError | None]:
        """Write people in one transaction, up to the first refusal."""
        ...

    def delete(self, state: State, by: str, row_ids: Collection[str], brakes: Brakes | None) -> list[str]:
        """Delete people in one transaction; gives who was there."""
        ...

    def follow(self, state: State, rows: Sequence[Followed], file: tuple[str, int, int]) -> bool:
        """Make people what the CSV that leads says they are; False when nothing was ever synced."""
        ...

    def take_back(self, state: State, records: Sequence[Record]) -> int:
        """Bring what the CSV took in while PostgreSQL was away; gives how many cells are in conflict."""
        ...

    def clear(self, dirty: Sequence[Dirty]) -> None:
        """Note that the CSV has these, but for those that have changed since."""
        ...

    def last_revision(self) -> int:
        """The highest revision given so far."""
        ...


class VersionDraft(Protocol):
    """A version being written."""

    @property
    def sha256(self) -> str:
        """Hex digest of what has been written."""
        ...

    @property
    def size(self) -> int:
        """Bytes written."""
        ...

    def write(self, data: bytes, /) -> object:
        """Append bytes of the CSV."""
        ...

    def publish(self, content: Content, made_by: str | None = None) -> Manifest:
        """Publish what has been written, once it has been read back; gives another's who was first."""
        ...


class Versions(Protocol):
    """Where versions are published."""

    @property
    def place(self) -> str:
        """Where they lie, for people."""
        ...

    def holding(self, sha256: str) -> Manifest | None:
        """The newest version's manifest, if it holds this content and is good."""
        ...

    def listing(self, *, read: bool = True) -> Iterator[Version]:
        """All versions, the newest first."""
        ...

    def fetch(self, manifest: Manifest, sink: Sink) -> None:
        """Write what a version holds."""
        ...

    def draft(self, form: Form) -> AbstractContextManager[VersionDraft]:
        """A version being written; gone at the end unless it was published."""
        ...

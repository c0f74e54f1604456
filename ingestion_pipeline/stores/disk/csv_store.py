"""The CSV that is one of the two sides."""

import os
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from uuid import uuid4

from ingestion_pipeline.domain.dialect import Dialect
from ingestion_pipeline.domain.errors import Place, ProtectedError, UnavailableError
from ingestion_pipeline.domain.phase_change import PhaseChange
from ingestion_pipeline.domain.ports import Sink
from ingestion_pipeline.domain.receipt import Answered, Write
from ingestion_pipeline.domain.record import Examination, is_rejected
from ingestion_pipeline.domain.reports import Normalised, State
from ingestion_pipeline.stores.atomic import Draft, Written, digest, draft, make_folder
from ingestion_pipeline.stores.disk.csv_reading import CsvReading, dialect_of
from ingestion_pipeline.stores.disk.incoming import Incoming
from ingestion_pipeline.stores.disk.lock import FileLock, release
from ingestion_pipeline.stores.disk.locked_csv import LockedCsv
from ingestion_pipeline.stores.disk.normalising import normalise
from ingestion_pipeline.stores.disk.spelling import spell
from ingestion_pipeline.stores.disk.submitting import Lead, submitted

PATIENCE = 1.0
"""Seconds that who only looks waits for those who write."""


class CsvStore:
    """One CSV file.

    Args:
        path: Where it lies; it need not be there yet.
    """

    def __init__(self, path: Path, *, timeout: float = 30.0, check_interval: float = 0.1) -> None:
        self.path = path
        self.state_dir = path.with_name(f".{path.name}.ingestion")
        self._lock = FileLock(self.state_dir / "lock", timeout, check_interval)
        self._locked = LockedCsv(path, self.state_dir)

    @property
    def place(self) -> str:
        """Where the file lies, for people."""
        return str(self.path)

    def check_here(self) -> None:
        """See that the file is on this host; a CSV elsewhere refuses."""

    @contextmanager
    def held(self) -> Iterator[LockedCsv]:
        """The CSV while nobody else writes or needs it to stand still.

        Raises:
            UnavailableError: Somebody else held it all the time, or the disk refuses.
        """
        with self._refusals(), self._lock.exclusive():
            yield self._locked

    @contextmanager
    def held_unless_told(self) -> Iterator[LockedCsv | None]:
        """As `held`, unless the ledger says which phase is in force before it is this one's turn; None then.

        Whoever changes the phase may hold the CSV long after it has said so.
        """
        with self._refusals():
            descriptor = self._lock.wait(self._is_told)
            if descriptor is None:
                yield None
                return
            try:
                yield self._locked
            finally:
                release(descriptor)

    def _is_told(self) -> bool:
        state = self.state()
        return state is not None and not state.changing

    @contextmanager
    def still(self) -> Iterator[LockedCsv]:
        """The CSV while nobody writes, or, where somebody goes on and on, as it is; only to look at."""
        with ExitStack() as stack:
            if self.state_dir.exists():
                with suppress(UnavailableError):
                    stack.enter_context(FileLock(self._lock.path, PATIENCE).shared())
            yield LockedCsv(self.path, self.state_dir)

    @contextmanager
    def pinned(self) -> Iterator["CsvStore"]:
        """The file as it is now, whatever takes its place meanwhile; to be read under another name."""
        make_folder(self.state_dir)
        pin = self.state_dir / f"pin-{uuid4().hex}"
        try:
            os.link(self.path, pin, follow_symlinks=False)
        except OSError as error:
            raise self._unreadable(error) from None
        try:
            yield CsvStore(pin)
        finally:
            pin.unlink(missing_ok=True)

    def state(self) -> State | None:
        """The phase in force, by the ledger, without waiting for anybody."""
        return self._locked.state()

    def changing(self) -> PhaseChange | None:
        """The change of phase that was begun and nobody has seen the end of, without waiting for anybody."""
        return self._locked.changing()

    def phases(self) -> list[PhaseChange]:
        """Every change of phase, the oldest first."""
        return self._locked.phases()

    @contextmanager
    def switching(self) -> Iterator[None]:
        """While nobody else changes the phase.

        Raises:
            UnavailableError: Somebody else is changing it.
        """
        with self._refusals():
            lock = FileLock(self.state_dir / "switch")
            descriptor = lock.at_once()
            if descriptor is None:
                raise UnavailableError(
                    "somebody else is changing the phase at this moment",
                    code="changing",
                    place=Place(file=self.place),
                    hint="`ingest phase history` shows what came of it.",
                )
            try:
                yield
            finally:
                release(descriptor)

    @contextmanager
    def scratch(self) -> Iterator[Draft]:
        """A file on the CSV's own disk that is gone at the end."""
        make_folder(self.state_dir)
        with draft(self.state_dir / "scratch") as new:
            yield new

    @contextmanager
    def incoming(self) -> Iterator[Incoming]:
        """A file that is received on the CSV's own disk; gone at the end unless it takes its place."""
        folder = self.state_dir / "incoming"
        make_folder(folder)
        with draft(self.path, folder) as new:
            yield Incoming(new, self._locked)

    @property
    def takes_in(self) -> bool:
        """Whether the CSV holds writes that PostgreSQL, which leads, has yet to get."""
        return (self.state_dir / "fallback").exists()

    def submit(self, writes: Sequence[Write], by: str, lead: Lead) -> Answered:
        """Have writes written by whoever holds the lock, this thread or another process.

        Args:
            writes: What is to be written, in this order.
            by: Who writes.
            lead: Writes several callers' writes, with the lock held.

        Raises:
            UnavailableError: Nobody let go of the lock in time, or the disk refuses; nothing was written,
                or, as `outcome_unknown`, nobody said whether it was.
        """
        with self._refusals():
            return submitted(self._lock, self._locked, self.state_dir / "intake", writes, by, lead)

    @contextmanager
    def _refusals(self) -> Iterator[None]:
        """What the disk refuses, as this package's own error."""
        try:
            yield
        except OSError as error:
            raise UnavailableError(
                f"the disk refuses: {error.strerror}",
                code="disk",
                place=Place(file=self.place),
                hint="Check the disk, the folder's permissions, and how many files may be open.",
            ) from None

    def exists(self) -> bool:
        """Whether there is a file."""
        return self.path.is_file()

    def bytes(self) -> tuple[int, int]:
        """The size of the file, and that of its journal."""
        journal = (self.state_dir / "journal").glob("*.journal")
        return _size(self.path), sum(map(_size, journal))

    def changed_at(self) -> float | None:
        """When the file was changed, by whomever, in seconds since the epoch; None where there is none."""
        return _changed_at(self.path)

    def kept_at(self) -> float | None:
        """When the phase in force was kept in the ledger, in seconds since the epoch."""
        return _changed_at(self.state_dir / "ledger.json")

    def reading(self, progress: Callable[[int], None] | None = None) -> CsvReading:
        """One pass over the file, through the gate; see CsvReading."""
        return CsvReading(self.path, progress)

    def sha256(self) -> str:
        """Hex digest of the file as it lies there.

        Raises:
            UnavailableError: There is no file.
        """
        try:
            return digest(self.path).sha256
        except OSError as error:
            raise self._unreadable(error) from None

    def _unreadable(self, error: OSError) -> UnavailableError:
        return UnavailableError(
            f"the file cannot be read: {error.strerror}",
            code="csv_missing",
            place=Place(file=self.place),
            hint="Name the CSV in paths.output_csv of the configuration.",
        )

    def people(self, again: Callable[[str], bool]) -> Iterator[dict[str, str]]:
        """Every person's cells by column, in the file's order.

        Args:
            again: Whether a row_id may stand in several rows.
        """
        seen: set[str] = set()
        with self.reading() as file:
            examination = Examination(file.columns)
            key = file.columns.index("row_id")
            for block in file.blocks():
                for row in block.rows:
                    row_id = row[key]
                    if row_id in seen or is_rejected(examination, row):
                        continue
                    if again(row_id):
                        seen.add(row_id)
                    yield dict(zip(file.columns, row, strict=True))

    def normalised(self) -> tuple["CsvStore", Normalised]:
        """A normalised copy beside the file, and what it spells otherwise."""
        copy = CsvStore(self.path.with_suffix(".normalised.csv"))
        return copy, normalise(self.path, copy.path)

    def rewrite_rows(
        self, sha256: str, positions: Collection[int], cells: Mapping[str, str] | None
    ) -> Written:
        """Put other cells in the rows at these positions, or with None leave the rows out.

        Args:
            sha256: Hex digest of the file that is meant.
            positions: The rows' places in it, from 1.
            cells: The text of every column of the header.

        Raises:
            ProtectedError: The file has become another one meanwhile; it is left as it is.
        """
        with self.reading() as file:
            dialect = dialect_of(self.path)
            row = None if cells is None else [cells[name] for name in file.columns]

            with draft(self.path) as new:
                _copy_with(file, dialect, positions, row, new)
                return new.replace(lambda: _check_meant(file, sha256, self.path))


def _size(path: Path) -> int:
    with suppress(OSError):
        return path.stat().st_size
    return 0


def _changed_at(path: Path) -> float | None:
    with suppress(OSError):
        return path.stat().st_mtime
    return None


def _check_meant(file: CsvReading, sha256: str, path: Path) -> None:
    try:
        file.check_current()
    except UnavailableError:
        meant = False
    else:
        meant = file.sha256 == sha256
    if not meant:
        raise ProtectedError(
            "the file has been changed meanwhile; it is left as it is",
            code="csv_changed",
            place=Place(file=str(path)),
            hint="`ingest sync` reads it anew; then decide again.",
        )


def _copy_with(
    file: CsvReading, dialect: Dialect, positions: Collection[int], cells: Sequence[str] | None, sink: Sink
) -> None:
    """Copy the file, row by row only in the blocks that hold the positions."""
    held = file.head
    for block in file.blocks():
        raw = block.raw
        held_here = {position - block.position for position in positions} & set(range(len(block.rows)))
        if held_here:
            kept = (cells if index in held_here else row for index, row in enumerate(block.rows))
            rows = [row for row in kept if row is not None]
            raw = spell(rows, dialect.quoting, dialect.line_end).encode()
        if raw:
            sink.write(held)
            held = raw
    end = dialect.line_end.encode()
    bare = held.removesuffix(end)
    sink.write(bare + end if dialect.final_newline else bare)

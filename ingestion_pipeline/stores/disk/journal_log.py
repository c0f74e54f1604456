"""The journal on disk: segments of records, each fsynced before anybody is told."""

import os
from collections.abc import Iterable, Iterator, Sequence
from contextlib import suppress
from dataclasses import replace
from itertools import pairwise
from pathlib import Path
from uuid import UUID

from ingestion_pipeline.domain.errors import Place, ProtectedError, UnavailableError
from ingestion_pipeline.domain.journal import NO_WRITE, Kind, Record, Scan, encode
from ingestion_pipeline.stores.atomic import make_folder, sync_folder, write_all

SEGMENT = 8 * 1024 * 1024
"""Bytes after which a new segment begins."""

KEPT = 8
"""Segments kept although the other side holds all of them: what tells a stale file from an edited one."""


class JournalLog:
    """The journal of one CSV. Every method is called under the file lock.

    Args:
        folder: Where its segments lie.

    Attributes:
        last: The number of the last record; 0 when there is none.
        written_last: The number of the last that is about what the file holds.
        closed: Up to where the other side holds everything.
        open: The records after that, without those that close.
        file: The CSV's sha256 after the last write, by the journal; None when it does not say.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._forget()

    def _forget(self) -> None:
        self.last = 0
        self.written_last = 0
        self.closed = 0
        self.open: list[Record] = []
        self.file: str | None = None
        self._writes: dict[UUID, Record] | None = None
        self._segment: Path | None = None
        self._end = 0

    def catch_up(self) -> None:
        """Read what others have appended. A torn end stays where it is until something is appended.

        Raises:
            ProtectedError: The journal is damaged.
        """
        kept = self._segments()
        if self._segment not in kept:
            self._forget()
            segments = self._since_closed(kept)
        else:
            segments = kept[kept.index(self._segment) :]
        for segment in segments:
            self._read_on(segment, is_last=segment == segments[-1])
        if kept and self.closed < _before(kept[0]) < self.last:
            raise self._damaged(kept[0], 0, "lacks what came before it")

    def append(self, records: Sequence[Record]) -> list[Record]:
        """Append records and bring them to disk; gives them with their numbers.

        A record's own sequence is the least number it may get.

        Raises:
            UnavailableError: The disk refuses; nothing was appended.
        """
        return self._write(records, durably=True)

    def close(self, epoch: int, *, least: int = 0, file: str | None = None) -> None:
        """Note that the other side holds all there is.

        Not brought to disk at once: lost, it is only copied once more.

        Args:
            epoch: The epoch in force.
            least: The least number the note may get, where the other side has given numbers itself.
            file: The CSV's sha256, where all of it was brought over.
        """
        if not self.open and least <= self.last and file in (None, self.file):
            return
        self._write([Record(least, 0, epoch, Kind.CLOSED, file=file, through=self.last)], durably=False)

    def exists(self) -> bool:
        """Whether anything was ever written to it."""
        return bool(self._segments())

    def announce(self, sha256: str, by: str = "") -> None:
        """Note which file is about to be put in place without anything being written.

        Not brought to disk at once: lost, the file is only rendered once more.

        Args:
            sha256: Its hex digest.
            by: The side whose state it is, where that is not what the journal says.
        """
        self._write([Record(0, 0, 0, Kind.CLOSED, by=by, file=sha256, through=self.closed)], durably=False)

    def take_back(self, records: Sequence[Record]) -> None:
        """Undo the last append, whose write could not be finished."""
        if self._segment is None:
            return
        size = sum(len(encode(record)) for record in records)
        os.truncate(self._segment, self._end - size)
        self._forget()
        self.catch_up()

    def go_on_from(self, sequence: int) -> None:
        """Give higher numbers than this one from now on; only while the journal is empty."""
        self.last = self.written_last = self.closed = sequence

    def lacking(self, sequence: int) -> ProtectedError:
        """The damage of a journal that ends before a record which was acknowledged."""
        return self._damaged(self._segment or self.folder, self._end, f"lacks records up to {sequence}")

    def retained(self) -> Iterator[Record]:
        """Every record still kept, in order."""
        return self._records(self._segments())

    def _records(self, segments: Sequence[Path]) -> Iterator[Record]:
        previous = None
        for segment in segments:
            data = segment.read_bytes()
            scan = Scan(data, _before(segment) if previous is None else previous)
            yield from scan
            previous = scan.last
            torn = scan.end < len(data)
            if scan.damage is not None or (torn and segment != segments[-1]):
                raise self._damaged(segment, scan.end, "is damaged")

    def since(self, sequence: int) -> list[Record] | None:
        """What was written or merged after a record; None where that is not kept any more."""
        segments = self._segments()
        reaching = [place for place, segment in enumerate(segments) if _before(segment) <= sequence]
        if not reaching:
            return None if segments else []
        return [
            record
            for record in self._records(segments[reaching[-1] :])
            if record.sequence > sequence and record.kind is not Kind.CLOSED
        ]

    def written(self, write_id: UUID) -> Record | None:
        """The record of a write, if it is still kept."""
        if self._writes is None:
            kept = (record for record in self.retained() if record.write_id != NO_WRITE)
            self._writes = {record.write_id: replace(record, cells={}) for record in kept}
        return self._writes.get(write_id)

    def _remember(self, record: Record) -> None:
        if self._writes is not None and record.write_id != NO_WRITE:
            self._writes[record.write_id] = replace(record, cells={})

    def _numbered(self, records: Iterable[Record]) -> Iterator[Record]:
        last = self.last
        for record in records:
            sequence = max(last + 1, record.sequence)
            yield replace(record, sequence=sequence, previous=last)
            last = sequence

    def _segments(self) -> list[Path]:
        with suppress(FileNotFoundError):
            return sorted(path for path in self.folder.iterdir() if path.suffix == ".journal")
        return []

    def _since_closed(self, segments: list[Path]) -> list[Path]:
        """The segments from which on something may be open; each begins with what was closed before it."""
        for index in range(len(segments) - 1, 0, -1):
            first = next(iter(Scan(segments[index].read_bytes(), None)), None)
            if first is not None and first.kind is Kind.CLOSED and first.through >= first.previous:
                return segments[index:]
        return segments

    def _read_on(self, segment: Path, *, is_last: bool) -> None:
        start = self._end if segment == self._segment else 0
        with segment.open("rb") as file:
            file.seek(start)
            data = file.read()
        if segment.stat().st_size < start:
            raise self._damaged(segment, 0, "is shorter than it was")
        if self._segment is None:
            self.last = _before(segment)
        scan = Scan(data, self.last)
        for record in scan:
            self._take(record)
        self._segment, self._end = segment, start + scan.end
        torn = scan.end < len(data)
        if scan.damage is not None or (torn and not is_last):
            raise self._damaged(segment, self._end, "is damaged")

    def _take(self, record: Record) -> None:
        self.last = record.sequence
        self.file = record.file or self.file
        self._remember(record)
        if record.kind is Kind.CLOSED:
            self.written_last = max(self.written_last, record.counts.get("written", 0))
            self.closed = max(self.closed, record.through)
            self.open = [kept for kept in self.open if kept.sequence > self.closed]
        else:
            self.written_last = record.sequence
            # Only what PostgreSQL has yet to get from here is needed whole.
            self.open.append(record if record.kind is Kind.FALLBACK else replace(record, cells={}))

    def _write(self, records: Sequence[Record], *, durably: bool) -> list[Record]:
        make_folder(self.folder)
        try:
            if self._segment is None or not 0 < self._end < SEGMENT:
                self._end_segment()
                self._begin_segment()
            numbered = list(self._numbered(records))
            self._append_bytes(b"".join(encode(record) for record in numbered), durably=durably)
        except OSError as error:
            raise UnavailableError(
                f"the journal cannot be written: {error.strerror}",
                code="disk",
                place=Place(file=str(self.folder)),
                hint="Nothing was acknowledged. Check free space and the disk.",
            ) from None
        for record in numbered:
            self._take(record)
        return numbered

    def _end_segment(self) -> None:
        if self._segment is not None and self._end:
            os.truncate(self._segment, self._end)
            _sync(self._segment)
        elif self._segment is not None:
            # Whoever was beginning it died.
            self._segment.unlink()

    def _begin_segment(self) -> None:
        first = Record(
            self.last + 1,
            self.last,
            0,
            Kind.CLOSED,
            file=self.file,
            through=self.closed if self.open else self.last,
            counts={"written": self.written_last},
        )
        segment = self.folder / f"{first.sequence:020}.journal"
        descriptor = os.open(
            segment, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600
        )
        try:
            write_all(descriptor, encode(first))
            os.fsync(descriptor)
            sync_folder(self.folder)
        except OSError:
            segment.unlink()
            raise
        finally:
            os.close(descriptor)
        self._segment, self._end = segment, len(encode(first))
        self._take(first)
        self._drop_old()

    def _append_bytes(self, data: bytes, *, durably: bool) -> None:
        if self._segment is None:
            raise AssertionError("a journal without a segment is appended to")
        descriptor = os.open(self._segment, os.O_WRONLY | os.O_APPEND | os.O_CLOEXEC | os.O_NOFOLLOW)
        try:
            if os.fstat(descriptor).st_size != self._end:
                os.ftruncate(descriptor, self._end)
            write_all(descriptor, data)
            if durably:
                os.fsync(descriptor)
        except OSError:
            os.ftruncate(descriptor, self._end)
            # What could not be synced once must not be taken for synced later: go on in another file.
            with suppress(OSError):
                self._begin_segment()
            raise
        finally:
            os.close(descriptor)
        self._end += len(data)

    def _drop_old(self) -> None:
        segments = self._segments()
        for segment, after in pairwise(segments[: 1 - KEPT]):
            if self.closed < int(after.stem) - 1:
                return
            segment.unlink()

    def _damaged(self, segment: Path, offset: int, what: str) -> ProtectedError:
        return ProtectedError(
            f"the journal {what} at byte {offset}, after record {self.last}",
            code="journal_damaged",
            place=Place(file=str(segment)),
            hint=f"Nothing was changed. Copy {self.folder.parent} somewhere safe, look at the disk, then "
            f"move {self.folder.name}/ away: where the CSV leads, `ingest sync` makes PostgreSQL its equal.",
        )


def _before(segment: Path) -> int:
    """The number of the record before a segment, which is named by its first."""
    return int(segment.stem) - 1


def _sync(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)

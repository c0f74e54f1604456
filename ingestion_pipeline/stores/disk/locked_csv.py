"""The CSV while its lock is held: read by row, written, and brought together with what others made of it."""

import json
import time
from collections.abc import Callable, Collection, Mapping, Sequence
from contextlib import suppress
from dataclasses import asdict, replace
from datetime import UTC, datetime
from pathlib import Path
from uuid import uuid4

from ingestion_pipeline.domain.brake import Brakes, Loss
from ingestion_pipeline.domain.change import Change
from ingestion_pipeline.domain.errors import InputRefusedError
from ingestion_pipeline.domain.journal import Kind, Record
from ingestion_pipeline.domain.pending import Pending, Placed
from ingestion_pipeline.domain.phase import Side
from ingestion_pipeline.domain.phase_change import PhaseChange
from ingestion_pipeline.domain.ports import Sink
from ingestion_pipeline.domain.receipt import Write, too_many_deleted
from ingestion_pipeline.domain.reports import Merged, State, Weighed
from ingestion_pipeline.stores.atomic import Draft, digest, draft
from ingestion_pipeline.stores.disk import foreign as others
from ingestion_pipeline.stores.disk import row_index
from ingestion_pipeline.stores.disk.backups import Backups
from ingestion_pipeline.stores.disk.csv_reading import CsvReading
from ingestion_pipeline.stores.disk.group import Group, Outcome
from ingestion_pipeline.stores.disk.identity import Identity
from ingestion_pipeline.stores.disk.journal_log import JournalLog
from ingestion_pipeline.stores.disk.ledger import Ledger
from ingestion_pipeline.stores.disk.phase_log import PhaseLog
from ingestion_pipeline.stores.disk.row_file import RowFile
from ingestion_pipeline.stores.disk.row_index import RowIndex
from ingestion_pipeline.stores.disk.spelling import spell
from ingestion_pipeline.stores.disk.splicing import Splice, line
from ingestion_pipeline.stores.disk.weighing import changed, gone

LEFT_FOR = 24 * 3600.0
"""Seconds after which nobody uses a pinned file, or a request without a name, any more."""


class LockedCsv:
    """One CSV, its journal and its ledger. Made by `CsvStore`, and used under the exclusive lock only.

    Args:
        path: The CSV.
        state: The folder of its journal, index and ledger.
    """

    def __init__(self, path: Path, state: Path) -> None:
        self.path = path
        self.journal = JournalLog(state / "journal")
        self._rows = RowFile(path, state / "index", self.journal)
        self._ledger = Ledger(state / "ledger.json")
        self._phases = PhaseLog(state / "phases.jsonl")
        self._waiting = state / "fallback"
        self._merged = state / "merged.json"
        self._state = state
        self._swept = False

    def state(self) -> State | None:
        """The phase in force, by the ledger."""
        return self._ledger.read()

    def keep(self, state: State) -> None:
        """Keep the phase in force; a change of phase that was begun has led to it, or was cancelled."""
        if self._ledger.read() != state:
            begun = self._ledger.change()
            if begun is not None and begun.epoch == state.epoch:
                self._phases.note(begun)
            self._ledger.keep(state)

    def mark(self, state: State, change: PhaseChange) -> None:
        """Note that the phase in force is about to be changed: until it is kept, only PostgreSQL knows it."""
        # A log that is damaged is found out now, while there is nothing to be undone.
        self._phases.changes()
        self._ledger.mark(state, change)

    def changing(self) -> PhaseChange | None:
        """The change of phase that was begun and nobody has seen the end of."""
        return self._ledger.change()

    def phases(self) -> list[PhaseChange]:
        """Every change of phase, the oldest first."""
        return self._phases.changes()

    def note_later(self, epoch: int, **found: object) -> None:
        """Keep what became known of a change of phase afterwards."""
        self._phases.note_later(epoch, found)

    def refresh(self, brakes: Brakes | None) -> Merged | None:
        """Finish what was interrupted, and merge what somebody else made of the file.

        Args:
            brakes: How many rows may be gone from the file; None for any number.

        Returns:
            What was merged, if anything was.

        Raises:
            InputRefusedError: The file does not keep the contract any more.
            ProtectedError: The journal is damaged, or rows are gone beyond the brake.
        """
        known = self._known()
        if known is not None and self._rows.is_current(known):
            self._rows.take(known)
            return None
        return self._reconcile(known, *self._looked_at(), brakes)

    def is_ours(self) -> bool:
        """Whether the file is the one this package wrote last; finishes what was interrupted."""
        if not self.path.is_file():
            return False
        known = self._known()
        if self._is_outdated():
            return False
        if known is not None and self._rows.is_current(known):
            self._rows.take(known)
            return True
        identity, sha256 = self._looked_at()
        if sha256 != self.journal.file and (known is None or sha256 != known.sha256):
            return False
        self._reconcile(known, identity, sha256, None)
        return True

    def looks_ours(self) -> bool:
        """As `is_ours`, but only to look at: what was interrupted stays so, whoever holds the lock."""
        if not self.path.is_file():
            return False
        self.journal.catch_up()
        if self._is_outdated():
            return False
        known = self._rows.saved()
        if known is not None and self._rows.is_current(known):
            return True
        return digest(self.path).sha256 in (known and known.sha256, self.journal.file)

    @property
    def columns(self) -> tuple[str, ...]:
        """The file's columns, in its order."""
        return self._rows.columns

    @property
    def file(self) -> tuple[str, int, int]:
        """The file's sha256, bytes and rows."""
        index = self._rows.index
        return index.sha256, index.identity.size, len(index.hashes)

    def read_all(self, row_ids: Sequence[str]) -> dict[str, dict[str, str]]:
        """Several persons' cells by column; those who are not there are left out."""
        return self._rows.people(row_ids)

    def placed(self, row_ids: Collection[str]) -> dict[str, Placed]:
        """Where several persons stand in the file, and their cells in its order."""
        found = self._rows.persons(row_ids)
        return {row_id: Placed(one.places[0], tuple(one.cells)) for row_id, one in found.items()}

    def since(self, sequence: int) -> list[Record] | None:
        """What was written or merged after a record; None where the journal does not reach back so far."""
        self.journal.catch_up()
        return self.journal.since(sequence)

    def repeated(self) -> Callable[[str], bool]:
        """Whether a row_id may stand in several rows."""
        return self._rows.repeated()

    def reading(self, progress: Callable[[int], None] | None = None) -> CsvReading:
        """One pass over the file, through the gate."""
        return CsvReading(self.path, progress)

    def write(
        self, groups: Sequence[tuple[str, Sequence[Write]]], epoch: int, kind: Kind = Kind.WRITE
    ) -> list[list[Outcome]]:
        """Write cells, all groups in one replacement of the file.

        Args:
            groups: Who writes, and what; within a group, nothing is written after a refusal.
            epoch: The epoch in force.
            kind: WRITE or FALLBACK.

        Returns:
            Per group, what came of each write that was tried.

        Raises:
            UnavailableError: The disk refuses; nothing was written.
            ProtectedError: The file was changed at this very moment.
        """
        with self._rows.opened() as file:
            group = Group(self._rows, file, self.journal, epoch, kind)
            outcomes = [group.take(by, writes) for by, writes in groups]
            if group.records and kind is Kind.FALLBACK:
                self._note_waiting()
            records = self._rows.replace(file, group.splice(), group.records) if group.records else []
        return [
            [outcome if number is None else records[number] for outcome, number in several]
            for several in outcomes
        ]

    def delete(self, row_ids: Collection[str], by: str, epoch: int, brakes: Brakes | None) -> list[str]:
        """Take people out of the file, with the lines that repeat them; gives who was there.

        Args:
            row_ids: Who.
            by: Who takes them out.
            epoch: The epoch in force.
            brakes: How many may go at once; None for any number.

        Raises:
            UnavailableError: The disk refuses; nothing was written.
            ProtectedError: Too many would be gone, or the file was changed at this very moment.
        """
        found = self._rows.persons(row_ids)
        if brakes is not None and brakes.stop(len(found), len(self._rows.index.hashes)):
            raise too_many_deleted(len(found), len(self._rows.index.hashes))
        splice = Splice(dict.fromkeys((place for one in found.values() for place in one.places), None))
        at = datetime.now(UTC).isoformat()
        records = [
            Record(
                sequence=0,
                previous=0,
                epoch=epoch,
                kind=Kind.DELETED,
                write_id=uuid4(),
                row_id=row_id,
                cells={name: (text, "") for name, text in zip(self.columns, one.cells, strict=True)},
                by=by,
                at=at,
            )
            for row_id, one in found.items()
        ]
        if records:
            with self._rows.opened() as file:
                self._rows.replace(file, splice, records)
        return list(found)

    def add_columns(self, names: Sequence[str], epoch: int) -> None:
        """Give the file more columns behind its own, empty in every row.

        Args:
            names: Which; none of them is there yet.
            epoch: The epoch in force.

        Raises:
            UnavailableError: The disk refuses; nothing was written.
            ProtectedError: The file was changed at this very moment.
        """
        dialect = self._rows.index.dialect
        wider = replace(dialect, columns=(*dialect.columns, *names))
        with CsvReading(self.path) as file, draft(self.path) as new:
            held = wider.header()
            for block in file.blocks():
                new.write(held)
                rows = [[*row, *("" for _ in names)] for row in block.rows]
                held = spell(rows, wider.quoting, wider.line_end).encode()
            new.write(held if wider.final_newline else held.removesuffix(wider.line_end.encode()))
            file.check_current()
            index = row_index.build(new.path, 0)
            self._rows.replace_all(new, index, [Record(0, 0, epoch, Kind.MERGED, at=others.now())])

    def put(self, lines: Mapping[str, Sequence[str] | None], on_top: Sequence[str]) -> None:
        """Make rows what PostgreSQL says they are, while it leads.

        Args:
            lines: By row_id, the cells in the file's order; None where the person is gone.
            on_top: The row_ids that are new, in the file's order.
        """
        dialect = self._rows.index.dialect
        raw = {row_id: None if cells is None else line(cells, dialect) for row_id, cells in lines.items()}
        splice = Splice(on_top=[(row_id, new) for row_id in on_top if (new := raw[row_id]) is not None])
        for row_id, person in self._rows.persons(raw).items():
            splice.replaced |= dict.fromkeys(person.places, raw[row_id])
        if splice:
            with self._rows.opened() as file:
                self._rows.replace(file, splice, by=Side.POSTGRES)

    def render(self, write: Callable[[Sink], object], *, foreign: str | None = None) -> Merged | None:
        """Replace the whole file by what is written, unless it is the same.

        Args:
            write: Writes the file.
            foreign: Where to keep the file that is there, if it is another one.

        Returns:
            What became of the other file, if there was one.
        """
        self.journal.catch_up()
        with draft(self.path) as new:
            write(new)
            before = self.identity()
            found = None if before is None else digest(self.path).sha256
            aside = None
            if found not in (None, new.sha256) and foreign is not None:
                named = self.path.with_stem(f"{self.path.stem}_foreign")
                aside = Backups(Path(foreign), 0, compress=False).copy(self.path, named)
            if found != new.sha256:
                self.journal.announce(new.sha256, Side.POSTGRES)
                new.replace(replaced=self._rows.check_was(before))
        self.adopt()
        return None if aside is None else self._note_merged(Merged(at=others.now(), aside=str(aside)))

    def weigh(self, path: Path, new: RowIndex, brakes: Brakes | None) -> Weighed:
        """What putting another file in this one's place would change.

        Args:
            path: The other.
            new: Its index.
            brakes: How many rows may be gone; None for any number.

        Raises:
            ProtectedError: Too many rows would be gone, or a column.
        """
        known = self._known()
        present = self._readable(known)
        # Of a file that somebody has cut short, what was written last tells what was in it.
        was = [one for one in (known, present) if one is not None]
        lost, of = max((gone(one, new), len(one.hashes)) for one in (*was, new))
        columns = dict.fromkeys(name for one in was for name in one.dialect.columns)
        loss = Loss(lost, of, columns=tuple(name for name in columns if name not in new.dialect.columns))
        if brakes is not None:
            loss.check(brakes, str(self.path))
        updated = None if present is None else changed(self.path, present, path, new)
        return Weighed(len(new.hashes), gone(new, present or known), updated, lost)

    def restore(self, new: Draft, index: RowIndex, epoch: int) -> None:
        """Make the file one that it once was, for good: the other side is to be made equal to it.

        Args:
            new: The file.
            index: Its index.
            epoch: The epoch in force.
        """
        self._known()
        self._rows.replace_all(new, index, [Record(0, 0, epoch, Kind.RESTORED, at=others.now())])

    def outdate(self, epoch: int) -> None:
        """Note that PostgreSQL, which leads, is made what it once was.

        Until the file is rendered anew and that is closed, it is not ours, whatever becomes of this program.
        """
        self.journal.catch_up()
        self.journal.append([Record(0, 0, epoch, Kind.RESTORED, at=others.now())])

    def have_followed(self, epoch: int) -> None:
        """Note that PostgreSQL, which follows, is to be made equal to the whole file."""
        self.journal.catch_up()
        self.journal.append([Record(0, 0, epoch, Kind.MERGED, at=others.now())])

    def identity(self) -> Identity | None:
        """What tells the file that is there from another one; None where there is none."""
        return self._rows.identity() if self.path.is_file() else None

    def adopt(self) -> None:
        """Take the file as it lies there for the one that was written last."""
        self.journal.catch_up()
        self._rows.keep(self._rows.build())

    def open(self) -> list[Record]:
        """The records that the other side has yet to get."""
        self.journal.catch_up()
        return list(self.journal.open)

    def close(self, epoch: int, *, least: int = 0, file: str | None = None) -> None:
        """Note that the other side holds all there is; see `JournalLog.close`."""
        self.journal.catch_up()
        self.journal.close(epoch, least=least, file=file)
        # Left behind, it has somebody look once more.
        with suppress(OSError):
            self._waiting.unlink(missing_ok=True)

    def last_sequence(self) -> int:
        """The number of the journal's last record; 1 where there is none."""
        self.journal.catch_up()
        return max(1, self.journal.last)

    def is_used(self) -> bool:
        """Whether anybody has written through the journal."""
        self.journal.catch_up()
        return bool(self.journal.written_last) or self._rows.is_indexed()

    def merged(self) -> Merged | None:
        """What somebody else's last change of the file came to."""
        try:
            return Merged(**json.loads(self._merged.read_bytes()))
        except (OSError, ValueError, TypeError):
            return None

    def waiting(self) -> Pending:
        """What the other side has yet to get, by the journal."""
        self.journal.catch_up()
        records = self.journal.open
        fallback = sum(record.kind is Kind.FALLBACK for record in records)
        # A merged file counts as one more: how many of its rows are new to the other side is not known.
        rows = {record.row_id for record in records if record.kind is not Kind.FALLBACK}
        since = next((record.at for record in records if record.at), None)
        return Pending(len(rows), 0.0 if since is None else _seconds_since(since), fallback)

    def history(self, row_id: str) -> list[Change]:
        """A person's changes that the journal still keeps, the oldest first."""
        return [
            Change(
                at=datetime.fromisoformat(record.at),
                operation=_operation(record),
                table="csv",
                changed=record.cells,
                revision=record.sequence,
                epoch=record.epoch,
                write_id=record.write_id,
                actor=record.by,
            )
            for record in self.journal.retained()
            if record.row_id == row_id and record.at
        ]

    def _known(self) -> RowIndex | None:
        """The index of the file that was written last."""
        self._sweep()
        self.journal.catch_up()
        saved = self._rows.saved()
        if saved is not None and saved.sequence > self.journal.last:
            if self.journal.exists() or self._waiting.exists():
                raise self.journal.lacking(saved.sequence)
            self.journal.go_on_from(saved.sequence)
        return saved

    def _readable(self, known: RowIndex | None) -> RowIndex | None:
        """The index of the file that is there; None where it is not, or cannot be read."""
        if not self.path.is_file():
            return None
        if known is not None and self._rows.is_current(known):
            return known
        with suppress(InputRefusedError):
            return self._rows.build()
        return None

    def _is_outdated(self) -> bool:
        return any(one.kind is Kind.RESTORED and one.file is None for one in self.journal.open)

    def _looked_at(self) -> tuple[Identity, str]:
        """The file's identity and its digest; the identity first, so that it is never a newer file's."""
        identity = self._rows.identity()
        return identity, digest(self.path).sha256

    def _reconcile(
        self, known: RowIndex | None, identity: Identity, sha256: str, brakes: Brakes | None
    ) -> Merged | None:
        if known is not None and known.sha256 == sha256:
            self._unmake_restored(sha256)
        if known is not None and self._rows.has_content(known, sha256):
            # Touched, or copied to another place, with the same content.
            self._rows.keep(replace(known, identity=identity))
            return None
        found = self._rows.build()
        if found.sha256 != self.journal.file:
            others.check_brake(known, found, brakes, self.path)
        foreign = known is None or known.sha256 != found.sha256
        first = known is None and not self.journal.written_last and self.journal.file is None
        ours = first or found.sha256 == self.journal.file
        if ours or (known is not None and not foreign and known.sequence == self.journal.written_last):
            self._rows.keep(found)
            return None
        self._rows.take(found)
        read_at = None if foreign or known is None else known.sequence
        try:
            finding = others.find(self._rows, self.journal, known, read_at=read_at)
            others.write_again(self._rows, self.journal, finding, note=foreign)
        except BaseException:
            # What could not be merged now must not be taken for merged the next time.
            self._rows.forget()
            raise
        return self._note_merged(finding.merged) if foreign else None

    def _unmake_restored(self, sha256: str) -> None:
        """Say of a file that was killed just before it took this one's place that it never did."""
        last = self.journal.open[-1] if self.journal.open else None
        if last is not None and last.kind is Kind.RESTORED and last.file not in (None, sha256):
            record = Record(0, 0, last.epoch, Kind.RESTORED, at=last.at, file=sha256, through=last.sequence)
            self.journal.append([record])

    def _note_merged(self, merged: Merged) -> Merged:
        with draft(self._merged) as new:
            new.write(json.dumps(asdict(merged)).encode())
            new.replace()
        return merged

    def _note_waiting(self) -> None:
        if not self._waiting.exists():
            with draft(self._waiting) as note:
                note.write(b"")
                note.replace()

    def _sweep(self) -> None:
        """Take away what killed programs have left: new files that never came into their place, and pins."""
        if self._swept:
            return
        # Only who holds the lock makes files of this name, so none of them is somebody's still.
        scratch = set(self._state.glob(".scratch.*.tmp"))
        drafts = set(self._state.glob(".*.tmp")) - scratch
        for left in (*self.path.parent.glob(f".{self.path.name}.*.tmp"), *drafts):
            left.unlink(missing_ok=True)
        for left in (*scratch, *self._state.glob("pin-*"), *self._state.glob("in*/*.tmp")):
            with suppress(FileNotFoundError):
                if time.time() - left.stat().st_ctime > LEFT_FOR:
                    left.unlink()
        self._swept = True


def _operation(record: Record) -> str:
    if record.kind is Kind.DELETED:
        return "delete"
    return "insert" if record.created else "update"


def _seconds_since(at: str) -> float:
    return max(0.0, (datetime.now(UTC) - datetime.fromisoformat(at)).total_seconds())

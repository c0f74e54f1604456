"""The CSV as rows: found by the index, read one by one, and replaced by splicing. Used under the lock."""

import os
from collections.abc import Callable, Collection, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import BinaryIO

import numpy as np

from ingestion_pipeline.domain.errors import Place, ProtectedError, UnavailableError
from ingestion_pipeline.domain.journal import Record
from ingestion_pipeline.domain.ports import Sink
from ingestion_pipeline.domain.record import Examination, is_rejected
from ingestion_pipeline.stores.atomic import Draft, draft
from ingestion_pipeline.stores.disk import row_index
from ingestion_pipeline.stores.disk.identity import Identity
from ingestion_pipeline.stores.disk.journal_log import JournalLog
from ingestion_pipeline.stores.disk.row_index import RowIndex
from ingestion_pipeline.stores.disk.splicing import Splice, StaleIndexError, copy_spliced, row_at


@dataclass(slots=True)
class Person:
    """One person's rows in the file.

    Attributes:
        places: Where the row stands, from 0, with the lines that repeat it to the letter; empty when new.
        cells: The row's cells in the file's order.
    """

    places: list[int]
    cells: list[str]


class RowFile:
    """One CSV and its row index.

    Args:
        path: The CSV.
        index_path: Where its index is kept.
        journal: Its journal, which knows what was written to it.
    """

    def __init__(self, path: Path, index_path: Path, journal: JournalLog) -> None:
        self.path = path
        self._index_path = index_path
        self._journal = journal
        self._index: RowIndex | None = None
        self._doubted = False

    @property
    def index(self) -> RowIndex:
        """The index of the file that is there; known once `take` was called."""
        if self._index is None:
            raise AssertionError("the CSV is used before it was looked at")
        return self._index

    @property
    def columns(self) -> tuple[str, ...]:
        """The file's columns, in its order."""
        return self.index.dialect.columns

    def is_indexed(self) -> bool:
        """Whether an index was ever kept."""
        return self._index_path.exists()

    def saved(self) -> RowIndex | None:
        """The index of the file that was written last; None where there is none."""
        if self._index is not None and self.path.is_file():
            mark = (self.identity(), self._journal.written_last)
            if (self._index.identity, self._index.sequence) == mark:
                return self._index
        return row_index.load(self._index_path)

    def is_current(self, saved: RowIndex) -> bool:
        """Whether an index is that of the file that is there, with all that the journal has."""
        mark = (self.identity(), self._journal.written_last)
        return (saved.identity, saved.sequence) == mark and not self._doubted

    def has_content(self, saved: RowIndex, sha256: str) -> bool:
        """Whether an index still holds for a file of this digest, whatever the file's identity."""
        same = (saved.sha256, saved.sequence) == (sha256, self._journal.written_last)
        return same and not self._doubted

    def take(self, index: RowIndex) -> None:
        """Go by this index from now on."""
        self._index = index

    def forget(self) -> None:
        """Go by the index that was kept last, as if the file had not been looked at."""
        self._index = None

    def keep(self, index: RowIndex) -> None:
        """The same, and for others too, as having all that the journal has."""
        self._index = index.marked(self._journal.written_last)
        self._doubted = False
        # Only a copy of what the file itself says: where the disk refuses, it is made anew.
        with suppress(OSError):
            self._index.save(self._index_path)

    def build(self) -> RowIndex:
        """An index of the file that is there, read through the gate."""
        return row_index.build(self.path, self._journal.written_last)

    def identity(self) -> Identity:
        """The identity of the file that is there.

        Raises:
            UnavailableError: There is none.
        """
        try:
            return Identity.of(self.path.stat())
        except FileNotFoundError:
            raise self._missing() from None

    @contextmanager
    def opened(self) -> Iterator[BinaryIO]:
        """The file, to be read."""
        try:
            file = self.path.open("rb")
        except FileNotFoundError:
            raise self._missing() from None
        with file:
            yield file

    def person(self, file: BinaryIO, row_id: str) -> Person | None:
        """One person's rows; None when there is no such person.

        Raises:
            ProtectedError: The file is not the one that the index describes.
        """
        found: dict[str, Person] = {}
        for place in self.index.places(row_id):
            self._add(found, (row_id,), place, self._row_at(file, place, int(self.index.offsets[place])))
        return found.get(row_id)

    def people(self, row_ids: Collection[str]) -> dict[str, dict[str, str]]:
        """Several persons' cells by column, in this order; those who are not there are left out."""
        found = self.persons(row_ids)
        return {
            row_id: dict(zip(self.columns, found[row_id].cells, strict=True))
            for row_id in row_ids
            if row_id in found
        }

    def persons(self, row_ids: Collection[str]) -> dict[str, Person]:
        """Several persons' rows, in the file's order; those who are not there are left out."""
        wanted = set(row_ids)
        found: dict[str, Person] = {}
        with self.opened() as file:
            for place in self.index.places_of(wanted):
                self._add(found, wanted, place, self._row_at(file, place, int(self.index.offsets[place])))
        return found

    def _add(self, found: dict[str, Person], wanted: Collection[str], place: int, cells: list[str]) -> None:
        """Take a row, if it is the first of a person that is wanted, or repeats that one to the letter."""
        row_id = cells[self.columns.index("row_id")]
        known = found.get(row_id)
        if known is not None and cells == known.cells:
            known.places.append(place)
        elif known is None and row_id in wanted and not is_rejected(Examination(self.columns), cells):
            found[row_id] = Person([place], cells)

    def repeated(self) -> Callable[[str], bool]:
        """Whether a row_id may stand in several rows."""
        hashes, counts = np.unique(self.index.hashes, return_counts=True)
        several = {int(found) for found in hashes[counts > 1]}
        return lambda row_id: bool(several) and row_index.hash_of(row_id) in several

    def replace(
        self, file: BinaryIO, splice: Splice, records: Sequence[Record] = (), by: str = ""
    ) -> list[Record]:
        """Put the spliced file in place, once the journal has the records; gives them with their numbers.

        Args:
            file: The file as it is.
            splice: What becomes of it.
            records: What the journal is to keep.
            by: Without records, the side whose state it is; see `JournalLog.announce`.

        Raises:
            UnavailableError: The disk refuses; nothing was written.
            ProtectedError: Somebody else changed the file at this very moment; nothing was written.
        """
        before = Identity.of(os.fstat(file.fileno()))
        with draft(self.path) as new:
            index = self._spliced(file, splice, new)
            return self._put_in_place(new, index, before, records, by)

    def replace_all(self, new: Draft, index: RowIndex, records: Sequence[Record]) -> None:
        """Put a whole file in place, whatever is there, once the journal has the records.

        Args:
            new: The file.
            index: Its index.
            records: What the journal is to keep.
        """
        before = Identity.of(self.path.stat()) if self.path.exists() else None
        self._put_in_place(new, index, before, records)

    def _put_in_place(
        self, new: Draft, index: RowIndex, before: Identity | None, records: Sequence[Record], by: str = ""
    ) -> list[Record]:
        appended: list[Record] = []

        def last_before_rename() -> None:
            if before is not None and self.identity() != before:
                raise self._changed()
            appended.extend(self._promised(records, new.sha256, by))

        try:
            written = new.replace(last_before_rename, None if before is None else self.check_was(before))
        except BaseException as error:
            if not new.is_in_place():
                if appended:
                    self._journal.take_back(appended)
                raise
            if isinstance(error, OSError):
                raise self._unsure(error) from None
            raise
        # Of the file that was written, whatever has taken its place since.
        self.keep(replace(index, sha256=written.sha256, identity=Identity.of(new.stat())))
        return appended

    def check_was(self, before: Identity | None) -> Callable[[os.stat_result], None]:
        """A look at a file whose place was taken: was it this one?"""

        def check(found: os.stat_result) -> None:
            if Identity.of(found) != before:
                raise self._changed()

        return check

    def _promised(self, records: Sequence[Record], sha256: str, by: str) -> list[Record]:
        """Have the journal keep the records, or where there are none, which file comes."""
        if not records:
            self._journal.announce(sha256, by)
            return []
        return self._journal.append([*records[:-1], replace(records[-1], file=sha256)])

    def _spliced(self, file: BinaryIO, splice: Splice, new: Sink) -> RowIndex:
        try:
            return copy_spliced(file, self.index, splice, new)
        except StaleIndexError:
            self._doubted = True
            raise self._changed() from None

    def _row_at(self, file: BinaryIO, place: int, offset: int) -> list[str]:
        try:
            return row_at(file, self.index, place, offset)
        except StaleIndexError:
            self._doubted = True
            raise self._changed() from None

    def _unsure(self, error: OSError) -> UnavailableError:
        return UnavailableError(
            f"the disk failed after the file was in its place: {error.strerror}",
            code="outcome_unknown",
            place=Place(file=str(self.path)),
            hint="Check the disk; then write again with the same write_id: what was made is not made twice.",
        )

    def _missing(self) -> UnavailableError:
        return UnavailableError(
            "there is no such file",
            code="csv_missing",
            place=Place(file=str(self.path)),
            hint="Name the CSV in paths.output_csv of the configuration, or put a copy back.",
        )

    def _changed(self) -> ProtectedError:
        return ProtectedError(
            "somebody else rewrote the file at this very moment; nothing was written",
            code="csv_changed",
            place=Place(file=str(self.path)),
            hint="Write again: the change will be merged first.",
        )

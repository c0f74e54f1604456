"""Writes of several callers, worked out one after another and put into the file together."""

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import BinaryIO

from ingestion_pipeline.domain.errors import InputRefusedError, Place
from ingestion_pipeline.domain.journal import Kind, Record
from ingestion_pipeline.domain.receipt import NEEDED_TO_CREATE, Write, taken_write_id, unknown_person
from ingestion_pipeline.stores.disk.journal_log import JournalLog
from ingestion_pipeline.stores.disk.row_file import Person, RowFile
from ingestion_pipeline.stores.disk.splicing import Splice, line

Outcome = Record | InputRefusedError
"""What came of one write: its record in the journal, or why it was refused."""


class Group:
    """The writes of one replacement of the file.

    Args:
        rows: The file.
        file: The same, open.
        journal: Its journal.
        epoch: The epoch in force.
        kind: WRITE or FALLBACK.

    Attributes:
        records: What the journal is to keep.
    """

    def __init__(self, rows: RowFile, file: BinaryIO, journal: JournalLog, epoch: int, kind: Kind) -> None:
        self._rows = rows
        self._file = file
        self._journal = journal
        self._epoch = epoch
        self._kind = kind
        self._people: dict[str, Person] = {}
        self._given: dict[object, int] = {}
        self.records: list[Record] = []

    def take(self, by: str, writes: Sequence[Write]) -> list[tuple[Outcome, int | None]]:
        """Work out one caller's writes, up to the first that is refused.

        Returns:
            What came of each, and where its record stands among `records`, if it is new.
        """
        outcomes: list[tuple[Outcome, int | None]] = []
        for write in writes:
            try:
                outcomes.append(self._take_one(by, write))
            except InputRefusedError as error:
                outcomes.append((error, None))
                break
        return outcomes

    def splice(self) -> Splice:
        """What becomes of the file."""
        splice = Splice()
        for row_id, person in self._people.items():
            raw = line(person.cells, self._rows.index.dialect)
            splice.replaced |= dict.fromkeys(person.places, raw)
            if not person.places:
                splice.on_top.insert(0, (row_id, raw))
        return splice

    def _take_one(self, by: str, write: Write) -> tuple[Outcome, int | None]:
        if write.write_id in self._given:
            number = self._given[write.write_id]
            if self.records[number].row_id != write.row_id:
                raise taken_write_id(write)
            return self.records[number], number
        before = self._journal.written(write.write_id) if write.given else None
        if before is not None:
            if before.row_id != write.row_id:
                raise taken_write_id(write)
            return before, None
        self.records.append(self._record(by, write))
        number = self._given[write.write_id] = len(self.records) - 1
        return self.records[number], number

    def _record(self, by: str, write: Write) -> Record:
        columns = self._rows.columns
        self._check_columns(write)
        person = self._people.get(write.row_id) or self._rows.person(self._file, write.row_id)
        if person is None and not all(name in write.cells for name in NEEDED_TO_CREATE if name in columns):
            raise unknown_person(write)
        before = ["" for _ in columns] if person is None else person.cells
        self._people[write.row_id] = Person(
            [] if person is None else person.places,
            changed_row(before, columns, {"row_id": write.row_id, **write.cells}),
        )
        return Record(
            sequence=0,
            previous=0,
            epoch=self._epoch,
            kind=self._kind,
            write_id=write.write_id,
            row_id=write.row_id,
            cells={
                name: (None if person is None else before[columns.index(name)], text)
                for name, text in write.cells.items()
            },
            created=person is None,
            by=by,
            at=datetime.now(UTC).isoformat(),
        )

    def _check_columns(self, write: Write) -> None:
        absent = [name for name in write.cells if name not in self._rows.columns]
        if absent:
            raise InputRefusedError(
                "the CSV, which the write goes to, has no such column",
                code="column_not_in_csv",
                place=Place(file=str(self._rows.path), column=absent[0], row_id=write.row_id),
                hint="Add the column to the file's header, and to every row, first.",
            )


def changed_row(row: Sequence[str], columns: Sequence[str], cells: Mapping[str, str]) -> list[str]:
    """A row with some cells changed."""
    return [cells.get(column, cell) for column, cell in zip(columns, row, strict=True)]

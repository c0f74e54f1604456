"""Records in bulk: which cells of a file's rows are not their own canonical text.

A file nearly always holds what the codecs render, so the bulk path carries its bytes on untouched, and
only the exceptions are named: corrections, where a cell's typed value is spelled otherwise or not at all,
and rejections, where the whole row cannot be loaded.
"""

import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from itertools import pairwise
from typing import Protocol, assert_never

from ingestion_pipeline.domain.cells import Reason, read, text_fault
from ingestion_pipeline.domain.columns import BY_NAME, Codec


@dataclass(slots=True)
class Correction:
    """One row's cells that are not canonical.

    Attributes:
        position: The row's position in the file, from 1.
        canonical: By column name, the text to load in place of the cell's.
        verbatim: By column name, the text the cell has in the file.
        reasons: By column name, why the cell is in quarantine, where it is; it is loaded as NULL.
    """

    position: int
    canonical: dict[str, str] = field(default_factory=dict)
    verbatim: dict[str, str] = field(default_factory=dict)
    reasons: dict[str, Reason] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Rejection:
    """One row that cannot be loaded.

    Attributes:
        position: The row's position in the file, from 1.
        column: The column that does not fit.
        reason: Why.
    """

    position: int
    column: str
    reason: Reason


_PLAIN = r'[^"\\\x00-\x1f]*'
_ENTRY = rf'"({_PLAIN})": "{_PLAIN}"'
_ENTRIES = re.compile(rf"\{{(?:{_ENTRY}(?:, {_ENTRY})*)?\}}")
_KEYS = re.compile(_ENTRY)


class Examination:
    """What a file's rows hold that is not canonical, row by row.

    Args:
        columns: The file's header.
    """

    def __init__(self, columns: Sequence[str]) -> None:
        declared = [BY_NAME[name] for name in columns]
        self._texts = [
            (index, column, text_fault(column), column.limit)
            for index, column in enumerate(declared)
            if column.limit is not None
        ]
        self._coded = [
            (index, column, _is_plain(column.codec))
            for index, column in enumerate(declared)
            if not column.codec.is_text
        ]
        self._key = columns.index("row_id")

    def examine(self, block: "Cells", position: int) -> Iterator[Correction | Rejection]:
        """The exceptions among some rows, in their order.

        Args:
            block: The rows.
            position: The first one's position in the file, from 1.
        """
        rejections = self.rejections(block, position)
        corrections = self.corrections(block, position)
        for row in sorted({*rejections, *corrections}):
            if row in rejections:
                yield rejections[row]
            if row in corrections:
                yield corrections[row]

    def rejections(self, block: "Cells", position: int) -> dict[int, Rejection]:
        """The rows that cannot be loaded, by row, from 0; see `examine`."""
        found = {
            row: Rejection(position + row, "row_id", Reason.MISSING_ROW_ID) for row in block.empty(self._key)
        }
        for index, column, fault, limit in self._texts:
            for row, text in block.longer(index, limit):
                reason = fault(text)
                if reason is not None:
                    found.setdefault(row, Rejection(position + row, column.name, reason))
        return found

    def corrections(self, block: "Cells", position: int) -> dict[int, Correction]:
        """The rows that hold cells which are not canonical, by row, from 0; see `examine`."""
        found: dict[int, Correction] = {}
        for index, column, is_plain in self._coded:
            for row, text in block.filled(index):
                if is_plain(text):
                    continue
                cell = read(column, text)
                if cell.verbatim is None:
                    continue
                correction = found.setdefault(row, Correction(position + row))
                correction.canonical[column.name] = cell.canonical
                correction.verbatim[column.name] = cell.verbatim
                if cell.reason is not None:
                    correction.reasons[column.name] = cell.reason
        return found


class Cells(Protocol):
    """Some rows by column."""

    def empty(self, column: int, /) -> Iterable[int]:
        """The rows, from 0, in which one column's cell is empty."""
        ...

    def filled(self, column: int, /) -> Iterable[tuple[int, str]]:
        """One column's cells that are not empty, each with its row, from 0."""
        ...

    def longer(self, column: int, most: int, /) -> Iterable[tuple[int, str]]:
        """One column's cells that may have more than so many characters, each with its row, from 0."""
        ...


@dataclass(frozen=True, slots=True)
class ParsedRows:
    """Rows as lists of their cells.

    Attributes:
        rows: The cells of each.
    """

    rows: Sequence[Sequence[str]]

    def empty(self, column: int) -> Iterable[int]:
        """See Cells."""
        return [place for place, row in enumerate(self.rows) if not row[column]]

    def filled(self, column: int) -> Iterable[tuple[int, str]]:
        """See Cells."""
        return self.longer(column, 0)

    def longer(self, column: int, most: int) -> Iterable[tuple[int, str]]:
        """See Cells."""
        return [(place, row[column]) for place, row in enumerate(self.rows) if len(row[column]) > most]


def is_rejected(examination: Examination, row: Sequence[str]) -> bool:
    """Whether a row cannot be loaded, whatever stands beside it."""
    return bool(examination.rejections(ParsedRows([row]), 1))


def _is_plain(codec: Codec) -> Callable[[str], object]:
    """A quick test that a cell that is not empty is canonical; where it says no, `read` decides."""
    match codec:
        case Codec.FLAG:
            return "yes".__eq__
        case Codec.MAP:
            return _is_plain_map
        case Codec.TIMESTAMP:
            return _is_plain_timestamp
        case Codec.TEXT | Codec.NULLABLE_TEXT:
            return lambda _text: True
        case _:
            assert_never(codec)


def _is_plain_map(text: str) -> bool:
    if _ENTRIES.fullmatch(text) is None:
        return False
    keys = [(len(key), key) for key in map(str.encode, _KEYS.findall(text))]
    return all(one < other for one, other in pairwise(keys))


def _is_plain_timestamp(text: str) -> bool:
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        return False
    return moment.tzinfo is None and moment.isoformat() == text

"""Records in bulk: which cells of a file's rows are not their own canonical text.

A file nearly always holds what the codecs render, so the bulk path carries its bytes on untouched, and
only the exceptions are named: corrections, where a cell's typed value is spelled otherwise or not at all,
and rejections, where the whole row cannot be loaded.
"""

import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import assert_never

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
_ONE_ENTRY = re.compile(rf'\{{"{_PLAIN}": "{_PLAIN}"\}}')


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

    def examine(self, rows: Sequence[Sequence[str]], position: int) -> Iterator[Correction | Rejection]:
        """The exceptions among these rows, whose first stands at this position."""
        for offset, row in enumerate(rows):
            rejection = self._rejection(row, position + offset)
            if rejection is not None:
                yield rejection
            correction = self._correction(row, position + offset)
            if correction is not None:
                yield correction

    def _rejection(self, row: Sequence[str], position: int) -> Rejection | None:
        if not row[self._key]:
            return Rejection(position, "row_id", Reason.MISSING_ROW_ID)
        for index, column, fault, limit in self._texts:
            if len(row[index]) > limit:
                reason = fault(row[index])
                if reason is not None:
                    return Rejection(position, column.name, reason)
        return None

    def _correction(self, row: Sequence[str], position: int) -> Correction | None:
        correction = None
        for index, column, is_plain in self._coded:
            text = row[index]
            if not text or is_plain(text):
                continue
            cell = read(column, text)
            if cell.verbatim is None:
                continue
            correction = correction or Correction(position)
            correction.canonical[column.name] = cell.canonical
            correction.verbatim[column.name] = cell.verbatim
            if cell.reason is not None:
                correction.reasons[column.name] = cell.reason
        return correction


def is_rejected(examination: Examination, row: Sequence[str]) -> bool:
    """Whether a row cannot be loaded, whatever stands beside it."""
    return any(isinstance(found, Rejection) for found in examination.examine([row], 1))


def _is_plain(codec: Codec) -> Callable[[str], object]:
    """A quick test that a cell that is not empty is canonical; where it says no, `read` decides."""
    match codec:
        case Codec.FLAG:
            return "yes".__eq__
        case Codec.MAP:
            return _ONE_ENTRY.fullmatch
        case Codec.TIMESTAMP:
            return lambda _text: False
        case Codec.TEXT | Codec.NULLABLE_TEXT:
            return lambda _text: True
        case _:
            assert_never(codec)

"""Rows found in bytes, many at a time, without parsing them.

What is found is certain: rows of one width, whose cells are spelled as at least one quoting spells them.
Bytes of which that is not certain are left to `csv_reading`, which parses them and says what is wrong.
"""

import csv
import io
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from ingestion_pipeline.domain.dialect import LineEnd, Quoting
from ingestion_pipeline.stores.disk.spelling import spell_cell

_QUOTE, _COMMA, _LF, _CR = b'",\n\r'

Places = npt.NDArray[np.intp]
Flags = npt.NDArray[np.bool_]


@dataclass(frozen=True, slots=True)
class Block:
    """Some whole rows of a file, in its order.

    Attributes:
        position: The first row's position in the file, from 1.
        raw: Their bytes in the file.
        begins: Where each cell's text begins in them, by row and column; behind its quote, where it has one.
        ends: Where it ends.
        quoted: Whether the cell stands in quotes.
    """

    position: int
    raw: bytes
    begins: Places
    ends: Places
    quoted: Flags

    def __len__(self) -> int:
        return len(self.begins)

    @property
    def rows(self) -> list[list[str]]:
        """The cells, every row as wide as the header."""
        return list(csv.reader(io.StringIO(self.raw.decode(), newline=""), strict=True))

    def lengths(self) -> Places:
        """Each row's length in bytes, its line end included."""
        return np.diff(self.begins[:, 0] - self.quoted[:, 0], append=len(self.raw))

    def cells(self, column: int) -> list[str]:
        """One column's cells."""
        return [text for _, text in self._texts(column, slice(None))]

    def empty(self, column: int) -> list[int]:
        """The rows, from 0, in which one column's cell is empty."""
        empty: list[int] = np.flatnonzero(self.ends[:, column] == self.begins[:, column]).tolist()
        return empty

    def filled(self, column: int) -> Iterator[tuple[int, str]]:
        """One column's cells that are not empty, each with its row, from 0."""
        return self._texts(column, np.flatnonzero(self.ends[:, column] > self.begins[:, column]))

    def longer(self, column: int, most: int) -> Iterator[tuple[int, str]]:
        """One column's cells that may have more than so many characters, each with its row, from 0."""
        return self._texts(column, np.flatnonzero(self.ends[:, column] - self.begins[:, column] > most))

    def spans(self, first: int, last: int) -> list[bytes]:
        """Each row's bytes from one column to another, as they stand in the file."""
        begins = (self.begins[:, first] - self.quoted[:, first]).tolist()
        ends = (self.ends[:, last] + self.quoted[:, last]).tolist()
        return [self.raw[begin:end] for begin, end in zip(begins, ends, strict=True)]

    def _texts(self, column: int, rows: Places | slice) -> Iterator[tuple[int, str]]:
        places = np.arange(len(self))[rows].tolist()
        bounds = (part[rows, column].tolist() for part in (self.begins, self.ends, self.quoted))
        for row, begin, end, quoted in zip(places, *bounds, strict=True):
            text = self.raw[begin:end].decode()
            yield row, text.replace('""', '"') if quoted else text


@dataclass(frozen=True, slots=True)
class Scan:
    """Whole rows that some bytes begin with.

    Attributes:
        block: The rows.
        quotings: The ways to quote that spell them so.
    """

    block: Block
    quotings: frozenset[Quoting]


def scan(data: bytes, position: int, width: int, line_end: LineEnd) -> Scan | None:
    """Find the whole rows, none where not even one is whole; None where it is not certain.

    Args:
        data: Bytes from a row's beginning on.
        position: The first row's position in the file, from 1.
        width: Cells in a row, at least two.
        line_end: What ends a row.
    """
    codes = np.frombuffer(data, dtype=np.uint8)
    specials = np.flatnonzero((codes == _QUOTE) | (codes == _COMMA) | (codes == _LF) | (codes == _CR))
    kinds = codes[specials]
    is_quote = kinds == _QUOTE
    quotes = np.cumsum(is_quote)
    # Outside quotes, as many have been opened as closed.
    marks = np.flatnonzero((quotes % 2 == 0) & ((kinds == _COMMA) | (kinds == _LF)))
    is_end = kinds[marks] == _LF
    rows = int(np.count_nonzero(is_end))
    marks = marks[: rows * width]
    if len(marks) != rows * width or not is_end[width - 1 : rows * width : width].all():
        return None
    if not rows:
        return Scan(parsed(position, [], width, b"", Quoting.MINIMAL, line_end), frozenset(Quoting))
    raw = data[: specials[marks[-1]] + 1]
    ends = specials[marks]
    begins = np.concatenate(([0], ends[:-1] + 1))
    # Special characters in each cell, all of them and quotes alone.
    held = np.diff(marks, prepend=-1) - 1
    if line_end is LineEnd.CRLF:
        last = slice(width - 1, None, width)
        if not (codes[ends[last] - 1] == _CR).all():
            return None
        ends[last] -= 1
        held[last] -= 1
    quoted = codes[begins] == _QUOTE
    inner = np.diff(quotes[marks], prepend=0)[quoted] - 2
    places = specials[is_quote][: quotes[marks[-1]]]
    whole = (
        not held[~quoted].any()
        and (inner >= 0).all()
        and (codes[ends[quoted] - 1] == _QUOTE).all()
        # A quote within a cell is doubled: who closes and who opens again stand side by side.
        and np.count_nonzero(places[2::2] - places[1:-1:2] == 1) * 2 == inner.sum()
    )
    if not whole or b"\0" in raw or not _is_utf8(raw):
        return None
    begins += quoted
    ends -= quoted
    shape = (rows, width)
    found = Block(position, raw, begins.reshape(shape), ends.reshape(shape), quoted.reshape(shape))
    return Scan(found, frozenset(_quotings(ends > begins, quoted, held[quoted] > 2)))  # noqa: PLR2004 - its own quotes


def _quotings(filled: Flags, quoted: Flags, has_tell: Flags) -> Iterator[Quoting]:
    if has_tell.all():
        yield Quoting.MINIMAL
    if (quoted == filled).all():
        yield Quoting.NONEMPTY
    if quoted.all():
        yield Quoting.ALL


def _is_utf8(raw: bytes) -> bool:
    try:
        raw.decode()
    except UnicodeDecodeError:
        return False
    return True


def parsed(
    position: int, rows: Sequence[Sequence[str]], width: int, raw: bytes, quoting: Quoting, line_end: LineEnd
) -> Block:
    """The block of rows that were parsed, and that this spelling of theirs renders to the same bytes."""
    begins, ends, quoted, place = [], [], [], 0
    for row in rows:
        for cell in row:
            spelled = spell_cell(cell, quoting).encode()
            quoted.append(spelled.startswith(b'"'))
            begins.append(place + quoted[-1])
            ends.append(place + len(spelled) - quoted[-1])
            place += len(spelled) + 1
        place += len(line_end) - 1
    return Block(
        position,
        raw,
        np.array(begins, dtype=np.intp).reshape(-1, width),
        np.array(ends, dtype=np.intp).reshape(-1, width),
        np.array(quoted, dtype=np.bool_).reshape(-1, width),
    )

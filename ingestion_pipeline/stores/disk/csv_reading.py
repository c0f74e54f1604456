"""Reading a CSV through the gate: whatever parses must render to the same bytes again."""

import csv
import hashlib
import io
import os
from collections.abc import Callable, Iterator
from dataclasses import replace
from functools import partial
from itertools import islice
from pathlib import Path
from types import TracebackType
from typing import BinaryIO, Self, TypeVar

from ingestion_pipeline.domain.columns import CELL_LIMIT
from ingestion_pipeline.domain.dialect import Dialect, Quoting
from ingestion_pipeline.domain.errors import InputRefusedError, Place, UnavailableError
from ingestion_pipeline.stores.disk.header import not_utf8, read_header, refused
from ingestion_pipeline.stores.disk.identity import Identity
from ingestion_pipeline.stores.disk.scanning import Block, parsed, scan
from ingestion_pipeline.stores.disk.spelling import parting, spell

ROWS_PER_BLOCK = 256
CHARACTERS_PER_BLOCK = 1024 * 1024
BYTES_PER_SCAN = 256 * 1024
"""Small enough that whoever takes the blocks works beside whoever makes them."""

csv.field_size_limit(CELL_LIMIT)

_Part = TypeVar("_Part")


class CsvReading:
    """One pass over a CSV file, from one open file, in constant memory.

    Use as a context manager, exhaust `blocks`, then ask for `dialect`, `sha256`, `rows` and `size`.

    Raises:
        UnavailableError: The file is not there or cannot be read.
        InputRefusedError: The file does not keep the contract; the error says where.
    """

    def __init__(self, path: Path, progress: Callable[[int], None] | None = None) -> None:
        self._path = path
        self._progress = progress
        self._digest = hashlib.sha256()
        self._line = 2
        self._characters = 0
        self._quotings = list(Quoting)
        self.rows = 0
        self.size = 0
        self._file = _open(path)
        try:
            self._before = os.fstat(self._file.fileno())
            self.total = self._before.st_size
            self._header = read_header(self._file, path)
            self._take(self.head)
        except BaseException:
            self._file.close()
            raise
        self._final_newline = self._header.ended

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._file.close()

    @property
    def identity(self) -> Identity:
        """What tells the file that was opened from another."""
        return Identity.of(self._before)

    @property
    def sha256(self) -> str:
        """Hex digest of what has been read so far; of the file once `blocks` is exhausted."""
        return self._digest.hexdigest()

    @property
    def head(self) -> bytes:
        """The bytes before the rows."""
        return self._header.raw

    @property
    def columns(self) -> tuple[str, ...]:
        """The header's names, in the file's order."""
        return self._header.columns

    @property
    def dialect(self) -> Dialect:
        """How the file is spelled; settled once `blocks` is exhausted."""
        return Dialect(
            columns=self._header.columns,
            line_end=self._header.line_end,
            quoting=self._quotings[0],
            header_quoting=self._header.quoting,
            bom=self._header.bom,
            final_newline=self._final_newline,
        )

    def check_current(self) -> None:
        """See that the path still names the file that was opened, with nothing written to it.

        Raises:
            UnavailableError: It does not.
        """
        self._check_unchanged()
        try:
            current = os.path.samestat(self._before, self._path.stat())
        except OSError:
            current = False
        if not current:
            raise self._changing()

    def blocks(self) -> Iterator[Block]:
        """The rows in blocks, each past the gate; `head` holds the bytes before them.

        Raises:
            InputRefusedError: At the first row that does not keep the contract.
            UnavailableError: The file was written to meanwhile.
        """
        return self._steadily(self._gated_blocks())

    def plain_rows(self) -> Iterator[tuple[int, list[str], str]]:
        """Each row with its line and its text in the file, spelled in whatever way, instead of `blocks`.

        Raises:
            InputRefusedError: At the first row that cannot be read, is of another width, or holds a NUL.
            UnavailableError: The file was written to meanwhile.
        """
        return self._steadily(self._readable_rows())

    def _steadily(self, parts: Iterator[_Part]) -> Iterator[_Part]:
        try:
            yield from parts
        except OSError as error:
            raise _unreadable(self._path, error) from None
        except InputRefusedError:
            # What is wrong with half a file says nothing about the whole one.
            self._check_unchanged()
            raise
        self._check_unchanged()

    def _gated_blocks(self) -> Iterator[Block]:
        yield from self._scanned_blocks()
        for rows, source in self._portions(ROWS_PER_BLOCK):
            self._check_spelling(rows, source)
            raw = source.encode()
            self._take(raw)
            width, line_end = len(self._header.columns), self._header.line_end
            yield parsed(self.rows + 1, rows, width, raw, self._quotings[0], line_end)
            self.rows += len(rows)

    def _scanned_blocks(self) -> Iterator[Block]:
        """The rows up to where it takes parsing; there the file is left."""
        held = b""
        while chunk := self._file.read(max(BYTES_PER_SCAN, len(held))):
            held += chunk
            block = self._certain(held)
            if block is None or (not block and len(held) > CELL_LIMIT):
                break
            if block:
                yield from self._taken(block)
                held = held[len(block.raw) :]
        else:
            block = self._certain(held + self._header.line_end.encode()) if held else None
            if block is not None and len(block.raw) > len(held):
                yield from self._taken(replace(block, raw=held))
                held = b""
        self._file.seek(-len(held), os.SEEK_CUR)

    def _certain(self, data: bytes) -> Block | None:
        found = scan(data, self.rows + 1, len(self._header.columns), self._header.line_end)
        if found is None or found.block.lengths().max(initial=0) > CELL_LIMIT:
            return None
        passing = [quoting for quoting in self._quotings if quoting in found.quotings]
        self._quotings = passing or self._quotings
        return found.block if passing else None

    def _taken(self, block: Block) -> Iterator[Block]:
        self._final_newline = block.raw.endswith(b"\n")
        self._take(block.raw)
        self._line += block.raw.count(b"\n")
        yield block
        self.rows += len(block)

    def _readable_rows(self) -> Iterator[tuple[int, list[str], str]]:
        for [row], source in self._portions(1):
            yield self._line, row, source

    def _portions(self, most: int) -> Iterator[tuple[list[list[str]], str]]:
        """So many rows at a time, with the text they were read from."""
        consumed: list[str] = []
        self._text = io.TextIOWrapper(self._file, encoding="utf-8", errors="strict", newline="")
        reader = csv.reader(self._lines(consumed), strict=True)
        while rows := self._next_rows(reader, consumed, most):
            source = "".join(consumed)
            consumed.clear()
            self._check_cells(rows, source)
            yield rows, source
            self._line += source.count("\n")

    def _next_rows(self, reader: Iterator[list[str]], consumed: list[str], most: int) -> list[list[str]]:
        self._characters = 0
        rows: list[list[str]] = []
        whole = 0
        try:
            for row in islice(reader, most):
                rows.append(row)
                whole = len(consumed)
                if self._characters > CHARACTERS_PER_BLOCK:
                    break
        except csv.Error as error:
            raise self._malformed(consumed[:whole], error) from None
        except UnicodeDecodeError:
            raise not_utf8(self._path, *_first_undecodable(self._path)) from None
        return rows

    def _lines(self, consumed: list[str]) -> Iterator[str]:
        limit = CELL_LIMIT * 2
        for line in iter(partial(self._text.readline, limit), ""):
            consumed.append(line)
            if len(line) == limit:
                raise csv.Error("field larger than field limit")
            self._characters += len(line)
            yield line

    def _check_cells(self, rows: list[list[str]], source: str) -> None:
        width = len(self._header.columns)
        if any(len(row) != width for row in rows):
            raise self._wrong_width(rows, source)
        if "\0" in source:
            before = source[: source.index("\0")]
            raise refused(self._path, "nul", "a NUL character", line=self._line + before.count("\n"))

    def _check_spelling(self, rows: list[list[str]], source: str) -> None:
        self._final_newline = source.endswith("\n")
        passing = [quoting for quoting in self._quotings if self._passes(rows, source, quoting)]
        if not passing:
            raise self._not_reproducible(rows, source)
        self._quotings = passing

    def _passes(self, rows: list[list[str]], source: str, quoting: Quoting) -> bool:
        spelled = spell(rows, quoting, self._header.line_end)
        return source == (spelled if self._final_newline else spelled[: -len(self._header.line_end)])

    def _take(self, raw: bytes) -> None:
        self._digest.update(raw)
        self.size += len(raw)
        if self._progress is not None:
            self._progress(self.size)

    def _check_unchanged(self) -> None:
        after = os.fstat(self._file.fileno())
        if (after.st_size, after.st_mtime_ns) != (self.total, self._before.st_mtime_ns):
            raise self._changing()

    def _changing(self) -> UnavailableError:
        return UnavailableError(
            "the file was written to while it was being read",
            code="csv_changing",
            place=Place(file=str(self._path)),
            hint="Run the command again once the other program is done.",
        )

    def _row_line(self, source: str, index: int) -> int:
        text = io.StringIO(source, newline="")
        before = csv.reader(text)
        for _ in range(index):
            next(before)
        return self._line + source[: text.tell()].count("\n")

    def _wrong_width(self, rows: list[list[str]], source: str) -> InputRefusedError:
        width = len(self._header.columns)
        index = next(index for index, row in enumerate(rows) if len(row) != width)
        found = len(rows[index])
        return refused(
            self._path,
            "wrong_width",
            f"the row has {found} cells, the header {width}" if found else "an empty line between the rows",
            line=self._row_line(source, index),
            hint="Rows shift when a comma or a quote is left unescaped; mend the line, or restore a version.",
        )

    def _not_reproducible(self, rows: list[list[str]], source: str) -> InputRefusedError:
        partings = {
            quoting: parting(rows, source, quoting, self._header.line_end) for quoting in self._quotings
        }
        # The file's own quoting is the one that holds longest.
        quoting = max(partings, key=lambda each: partings[each][-1])
        row, cell, offset = partings[quoting]
        line = self._line + source[:offset].count("\n")
        character = offset - (source.rfind("\n", 0, offset) + 1) + 1
        return refused(
            self._path,
            "not_reproducible",
            f"written back, the file would differ from character {character} of this line on "
            f"({quoting} quoting, {self._header.line_end.name} line ends)",
            line=line,
            column=self._header.columns[cell] if row < len(rows) else None,
            hint="Mixed quoting or line ends: run again with --normalise to go on with a normalised copy.",
        )

    def _malformed(self, before: list[str], error: csv.Error) -> InputRefusedError:
        too_large = "field limit" in str(error)
        return refused(
            self._path,
            "cell_too_large" if too_large else "malformed",
            f"a cell of more than {CELL_LIMIT} characters" if too_large else f"not a CSV: {error}",
            line=self._line + sum(text.count("\n") for text in before),
            hint="" if too_large else "The row begins here; a quote left open swallows all that follows it.",
        )


def dialect_of(path: Path) -> Dialect:
    """How a file is spelled, by one pass over it."""
    with CsvReading(path) as file:
        for _ in file.blocks():
            pass
        return file.dialect


def _open(path: Path) -> BinaryIO:
    try:
        return path.open("rb")
    except FileNotFoundError:
        raise UnavailableError(
            "there is no such file",
            code="csv_missing",
            place=Place(file=str(path)),
            hint="Name the CSV in paths.output_csv of the configuration.",
        ) from None
    except OSError as error:
        raise _unreadable(path, error) from None


def _unreadable(path: Path, error: OSError) -> UnavailableError:
    return UnavailableError(
        f"the file cannot be read: {error.strerror}", code="csv_unreadable", place=Place(file=str(path))
    )


def _first_undecodable(path: Path) -> tuple[int, int]:
    with path.open("rb") as file:
        for number, line in enumerate(file, start=1):
            try:
                line.decode("utf-8")
            except UnicodeDecodeError as error:
                return number, error.start + 1
    return 0, 0

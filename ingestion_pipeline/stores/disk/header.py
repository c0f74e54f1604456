"""The first line of a CSV: which columns it names, and how it is spelled."""

import difflib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from ingestion_pipeline.domain.columns import BY_NAME, REQUIRED_IN_HEADER
from ingestion_pipeline.domain.dialect import BOM, LineEnd, Quoting
from ingestion_pipeline.domain.errors import InputRefusedError, Place

HEADER_LIMIT = 64 * 1024
"""Most bytes a header may have."""


@dataclass(frozen=True, slots=True)
class Header:
    """What stands before the rows.

    Attributes:
        raw: The bytes, BOM and line end included.
        columns: The names, in the file's order.
        line_end: What ends the line; LF where nothing does.
        quoting: Whether none or all of the names stand in quotes.
        bom: Whether the file begins with a byte order mark.
    """

    raw: bytes
    columns: tuple[str, ...]
    line_end: LineEnd
    quoting: Quoting
    bom: bool

    @property
    def ended(self) -> bool:
        """Whether the line is ended."""
        return self.raw.endswith(b"\n")


def read_header(file: BinaryIO, path: Path) -> Header:
    """Read the header and leave the file at its first row.

    Raises:
        InputRefusedError: There is none, or it is not one of the contract's.
    """
    head = file.read(HEADER_LIMIT)
    start = len(BOM) if head.startswith(BOM) else 0
    end = head.find(b"\n", start)
    if end < 0 and len(head) == HEADER_LIMIT:
        raise refused(path, "no_header", f"no header within the first {HEADER_LIMIT} bytes", line=1)
    raw = head if end < 0 else head[: end + 1]
    if len(raw) == start:
        raise refused(path, "empty_file", "the file is empty, it has not even a header")
    file.seek(len(raw))
    line_end = LineEnd.CRLF if raw.endswith(b"\r\n") else LineEnd.LF
    names, quoting = _names(_text(raw, path)[bool(start) :].removesuffix(line_end), path)
    return Header(raw, names, line_end, quoting, bom=bool(start))


def refused(
    path: Path, code: str, message: str, *, line: int | None = None, column: str | None = None, hint: str = ""
) -> InputRefusedError:
    """The refusal of a file."""
    return InputRefusedError(
        message, code=code, place=Place(file=str(path), line=line, column=column), hint=hint
    )


def not_utf8(path: Path, line: int, byte: int) -> InputRefusedError:
    """The refusal of a file that is not UTF-8."""
    return refused(
        path,
        "not_utf8",
        f"byte {byte} of this line is not UTF-8",
        line=line,
        hint="Save the file as UTF-8; nothing is guessed about other encodings.",
    )


def _text(line: bytes, path: Path) -> str:
    try:
        return line.decode("utf-8")
    except UnicodeDecodeError as error:
        raise not_utf8(path, 1, error.start + 1) from None


def _names(text: str, path: Path) -> tuple[tuple[str, ...], Quoting]:
    if "\r" in text:
        raise refused(
            path,
            "line_end",
            "a carriage return without a newline in the header",
            line=1,
            hint="Save the file with LF or CRLF line ends.",
        )
    names = text.split(",")
    quoted = [name for name in names if len(name) > 1 and name[0] == name[-1] == '"']
    if len(quoted) == len(names):
        names = [name[1:-1] for name in names]
    _check_names(names, path)
    return tuple(names), Quoting.ALL if quoted else Quoting.MINIMAL


def _check_names(names: Sequence[str], path: Path) -> None:
    missing = [name for name in REQUIRED_IN_HEADER if name not in names]
    if missing:
        raise refused(
            path,
            "not_this_table",
            f"the header has no column {' and no column '.join(missing)}: this is some other table",
            line=1,
            hint="The file must be UTF-8, separated by commas, with a header of the contract's columns.",
        )
    for index, name in enumerate(names):
        if name not in BY_NAME:
            near = difflib.get_close_matches(name, BY_NAME, n=1)
            raise refused(
                path,
                "unknown_column",
                f"column {index + 1} of the header is not in the contract",
                line=1,
                column=name[:80],
                hint=f"Did you mean {near[0]}?" if near else "docs/contract.md lists the columns.",
            )
        if name in names[:index]:
            raise refused(path, "repeated_column", "the header names it twice", line=1, column=name)

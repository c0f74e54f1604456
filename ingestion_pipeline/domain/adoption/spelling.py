"""A file's text as it is spelled: decoded, found again by line and column, changed in places, encoded."""

import re
import tokenize
from bisect import bisect_right
from collections.abc import Iterable
from dataclasses import dataclass, field

from ingestion_pipeline.domain.adoption.access import Unreadable

_BOM = b"\xef\xbb\xbf"
_LINE_END = re.compile(r"\r\n|\r|\n")


@dataclass(frozen=True, slots=True, order=True)
class Edit:
    """Characters that other ones take the place of.

    Attributes:
        start: The first of them, from 0.
        end: The first behind them.
        text: What stands there instead.
    """

    start: int
    end: int
    text: str


@dataclass(slots=True)
class Spelled:
    """The text of a Python file.

    Attributes:
        text: Without a BOM, with its line ends as they are.
        encoding: As the file declares it.
        bom: The BOM, or nothing.
    """

    text: str
    encoding: str = "utf-8"
    bom: bytes = b""
    _starts: list[int] = field(init=False)

    def __post_init__(self) -> None:
        self._starts = [0, *(end.end() for end in _LINE_END.finditer(self.text))]

    def offset(self, line: int, column: int) -> int:
        """Where a place of `ast` lies: lines from 1, columns in bytes of UTF-8 from 0."""
        start = self._starts[line - 1]
        before = self.text[start : start + column].encode("utf-8", "surrogatepass")[:column]
        return start + len(before.decode("utf-8", "ignore"))

    def column(self, line: int, column: int) -> int:
        """The same as a character of its line, from 1."""
        return self.offset(line, column) - self._starts[line - 1] + 1

    def indentation(self, offset: int) -> str | None:
        """What stands before a place in its line; None unless that is blank."""
        start = self._starts[bisect_right(self._starts, offset) - 1]
        before = self.text[start:offset]
        return before if not before.strip() else None

    def line_end(self, offset: int) -> str:
        """How the line of a place ends; as the first does where it is the last."""
        found = _LINE_END.search(self.text, offset) or _LINE_END.search(self.text)
        return found.group() if found else "\n"

    def edited(self, edits: Iterable[Edit]) -> str:
        """The text with the edits made, which must not overlap."""
        text = self.text
        for edit in sorted(edits, reverse=True):
            text = text[: edit.start] + edit.text + text[edit.end :]
        return text

    def encode(self, text: str) -> bytes:
        """A text as the file spells it."""
        return self.bom + text.encode(self.encoding)


def spelled(file: str, data: bytes) -> Spelled | Unreadable:
    """The text of a Python file, decoded as Python does it."""
    bom = _BOM if data.startswith(_BOM) else b""
    try:
        encoding, _ = tokenize.detect_encoding(iter(data.splitlines(keepends=True)).__next__)
        encoding = "utf-8" if encoding == "utf-8-sig" else encoding
        text = data[len(bom) :].decode(encoding)
    except UnicodeDecodeError as error:
        return _not_decoded(file, data, len(bom) + error.start)
    except (SyntaxError, LookupError):
        return _not_declared(file, data)
    if "\0" in text:
        return Unreadable(file, text.count("\n", 0, text.index("\0")) + 1, "it holds a NUL")
    return Spelled(text, encoding, bom)


def _not_decoded(file: str, data: bytes, place: int) -> Unreadable:
    return Unreadable(file, data.count(b"\n", 0, place) + 1, "a byte is not of its encoding")


def _not_declared(file: str, data: bytes) -> Unreadable:
    """Where the first lines cannot be decoded, or what they declare is unknown."""
    try:
        data.decode("utf-8")
    except UnicodeDecodeError as error:
        return _not_decoded(file, data, error.start)
    return Unreadable(file, 1, "its encoding is not known")

"""How a CSV is spelled: what must be remembered to write the same bytes again."""

from dataclasses import asdict, dataclass
from enum import StrEnum
from typing import Any, Self

BOM = b"\xef\xbb\xbf"


class LineEnd(StrEnum):
    """What ends a line."""

    LF = "\n"
    CRLF = "\r\n"


class Quoting(StrEnum):
    """Which cells stand in quotes."""

    MINIMAL = "minimal"
    """Those that hold a comma, a quote or a line break."""
    NONEMPTY = "nonempty"
    """All that are not empty."""
    ALL = "all"


@dataclass(frozen=True, slots=True)
class Dialect:
    """How one CSV is spelled.

    Attributes:
        columns: The header's names, in the file's order.
        line_end: What ends each line.
        quoting: Which cells of the rows stand in quotes.
        header_quoting: Which names of the header do; never NONEMPTY.
        bom: Whether the file begins with a byte order mark.
        final_newline: Whether the last line is ended.
    """

    columns: tuple[str, ...]
    line_end: LineEnd = LineEnd.LF
    quoting: Quoting = Quoting.MINIMAL
    header_quoting: Quoting = Quoting.MINIMAL
    bom: bool = False
    final_newline: bool = True

    def header(self) -> bytes:
        """The file's first bytes: the BOM and the header's line, ended."""
        names = self.columns
        if self.header_quoting is Quoting.ALL:
            names = tuple(f'"{name}"' for name in names)
        return (BOM if self.bom else b"") + (",".join(names) + self.line_end).encode()

    def as_json(self) -> dict[str, Any]:
        """The dialect as JSON holds it."""
        return {**asdict(self), "columns": list(self.columns)}

    @classmethod
    def from_json(cls, kept: dict[str, Any]) -> Self:
        """The dialect that `as_json` gave."""
        return cls(
            columns=tuple(kept["columns"]),
            line_end=LineEnd(kept["line_end"]),
            quoting=Quoting(kept["quoting"]),
            header_quoting=Quoting(kept["header_quoting"]),
            bom=bool(kept["bom"]),
            final_newline=bool(kept["final_newline"]),
        )

"""The contract: the 22 columns of a record, declared once.

The schema's checks, the codecs, the COPY column lists, the comparison, the asset checks and the docs
table are derived from this declaration.
"""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum


class Mode(StrEnum):
    """How much of a record a legacy run wrote."""

    BASIC = "basic"
    TEXT = "text"
    FULL = "full"


class Table(StrEnum):
    """The three tables that hold a record between them."""

    PEOPLE = "people"
    PROCESSING_STATUS = "processing_status"
    S3_METADATA = "s3_metadata"


class Codec(StrEnum):
    """How a cell's text becomes a value; see `cells`."""

    TEXT = "text"
    NULLABLE_TEXT = "nullable_text"
    FLAG = "flag"
    TIMESTAMP = "timestamp"
    MAP = "map"

    @property
    def is_text(self) -> bool:
        """Whether the value is the cell's text itself, so that no other spelling exists."""
        return self in (Codec.TEXT, Codec.NULLABLE_TEXT)


@dataclass(frozen=True, slots=True)
class Column:
    """One column of the contract.

    Attributes:
        name: Its name in the CSV's header and in the table.
        table: Where PostgreSQL keeps it.
        sql_type: Its PostgreSQL type, without NULL or DEFAULT.
        codec: How text becomes a value.
        modes: The legacy modes whose files have it.
        limit: Most characters it may hold, None for no limit but a cell's.
        about: What it holds, for people.
    """

    name: str
    table: Table
    sql_type: str
    codec: Codec
    modes: frozenset[Mode]
    limit: int | None
    about: str

    @property
    def required(self) -> bool:
        """Whether the value is never NULL."""
        return self.codec is Codec.TEXT


_BTF = frozenset(Mode)
_TF = frozenset({Mode.TEXT, Mode.FULL})
_F = frozenset({Mode.FULL})
_T = frozenset({Mode.TEXT})


def _text(name: str, limit: int, about: str) -> Column:
    return Column(name, Table.PEOPLE, f"varchar({limit})", Codec.TEXT, _BTF, limit, about)


def _status(name: str, about: str, *, limit: int | None = None, modes: frozenset[Mode] = _F) -> Column:
    sql_type = "text" if limit is None else f"varchar({limit})"
    return Column(name, Table.PROCESSING_STATUS, sql_type, Codec.NULLABLE_TEXT, modes, limit, about)


def _flag(name: str, about: str, *, modes: frozenset[Mode] = _F) -> Column:
    return Column(name, Table.PROCESSING_STATUS, "boolean", Codec.FLAG, modes, None, about)


def _time(name: str, about: str, *, modes: frozenset[Mode] = _F) -> Column:
    return Column(name, Table.PROCESSING_STATUS, "timestamp", Codec.TIMESTAMP, modes, None, about)


def _map(name: str, about: str) -> Column:
    return Column(name, Table.S3_METADATA, "jsonb", Codec.MAP, _F, None, about)


COLUMNS: tuple[Column, ...] = (
    _text("row_id", 50, "The key: never empty, one person each"),
    _text("name", 255, "The person's name"),
    _text("email", 255, "The person's e-mail; neither unique nor always an address"),
    _text("type", 100, "The personality type; may be empty"),
    Column("link", Table.PEOPLE, "text", Codec.NULLABLE_TEXT, _BTF, None, "The person's document"),
    _status("extracted_links", "Links found in the document, separated by |"),
    _status("youtube_playlist", "YouTube links, separated by |"),
    _status("google_drive", "Google Drive links, separated by |"),
    _flag("processed", "Whether the document has been read", modes=_TF),
    _status("document_text", "The document's text; may hold newlines", modes=_TF),
    _status("youtube_status", "How the YouTube download went", limit=50),
    _status("youtube_files", "Files downloaded from YouTube"),
    _status("youtube_media_id", "The YouTube media's identifier"),
    _status("drive_status", "How the Drive download went", limit=50),
    _status("drive_files", "Files downloaded from Drive"),
    _status("drive_media_id", "The Drive media's identifier"),
    _time("last_download_attempt", "When a download was last tried"),
    _status("download_errors", "What went wrong at the last download"),
    _flag("permanent_failure", "Whether downloading has been given up"),
    _map("file_uuids", "Content description to UUID"),
    _map("s3_paths", "UUID to S3 path"),
    _time("extraction_date", "When the text was extracted", modes=_T),
)
"""All columns, in the order of the full header, `extraction_date` last."""

BY_NAME: dict[str, Column] = {column.name: column for column in COLUMNS}

REQUIRED_IN_HEADER = ("row_id", "name")
"""A file without these is some other table."""

CELL_LIMIT = 64 * 1024 * 1024
"""Most characters a cell may hold."""

_HEADERS: dict[Mode, tuple[str, ...]] = {
    Mode.BASIC: tuple(column.name for column in COLUMNS if Mode.BASIC in column.modes),
    Mode.TEXT: (
        "row_id", "name", "email", "type", "link", "document_text", "processed", "extraction_date",
    ),
    Mode.FULL: tuple(column.name for column in COLUMNS if Mode.FULL in column.modes),
}  # fmt: skip

_MAPS = tuple(column.name for column in COLUMNS if column.codec is Codec.MAP)
_EIGHTEEN = tuple(name for name in _HEADERS[Mode.FULL] if name not in {*_MAPS, "document_text"})
_NINETEEN = tuple(name for name in _HEADERS[Mode.FULL] if name not in _MAPS)

GENERATIONS: dict[frozenset[str], str] = {
    frozenset(_HEADERS[Mode.BASIC]): "basic, 5 columns",
    frozenset(_HEADERS[Mode.TEXT]): "text, 8 columns",
    frozenset(_EIGHTEEN): "18 columns, before document_text and the maps",
    frozenset(_NINETEEN): "19 columns, before the maps",
    frozenset(_HEADERS[Mode.FULL]): "full, 21 columns",
}
"""The file shapes the legacy pipeline is known to have written."""


def header(mode: Mode) -> tuple[str, ...]:
    """The column names a legacy run of this mode writes, in order."""
    return _HEADERS[mode]


def generation(names: Sequence[str]) -> str:
    """What a header's set of columns is known as, for people."""
    return GENERATIONS.get(frozenset(names), f"{len(names)} known columns")


def of_table(table: Table, names: Sequence[str] | None = None) -> tuple[Column, ...]:
    """The table's columns, in contract order; with names, only those among them."""
    return tuple(
        column for column in COLUMNS if column.table is table and (names is None or column.name in names)
    )


def contract_version() -> str:
    """A short digest of the declaration: it changes when any column does."""
    declared = "\n".join(
        f"{c.name} {c.table} {c.sql_type} {c.codec} {c.limit} {sorted(c.modes)}" for c in COLUMNS
    )
    return hashlib.sha256(declared.encode()).hexdigest()[:12]

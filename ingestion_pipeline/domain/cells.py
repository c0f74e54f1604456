"""Codecs: what a cell's text means, and the one text a value is rendered as."""

import json
import re
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from enum import StrEnum
from typing import NoReturn, TypeAlias, assert_never

from ingestion_pipeline.domain.columns import CELL_LIMIT, Codec, Column

Value: TypeAlias = str | bool | datetime | dict[str, str] | None


class Reason(StrEnum):
    """Why a cell or a row is in quarantine."""

    NOT_A_FLAG = "not_a_flag"
    NOT_A_TIMESTAMP = "not_a_timestamp"
    NOT_A_MAP = "not_a_map"
    MISSING_ROW_ID = "missing_row_id"
    DUPLICATE_ROW_ID = "duplicate_row_id"
    TOO_LONG = "too_long"
    NUL = "nul"
    CONFLICT = "conflict"


@dataclass(frozen=True, slots=True)
class Cell:
    """What one cell's text means.

    Attributes:
        value: The typed value; None where PostgreSQL holds NULL.
        canonical: The text the value is rendered as.
        verbatim: The original text where it is not the canonical one, else None.
        reason: Why the cell, or for a text codec its whole row, is in quarantine; else None.
    """

    value: Value
    canonical: str
    verbatim: str | None = None
    reason: Reason | None = None


_FLAGS = {"yes": True, "true": True, "1": True, "no": False, "false": False, "0": False, "": False}
_TIMESTAMP = re.compile(
    r"(\d{4}-\d\d-\d\d)[T ]((?:[01]\d|2[0-3]):\d\d:\d\d)(\.\d{1,6})?(Z|[+-]\d\d:\d\d)?", re.ASCII
)


class _NotAMapError(ValueError):
    """The text is no flat JSON object of strings that jsonb can hold."""


def read(column: Column, text: str) -> Cell:
    """What this text means in this column. Never fails: what does not fit has a reason."""
    match column.codec:
        case Codec.TEXT:
            return Cell(text, text, reason=_text_fault(column, text))
        case Codec.NULLABLE_TEXT:
            return Cell(text or None, text, reason=_text_fault(column, text))
        case Codec.FLAG:
            return _read_flag(text)
        case Codec.TIMESTAMP:
            return _read_timestamp(text)
        case Codec.MAP:
            return _read_map(text)
        case _:
            assert_never(column.codec)


def render(value: Value) -> str:
    """The canonical text of a value, as PostgreSQL's rendering gives it."""
    match value:
        case None | False:
            return ""
        case True:
            return "yes"
        case str():
            return value
        case datetime():
            return value.isoformat()
        case dict():
            return _render_map(value)
        case _:
            assert_never(value)


def text_fault(column: Column) -> Callable[[str], Reason | None]:
    """A check for one text column, for the bulk path."""
    return lambda text: _text_fault(column, text)


def _text_fault(column: Column, text: str) -> Reason | None:
    if "\0" in text:
        return Reason.NUL
    if column.name == "row_id" and not text:
        return Reason.MISSING_ROW_ID
    if len(text) > (column.limit or CELL_LIMIT):
        return Reason.TOO_LONG
    return None


def _spelled(value: Value, text: str) -> Cell:
    canonical = render(value)
    return Cell(value, canonical, verbatim=None if text == canonical else text)


def _quarantined(text: str, reason: Reason) -> Cell:
    return Cell(None, "", verbatim=text, reason=reason)


def _read_flag(text: str) -> Cell:
    value = _FLAGS.get(text.lower()) if text.isascii() else None
    return _quarantined(text, Reason.NOT_A_FLAG) if value is None else _spelled(value, text)


def _read_timestamp(text: str) -> Cell:
    if not text:
        return Cell(None, "")
    matched = _TIMESTAMP.fullmatch(text)
    if matched is None:
        return _quarantined(text, Reason.NOT_A_TIMESTAMP)
    date, time, fraction, zone = matched.groups(default="")
    try:
        moment = datetime.fromisoformat(f"{date}T{time}{fraction.ljust(7, '0') if fraction else ''}{zone}")
        if moment.tzinfo is not None:
            moment = moment.astimezone(UTC).replace(tzinfo=None)
    except (ValueError, OverflowError):
        return _quarantined(text, Reason.NOT_A_TIMESTAMP)
    return _spelled(moment, text)


def _read_map(text: str) -> Cell:
    if not text:
        return Cell(None, "")
    try:
        return _spelled(_parse_map(text), text)
    except (ValueError, RecursionError):
        return _quarantined(text, Reason.NOT_A_MAP)


def _pairs(pairs: list[tuple[str, object]]) -> dict[str, str]:
    entries = {key: value for key, value in pairs if isinstance(value, str)}
    if len(entries) != len(pairs):
        raise _NotAMapError
    return entries


def _refuse(_constant: str) -> NoReturn:
    raise _NotAMapError


def _parse_map(text: str) -> dict[str, str]:
    parsed = json.loads(text, object_pairs_hook=_pairs, parse_constant=_refuse)
    if not isinstance(parsed, dict):
        raise _NotAMapError
    for part in (*parsed.keys(), *parsed.values()):
        if "\0" in part:
            raise _NotAMapError
        part.encode()  # a lone surrogate cannot be stored
    return parsed


def _render_map(entries: dict[str, str]) -> str:
    # jsonb orders keys by length in bytes, then by their bytes.
    ordered = sorted((len(key.encode()), key.encode(), key) for key in entries)
    return "{" + ", ".join(f"{_quote(key)}: {_quote(entries[key])}" for _, _, key in ordered) + "}"


def _quote(text: str) -> str:
    return json.dumps(text, ensure_ascii=False)

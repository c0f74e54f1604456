"""The journal: what was written to the CSV, in its order, so that no acknowledged write is ever lost.

Each record names the one before it, and carries its own length and checksums. A crash can leave only a
torn end, which was never acknowledged and is dropped; anything else is damage, and is never read past.
"""

import json
import struct
import zlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any
from uuid import UUID

_MAGIC = b"IPJ1"
_FIELDS = struct.Struct(">4sIQQQ16sI")
_CHECK = struct.Struct(">I")
HEADER = _FIELDS.size + _CHECK.size
"""Bytes before a record's payload."""


NO_WRITE = UUID(int=0)
"""The write_id of records that are no write."""


class Kind(StrEnum):
    """What a record is about."""

    WRITE = "write"
    """A person's cells, written while the CSV leads."""
    FALLBACK = "fallback"
    """The same while PostgreSQL leads and is away: PostgreSQL has yet to get it."""
    FOREIGN = "foreign"
    """A cell that somebody else changed in the file after the journal had."""
    MERGED = "merged"
    """Somebody else rewrote the file, and what it lacked was written again."""
    RESTORED = "restored"
    """The file was made what it once was, or, without one, is to be rendered so: what was written before
    is of no account any more."""
    DELETED = "deleted"
    """A person was taken out of the file, with what each cell held."""
    CLOSED = "closed"
    """The other side holds all up to `through`."""


@dataclass(frozen=True, slots=True)
class Record:
    """One record.

    Attributes:
        sequence: Its number; a written row's revision. Numbers rise, with gaps.
        previous: The number of the record before it.
        epoch: The epoch it was written in.
        kind: What it is about.
        write_id: The write's own.
        row_id: The person.
        cells: By column, the text before and after; before is None for a new person.
        created: Whether the person is new.
        by: Who wrote; for CLOSED, the side that leads, where the file was made what that holds.
        at: When, in ISO 8601, UTC.
        file: The CSV's sha256 with this record's group in it; on the last of a group only.
        through: For CLOSED, the last sequence the other side holds; for RESTORED, one before that never was.
        counts: For MERGED, how many rows were changed by whom.
    """

    sequence: int
    previous: int
    epoch: int
    kind: Kind
    write_id: UUID = NO_WRITE
    row_id: str = ""
    cells: Mapping[str, tuple[str | None, str]] = field(default_factory=dict)
    created: bool = False
    by: str = ""
    at: str = ""
    file: str | None = None
    through: int = 0
    counts: Mapping[str, int] = field(default_factory=dict)


WHOLE_FILE = frozenset({Kind.MERGED, Kind.RESTORED, Kind.DELETED})
"""Records after which the other side has to be made equal to the whole file."""

_PAYLOAD = ("kind", "row_id", "cells", "created", "by", "at", "file", "through", "counts")
_EMPTY = Record(0, 0, 0, Kind.WRITE)


@dataclass(frozen=True, slots=True)
class Damage:
    """Where a journal cannot be read on, although it did not end there.

    Attributes:
        offset: Bytes from the start of what was read.
        sequence: The last record before it.
    """

    offset: int
    sequence: int


def encode(record: Record) -> bytes:
    """A record's bytes."""
    kept = {name: getattr(record, name) for name in _PAYLOAD}
    payload = json.dumps(
        {name: value for name, value in kept.items() if name == "kind" or value != getattr(_EMPTY, name)},
        ensure_ascii=False,
        separators=(",", ":"),
    ).encode()
    fields = _FIELDS.pack(
        _MAGIC,
        len(payload),
        record.sequence,
        record.previous,
        record.epoch,
        record.write_id.bytes,
        zlib.crc32(payload),
    )
    return fields + _CHECK.pack(zlib.crc32(fields)) + payload


class Scan:
    """The records in some bytes, as far as they can be read.

    Iterate, then ask how it ended.

    Args:
        data: The bytes.
        previous: The number of the record before them; None when it is not known.

    Attributes:
        end: Where the last whole record ends.
        last: That record's number, or `previous` when there is none.
        damage: Set where the bytes cannot be read on and it is not a torn end.
    """

    def __init__(self, data: bytes, previous: int | None) -> None:
        self._data = data
        self.end = 0
        self.last = previous
        self.damage: Damage | None = None

    def __iter__(self) -> Iterator[Record]:
        while self.end < len(self._data):
            found = _decode(self._data, self.end)
            if found is None:
                if _goes_on(self._data, self.end + 1):
                    self.damage = Damage(self.end, self.last or 0)
                return
            record, end = found
            if (self.last is not None and record.previous != self.last) or record.sequence <= record.previous:
                self.damage = Damage(self.end, self.last or 0)
                return
            self.end, self.last = end, record.sequence
            yield record


def _header(data: bytes, offset: int) -> tuple[Any, ...] | None:
    if len(data) - offset < HEADER or data[offset : offset + 4] != _MAGIC:
        return None
    raw = data[offset : offset + _FIELDS.size]
    (check,) = _CHECK.unpack_from(data, offset + _FIELDS.size)
    return _FIELDS.unpack(raw) if zlib.crc32(raw) == check else None


def _decode(data: bytes, offset: int) -> tuple[Record, int] | None:
    header = _header(data, offset)
    if header is None:
        return None
    _, length, sequence, previous, epoch, write_id, check = header
    start = offset + HEADER
    payload = data[start : start + length]
    if len(payload) != length or zlib.crc32(payload) != check:
        return None
    kept = json.loads(payload)
    cells = {name: (old, new) for name, (old, new) in kept.pop("cells", {}).items()}
    record = Record(
        sequence, previous, epoch, Kind(kept.pop("kind")), UUID(bytes=write_id), cells=cells, **kept
    )
    return record, start + length


def _goes_on(data: bytes, offset: int) -> bool:
    """Whether a whole record follows, so that what stands before it is no torn end."""
    while (offset := data.find(_MAGIC, offset)) >= 0:
        if _decode(data, offset) is not None:
            return True
        offset += 1
    return False

"""Versions: what was published of a site, each with a manifest that names the one before it."""

import hashlib
import json
from dataclasses import asdict, dataclass
from datetime import datetime
from enum import StrEnum
from typing import Any

from ingestion_pipeline.domain.dialect import Dialect
from ingestion_pipeline.domain.phase import Phase

FORMAT = 1
"""Of the manifest; raised when a reader of the old one could misread the new."""


class Form(StrEnum):
    """How a version lies in its place; the value is how its name ends."""

    CSV = "csv"
    ZSTD = "csv.zst"
    DUMP = "dump"
    """A dump of the database, from which the CSV can be rendered."""


@dataclass(frozen=True, slots=True)
class Content:
    """What a version holds, and when and why it was published.

    Attributes:
        sha256: Hex digest of the CSV.
        size: Its bytes.
        rows: Its rows, without the header.
        columns: Its columns, in its order.
        dialect: How it is spelled.
        phase: The phase in force.
        epoch: The epoch in force.
        published_at: When, in UTC.
        compared_at: When both sides were last proved equal and held this, if they were.
        run_id: The Dagster run, if one published it.
        before: The version or time that was about to be restored over it; None where nothing was.
    """

    sha256: str
    size: int
    rows: int
    columns: tuple[str, ...]
    dialect: Dialect
    phase: Phase
    epoch: int
    published_at: datetime
    compared_at: datetime | None = None
    run_id: str | None = None
    before: str | None = None


@dataclass(frozen=True, slots=True)
class Stored:
    """The bytes that lie in the place.

    Attributes:
        sha256: Hex digest.
        size: How many.
        form: What they are.
        version_id: The name the bucket gave them, which no later upload takes; None in a folder.
        made_by: The program and the schema of a dump.
    """

    sha256: str
    size: int
    form: Form
    version_id: str | None = None
    made_by: str | None = None


@dataclass(frozen=True)
class Manifest:
    """What is known of one version.

    Attributes:
        number: Its place in the chain, from 1.
        parent: Hex digest of the entry before; None for the first.
        key: The name of its bytes in the place it was published to.
        content: What was published.
        stored: What lies there.
    """

    number: int
    parent: str | None
    key: str
    content: Content
    stored: Stored

    def as_bytes(self) -> bytes:
        """The manifest as it is stored."""
        content = asdict(self.content) | {
            "dialect": self.content.dialect.as_json(),
            "published_at": self.content.published_at.isoformat(),
            "compared_at": self.content.compared_at and self.content.compared_at.isoformat(),
        }
        return _as_bytes(self, {"key": self.key, "content": content, "stored": asdict(self.stored)})


@dataclass(frozen=True)
class Removal:
    """That versions were taken away, which leaves their manifests in the chain.

    Attributes:
        number: Its place in the chain.
        parent: Hex digest of the entry before.
        keys: Whose bytes were taken away.
        at: When, in UTC.
        by: Who did.
    """

    number: int
    parent: str | None
    keys: tuple[str, ...]
    at: datetime
    by: str

    def as_bytes(self) -> bytes:
        """The entry as it is stored."""
        return _as_bytes(self, {"removed": self.keys, "at": self.at.isoformat(), "by": self.by})


Entry = Manifest | Removal
"""An entry of the chain."""


def _as_bytes(entry: Entry, more: dict[str, Any]) -> bytes:
    return _sealed({"format": FORMAT, "number": entry.number, "parent": entry.parent, **more})


def _sealed(kept: dict[str, Any]) -> bytes:
    """What is kept, with its own digest: no entry comes after the newest one to vouch for it."""
    return _spelled(kept | {"digest": hashlib.sha256(_spelled(kept)).hexdigest()})


def _spelled(kept: dict[str, Any]) -> bytes:
    return json.dumps(kept, indent=2, sort_keys=True).encode() + b"\n"


def entry_from_bytes(stored: bytes) -> Entry:
    """The entry that `as_bytes` gave.

    Raises:
        ValueError: It is none, one of another format, or not as it was stored.
    """
    try:
        kept: dict[str, Any] = json.loads(stored)
        if kept["format"] != FORMAT:
            raise ValueError("an entry of another format")
        del kept["digest"]
        if _sealed(kept) != stored:
            raise ValueError("an entry that was changed")
        return _entry(kept)
    except (KeyError, TypeError, AttributeError, RecursionError) as error:
        raise ValueError("not an entry") from error


def _entry(kept: dict[str, Any]) -> Entry:
    number, parent = int(kept["number"]), kept["parent"]
    if "removed" in kept:
        at = datetime.fromisoformat(kept["at"])
        return Removal(number, parent, tuple(kept["removed"]), at, kept["by"])
    return Manifest(number, parent, str(kept["key"]), _content(kept["content"]), _stored(kept["stored"]))


def _content(kept: dict[str, Any]) -> Content:
    compared_at = kept["compared_at"]
    typed = {
        "columns": tuple(kept["columns"]),
        "dialect": Dialect.from_json(kept["dialect"]),
        "phase": Phase(kept["phase"]),
        "published_at": datetime.fromisoformat(kept["published_at"]),
        "compared_at": None if compared_at is None else datetime.fromisoformat(compared_at),
    }
    return Content(**{**kept, **typed})


def _stored(kept: dict[str, Any]) -> Stored:
    return Stored(**{**kept, "form": Form(kept["form"])})


@dataclass(frozen=True, slots=True)
class Version:
    """One version as it lies in its place.

    Attributes:
        key: Its name there.
        manifest: What was published; None where the manifest cannot be read.
        amiss: Why it is not good; None where its bytes, read anew, are those that were published.
    """

    key: str
    manifest: Manifest | None
    amiss: str | None

    @property
    def good(self) -> bool:
        """Whether it can be restored."""
        return self.amiss is None

    @property
    def is_for_itself(self) -> bool:
        """Whether it was published for itself, and not only kept before another one was restored.

        So is one of which nobody can tell.
        """
        return self.manifest is None or self.manifest.content.before is None


def key(chain: str, moment: datetime, number: int, form: Form) -> str:
    """The name of a version: sorts by time, and no two in the same microsecond are alike."""
    name = "dump" if form is Form.DUMP else "output"
    return f"{chain}/{moment:%Y}/{moment:%m}/{name}_{moment:%Y%m%dT%H%M%S%f}Z_{number:03d}.{form}"

"""Versions: published exports, each with a manifest that names the one before it."""

import json
from dataclasses import asdict, dataclass
from datetime import datetime
from typing import Any, Self

from ingestion_pipeline.domain.dialect import Dialect
from ingestion_pipeline.domain.phase import Phase

FORMAT = 1
"""Of the manifest; raised when a reader of the old one could misread the new."""


@dataclass(frozen=True, slots=True)
class Content:
    """What a version holds, and when and why it was published.

    Attributes:
        sha256: Hex digest of the CSV.
        size: Its bytes.
        rows: Its rows, without the header.
        dialect: How it is spelled.
        phase: The phase in force.
        epoch: The epoch in force.
        published_at: When, in UTC.
        run_id: The Dagster run, if one published it.
    """

    sha256: str
    size: int
    rows: int
    dialect: Dialect
    phase: Phase
    epoch: int
    published_at: datetime
    run_id: str | None


@dataclass(frozen=True, slots=True)
class Manifest:
    """What is known of one version.

    Attributes:
        key: The CSV's name in the place it was published to.
        parent: Hex digest of the manifest before; None for the first.
        content: What was published.
    """

    key: str
    parent: str | None
    content: Content

    def as_bytes(self) -> bytes:
        """The manifest as it is stored."""
        kept = asdict(self.content) | {
            "format": FORMAT,
            "key": self.key,
            "parent": self.parent,
            "dialect": self.content.dialect.as_json(),
            "published_at": self.content.published_at.isoformat(),
        }
        return json.dumps(kept, indent=2, sort_keys=True).encode() + b"\n"

    @classmethod
    def from_bytes(cls, stored: bytes) -> Self:
        """The manifest that `as_bytes` gave.

        Raises:
            ValueError: It is no manifest, or one of another format.
        """
        try:
            kept: dict[str, Any] = json.loads(stored)
            if kept["format"] != FORMAT:
                raise ValueError("a manifest of another format")
            content = Content(
                sha256=kept["sha256"],
                size=kept["size"],
                rows=kept["rows"],
                dialect=Dialect.from_json(kept["dialect"]),
                phase=Phase(kept["phase"]),
                epoch=kept["epoch"],
                published_at=datetime.fromisoformat(kept["published_at"]),
                run_id=kept["run_id"],
            )
            return cls(kept["key"], kept["parent"], content)
        except (KeyError, TypeError, AttributeError, RecursionError) as error:
            raise ValueError("not a manifest") from error


@dataclass(frozen=True, slots=True)
class Version:
    """One version as it lies in its place.

    Attributes:
        key: The CSV's name there.
        manifest: What was published; None where the manifest cannot be read.
        good: Whether the bytes there still have the manifest's digest.
    """

    key: str
    manifest: Manifest | None
    good: bool


def key(moment: datetime, number: int) -> str:
    """The name of a version: sorts by time, and no two in the same microsecond are alike."""
    return f"csv-versions/{moment:%Y}/{moment:%m}/output_{moment:%Y%m%dT%H%M%S%f}Z_{number:03d}.csv"

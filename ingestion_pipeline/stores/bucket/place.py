"""What is asked of a place that versions are published to: that a name can be made if nobody has it."""

from collections.abc import Iterator
from contextlib import suppress
from datetime import datetime
from itertools import chain
from pathlib import Path
from typing import Protocol

from ingestion_pipeline.domain.errors import UnavailableError
from ingestion_pipeline.stores.atomic import Draft

DRAFTS = ("version", "manifest")
"""What new files are called until they are published."""


class UnreadableError(UnavailableError):
    """The bytes under one name cannot be read, though the place is there; the message says why."""


class Place(Protocol):
    """A folder, or a bucket. Keys are relative to it, with slashes."""

    @property
    def where(self) -> str:
        """Where it is, for people."""
        ...

    @property
    def drafts(self) -> Path:
        """The folder in which new files are written before they are published."""
        ...

    def create(self, key: str, draft: Draft) -> str | None:
        """Publish a file under a name that nobody has, once it has been read back.

        Returns:
            The name the place gave these very bytes, if it does so.

        Raises:
            FileExistsError: Somebody has the name.
            UnavailableError: The place is away, or does not hold what was sent to it.
        """
        ...

    def read(self, key: str, version_id: str | None = None) -> Iterator[bytes]:
        """The bytes under a name, in pieces.

        Raises:
            FileNotFoundError: There are none.
            UnreadableError: They are there, and cannot be read.
            UnavailableError: The place is away.
        """
        ...

    def names(self, prefix: str) -> Iterator[str]:
        """Every key that begins so, in order."""
        ...

    def remove(self, key: str) -> None:
        """Take a name away, if it is there."""
        ...

    def is_public(self) -> bool:
        """Whether others than the owner may read what lies there, as far as it can be told."""
        ...

    def sweep(self, prefix: str, before: datetime) -> int:
        """Take away what was begun before that time and never finished; gives how much that was.

        Args:
            prefix: What the keys begin with that it was to have.
            before: The time.
        """
        ...


def sweep_drafts(folder: Path, before: datetime) -> int:
    """Take away the drafts of programs that died while they wrote; gives how many."""
    swept = 0
    for path in chain.from_iterable(folder.glob(f".{name}.*.tmp") for name in DRAFTS):
        # Who is about to publish it takes it away, too.
        with suppress(FileNotFoundError):
            if path.stat().st_mtime < before.timestamp():
                path.unlink()
                swept += 1
    return swept

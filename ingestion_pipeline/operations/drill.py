"""drill: restore the newest version somewhere else, and see that it holds what was published."""

import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

from ingestion_pipeline.domain.errors import InputRefusedError
from ingestion_pipeline.domain.ports import Sink, Versions
from ingestion_pipeline.domain.version import Manifest


@dataclass(frozen=True, slots=True)
class Drilled:
    """What came of it.

    Attributes:
        key: The version; None where there is none yet.
        amiss: Why it could not be restored to what was published; None where it could.
        rows: Its rows.
        seconds: How long it took.
    """

    key: str | None
    amiss: str | None
    rows: int = 0
    seconds: float = 0.0

    @property
    def passed(self) -> bool:
        """Whether the newest version can be brought back."""
        return self.amiss is None


class Rehearsal(Protocol):
    """Restores into a database of its own, which is gone afterwards."""

    def __call__(self, write: Callable[[Sink], None], /) -> str:
        """Restore what is written; gives the digest of the CSV that this database renders then."""
        ...


def drill(versions: Versions, rehearse: Rehearsal) -> Drilled:
    """Restore the version that `latest` names, whether or not it is good.

    Args:
        versions: Where versions are published.
        rehearse: Restores it.

    Raises:
        UnavailableError: A place is away: that says nothing about the version.
    """
    began = time.monotonic()
    newest = next((one for one in versions.listing(read=False) if one.is_for_itself), None)
    if newest is None:
        return Drilled(None, "nothing has been published yet")
    if newest.manifest is None or newest.amiss is not None:
        return Drilled(newest.key, newest.amiss or "its manifest cannot be read")
    amiss = _rehearsed(versions, newest.manifest, rehearse)
    rows = newest.manifest.content.rows
    return Drilled(newest.key, amiss, rows, round(time.monotonic() - began, 3))


def _rehearsed(versions: Versions, manifest: Manifest, rehearse: Rehearsal) -> str | None:
    try:
        sha256 = rehearse(lambda sink: versions.fetch(manifest, sink))
    except InputRefusedError as error:
        return error.message
    same = sha256 == manifest.content.sha256
    return None if same else "restored, it renders another CSV than was published"

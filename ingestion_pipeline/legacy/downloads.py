"""Downloads: who is yet to be downloaded, and what came of it."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any

from ingestion_pipeline.legacy.frames import AnyRow, text
from ingestion_pipeline.legacy.records import now

TYPES = ("youtube", "drive")
"""What is downloaded from; each has its status, files and media_id."""

COMPLETED, FAILED, PENDING = "completed", "failed", "pending"


@dataclass
class RowContext:
    """Whose download it is.

    Attributes:
        row_id: The person.
        row_index: Where the row stood in the table when it was read, from 0.
        type: The personality type.
        name: The person's name.
        email: The person's e-mail.
    """

    row_id: str
    row_index: int
    type: str
    name: str
    email: str


@dataclass
class DownloadResult:
    """What came of a download.

    Attributes:
        success: Whether it went well.
        files_downloaded: The files' names.
        media_id: The media's identifier.
        error_message: What went wrong.
        metadata_file: The file that describes it; kept in no column.
        row_context: Whose it is.
        download_type: youtube or drive.
        permanent_failure: Whether it is to be given up.
    """

    success: bool
    files_downloaded: Sequence[str] = field(default_factory=list)
    media_id: str | None = None
    error_message: str | None = None
    metadata_file: str | None = None
    row_context: RowContext | None = None
    download_type: str = ""
    permanent_failure: bool = False


def is_pending(row: AnyRow, download_type: str, *, include_failed: bool) -> bool:
    """Whether a row's download of a type, or of `both`, is yet to be made."""
    wanted = ("", PENDING, FAILED) if include_failed else ("", PENDING)
    types = TYPES if download_type == "both" else (download_type,)
    return any(text(row.get(f"{one}_status")) in wanted for one in types)


def context(row: AnyRow, row_index: int) -> RowContext:
    """Whose row it is."""
    row_id, kind, name, email = (text(row.get(column)) for column in ("row_id", "type", "name", "email"))
    return RowContext(row_id, row_index, kind, name, email)


def cells_of(result: DownloadResult, download_type: str) -> dict[str, str]:
    """The cells of a row that say what came of a download."""
    return {
        f"{download_type}_status": COMPLETED if result.success else FAILED,
        f"{download_type}_files": "|".join(text(name) for name in result.files_downloaded or ()),
        f"{download_type}_media_id": text(result.media_id),
        "last_download_attempt": now(),
        "download_errors": "" if result.success else text(result.error_message),
        "permanent_failure": "yes" if result.permanent_failure else "",
    }


def summary(rows: Iterable[AnyRow]) -> dict[str, Any]:
    """How many rows there are, and by type how many downloads are pending, completed and failed."""
    counts = {one: {PENDING: 0, COMPLETED: 0, FAILED: 0} for one in TYPES}
    total = 0
    for row in rows:
        total += 1
        for one, count in counts.items():
            status = text(row.get(f"{one}_status")) or PENDING
            if status in count:
                count[status] += 1
    return {"total_rows": total, **counts}

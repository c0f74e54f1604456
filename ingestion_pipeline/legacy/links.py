"""Links in the cells of a row, separated by |."""

from collections.abc import Iterable

from ingestion_pipeline.legacy.frames import AnyRow, text

LINK_COLUMNS = ("link", "extracted_links", "youtube_playlist", "google_drive")
"""The columns that hold links."""

_NONE = ("nan", "None")
"""Words that old scripts wrote where there was no link."""


def extract_links_from_row(row: AnyRow, column: str) -> list[str]:
    """The links in one cell, stripped, without empty ones and those that say there is none."""
    parts = (part.strip() for part in text(row.get(column)).split("|"))
    return [part for part in parts if part and part not in _NONE]


def extract_all_links_from_row(row: AnyRow) -> list[str]:
    """The links in all cells of a row, each once, in the columns' order."""
    return list(
        dict.fromkeys(link for column in LINK_COLUMNS for link in extract_links_from_row(row, column))
    )


def count_links(rows: Iterable[AnyRow]) -> dict[str, int]:
    """How many links there are, by kind: `youtube`, `drive`, and `total` of these."""
    youtube = drive = 0
    for row in rows:
        youtube += len(extract_links_from_row(row, "youtube_playlist"))
        drive += len(extract_links_from_row(row, "google_drive"))
    return {"youtube": youtube, "drive": drive, "total": youtube + drive}

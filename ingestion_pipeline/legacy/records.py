"""Records as the old scripts build them, before anybody saves them."""

import json
import logging
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

from ingestion_pipeline.domain.cells import render
from ingestion_pipeline.domain.columns import Mode, header
from ingestion_pipeline.legacy.frames import AnyRow, text

_log = logging.getLogger(__name__)

FAILED = "EXTRACTION_FAILED: "
"""What the document_text of a document that could not be read begins with."""


def create_record(
    person: Mapping[str, Any],
    mode: str = "basic",
    doc_text: str = "",
    links: Mapping[str, Any] | None = None,
    s3_uuids: Mapping[str, Any] | None = None,
) -> dict[str, str]:
    """A record with the columns of a mode.

    Args:
        person: `row_id`, `name`, `email`, `type`, and `doc_link` or `link`.
        mode: `basic`, `text` or `full`; any other is taken for basic, with a warning.
        doc_text: The document's text.
        links: `youtube`, `drive_files`, `drive_folders` and `all_links`, each a list of links or one text.
        s3_uuids: `file_uuids` (description to UUID) and `s3_paths` (UUID to path); or the former alone.
    """
    known = _mode(mode)
    record = dict.fromkeys(header(known), "")
    record |= {name: text(person.get(name)) for name in ("row_id", "name", "email", "type")}
    record["link"] = text(person.get("doc_link")) or text(person.get("link"))
    if known is Mode.BASIC:
        return record
    record |= {"processed": "yes", "document_text": text(doc_text)}
    if known is Mode.TEXT:
        return record | {"extraction_date": now()}
    return record | _links(links or {}) | _files(s3_uuids or {})


def create_error_record(
    person: Mapping[str, Any], mode: str = "text", error_message: str = ""
) -> dict[str, str]:
    """The same for a document that could not be read."""
    return create_record(person, mode, f"{FAILED}{error_message}")


def load_file_uuids(row: AnyRow) -> dict[str, str]:
    """The UUIDs of a person's files by description; empty where there are none, or they cannot be read."""
    return _map(row.get("file_uuids"))


def load_s3_paths(row: AnyRow) -> dict[str, str]:
    """The paths of a person's files by UUID; empty where there are none, or they cannot be read."""
    return _map(row.get("s3_paths"))


def save_map(entries: Mapping[str, Any] | None) -> str:
    """A map as the text of a cell; `{}` when it is empty."""
    return render({str(key): text(value) for key, value in (entries or {}).items()})


def now() -> str:
    """The time as the old scripts write it: local, without a zone."""
    return datetime.now().isoformat()  # noqa: DTZ005 - the columns have none


def _mode(name: str) -> Mode:
    try:
        return Mode(name)
    except ValueError:
        _log.warning("there is no mode of this name: the record is a basic one")
        return Mode.BASIC


def _links(links: Mapping[str, Any]) -> dict[str, str]:
    drive = [*_several(links.get("drive_files")), *_several(links.get("drive_folders"))]
    return {
        "youtube_playlist": "|".join(_several(links.get("youtube"))),
        "google_drive": "|".join(drive),
        "extracted_links": "|".join(_several(links.get("all_links"))),
    }


def _several(links: object) -> list[str]:
    if isinstance(links, Sequence | set | frozenset) and not isinstance(links, str):
        return [found for link in links if (found := text(link))]
    return [found] if (found := text(links)) else []


def _files(s3_uuids: Mapping[str, Any]) -> dict[str, str]:
    split = "file_uuids" in s3_uuids or "s3_paths" in s3_uuids
    uuids = (s3_uuids.get("file_uuids") or {}) if split else s3_uuids
    paths = (s3_uuids.get("s3_paths") or {}) if split else {}
    cells = {"file_uuids": save_map(uuids), "s3_paths": save_map(paths)}
    described = " ".join(str(description).lower() for description in uuids)
    if "youtube" in described:
        cells["youtube_status"] = "streamed"
    if "drive" in described:
        cells["drive_status"] = "streamed"
    return cells


def _map(cell: object) -> dict[str, str]:
    if isinstance(cell, dict):
        return cell
    try:
        found = json.loads(text(cell) or "{}")
    except (ValueError, RecursionError):
        return {}
    return found if isinstance(found, dict) else {}

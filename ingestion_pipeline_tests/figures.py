"""What a CSV's figures are, counted without the help of what is tested."""

import csv
import io
import json
import re
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

from ingestion_pipeline.domain.columns import Mode, header
from ingestion_pipeline_tests.files import spelled

FULL = header(Mode.FULL)

OUTLANDISH = '<script>alert("1")</script>'
IMAGE = "\"'><img src=x onerror=alert(1)>"


def someone(key: int, **cells: str) -> list[str]:
    """One row of the full mode."""
    known = {"row_id": str(key), "name": f"Canary {key}", "email": f"canary{key}@example.org", "type": "INTJ"}
    return [(known | cells).get(column, "") for column in FULL]


VARIED = spelled(
    [
        someone(1, youtube_status="completed", drive_status="failed", download_errors="x", processed="yes"),
        someone(2, youtube_status="completed", permanent_failure="yes", document_text="text"),
        someone(3, type="", last_download_attempt="2026-11-20T10:00:00"),
        someone(4, type=OUTLANDISH, last_download_attempt="2026-11-21T10:00:00.500000"),
        someone(5, type=IMAGE, youtube_status="<script>{{ 7 * 7 }}</script>"),
        someone(
            6, type="ENTP", file_uuids='{"a": "u1", "b": "u2"}', s3_paths='{"u1": "s3://bucket/x/1.MP4"}'
        ),
        someone(7, file_uuids='{"a": "u3"}', s3_paths='{"u3": "files/3.mp3", "u4": "files/no ending"}'),
        someone(8, file_uuids='{"a": "u3"}', s3_paths='{"u3": "files/3.mp3", "u5": "naked.pdf"}'),
        someone(9, file_uuids="{}", s3_paths="{}"),
        someone(1, youtube_status="completed", drive_status="failed", download_errors="x", processed="yes"),
        someone(2, name="somebody else"),
        someone(10, processed="perhaps"),
    ],
    FULL,
)
"""Ten people with something of everything: a repeated line, a row and a cell in quarantine."""


def rows_of(source: Path | bytes) -> list[dict[str, str]]:
    """The CSV's people, each once."""
    text = (source if isinstance(source, bytes) else source.read_bytes()).decode()
    first: dict[str, dict[str, str]] = {}
    for row in csv.DictReader(io.StringIO(text, newline="")):
        first.setdefault(row["row_id"], row)
    return list(first.values())


def types_of(rows: list[dict[str, str]]) -> Counter[str]:
    return Counter(row["type"] for row in rows)


def processing_of(rows: list[dict[str, str]]) -> dict[str, int]:
    return {
        "people": len(rows),
        "processed": sum(row["processed"] == "yes" for row in rows),
        "with_document_text": sum(row["document_text"] != "" for row in rows),
        "with_download_attempt": sum(row["last_download_attempt"] != "" for row in rows),
        "with_download_errors": sum(row["download_errors"] != "" for row in rows),
        "with_permanent_failure": sum(row["permanent_failure"] == "yes" for row in rows),
    }


def outcomes_of(rows: list[dict[str, str]]) -> set[tuple[str, str, int, int, int]]:
    found = set()
    for source in ("youtube", "drive"):
        for status in {row[f"{source}_status"] for row in rows}:
            those = [row for row in rows if row[f"{source}_status"] == status]
            errors = sum(row["download_errors"] != "" for row in those)
            failures = sum(row["permanent_failure"] == "yes" for row in those)
            found.add((source, status or "(none)", len(those), errors, failures))
    return found


def storage_of(rows: list[dict[str, str]]) -> dict[str, Any]:
    uuids, paths, without_uuid, without_path, owners = set(), set(), 0, 0, 0
    for row in rows:
        described = set(json.loads(row["file_uuids"] or "{}").values())
        stored = json.loads(row["s3_paths"] or "{}")
        uuids |= described | set(stored)
        paths |= set(stored.values())
        without_uuid += len(set(stored) - described)
        without_path += len(described - set(stored))
        owners += bool(described or stored)
    return {
        "uuids": len(uuids),
        "distinct_paths": len(paths),
        "people_with_files": owners,
        "paths_without_uuid": without_uuid,
        "uuids_without_path": without_path,
        "endings": shares_of(rows, _ending),
        "prefixes": shares_of(rows, _prefix),
    }


def shares_of(rows: list[dict[str, str]], name: Callable[[str], str]) -> Counter[str]:
    """Distinct paths by what they have in common; what only one person has is not named."""
    of = {
        (name(path), row["row_id"]) for row in rows for path in json.loads(row["s3_paths"] or "{}").values()
    }
    people = Counter(one for one, _ in of)
    paths = {path for row in rows for path in json.loads(row["s3_paths"] or "{}").values()}
    names = (name(path) for path in paths)
    return Counter(one if one == "(none)" or people[one] > 1 else "(others)" for one in names)


def _ending(path: str) -> str:
    return f".{path.rpartition('.')[2].lower()}" if "." in path.rpartition("/")[2] else "(none)"


def _prefix(path: str) -> str:
    place = re.match(r"([a-z0-9]+://)?[^/]+/", path)
    return "(none)" if place is None else place[0]

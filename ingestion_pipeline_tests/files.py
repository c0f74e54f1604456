"""CSV files for tests, spelled without the help of what is tested."""

import io
from collections.abc import Iterable, Sequence

from ingestion_pipeline.app import Pipeline
from ingestion_pipeline_tests.conftest import Site

Rows = Sequence[Sequence[str]]

COLUMNS = (
    "row_id", "name", "email", "type", "link", "processed", "document_text", "last_download_attempt",
    "permanent_failure", "file_uuids", "s3_paths",
)  # fmt: skip
"""A header with every codec."""


def person(key: object, **cells: str) -> list[str]:
    """One row under COLUMNS."""
    known = {"row_id": str(key), "name": f"Name {key}", "email": f"mail{key}@example.org", "type": "INTJ"}
    return [(known | cells).get(column, "") for column in COLUMNS]


def people(keys: Iterable[object]) -> list[list[str]]:
    return [person(key) for key in keys]


def spelled(
    rows: Rows,
    header: Sequence[str] = COLUMNS,
    *,
    quoting: str = "minimal",
    header_quoting: str = "minimal",
    end: str = "\n",
    bom: bool = False,
    final: bool = True,
) -> bytes:
    """The rows as a file."""
    lines = [",".join(f'"{name}"' if header_quoting == "all" else name for name in header)]
    lines += [",".join(_cell(cell, quoting) for cell in row) for row in rows]
    return (b"\xef\xbb\xbf" if bom else b"") + (end.join(lines) + (end if final else "")).encode()


def _cell(cell: str, quoting: str) -> str:
    needed = any(tell in cell for tell in ',"\r\n')
    if needed or quoting == "all" or (quoting == "nonempty" and cell):
        return '"' + cell.replace('"', '""') + '"'
    return cell


def rendered(pipeline: Pipeline) -> bytes:
    """The CSV that PostgreSQL holds."""
    sink = io.BytesIO()
    pipeline.render(sink)
    return sink.getvalue()


def assert_agree(site: Site, pipeline: Pipeline) -> None:
    """Both sides hold the same, by bytes and by comparison."""
    assert rendered(pipeline) == site.csv.read_bytes()
    report = pipeline.compare()
    assert (report.equal, report.bytes_equal, report.counted, report.differences) == (True, True, 0, ())


TABLES = ("people", "processing_status", "s3_metadata")


def versions_of_rows(site: Site, *tables: str) -> dict[tuple[object, ...], tuple[object, ...]]:
    """Which transaction wrote each row, and where it lies: any write changes it."""
    return {
        (table, key): (written, lies)
        for table in tables or TABLES
        for key, written, lies in site.execute(f"SELECT id, xmin::text, ctid::text FROM {table}")
    }


def content(site: Site) -> list[list[tuple[object, ...]]]:
    """Everything that is stored, and by which transaction it was written."""
    stored = (
        *TABLES, "ingestion.duplicate", "ingestion.quarantine", "ingestion.csv_file",
        "ingestion.migration_state", "ingestion.proof",
    )  # fmt: skip
    return [site.execute(f"SELECT xmin::text, t.* FROM {table} t ORDER BY ctid") for table in stored]

"""What somebody else made of the CSV, merged while it leads."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path

from ingestion_pipeline.domain import merge
from ingestion_pipeline.domain.brake import Brakes
from ingestion_pipeline.domain.errors import Place, ProtectedError
from ingestion_pipeline.domain.journal import Kind, Record
from ingestion_pipeline.domain.reports import Merged
from ingestion_pipeline.stores.disk.group import changed_row
from ingestion_pipeline.stores.disk.journal_log import JournalLog
from ingestion_pipeline.stores.disk.row_file import RowFile
from ingestion_pipeline.stores.disk.row_index import RowIndex
from ingestion_pipeline.stores.disk.splicing import Splice, line
from ingestion_pipeline.stores.disk.weighing import gone


@dataclass(frozen=True, slots=True)
class Finding:
    """What a merge has to do.

    Attributes:
        stale: Cells that are written again.
        own: Cells that somebody else changed after the journal had, and that stay.
        merged: The same, counted.
    """

    stale: Sequence[merge.Judged]
    own: Sequence[merge.Judged]
    merged: Merged


def find(rows: RowFile, journal: JournalLog, known: RowIndex | None, *, read_at: int | None) -> Finding:
    """Judge every cell that the journal knows of.

    Args:
        rows: The file as it is there, indexed.
        journal: Its journal.
        known: The index of the file that was written last.
        read_at: The last record that is in the file, where that is known.
    """
    cells = merge.chains(journal.retained())
    people = rows.people(sorted({row_id for row_id, _ in cells}))

    def present(row_id: str, column: str) -> str | None:
        row = people.get(row_id)
        if row is None:
            return None
        return merge.THERE if column == merge.THERE else row.get(column)

    judged = list(merge.judge(cells, present, read_at))
    stale = [one for one in judged if one.fate is merge.Fate.STALE]
    own = [one for one in judged if one.fate is merge.Fate.OWN]
    own = [one for one in own if one.present is not None and one.column != merge.THERE]
    merged = Merged(
        at=now(),
        restored=len({one.row_id for one in stale}),
        kept=len({one.row_id for one in own}),
        gone=gone(known, rows.index),
    )
    return Finding(stale, own, merged)


def write_again(rows: RowFile, journal: JournalLog, finding: Finding, *, note: bool) -> None:
    """Put the stale cells right, and have the journal keep what happened.

    Args:
        rows: The file.
        journal: Its journal.
        finding: What is to be done.
        note: Whether somebody else rewrote the file; otherwise it was only left unfinished.
    """
    records = [_foreign(one) for one in finding.own]
    if note:
        merged = finding.merged
        counts = {"restored": merged.restored, "kept": merged.kept, "gone": merged.gone}
        records.append(Record(0, 0, 0, Kind.MERGED, at=merged.at, counts=counts))
    with rows.opened() as file:
        splice = Splice()
        for row_id, cells in _by_row(finding.stale).items():
            person = rows.person(file, row_id)
            if person is None and merge.THERE not in cells:
                continue
            before = ["" for _ in rows.columns] if person is None else person.cells
            raw = line(changed_row(before, rows.columns, {**cells, "row_id": row_id}), rows.index.dialect)
            if person is None:
                splice.on_top.insert(0, (row_id, raw))
            else:
                splice.replaced |= dict.fromkeys(person.places, raw)
        if splice:
            rows.replace(file, splice, records)
            return
    if records:
        journal.append([*records[:-1], replace(records[-1], file=rows.index.sha256)])
    rows.keep(rows.index)


def check_brake(known: RowIndex | None, found: RowIndex, brakes: Brakes | None, path: Path) -> None:
    """Stop where more rows are gone than may be.

    Raises:
        ProtectedError: More are.
    """
    lost = gone(known, found)
    if brakes is not None and known is not None and brakes.stop(lost, len(known.hashes)):
        raise ProtectedError(
            f"somebody else rewrote the file, and {lost} rows are gone from it",
            code="brake",
            place=Place(file=str(path)),
            hint="Put the newest copy from csv_backup.backup_dir back; or, if that is meant, run "
            "`ingest settle --accept-loss`.",
        )


def now() -> str:
    """The time, in ISO 8601, UTC."""
    return datetime.now(UTC).isoformat(timespec="seconds")


def _by_row(stale: Sequence[merge.Judged]) -> dict[str, dict[str, str]]:
    by_row: dict[str, dict[str, str]] = {}
    for one in stale:
        if one.acknowledged is not None:
            by_row.setdefault(one.row_id, {})[one.column] = one.acknowledged
    return by_row


def _foreign(one: merge.Judged) -> Record:
    cells = {one.column: (one.acknowledged, one.present or "")}
    return Record(0, 0, 0, Kind.FOREIGN, row_id=one.row_id, cells=cells)

"""Sync in one transaction: the file staged, only what differs written, everything else left untouched."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from itertools import islice
from typing import Any
from uuid import uuid4

from psycopg2 import sql
from psycopg2.extras import Json

from ingestion_pipeline.domain.brake import Brakes, Loss
from ingestion_pipeline.domain.columns import COLUMNS, Column, Table, of_table
from ingestion_pipeline.domain.ordering import GAP, UNPLACED, place
from ingestion_pipeline.domain.ports import Blocks, Step
from ingestion_pipeline.domain.reports import SyncReport
from ingestion_pipeline.stores.postgres import expressions, first_load, queries
from ingestion_pipeline.stores.postgres.copying import copy_from
from ingestion_pipeline.stores.postgres.ordinals import fill_in
from ingestion_pipeline.stores.postgres.pool import Cursor, fetch_one
from ingestion_pipeline.stores.postgres.staging import Staged, stage

_sql = queries.load("sync")
_CODED = tuple(column for column in COLUMNS if not column.codec.is_text)


def lock(cursor: Cursor, least_revision: int) -> None:
    """Keep every other writer out until the transaction ends; to be taken before the file is opened."""
    let_bulk(cursor, least_revision)
    cursor.execute(_sql.lock)


def let_bulk(cursor: Cursor, least_revision: int) -> None:
    """Have history note that rows are loaded, and revisions go on from the journal's."""
    cursor.execute(_sql.be_bulk, {"least": least_revision})


def sync(cursor: Cursor, open_file: Callable[[], Blocks], brakes: Brakes | None, step: Step) -> SyncReport:
    """Make the tables equal to the file, within the cursor's transaction.

    Args:
        cursor: In a transaction of its own; committing it is the caller's decision.
        open_file: Opens the CSV, not yet read; asked again where it has to be read another way.
        brakes: How much may vanish; None to let anything vanish.
        step: Told the name of each longer step.

    Raises:
        InputRefusedError: The file does not keep the contract.
        ProtectedError: A brake stopped the load.
        UnavailableError: The file was changed or replaced meanwhile.
    """
    step("reading")
    report = _filled(cursor, open_file()) if first_load.is_empty(cursor) else None
    return report or _synced(cursor, open_file, brakes, step)


def _filled(cursor: Cursor, file: Blocks) -> SyncReport | None:
    loaded = first_load.load(cursor, file)
    if loaded is None:
        return None
    cursor.execute(_sql.quarantine_cells, {"sha256": file.sha256})
    _remember(cursor, file)
    file.check_current()
    return SyncReport(
        rows_read=loaded.rows,
        inserted=loaded.rows,
        updated=0,
        unchanged=0,
        deleted=0,
        moved=0,
        repeated=0,
        quarantined_rows=0,
        quarantined_cells=loaded.cells,
        sha256=file.sha256,
        dry_run=False,
        seconds=0.0,
    )


def _synced(cursor: Cursor, open_file: Callable[[], Blocks], brakes: Brakes | None, step: Step) -> SyncReport:
    staged = stage(cursor, open_file)
    file = staged.file
    step("comparing")
    found = _find(cursor, staged)
    if brakes is not None:
        _brake(cursor, staged, found, brakes)
    step("placing")
    marks = {"write_id": str(uuid4())}
    moved = _place(cursor, staged, marks, stored=found["stored"])
    step("writing")
    _write_records(cursor, staged, marks)
    _write_exceptions(cursor, staged)
    _remember(cursor, file)
    file.check_current()
    people = file.rows - found["set_aside"]
    return SyncReport(
        rows_read=file.rows,
        inserted=found["inserted"],
        updated=found["updated"],
        unchanged=people - found["inserted"] - found["updated"],
        deleted=found["deleted"],
        moved=moved,
        repeated=found["set_aside"] - found["rejected"],
        quarantined_rows=found["rejected"],
        quarantined_cells=int(found["quarantined_cells"]),
        sha256=file.sha256,
        dry_run=False,
        seconds=0.0,
    )


def _find(cursor: Cursor, staged: Staged) -> dict[str, int]:
    differs = expressions.any_differs(staged.columns, "incoming", "record")
    cursor.execute(_sql.fill("find_changes", differs=differs, all_coded=expressions.labels(_CODED)))
    cursor.execute(_sql.analyse_changes)
    cursor.execute(_sql.find_gone)
    absent = [column for column in COLUMNS if column not in staged.columns]
    held = (sql.SQL("{} <> ''").format(expressions.rendered(column)) for column in absent)
    cursor.execute(_sql.fill("count_found", held_elsewhere=sql.SQL(" OR ").join([sql.SQL("false"), *held])))
    counts = fetch_one(cursor)
    return dict(zip((column.name for column in cursor.description or ()), counts, strict=True))


def _brake(cursor: Cursor, staged: Staged, found: dict[str, int], brakes: Brakes) -> None:
    emptied = _count_emptied(cursor, staged) if found["updated"] else {}
    Loss(found["deleted"], found["stored"], emptied, found["stranded"]).check(brakes)


def _count_emptied(cursor: Cursor, staged: Staged) -> dict[str, int]:
    counted = sql.SQL("count(*) FILTER (WHERE {} <> '' AND {} = '')")
    counts = [
        counted.format(expressions.rendered(column), expressions.name(column, "staged"))
        for column in staged.columns
    ]
    cursor.execute(_sql.fill("count_emptied", counts=sql.SQL(", ").join(counts)))
    by_column = zip((column.name for column in staged.columns), fetch_one(cursor), strict=True)
    return {column: count for column, count in by_column if count}


def _place(cursor: Cursor, staged: Staged, marks: dict[str, str], *, stored: int) -> int:
    """Settle every line's ordinal; returns how many people known before were moved."""
    cursor.execute(_sql.find_standing)
    cursor.execute(_sql.create_placement)
    if not stored:
        cursor.execute(_sql.place_all, {"gap": GAP})
        return 0
    known = staged.known
    fill_in(known, cursor, _sql.standing_ordinals)
    copy_from(cursor, _sql.copy_placement, _placed(known))
    cursor.execute(_sql.delete_gone)
    cursor.execute(_sql.move_people, marks)
    return int(cursor.rowcount)


def _placed(known: Sequence[int]) -> Iterator[bytes]:
    """Lines for COPY, some thousand at a time."""
    lines = (
        b"%d\t%d\t%b\n" % (index + 1, ordinal, b"\\N" if known[index] == UNPLACED else b"%d" % known[index])
        for index, ordinal in place(known)
    )
    return iter(lambda: b"".join(islice(lines, 1000)), b"")


def _write_records(cursor: Cursor, staged: Staged, marks: dict[str, str]) -> None:
    update_people(cursor, staged.columns, marks)
    cursor.execute(_sql.fill("insert_people", **people_to_insert(staged.columns)), marks)
    write_children(cursor, staged.columns)


def update_people(
    cursor: Cursor, columns: Sequence[Column], marks: Mapping[str, Any], *, pinned: bool = False
) -> int:
    """Make the people in `change` who are stored what `incoming` says; gives how many.

    Args:
        cursor: In the transaction of the load.
        columns: The file's.
        marks: The write_id; where it is pinned, the sequence too.
        pinned: Whether their revision is the sequence, and who has a newer one stays; else it is the next.
    """
    settable = [column for column in columns if column.table is Table.PEOPLE and column.name != "row_id"]
    statement = _sql.fill(
        "update_people",
        assignments=expressions.each("{name} = incoming.{name}, ", settable, separator=""),
        absent_coded=expressions.labels(column for column in _CODED if column not in columns),
        revision=sql.SQL("%(sequence)s" if pinned else "nextval('ingestion.revision')"),
        unless_newer=sql.SQL(" AND people.revision < %(sequence)s" if pinned else ""),
    )
    cursor.execute(statement, marks)
    return int(cursor.rowcount)


def people_to_insert(columns: Sequence[Column]) -> dict[str, sql.Composable]:
    """What a statement that inserts people from `incoming` is filled in with, given the file's columns."""
    people = [column for column in columns if column.table is Table.PEOPLE]
    absent = [c for c in COLUMNS if c.table is Table.PEOPLE and c.required and c not in columns]
    return {
        "columns": expressions.names(people),
        "incoming": expressions.names(people, "incoming"),
        "absent": expressions.each(", {name}", absent, separator=""),
        "blank": sql.SQL(", ''" * len(absent)),
    }


def write_children(cursor: Cursor, columns: Sequence[Column]) -> None:
    """Make the rows in the child tables of the people in `change` what `incoming` says."""
    for table in (Table.PROCESSING_STATUS, Table.S3_METADATA):
        _upsert_child(cursor, table, of_table(table, [column.name for column in columns]))


def _upsert_child(cursor: Cursor, table: Table, columns: Sequence[Column]) -> None:
    action: sql.Composable = sql.SQL("NOTHING")
    if columns:
        action = _sql.fill(
            "update_child",
            assignments=expressions.each("{name} = excluded.{name}", columns),
            differs=sql.SQL(" OR ").join(
                sql.SQL("{} IS DISTINCT FROM {}").format(
                    expressions.name(column, table), expressions.name(column, "excluded")
                )
                for column in columns
            ),
        )
    statement = _sql.fill(
        "upsert_child",
        table=sql.Identifier(table),
        columns=expressions.each(", {name}", columns, separator=""),
        incoming=expressions.each(", incoming.{name}", columns, separator=""),
        action=action,
    )
    cursor.execute(statement)


def _write_exceptions(cursor: Cursor, staged: Staged) -> None:
    marks = {"sha256": staged.file.sha256}
    cursor.execute(_sql.delete_repeats)
    cursor.execute(_sql.insert_repeats)
    cursor.execute(_sql.supersede_rows)
    cursor.execute(_sql.move_rows)
    cursor.execute(_sql.quarantine_rows, marks)
    cursor.execute(_sql.find_cells)
    cursor.execute(_sql.fill("supersede_cells", columns=expressions.labels(staged.columns)))
    cursor.execute(_sql.quarantine_cells, marks)


def _remember(cursor: Cursor, file: Blocks) -> None:
    file_marks = {
        "sha256": file.sha256,
        "size": file.size,
        "rows": file.rows,
        "dialect": Json(file.dialect.as_json()),
    }
    cursor.execute(_sql.remember_file, file_marks)

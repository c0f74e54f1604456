"""Comparison: two oracles that share no code.

Bytes: PostgreSQL renders the CSV, and its digest must be the file's. Rows: the file is parsed, decoded and
joined to the tables by value. Equal bytes end the question but for what they cannot show: a kept original
text that no longer means the value beside it, and a value that no text means.
"""

from array import array
from collections.abc import Iterator
from contextlib import ExitStack
from datetime import datetime
from itertools import islice
from uuid import uuid4

from psycopg2 import sql

from ingestion_pipeline.domain.cells import Value, read
from ingestion_pipeline.domain.columns import BY_NAME, COLUMNS, Codec, Column
from ingestion_pipeline.domain.difference import Difference, Kind
from ingestion_pipeline.domain.ordering import UNPLACED, out_of_order
from ingestion_pipeline.domain.phase import Side
from ingestion_pipeline.domain.ports import Csv, Progress
from ingestion_pipeline.domain.reports import Compared, Found
from ingestion_pipeline.stores.digest import Digest
from ingestion_pipeline.stores.postgres import expressions, queries
from ingestion_pipeline.stores.postgres.ordinals import fill_in
from ingestion_pipeline.stores.postgres.pool import Cursor, fetch_one
from ingestion_pipeline.stores.postgres.rendering import dialect, render
from ingestion_pipeline.stores.postgres.staging import Staged, alignable, stage_all, stage_differing

_sql = queries.load("compare")
_CODED = tuple(column for column in COLUMNS if not column.codec.is_text)


def rendered_digest(cursor: Cursor) -> tuple[str, int]:
    """The sha256 of the CSV that PostgreSQL holds, and its rows."""
    digest = Digest()
    rows, _ = render(cursor, digest)
    return digest.sha256, rows


def misspelled(cursor: Cursor, limit: int) -> Found:
    """Cells whose text in the file does not mean their value, although it is what they are rendered as."""
    spelled = dialect(cursor)
    columns = [] if spelled is None else [BY_NAME[name] for name in spelled.columns]
    named = sql.SQL(", ").join(_label_if(expressions.unmeant(column), column) for column in columns)
    coded = sql.SQL(", ").join(_comparable(column) for column in _CODED)
    statement = _sql.fill("misspelled_candidates", coded=coded, unmeant=named)
    cursor_name = f"misspelled_{uuid4().hex}"
    with cursor.connection.cursor(cursor_name) as rows:
        rows.execute(statement)
        found = list(_misspelled(iter(rows), {column.name for column in _CODED if column not in columns}))
    first = tuple(Difference(row_id, column, Kind.CHANGED) for row_id, column in islice(found, limit))
    return Found(changed=len({row_id for row_id, _ in found}), first=first, counted=len(found))


def _misspelled(rows: Iterator[tuple[object, ...]], absent: set[str]) -> Iterator[tuple[str, str]]:
    for row_id, verbatim, unmeant, waiting, *values in rows:
        stored = dict(zip((column.name for column in _CODED), values, strict=True))
        kept = verbatim if isinstance(verbatim, dict) else {}
        named = set(unmeant) if isinstance(unmeant, list) else set()
        named |= {name for name, text in kept.items() if not _means(name, text, stored)}
        named |= _wrongly_waiting(kept, waiting if isinstance(waiting, dict) else {})
        # What the file has no column for is left as it is, so it is no difference either.
        yield from ((str(row_id), name) for name in sorted(named - absent))


def _means(name: str, text: object, stored: dict[str, object]) -> bool:
    return name in stored and isinstance(text, str) and _meaning(BY_NAME[name], text) == stored[name]


def _wrongly_waiting(kept: dict[str, object], waiting: dict[str, str]) -> set[str]:
    """Cells that are in quarantine and should not be, or should be and are not."""
    texts = {name: text for name, text in kept.items() if name in BY_NAME and isinstance(text, str)}
    faulty = {name: text for name, text in texts.items() if read(BY_NAME[name], text).reason}
    return {name for name in faulty.keys() | waiting.keys() if faulty.get(name) != waiting.get(name)}


def _comparable(column: Column) -> sql.Composable:
    # The driver cannot hold every timestamp that PostgreSQL can.
    return expressions.iso(column) if column.codec is Codec.TIMESTAMP else expressions.name(column, "record")


def _meaning(column: Column, text: str) -> Value:
    value = read(column, text).value
    return value.isoformat() if isinstance(value, datetime) else value


def compare(
    cursor: Cursor, csv: Csv, authority: Side, limit: int, progress: Progress | None = None
) -> Compared:
    """The file beside what the tables hold: by bytes, and where those differ, by every record and column.

    Where both hold nothing but people, only rows are looked at whose bytes PostgreSQL does not render.

    Args:
        cursor: In a snapshot of its own.
        csv: The file.
        authority: The side that leads.
        limit: Differences named at most; all are counted.
        progress: Told how many bytes of the file have been read.

    Raises:
        InputRefusedError: The file does not keep the contract, and differs.
    """
    with ExitStack() as files:
        file = files.enter_context(csv.reading(progress))
        spelled = alignable(cursor, file)
        staged = None if spelled is None else stage_differing(cursor, file, spelled)
        rendered = None if staged is None else staged.rendered
        if staged is None or rendered is None:
            rendered, rows = rendered_digest(cursor)
            if csv.sha256() == rendered:
                return Compared(rendered, rendered, rows, misspelled(cursor, limit))
            unread = file if spelled is None else files.enter_context(csv.reading(progress))
            staged = stage_all(cursor, unread)
        file = staged.file
        if file.sha256 != rendered:
            found = _differences(cursor, staged, authority, limit)
        else:
            # Only of whom the bytes do not tell, somebody is missed.
            found = misspelled(cursor, limit) if staged.missed else Found()
        return Compared(file.sha256, rendered, file.rows, found)


def _differences(cursor: Cursor, staged: Staged, authority: Side, limit: int) -> Found:
    _find(cursor, staged)
    cursor.execute(_sql.count_differences)
    in_file_only, in_tables_only, changed, counted = (int(count) for count in fetch_one(cursor))
    if not counted:
        return _compare_lines(cursor, staged, limit)
    csv_leads = authority is Side.CSV
    missing, extra = (in_file_only, in_tables_only) if csv_leads else (in_tables_only, in_file_only)
    cursor.execute(_sql.first_differences, {"limit": limit})
    first = tuple(islice(_named(cursor.fetchall(), csv_leads=csv_leads), limit))
    return Found(missing, extra, changed, first, counted)


def _find(cursor: Cursor, staged: Staged) -> None:
    columns = [column for column in staged.columns if column.name != "row_id"]
    named = sql.SQL(", ").join(
        _label_if(expressions.differs(column, "incoming", "record"), column) for column in columns
    )
    differs = expressions.any_differs(columns, "incoming", "record")
    cursor.execute(_sql.fill("find_differences", columns=named, differs=differs))
    cursor.execute(_sql.find_row_differences)
    cursor.execute(_sql.find_repeat_differences)


def _label_if(condition: sql.Composed, column: Column) -> sql.Composed:
    return sql.SQL("CASE WHEN {} THEN {} END").format(condition, sql.Literal(column.name))


def _named(rows: list[tuple[str, bool, bool, list[str]]], *, csv_leads: bool) -> Iterator[Difference]:
    for row_id, in_file, in_tables, columns in rows:
        if in_file and in_tables:
            yield from (Difference(row_id, column, Kind.CHANGED) for column in columns)
        else:
            yield Difference(row_id, None, Kind.MISSING if in_file is csv_leads else Kind.EXTRA)


def _compare_lines(cursor: Cursor, staged: Staged, limit: int) -> Found:
    """The records are equal and the bytes are not: the order differs, or else the spelling."""
    fill_in(staged.known, cursor, _sql.standing_people)
    ordinals = array("q", (ordinal for ordinal in staged.known if ordinal != UNPLACED))
    places = out_of_order(ordinals)
    if not places:
        return Found(first=(Difference(None, None, Kind.SPELLING),), counted=1)
    cursor.execute(_sql.people_at, {"ordinals": [ordinals[place] for place in places[:limit]]})
    first = tuple(Difference(row_id, None, Kind.ORDER) for (row_id,) in cursor.fetchall())
    return Found(changed=len(places), first=first, counted=len(places))

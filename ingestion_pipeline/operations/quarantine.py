"""quarantine: what becomes of what no typed column can hold."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import assert_never

from ingestion_pipeline.domain.brake import Brakes
from ingestion_pipeline.domain.cells import read
from ingestion_pipeline.domain.columns import BY_NAME
from ingestion_pipeline.domain.errors import (
    InputRefusedError,
    Place,
    ProtectedError,
    SettingsError,
    stale_epoch,
)
from ingestion_pipeline.domain.phase import Phase, Side
from ingestion_pipeline.domain.ports import Blocks, Csv, HeldCsv, Tables
from ingestion_pipeline.domain.quarantine import Decision, Entry, Scope
from ingestion_pipeline.domain.record import Examination, ParsedRows, Rejection, is_rejected
from ingestion_pipeline.domain.reports import go_by


@dataclass(frozen=True, slots=True)
class Decided:
    """A decision that has been carried out.

    Attributes:
        entry: What it was about.
        decision: What was decided.
        file_changed: Whether the CSV was rewritten, so that a sync is due.
    """

    entry: Entry
    decision: Decision
    file_changed: bool


def decide(
    csv: Csv,
    tables: Tables,
    number: int,
    decision: Decision,
    *,
    text: Mapping[str, str],
    by: str,
    write: Callable[[str, dict[str, str]], object],
    brakes: Brakes,
) -> Decided:
    """Carry out a decision: in the CSV, while it leads, then in the quarantine.

    Args:
        csv: The CSV, rewritten by `drop` and `fix`.
        tables: Where the quarantine lies.
        number: The entry.
        decision: `drop`, `accept` or `fix`.
        text: For `fix`, the new text by column.
        by: Who decides.
        write: Writes a person's cells in the authority, where a conflict is not decided for what is there.
        brakes: How many rows may be gone from a CSV that somebody else rewrote.

    Raises:
        SettingsError: There is no such entry, it is decided already, or `fix` lacks its text.
        InputRefusedError: The text does not fit its column either.
        ProtectedError: The file no longer holds what the entry is about, or does not lead PostgreSQL.
    """
    entry, raw = _undecided(tables, number)
    if entry.scope is Scope.CONFLICT:
        _settle_conflict(entry, raw, decision, text, write)
        tables.decide(number, decision, by)
        return Decided(entry, decision, file_changed=False)
    changes = _changes(entry, raw, decision, text)
    if decision is Decision.ACCEPT:
        tables.decide(number, decision, by)
        return Decided(entry, decision, file_changed=False)
    with csv.held() as held:
        _check_leads(held, tables)
        _rewrite(csv, held, entry, raw, changes, brakes)
        # Adopted last: interrupted, it is an edit that nobody has merged, and no gate ahead opens.
        tables.decide(number, decision, by)
        if held.is_used():
            held.adopt()
    return Decided(entry, decision, file_changed=True)


def _settle_conflict(
    entry: Entry,
    raw: Mapping[str, str],
    decision: Decision,
    text: Mapping[str, str],
    write: Callable[[str, dict[str, str]], object],
) -> None:
    """drop: what PostgreSQL holds stays.  accept: what the CSV took in is written.  fix: other text is."""
    match decision:
        case Decision.ACCEPT:
            write(entry.row_id, {entry.column: raw["csv"]})
        case Decision.FIX:
            if set(text) != {entry.column}:
                raise SettingsError(f"fix takes COLUMN=TEXT for {entry.column}", code="usage")
            write(entry.row_id, dict(text))
        case Decision.DROP | Decision.SUPERSEDED:
            """Nothing to write."""
        case _:
            assert_never(decision)


def _rewrite(
    csv: Csv,
    held: HeldCsv,
    entry: Entry,
    raw: Mapping[str, str],
    changes: dict[str, str] | None,
    brakes: Brakes,
) -> None:
    if held.is_used():
        held.refresh(brakes)
    row = _find(csv, entry, raw)
    if entry.scope is Scope.ROW and changes is not None:
        _check_loads(csv, entry, row, row.cells | changes)
    csv.rewrite_rows(row.sha256, row.positions, None if changes is None else row.cells | changes)


def _undecided(tables: Tables, number: int) -> tuple[Entry, dict[str, str]]:
    found = tables.quarantined_text(number)
    if found is None:
        raise SettingsError(
            f"there is no quarantine entry {number}",
            code="no_such_entry",
            hint="`ingest quarantine list` shows them.",
        )
    if found[0].decision not in (None, Decision.ACCEPT):
        raise SettingsError(f"entry {number} is decided: {found[0].decision}", code="already_decided")
    return found


def _changes(
    entry: Entry, raw: Mapping[str, str], decision: Decision, text: Mapping[str, str]
) -> dict[str, str] | None:
    """The cells to put in place; None to leave the row out."""
    if decision is not Decision.FIX:
        if text:
            raise SettingsError("only fix takes COLUMN=TEXT", code="usage")
        return None if entry.scope is Scope.ROW else {entry.column: ""}
    allowed = set(raw)
    if not text or not set(text) <= allowed:
        raise SettingsError(
            f"fix takes COLUMN=TEXT for {', '.join(sorted(allowed))}",
            code="usage",
            hint=f"At least {entry.column}.",
        )
    for column, cell in text.items():
        _check_fits(entry, column, cell)
    return dict(text)


def _check_fits(entry: Entry, column: str, cell: str) -> None:
    reason = read(BY_NAME[column], cell).reason
    if reason is not None:
        raise InputRefusedError(
            f"the new text does not fit either: {reason}",
            code=reason,
            place=Place(column=column, row_id=entry.row_id),
        )


def _check_loads(csv: Csv, entry: Entry, row: "_Row", cells: Mapping[str, str]) -> None:
    """Refuse other text with which the row still could not be loaded."""
    new = list(cells.values())
    with csv.reading() as file:
        for found in Examination(file.columns).examine(ParsedRows([new]), 1):
            if isinstance(found, Rejection):
                raise InputRefusedError(
                    f"with this text the row still cannot be loaded: {found.reason}",
                    code=found.reason,
                    place=Place(file=csv.place, column=found.column),
                )
        key = file.columns.index("row_id")
        others = ((position, other) for position, other in _rows(file) if position not in row.positions)
        if any(other[key] == new[key] and other != new for _, other in others):
            raise InputRefusedError(
                "with this text the row still cannot be loaded: another row has this row_id",
                code="duplicate_row_id",
                place=Place(file=csv.place, column=entry.column),
            )


def _check_leads(held: HeldCsv, tables: Tables) -> None:
    """Refuse unless the CSV leads and PostgreSQL follows, as ledger and PostgreSQL agree."""
    known, found = held.state(), tables.state()
    state = None if found is None else go_by(known, found)
    if state is None or state.phase.authority is not Side.CSV:
        raise ProtectedError(
            "drop and fix change the CSV, and the CSV does not lead", code="not_the_authority"
        )
    if state.phase is Phase.ORIGINAL:
        raise ProtectedError(
            "in phase original PostgreSQL has no part yet, and neither has its quarantine",
            code="no_follower",
            hint="Edit the CSV, or decide once dual_write is in force.",
        )
    if known not in (None, state):
        raise stale_epoch(state.epoch)


@dataclass(frozen=True, slots=True)
class _Row:
    sha256: str
    positions: list[int]
    cells: dict[str, str]


def _find(csv: Csv, entry: Entry, raw: Mapping[str, str]) -> _Row:
    """The file's row that the entry is about, with the lines that repeat a record's cell to the letter."""
    with csv.reading() as file:
        loadable = Examination(file.columns)
        found: list[int] = []
        wanted: Sequence[str] | None = None
        for position, row in _rows(file):
            if wanted is None and _is_about(entry, raw, file.columns, row, loadable):
                wanted, found = row, [position]
            elif row == wanted and entry.scope is Scope.CELL:
                found.append(position)
    if wanted is not None:
        return _Row(file.sha256, found, dict(zip(file.columns, wanted, strict=True)))
    raise ProtectedError(
        "the file no longer holds what this entry is about",
        code="entry_stale",
        place=Place(file=csv.place, column=entry.column, row_id=entry.row_id),
        hint="`ingest sync` reads the file anew.",
    )


def _rows(file: Blocks) -> Iterator[tuple[int, Sequence[str]]]:
    for block in file.blocks():
        yield from enumerate(block.rows, start=block.position)


def _is_about(
    entry: Entry,
    raw: Mapping[str, str],
    columns: Sequence[str],
    row: Sequence[str],
    loadable: Examination,
) -> bool:
    cells = dict(zip(columns, row, strict=True))
    if entry.scope is Scope.ROW:
        return cells == raw
    if cells["row_id"] != entry.row_id or cells.get(entry.column) != raw[entry.column]:
        return False
    return not is_rejected(loadable, row)

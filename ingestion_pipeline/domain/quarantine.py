"""Quarantine: what a file held that no typed column can hold, until somebody decides."""

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

from ingestion_pipeline.domain.cells import Reason


class Scope(StrEnum):
    """How much of the file an entry is about."""

    ROW = "row"
    CELL = "cell"
    CONFLICT = "conflict"
    """One cell that both sides changed while PostgreSQL was away: `postgres` stands, `csv` waits."""


class Decision(StrEnum):
    """What becomes of an entry."""

    DROP = "drop"
    """The row leaves the file, or the cell is emptied."""
    ACCEPT = "accept"
    """It stays in the file as it is, without a typed value."""
    FIX = "fix"
    """It gets other text."""
    SUPERSEDED = "superseded"
    """The file no longer holds it. Nobody's decision."""


@dataclass(frozen=True, slots=True)
class Entry:
    """One entry, without the text it keeps.

    Attributes:
        id: Its number.
        scope: A whole row, or one cell.
        reason: Why it is here.
        row_id: The row's key as the file has it.
        column: The column that does not fit.
        decision: None until somebody decides.
        decided_by: Who.
        decided_at: When.
        found_at: When the file was read.
    """

    id: int
    scope: Scope
    reason: Reason
    row_id: str
    column: str
    decision: Decision | None
    decided_by: str | None
    decided_at: datetime | None
    found_at: datetime


@dataclass(frozen=True, slots=True)
class Count:
    """How many entries stand.

    Attributes:
        undecided: Waiting for a decision.
        accepted: Decided to stay as they are.
        rows: Whole rows among the undecided.
        cells: Cells among the undecided.
        conflicts: Cells that both sides changed, among the undecided.
    """

    undecided: int = 0
    accepted: int = 0
    rows: int = 0
    cells: int = 0
    conflicts: int = 0

"""Reconciling: a write that the CSV took in while PostgreSQL led and was away."""

from collections.abc import Mapping
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Reconciled:
    """What becomes of one write's cells.

    Attributes:
        apply: Cells to be written, by column.
        conflicts: By column, the texts of both sides where both have changed the cell: `postgres` stays
            for the time being, `csv` waits in quarantine with it.
    """

    apply: dict[str, str]
    conflicts: dict[str, dict[str, str]]


def reconcile(present: Mapping[str, str] | None, cells: Mapping[str, tuple[str | None, str]]) -> Reconciled:
    """Decide column by column whether the write still holds.

    Args:
        present: The person's cells in PostgreSQL now; None when there is no such person.
        cells: By column, what the CSV held before the write (None for a person it did not know), and after.
    """
    if present is None and any(before is not None for before, _ in cells.values()):
        # Gone meanwhile: nothing is written, nothing is lost.
        return Reconciled({}, {name: {"csv": text} for name, (_, text) in cells.items()})
    apply: dict[str, str] = {}
    conflicts: dict[str, dict[str, str]] = {}
    for name, (before, text) in cells.items():
        now = None if present is None else present.get(name, "")
        if now is None or now in (before or "", text):
            apply[name] = text
        else:
            conflicts[name] = {"postgres": now, "csv": text}
    return Reconciled(apply, conflicts)

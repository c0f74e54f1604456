"""Differences: where the two sides part, by row and column, never by value."""

from dataclasses import dataclass
from enum import StrEnum


class Kind(StrEnum):
    """How a row of the follower parts from the authority's."""

    MISSING = "missing"
    EXTRA = "extra"
    CHANGED = "changed"
    ORDER = "order"
    """The row stands elsewhere in the file."""
    SPELLING = "spelling"
    """No record differs, and yet the rendered bytes do."""


@dataclass(frozen=True, slots=True)
class Difference:
    """One place where the two sides part.

    Attributes:
        row_id: The record's key; None where a difference is not one record's.
        column: The column that differs; None where the whole row does.
        kind: How it differs.
    """

    row_id: str | None
    column: str | None
    kind: Kind

"""One change of one person, as history keeps it."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID


@dataclass(frozen=True, slots=True)
class Change:
    """One change.

    Attributes:
        at: When.
        operation: `insert`, `update` or `delete`.
        table: The table that was changed.
        changed: By column, the value before and after; None where a bulk load made the row.
        revision: The person's revision after it.
        epoch: The epoch it was made in; None where it did not come through the pipeline.
        write_id: The write's own; None likewise.
        actor: Who made it: the pipeline's caller, or the database's user.
    """

    at: datetime
    operation: str
    table: str
    changed: Mapping[str, tuple[Any, Any]] | None
    revision: int
    epoch: int | None
    write_id: UUID | None
    actor: str

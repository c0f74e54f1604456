"""What one side has yet to get from the other."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from uuid import UUID


@dataclass(frozen=True, slots=True)
class Followed:
    """A person as the CSV that leads has them, for PostgreSQL.

    Attributes:
        row_id: The person.
        revision: The number of the last write.
        write_id: That write's own.
        by: Who wrote.
        cells: Every cell of the row, by column.
    """

    row_id: str
    revision: int
    write_id: UUID
    by: str
    cells: Mapping[str, str]


@dataclass(frozen=True, slots=True)
class Dirty:
    """A person as PostgreSQL, which leads, has them, for the CSV.

    Attributes:
        row_id: The person.
        revision: The change that is brought over.
        moved: Whether the row stands elsewhere in the file now.
        ordinal: Where it stands; None when the person is gone.
        cells: In the file's order; None when the person is gone.
    """

    row_id: str
    revision: int
    moved: bool
    ordinal: int | None
    cells: Sequence[str] | None


@dataclass(frozen=True, slots=True)
class Placed:
    """A person as one side has them.

    Attributes:
        place: Where the row stands in the file, from 0.
        cells: In the file's order.
    """

    place: int
    cells: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Pending:
    """How much is pending.

    Attributes:
        rows: People whose present row the follower has yet to get.
        seconds: How long the first of them has waited.
        fallback: Writes that PostgreSQL, which leads, has yet to get from the CSV.
    """

    rows: int = 0
    seconds: float = 0.0
    fallback: int = 0

    @property
    def all(self) -> int:
        """Everything that is to be settled."""
        return self.rows + self.fallback

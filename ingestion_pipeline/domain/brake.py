"""Brakes: how much a load may take away before somebody must say so."""

from dataclasses import dataclass, field

from ingestion_pipeline.domain.errors import Place, ProtectedError


@dataclass(frozen=True, slots=True)
class Brakes:
    """The most that may vanish unasked: so many rows (or cells), or that share of the people stored.

    Attributes:
        rows: People deleted, or cells emptied, at most.
        percent: The same as a share of the people stored. A single one never brakes by its share.
    """

    rows: int = 20
    percent: float = 5.0

    def stop(self, lost: int, stored: int) -> bool:
        """Whether losing so many of the stored is too much."""
        return lost > self.most(stored)

    def most(self, stored: int) -> int:
        """How many of the stored may be lost."""
        return min(self.rows, max(1, int(self.percent * stored / 100)))


@dataclass(frozen=True, slots=True)
class Loss:
    """What a load would take away.

    Attributes:
        deleted: People who would be gone.
        stored: People stored before.
        emptied: By column name, cells that hold text and would hold none.
        stranded: Of the deleted, those whose row goes to quarantine while columns that the file has not
            hold text of theirs. One is too many.
        columns: Those that would be gone, with all that they hold. One is too many.
    """

    deleted: int
    stored: int
    emptied: dict[str, int] = field(default_factory=dict)
    stranded: int = 0
    columns: tuple[str, ...] = ()

    def check(self, brakes: Brakes, file: str | None = None) -> None:
        """See that it is not too much.

        Raises:
            ProtectedError: It is.
        """
        stopped = self.stopped_by(brakes)
        if stopped is not None:
            raise ProtectedError(
                f"this would {stopped}",
                code="brake",
                place=Place(file=file),
                hint="If that is meant, run it again with --accept-loss; nothing has been changed.",
            )

    def stopped_by(self, brakes: Brakes) -> str | None:
        """What is too much, in words without any cell's value; None when nothing is."""
        parts = []
        if brakes.stop(self.deleted, self.stored):
            parts.append(f"delete {self.deleted} of {self.stored} people")
        if self.stranded:
            parts.append(f"lose columns that the file has not, of {self.stranded} people in quarantine")
        if self.columns:
            parts.append(f"lose all that stands in {', '.join(self.columns)}")
        if brakes.stop(sum(self.emptied.values()), self.stored):
            columns = ", ".join(f"{column} ({count})" for column, count in self.emptied.items())
            parts.append(f"empty {sum(self.emptied.values())} cells: {columns}")
        return " and ".join(parts) or None

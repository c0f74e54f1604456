"""A writer like the csv module's, whose rows are saved together at the end."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any


class Writer:
    """Takes rows as `csv.DictWriter` and `csv.writer` do.

    Args:
        fieldnames: The columns; without them the first row, a list, is the header.
    """

    def __init__(self, fieldnames: Sequence[str] | None = None) -> None:
        self._given = None if fieldnames is None else list(fieldnames)
        self._rows: list[Mapping[str, Any] | Sequence[Any]] = []

    @property
    def fieldnames(self) -> list[str]:
        """The columns, in order."""
        if self._given is not None:
            return self._given
        first = next(iter(self._rows), ())
        return [str(name) for name in first]

    def writeheader(self) -> None:
        """Nothing: the header is always written."""

    def writerow(self, row: Mapping[str, Any] | Sequence[Any]) -> None:
        """Take one row."""
        self._rows.append(dict(row) if isinstance(row, Mapping) else list(row))

    def writerows(self, rows: Iterable[Mapping[str, Any] | Sequence[Any]]) -> None:
        """Take rows."""
        for row in rows:
            self.writerow(row)

    def rows(self) -> Iterator[Mapping[str, Any]]:
        """What was taken, by column."""
        names = self.fieldnames
        rows: Iterable[Mapping[str, Any] | Sequence[Any]] = self._rows
        if self._given is None and not isinstance(next(iter(self._rows), {}), Mapping):
            rows = self._rows[1:]
        for row in rows:
            if isinstance(row, Mapping):
                yield row
            elif list(row) != names:
                yield dict(zip(names, row, strict=True))

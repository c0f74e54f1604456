"""Reading people from the side that leads."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack
from itertools import chain, islice
from typing import TYPE_CHECKING, TypeVar

from ingestion_pipeline.app.authority import Authority, leads
from ingestion_pipeline.domain.brake import Brakes
from ingestion_pipeline.domain.change import Change
from ingestion_pipeline.domain.columns import BY_NAME
from ingestion_pipeline.domain.errors import UnavailableError
from ingestion_pipeline.domain.phase import Phase, Side
from ingestion_pipeline.operations.write import changed_while_away
from ingestion_pipeline.stores.disk.csv_store import CsvStore
from ingestion_pipeline.stores.disk.locked_csv import LockedCsv
from ingestion_pipeline.stores.postgres.tables import PostgresTables

if TYPE_CHECKING:
    import pandas as pd

_Read = TypeVar("_Read")


class Reading:
    """Reads people.

    Args:
        csv: The CSV.
        authority: Who leads.
        brakes: How many rows may be gone from a file that somebody else rewrote.
        settle_first: Brings PostgreSQL what the CSV took in for it, so that it is read too.
        fallback: Whether the CSV answers while PostgreSQL leads and is away.
    """

    def __init__(
        self,
        csv: CsvStore,
        authority: Authority,
        brakes: Brakes,
        settle_first: Callable[[], None],
        *,
        fallback: bool,
    ) -> None:
        self._csv = csv
        self._authority = authority
        self._brakes = brakes
        self._settle_first = settle_first
        self._fallback = fallback

    def person(self, row_id: str) -> dict[str, str] | None:
        """A person's cells as text by column; None when there is no such person."""
        if not is_text(row_id):
            return None
        return self._from_authority(lambda: self._person_of_csv(row_id), lambda tables: tables.read(row_id))

    def rows(self) -> Iterator[dict[str, str]]:
        """Every person's cells as text by column, in the file's order."""
        return self._from_authority(self._rows_of_csv, lambda tables: _begun(tables.rows()))

    def columns(self) -> tuple[str, ...]:
        """The columns a person has in the side that leads."""
        return self._from_authority(self._columns_of_csv, lambda _tables: tuple(BY_NAME))

    def frame(self, columns: Sequence[str] | None) -> "pd.DataFrame":
        """Every person as a frame of text."""
        import pandas as pd  # noqa: PLC0415 - nobody else needs it

        rows = self.rows()
        if columns is None:
            return pd.DataFrame.from_records(list(rows))
        return pd.DataFrame.from_records(
            [[row[name] for name in columns] for row in rows], columns=list(columns)
        )

    def history(self, row_id: str) -> list[Change]:
        """Every change of a person, the oldest first."""
        if not is_text(row_id):
            return []
        if self._authority.in_force().phase is Phase.ORIGINAL:
            with self._csv.still() as still:
                return still.history(row_id)
        with self._authority.reached() as tables:
            return tables.history(row_id)

    def _from_authority(
        self, from_csv: Callable[[], _Read], from_postgres: Callable[[PostgresTables], _Read]
    ) -> _Read:
        phase = self._authority.in_force().phase
        if phase.authority is Side.CSV:
            return from_csv()
        try:
            with self._authority.reached() as tables:
                self._settle_first()
                return from_postgres(tables)
        except UnavailableError as error:
            # The CSV that takes writes in for PostgreSQL answers for it too.
            away = error.code == "postgres_unavailable"
            if not away or phase is not Phase.DATABASE_PRIMARY or not self._fallback:
                raise
            return from_csv()

    def _columns_of_csv(self) -> tuple[str, ...]:
        with self._csv.reading() as file:
            return file.columns

    def _person_of_csv(self, row_id: str) -> dict[str, str] | None:
        with self._csv.held() as held:
            self._refresh(held)
            return held.read_all([row_id]).get(row_id)

    def _rows_of_csv(self) -> Iterator[dict[str, str]]:
        with ExitStack() as stack:
            with self._csv.held() as held:
                self._refresh(held)
                again = held.repeated()
                pinned = stack.enter_context(self._csv.pinned())
            yield from pinned.people(again)

    def _refresh(self, held: LockedCsv) -> None:
        if leads(held.state()) is Side.CSV:
            held.refresh(self._brakes)
        elif not held.is_ours():
            raise changed_while_away()


def is_text(row_id: str) -> bool:
    """Whether anybody can have this row_id."""
    try:
        row_id.encode()
    except UnicodeEncodeError:
        return False
    return "\0" not in row_id


def _begun(rows: Iterator[dict[str, str]]) -> Iterator[dict[str, str]]:
    """The same, from the first on: an outage shows while the CSV can still answer."""
    return chain(list(islice(rows, 1)), rows)

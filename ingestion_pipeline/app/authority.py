"""Who leads: the phase in force, by the ledger or by PostgreSQL, and whether PostgreSQL can be reached."""

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from ingestion_pipeline.domain.errors import PipelineError, ProtectedError, UnavailableError
from ingestion_pipeline.domain.phase import Phase, Side
from ingestion_pipeline.domain.reports import State, go_by
from ingestion_pipeline.domain.transition import Condition
from ingestion_pipeline.stores.disk.csv_store import CsvStore
from ingestion_pipeline.stores.disk.locked_csv import LockedCsv
from ingestion_pipeline.stores.postgres.tables import PostgresTables

LEFT_ALONE = 1.0
"""Seconds in which PostgreSQL is not tried again after it was found away."""

SLOW = 3.0
TIMES_AS_LONG = 5.0
"""Where finding out took more than SLOW seconds, it is left alone for so many times as long."""


class Authority:
    """Asks the ledger beside the CSV first, which needs no server, and PostgreSQL where the ledger is silent.

    Args:
        csv: The CSV.
        tables: Gives PostgreSQL's tables.
        begin: Begins on a fresh site, given what the ledger says; gives what PostgreSQL says.
        has_database: Whether there is, or may be, a database at all.
    """

    def __init__(
        self,
        csv: CsvStore,
        tables: Callable[[], PostgresTables],
        begin: Callable[[State | None], State],
        has_database: Callable[[], bool],
    ) -> None:
        self._csv = csv
        self._tables = tables
        self._begin = begin
        self._has_database = has_database
        self._away_until = 0.0

    def in_force(self, *, again: bool = False) -> State:
        """The phase in force.

        Args:
            again: Ask PostgreSQL too, as after it refused the ledger's.

        Raises:
            UnavailableError: The ledger does not say, and PostgreSQL is away.
        """
        if again:
            with self._csv.held() as held:
                return self.agreed(held)
        state = self._csv.state()
        if state is not None and not state.changing:
            return state
        with self._csv.held_unless_told() as not_told:
            if not_told is not None:
                return self.agreed(not_told, ask=False)
        return self.in_force()

    def agreed(self, held: LockedCsv, *, ask: bool = True) -> State:
        """The phase in force, once ledger and PostgreSQL say the same.

        A change of phase that nobody has seen the end of is over once PostgreSQL says which it is.

        Args:
            held: The CSV, locked.
            ask: Whether to ask PostgreSQL although the ledger says.

        Raises:
            ProtectedError: They contradict each other.
        """
        left = held.changing()
        if left is not None and Condition.POSTGRES_AWAY in left.overridden:
            # Made without PostgreSQL, it does not hang on what that says.
            held.keep(left.ends)
        known = held.state()
        if known is not None and not ask and not known.changing:
            return known
        found = self._asked(known)
        state = go_by(known, found)
        if state is known:
            return known
        if known is not None and not known.changing and _is_passed_over(known, found):
            _refuse_unless_level(held, found)
        held.keep(found)
        return found

    def _asked(self, known: State | None) -> State:
        changing = known is not None and known.changing
        if self._has_database() or changing:
            return self._begin(known)
        return known or State(Phase.ORIGINAL, 1)

    @contextmanager
    def reached(self) -> Iterator[PostgresTables]:
        """PostgreSQL's tables; found away, it is left alone for a moment.

        Raises:
            UnavailableError: It is away, or was a moment ago.
        """
        if time.monotonic() < self._away_until:
            raise UnavailableError(
                "PostgreSQL cannot be used: it was away a moment ago",
                code="postgres_unavailable",
                hint="`ingest doctor` says what is reachable and what is not.",
            )
        began = time.monotonic()
        try:
            yield self._tables()
        except PipelineError as error:
            if error.code == "postgres_unavailable":
                took = time.monotonic() - began
                alone = LEFT_ALONE if took < SLOW else TIMES_AS_LONG * took
                self._away_until = time.monotonic() + alone
            raise


class AuthorityElsewhere(Authority):
    """The same on a host that has not the CSV, nor the ledger beside it: PostgreSQL is asked every time."""

    def in_force(self, *, again: bool = False) -> State:  # noqa: ARG002 - it is asked in any case
        """The phase in force, as PostgreSQL has it.

        Raises:
            ProtectedError: The site has not begun, which the host that has the CSV sees to.
            UnavailableError: PostgreSQL is away.
        """
        with self.reached() as tables:
            found = tables.state()
        if found is None:
            self._csv.check_here()
            raise AssertionError("this host has the CSV")
        return found


def _is_passed_over(known: State, found: State) -> bool:
    """Whether PostgreSQL has begun to lead without the ledger knowing, as with a ledger from a copy."""
    return (known.phase.authority, found.phase.authority) == (Side.CSV, Side.POSTGRES)


def _refuse_unless_level(held: LockedCsv, found: State) -> None:
    """Refuse to let PostgreSQL lead while the CSV has writes that it has not."""
    rows = held.waiting().rows
    if rows:
        raise ProtectedError(
            f"PostgreSQL leads since epoch {found.epoch}, and the CSV has {rows} rows that it has not got",
            code="ledger_stale",
            hint="The ledger beside the CSV is an old copy's. Keep a copy of the CSV and its hidden folder, "
            "move ledger.json away, settle, and write those rows again from the copy.",
        )


def leads(state: State | None) -> Side:
    """The side that leads; the CSV on a site that has not begun."""
    return Side.CSV if state is None else state.phase.authority

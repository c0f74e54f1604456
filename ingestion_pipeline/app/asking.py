"""Asking PostgreSQL: who has these words, whose is this file."""

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from typing import TypeVar

from ingestion_pipeline.app.authority import Authority
from ingestion_pipeline.app.places import Places
from ingestion_pipeline.domain.asking import FindReport, Indexed, SearchReport
from ingestion_pipeline.domain.errors import SettingsError
from ingestion_pipeline.domain.phase import Phase, Side
from ingestion_pipeline.domain.reports import State
from ingestion_pipeline.stores.disk.identity import Identity
from ingestion_pipeline.stores.disk.locked_csv import LockedCsv
from ingestion_pipeline.stores.postgres import asking
from ingestion_pipeline.stores.postgres.pool import Pool

LONGEST = 1_000
"""Characters of a search at most."""

_Report = TypeVar("_Report", SearchReport, FindReport)


class Asking:
    """Answers from the search index, which is made level first.

    Args:
        places: The site's.
        authority: Who leads, and whether PostgreSQL can be reached.
        settle_first: Brings PostgreSQL what the CSV took in for it, so that it is found too.
    """

    def __init__(self, places: Places, authority: Authority, settle_first: Callable[[], None]) -> None:
        self._places = places
        self._authority = authority
        self._settle_first = settle_first
        self._ours: Identity | None = None

    def search(self, query: str, limit: int) -> SearchReport:
        """The people in whose name or document words are found, the best first."""
        _check(query, limit)
        if len(query) > LONGEST:
            raise _bad(f"a search has {LONGEST:,} characters at most, this one has {len(query):,}")
        return self._answered(lambda pool, index: asking.search(pool, index, query, limit))

    def find(self, asked: Mapping[str, str | bool | None], limit: int) -> FindReport:
        """The files with this text, those shared, or those mismatched.

        Args:
            asked: One of `uuid`, `path` and `description` with a text, `shared` and `mismatched` with True.
            limit: Shown at most.
        """
        wanted = [(key, value) for key, value in asked.items() if value not in (None, False)]
        if len(wanted) != 1:
            raise _bad(f"ask for one of {', '.join(asked)}")
        [(key, value)] = wanted
        text = value if isinstance(value, str) else ""
        _check(text, limit)
        if key == "shared":
            return self._answered(lambda pool, index: asking.shared(pool, index, limit))
        return self._answered(lambda pool, index: asking.find(pool, index, key, text, limit))

    def refresh(self) -> Indexed:
        """Make the search index level with the people.

        Raises:
            SettingsError: PostgreSQL has no part (`no_part`), or does not know the language.
            UnavailableError: PostgreSQL is away.
        """
        with self._reached():
            return self._indexed()

    def _answered(self, ask: Callable[[Pool, Indexed], _Report]) -> _Report:
        with self._reached() as state:
            index = self._indexed()
            report, replica = self._places.read_pool(lambda pool: ask(pool, index))
            report = replace(report, replica=replica)
        if state.phase.authority is not Side.CSV or not self._places.csv.exists():
            return report
        with self._places.csv.still() as still:
            behind = report.behind + still.waiting().rows
            return replace(report, behind=behind, csv_changed=not self._looks_ours(still))

    def _looks_ours(self, still: LockedCsv) -> bool:
        """Whether the CSV is ours. That may take reading it, so what was ours once is not read again."""
        identity = Identity.of(still.path.stat())
        if identity != self._ours and still.looks_ours():
            self._ours = identity
        return identity == self._ours

    def _indexed(self) -> Indexed:
        return asking.refresh(self._places.pool, self._places.settings.search.language)

    @contextmanager
    def _reached(self) -> Iterator[State]:
        """PostgreSQL, if it has a part; gives the phase.

        It is asked itself where there is no ledger, for whoever only reads may have no CSV.
        """
        ledger = self._places.csv.state()
        known = None if ledger is None or ledger.changing else ledger
        if (known is None and not self._places.has_database()) or _is_original(known):
            raise _no_part()
        with self._authority.reached() as tables:
            found = tables.state()
            if found is None or _is_original(found):
                raise _no_part()
            self._settle_first()
            yield known or found


def _is_original(state: State | None) -> bool:
    return state is not None and state.phase is Phase.ORIGINAL


def _check(text: str, limit: int) -> None:
    if limit < 1:
        raise _bad("the limit is 1 at least")
    try:
        text.encode()
    except UnicodeEncodeError:
        raise _bad("what is asked for is no text in UTF-8") from None
    if "\0" in text:
        raise _bad("what is asked for holds a NUL, which no cell does")


def _bad(message: str) -> SettingsError:
    return SettingsError(
        message, code="bad_question", hint="`ingest search --help` and `ingest find --help`."
    )


def _no_part() -> SettingsError:
    return SettingsError(
        "PostgreSQL has no part here, and cannot be asked: the phase is original, or nothing was synced yet",
        code="no_part",
        hint="`ingest status` says the phase. `ingest phase advance` leaves original, `ingest sync` begins.",
    )

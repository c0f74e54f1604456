"""Reports: figures of what PostgreSQL holds and of the migration itself, and the page that shows them."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from ingestion_pipeline.app.places import Places
from ingestion_pipeline.app.spreadsheets import elsewhere
from ingestion_pipeline.app.timed import timed
from ingestion_pipeline.domain.figures import Figures
from ingestion_pipeline.domain.phase import Phase
from ingestion_pipeline.domain.phase_change import PhaseChange
from ingestion_pipeline.domain.proof import Proof
from ingestion_pipeline.domain.timing import Kind, Latency, by_operation, latencies
from ingestion_pipeline.operations.status import StatusReport
from ingestion_pipeline.stores.atomic import Written
from ingestion_pipeline.stores.postgres import figures, schema

COMPARISONS = 500
"""Comparisons looked back on: three weeks of one every hour."""


@dataclass(frozen=True, slots=True)
class Report:
    """What is reported of a site.

    Attributes:
        made_at: When.
        status: Where it stands: the phase, what is pending.
        changes: Every change of phase, the oldest first.
        comparisons: The last comparisons, at most COMPARISONS, the oldest first.
        latencies: How long operations take; empty where nobody has measured it.
        figures: Of what PostgreSQL holds; None where there are none.
        why_no_figures: Why not, in that case.
        replica: Where a replica is configured, `read`, or why the figures were read from the primary.
    """

    made_at: datetime
    status: StatusReport
    changes: tuple[PhaseChange, ...]
    comparisons: tuple[Proof, ...]
    latencies: tuple[Latency, ...]
    figures: Figures | None
    why_no_figures: str | None
    replica: str | None = None


class Reports:
    """Counts figures and reports them.

    Args:
        places: The site's.
        status: Says where it stands.
        changes: Gives every change of phase.
    """

    def __init__(
        self,
        places: Places,
        status: Callable[[], StatusReport],
        changes: Callable[[], Sequence[PhaseChange]],
    ) -> None:
        self._places = places
        self._status = status
        self._changes = changes

    @timed("report")
    def read(self, *, refresh: bool = True) -> Report:
        """Report where the site stands and has been, and the figures, in every phase.

        Args:
            refresh: Count everything anew first, in one state of the tables and with nobody waiting, rather
                than tell what was last counted.

        Raises:
            UnavailableError: PostgreSQL is away, and has a part; or somebody else counts, or keeps a table
                locked, for too long.
            ProtectedError: The role may not count: the views are another's.
        """
        status = self._status()
        why_not = self._why_not(status)
        found: Figures | None = None
        replica: str | None = None
        comparisons: list[Proof] = []
        if why_not is None:
            if refresh:
                figures.refresh(self._places.pool)
            found, replica = self._places.read_pool(figures.read)
            comparisons = self._places.tables.proofs(COMPARISONS)
            if found is None:
                why_not = "they have never been counted: `ingest report` without --no-refresh does it"
        return Report(
            made_at=datetime.now(UTC),
            status=status,
            changes=tuple(self._changes()),
            comparisons=tuple(comparisons),
            latencies=latencies(by_operation(self._places.timings.all()), Kind.OPERATION),
            figures=found,
            why_no_figures=why_not,
            replica=replica,
        )

    def write_page(self, report: Report, target: Path) -> Written:
        """Put a report in a file's place as one HTML page, which needs nothing else; gives what lies there.

        Raises:
            ProtectedError: The file is the site's own, or no file.
            UnavailableError: The disk refuses; what was there is as it was.
        """
        from ingestion_pipeline.app.report_page import page  # noqa: PLC0415 - a template engine comes with it

        with elsewhere(self._places, target) as new:
            new.write(page.render(report).encode())
            return new.replace()

    def _why_not(self, status: StatusReport) -> str | None:
        """Why PostgreSQL has nothing to count; None where it has."""
        if status.in_force is Phase.ORIGINAL:
            return "in phase original PostgreSQL has no part"
        if status.in_force is None or schema.current(self._places.pool) is None:
            return "nothing has been synced yet"
        schema.check(self._places.pool)
        return None

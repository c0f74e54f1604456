"""A site that something is to be restored over: what is there is kept first, and looked at afterwards."""

from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from ingestion_pipeline.app.authority import Authority
from ingestion_pipeline.app.places import Places
from ingestion_pipeline.domain.errors import (
    InputRefusedError,
    PipelineError,
    ProtectedError,
    UnavailableError,
)
from ingestion_pipeline.domain.phase import Phase, Side
from ingestion_pipeline.domain.ports import Progress, Step
from ingestion_pipeline.domain.reports import CompareReport, State
from ingestion_pipeline.domain.version import Manifest
from ingestion_pipeline.operations.export import ExportReport
from ingestion_pipeline.operations.inspect import inspect
from ingestion_pipeline.operations.restore import Order
from ingestion_pipeline.stores.disk.backups import Backups
from ingestion_pipeline.stores.postgres import schema


@dataclass(frozen=True, slots=True)
class How:
    """How a site is restored.

    Attributes:
        to: The side that is to be restored; None for both.
        accept_loss: Go on where people would vanish, or where the database that led is empty.
        dry_run: Say what would be done, and change nothing.
        progress: Told how many bytes have been received, and then read.
        step: Told the name of each longer step as it begins.
        size: Told how many bytes there are to receive and to read, where that is known.
    """

    to: Side | None = None
    accept_loss: bool = False
    dry_run: bool = False
    progress: Progress | None = None
    step: Step = lambda _name: None
    size: Progress = lambda _size: None


AS_USUAL = How()
"""Both sides, with the brakes on."""


class Restorable:
    """The site.

    Args:
        places: The site's.
        authority: Who leads.
        export: Publishes what is there, given what is about to be restored over it.
        compare: Compares both sides.
        settle_first: Brings PostgreSQL what the CSV took in for it.
    """

    def __init__(
        self,
        places: Places,
        authority: Authority,
        export: Callable[[str], ExportReport],
        compare: Callable[[], CompareReport],
        settle_first: Callable[[], None],
    ) -> None:
        self._places = places
        self._authority = authority
        self._export = export
        self._compare = compare
        self._settle_first = settle_first

    def state(self) -> State:
        """The phase in force, by the ledger beside the CSV."""
        return self._authority.in_force()

    def in_force(self, how: How, *, csv_alone: bool = True) -> tuple[State, bool]:
        """The phase in force, and whether it is to be put into a database that holds nothing.

        Args:
            how: How it is restored.
            csv_alone: Whether a CSV that leads could be restored without PostgreSQL.

        Raises:
            ProtectedError: PostgreSQL leads, its database holds nothing, and loss was not accepted.
            UnavailableError: A side that is needed is away.
        """
        state = self._authority.in_force()
        if state.phase is Phase.ORIGINAL:
            return state, False
        if state.phase.authority is Side.POSTGRES and self.is_empty():
            if not how.accept_loss:
                raise _database_empty(state.phase)
            return state, True
        try:
            return self._authority.in_force(again=True), False
        except UnavailableError as error:
            if state.phase.authority is Side.POSTGRES:
                raise
            if csv_alone and how.to is Side.CSV:
                return state, False
            if csv_alone and how.to is None and error.code == "postgres_unavailable":
                error.hint = f"`--to csv` restores the CSV, which leads, alone. {error.hint}"
            raise

    def kept(self, source: str, state: State, *, is_new: bool) -> "Keeping":
        """Publish what is there; where that cannot be, it is kept here once nobody writes any more.

        Args:
            source: What is about to be restored.
            state: The phase in force.
            is_new: Whether the database holds nothing.
        """
        self._prepare(state, is_new=is_new)
        keeping = Keeping(self._places, state)
        with suppress(PipelineError):
            keeping.published = self._export(source).manifest
        return keeping

    def _prepare(self, state: State, *, is_new: bool) -> None:
        if is_new:
            schema.ensure(self._places.pool)
            self._places.tables.establish(state)
        elif state.phase.authority is Side.POSTGRES:
            self._settle_first()

    def order(self, state: State, how: How, keeping: "Keeping", *, is_new: bool) -> Order:
        """How it is done, for the operations."""
        return Order(
            state,
            None if how.accept_loss else self._places.brakes,
            keeping.aside,
            keeping.keep,
            is_new=is_new,
            dry_run=how.dry_run,
            progress=how.progress,
            step=how.step,
        )

    def is_equal(self) -> bool | None:
        """Whether both sides are equal now; None where nobody could compare."""
        # Restored it is, whatever comes now.
        with suppress(PipelineError):
            return self._compare().equal
        return None

    def is_empty(self) -> bool:
        """Whether the database holds nothing of this pipeline."""
        return schema.current(self._places.pool) is None or self._places.tables.state() is None


class Keeping:
    """Keeps what the side that leads holds, unless what was published just before is the same."""

    def __init__(self, places: Places, state: State) -> None:
        self._csv = places.csv
        self._places = places
        self._phase = state.phase
        self._backups = Backups(
            places.settings.csv_backup.backup_dir, 0, compress=places.settings.csv_backup.compress
        )
        self.aside = str(self._backups.folder)
        self.published: Manifest | None = None
        self.path: Path | None = None
        self.follower: Path | None = None

    @property
    def key(self) -> str | None:
        """The version that was published."""
        return None if self.published is None else self.published.key

    def keep(self) -> None:
        """Keep it; called when nobody writes the CSV any more."""
        path = self._csv.path
        if self._phase.authority is Side.POSTGRES:
            # What was written since it was published is in history.
            self.path = None if self.published is not None else self._rendered() or self._copied(path)
        elif self.published is None or self._csv_is_another(self.published):
            self.path = self._copied(path)
            if self._phase is Phase.DUAL_WRITE and not self._csv_is_read():
                # What was acknowledged, the follower has.
                self.follower = self._rendered()

    def _csv_is_read(self) -> bool:
        with suppress(InputRefusedError, UnavailableError):
            inspect(self._csv)
            return True
        return False

    def _csv_is_another(self, published: Manifest) -> bool:
        return self._csv.exists() and self._csv.sha256() != published.content.sha256

    def _rendered(self) -> Path | None:
        with self._csv.scratch() as new:
            try:
                self._places.tables.render(new)
            except UnavailableError as error:
                if error.code != "nothing_synced" and self._phase.authority is Side.POSTGRES:
                    raise
                return None
            return self._copied(new.path)

    def _copied(self, source: Path) -> Path | None:
        path = self._csv.path
        named = path.with_stem(f"{path.stem}_before_restore")
        return self._backups.copy(source, named) if source.is_file() else None


def _database_empty(phase: Phase) -> ProtectedError:
    return ProtectedError(
        f"in phase {phase} PostgreSQL leads, and this database holds nothing",
        code="database_empty",
        hint="Is this the right database? To make it anew from a version: --accept-loss. Or, as the CSV may "
        "be newer than any version, let that lead: PostgreSQL is gone for good, says docs/phases.md.",
    )

"""Writing people in the side that leads, and settling the other."""

from collections.abc import Collection, Iterable, Iterator, Sequence
from contextlib import AbstractContextManager, ExitStack
from itertools import islice

from ingestion_pipeline.app.authority import Authority
from ingestion_pipeline.app.backup import Backup
from ingestion_pipeline.app.places import Places
from ingestion_pipeline.app.settler import Settler
from ingestion_pipeline.app.timed import timed
from ingestion_pipeline.domain.brake import Brakes
from ingestion_pipeline.domain.errors import PipelineError, ProtectedError
from ingestion_pipeline.domain.phase import Phase, Side
from ingestion_pipeline.domain.ports import Progress, Step
from ingestion_pipeline.domain.receipt import Answered, Write, WriteReceipt
from ingestion_pipeline.domain.reports import State
from ingestion_pipeline.operations.add_columns import add_columns
from ingestion_pipeline.operations.delete import DeleteReport, delete
from ingestion_pipeline.operations.settle import SettleReport, settle
from ingestion_pipeline.operations.write import write
from ingestion_pipeline.stores.postgres.tables import PostgresTables


class Writing:
    """Writes people, and settles.

    Args:
        places: The site's.
        authority: Who leads.
        by: Who writes.

    Attributes:
        backup: The copy that is made first.
    """

    def __init__(self, places: Places, authority: Authority, by: str) -> None:
        self._places = places
        self._csv = places.csv
        self._authority = authority
        self._by = by
        self._brakes = places.brakes
        self.backup = Backup(places.csv, places.settings.csv_backup)
        self._settler = Settler(self.settle)

    def close(self) -> None:
        """Settle what is pending in the background, and end."""
        self._settler.close()

    def all(self, writes: Sequence[Write]) -> Answered:
        """Write people together, in order, up to the first that is refused."""
        self._prepare()
        return write(
            self,
            self._csv.submit,
            writes,
            self._by,
            brakes=self._brakes,
            fallback=self._places.fallback,
        )

    def each(self, writes: Iterable[Write], group: int) -> Iterator[WriteReceipt]:
        """Write any number of people, so many together; gives their receipts as they are."""
        for taken, refusal in _groups(writes, group):
            answered = self._together(taken) if taken else Answered()
            yield from answered.receipts
            error = answered.error or refusal
            if error is not None:
                raise error

    def _together(self, writes: Sequence[Write]) -> Answered:
        with self._places.timings.operation("write_many") as timing:
            answered = self.all(writes)
            timing.failed(answered.error)
        return answered

    def delete(self, row_ids: Collection[str], *, accept_loss: bool) -> DeleteReport:
        """Delete people, all or none."""
        self._prepare()
        return delete(self, self._csv, row_ids, self._by, brakes=None if accept_loss else self._brakes)

    def _prepare(self) -> None:
        """Copy the CSV, where it leads, before the first write."""
        if self.backup.is_due and self.in_force().phase.authority is Side.CSV:
            self._csv.check_here()
            self.backup.before_write()

    def add_columns(self, names: Sequence[str]) -> tuple[str, ...]:
        """Give the CSV, while it leads, more columns of the contract; gives those it had not."""
        self._csv.check_here()
        self.backup.before_write()
        return add_columns(self, self._csv, names, brakes=self._brakes)

    @timed("settle")
    def settle(
        self,
        *,
        accept_loss: bool = False,
        progress: Progress | None = None,
        step: Step = lambda _name: None,
    ) -> SettleReport:
        """Bring the follower level, and finish whatever was interrupted."""
        self._csv.check_here()
        brakes = None if accept_loss else self._brakes
        try:
            return self._settle(self.in_force(), brakes, progress, step)
        except ProtectedError as error:
            if error.code != "stale_epoch":
                raise
            return self._settle(self.in_force(again=True), brakes, progress, step)

    def _settle(
        self, state: State, brakes: Brakes | None, progress: Progress | None, step: Step
    ) -> SettleReport:
        with ExitStack() as stack:
            tables = None
            if state.phase is not Phase.ORIGINAL:
                tables = stack.enter_context(self.reached())
            aside = str(self._places.settings.csv_backup.backup_dir)
            return settle(
                self._csv, tables, state=state, brakes=brakes, aside=aside, progress=progress, step=step
            )

    def in_force(self, *, again: bool = False) -> State:
        """The phase in force; again to ask PostgreSQL rather than the ledger."""
        return self._authority.in_force(again=again)

    def reached(self) -> AbstractContextManager[PostgresTables]:
        """PostgreSQL's tables, unless it was away a moment ago."""
        return self._authority.reached()

    def settle_soon(self) -> None:
        """Bring the CSV level in the background; where it is elsewhere, that host does."""
        if self._places.has_csv:
            self._settler.soon()

    def settle_first(self) -> None:
        """Bring PostgreSQL what the CSV took in for it, if it took in anything."""
        if self._csv.takes_in:
            self.settle()


def _groups(writes: Iterable[Write], size: int) -> Iterator[tuple[list[Write], PipelineError | None]]:
    rest, refusal = iter(writes), None
    while refusal is None:
        taken: list[Write] = []
        try:
            taken.extend(islice(rest, size))
        except PipelineError as error:
            refusal = error
        if not taken and refusal is None:
            return
        yield taken, refusal

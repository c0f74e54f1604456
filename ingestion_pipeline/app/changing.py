"""Changing the phase of a site: the actions, on its places."""

from dataclasses import dataclass, replace
from typing import Protocol

from ingestion_pipeline.app.authority import Authority
from ingestion_pipeline.app.places import Places
from ingestion_pipeline.app.writing import Writing
from ingestion_pipeline.domain.brake import Brakes
from ingestion_pipeline.domain.errors import PipelineError, UnavailableError
from ingestion_pipeline.domain.phase import Move, Phase, path
from ingestion_pipeline.domain.phase_change import PhaseChange
from ingestion_pipeline.domain.ports import Progress, Step
from ingestion_pipeline.domain.reports import CompareReport, State
from ingestion_pipeline.domain.transition import Condition, Evidence, PostgresFacts, Remedy, Verdict, judge
from ingestion_pipeline.operations.compare import compare
from ingestion_pipeline.operations.evidence import evidence
from ingestion_pipeline.operations.export import ExportReport
from ingestion_pipeline.operations.switch import leave_behind, switch
from ingestion_pipeline.operations.sync import first_sync, sync
from ingestion_pipeline.stores.postgres import schema


@dataclass(frozen=True, slots=True)
class How:
    """How a phase is changed.

    Attributes:
        overrides: Conditions of the gate to let pass, for the record.
        because: Why they may pass.
        accept_loss: Go on where a brake would stop a sync.
        drop_tables: On arrival in original, drop all that PostgreSQL holds.
        dry_run: Say what would be done, and change nothing.
        run_id: The Dagster run that asks, if one does.
        step: Told what is being done.
        progress: Told how many bytes of it have been read or written.
    """

    overrides: frozenset[Condition] = frozenset()
    because: str | None = None
    accept_loss: bool = False
    drop_tables: bool = False
    dry_run: bool = False
    run_id: str | None = None
    step: Step = lambda _name: None
    progress: Progress | None = None


class Export(Protocol):
    """Publishes a version."""

    def __call__(self, *, run_id: str | None = None, progress: Progress | None = None) -> ExportReport:
        """Publish a version, if the newest is not the same already."""
        ...


class Changing:
    """What a change of phase is made of; see `operations.change_phase`.

    Args:
        places: The site's.
        authority: Who leads.
        writing: Settles.
        export: Publishes a version.
        how: How the phase is changed.
    """

    def __init__(
        self,
        places: Places,
        authority: Authority,
        writing: Writing,
        export: Export,
        how: How,
    ) -> None:
        self._places = places
        self._csv = places.csv
        self._authority = authority
        self._writing = writing
        self._export = export
        self._how = how
        self._synced_up_to: int | None = None
        self._not_rehearsed: str | None = None

    def in_force(self) -> State:
        """The phase in force, as PostgreSQL says where it can be asked: the ledger may be a copy's."""
        left_behind = Condition.POSTGRES_AWAY in self._how.overrides
        try:
            return self._authority.in_force(again=True)
        except PipelineError as error:
            if not left_behind and not isinstance(error, UnavailableError):
                raise
        interrupted = self._csv.changing() if left_behind else None
        return self._authority.in_force() if interrupted is None else _presumed(interrupted)

    def evidence(self, state: State) -> Evidence:
        """All that the gate goes by."""
        found = evidence(self._csv, lambda: self._places.tables, state)
        if isinstance(found.postgres, PostgresFacts):
            synced = found.postgres.synced or self._synced_up_to is not None
            facts = replace(found.postgres, synced=synced, not_rehearsed=self._not_rehearsed)
            return replace(found, postgres=facts)
        return found

    def remedy(self, remedy: Remedy, move: Move) -> None:
        """Do something about what keeps the gate shut."""
        match remedy:
            case Remedy.SYNC:
                self._sync(move)
            case Remedy.SETTLE:
                self._writing.settle(step=self._how.step, progress=self._how.progress)
            case Remedy.COMPARE:
                self._not_rehearsed = self._compare(move).not_rehearsed

    def publish(self) -> str:
        """Publish a version, and give its name."""
        return self._export(run_id=self._how.run_id, progress=self._how.progress).manifest.key

    def switch(self, change: PhaseChange, overrides: frozenset[Condition]) -> PhaseChange | Verdict:
        """Change the phase, or leave everything as it is."""
        if Condition.POSTGRES_AWAY in overrides:
            verdict = judge(change.move, self.evidence(change.began), overrides)
            if verdict.lets_pass(Condition.POSTGRES_AWAY):
                alone = replace(change, overridden=(Condition.POSTGRES_AWAY,))
                return leave_behind(self._csv, alone) if verdict.is_open else verdict
            if change.move not in path(change.before, change.after):
                raise UnavailableError(
                    "PostgreSQL is back",
                    code="postgres_back",
                    hint="Run it again: nothing need be left behind.",
                )
        return switch(
            self._csv,
            self._places.tables,
            change,
            overrides=overrides,
            brakes=self._sync_brakes,
            synced_up_to=self._synced_up_to,
            aside=self._aside,
        )

    def prove(self) -> bool:
        """Compare both sides."""
        return self._compare(None).equal

    def take_along(self, state: State) -> None:
        """Have PostgreSQL, which was left behind, go on from the phase in force."""
        self._places.tables.go_on_from(state)

    def drop_tables(self) -> None:
        """Drop all that PostgreSQL holds."""
        schema.downgrade(self._places.pool)

    def note(self, change: PhaseChange) -> None:
        """Keep what became known of a change afterwards."""
        found = change.as_json()
        later = ("pause", "equal_after", "version_after", "unfinished")
        with self._csv.held() as held:
            held.note_later(change.epoch, **{name: found[name] for name in later if name in found})

    def _sync(self, move: Move) -> None:
        schema.ensure(self._places.pool)
        if move.before is Phase.ORIGINAL:
            with self._csv.held() as held:
                state = self._places.begin(held.state())
            self._synced_up_to = first_sync(
                self._csv,
                self._places.tables,
                state,
                brakes=self._sync_brakes,
                step=self._how.step,
                progress=self._how.progress,
            )
            return
        with self._csv.held() as held:
            sync(
                self._csv,
                held,
                self._places.tables,
                wanted=move.before,
                brakes=self._sync_brakes,
                step=self._how.step,
                progress=self._how.progress,
            )

    @property
    def _aside(self) -> str:
        return str(self._places.settings.csv_backup.backup_dir)

    @property
    def _sync_brakes(self) -> Brakes | None:
        return None if self._how.accept_loss else self._places.brakes

    def _compare(self, move: Move | None) -> CompareReport:
        return compare(
            self._csv,
            self._places.tables,
            brakes=self._places.brakes,
            limit=0,
            run_id=self._how.run_id,
            progress=self._how.progress,
            way_back=move is not None and move.is_forward,
            aside=None if move is None or move.is_forward else self._aside,
        )


def _presumed(interrupted: PhaseChange) -> State:
    """The phase to leave without PostgreSQL, where only that knows whether it was entered: the later one."""
    return interrupted.began if interrupted.after is Phase.ORIGINAL else interrupted.ends

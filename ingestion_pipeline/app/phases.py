"""The phases of a site: where it could go, going there, and where it has been."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import UTC, datetime

from ingestion_pipeline.app.authority import Authority
from ingestion_pipeline.app.changing import Changing, Export, How
from ingestion_pipeline.app.places import Places
from ingestion_pipeline.app.timed import timed
from ingestion_pipeline.app.writing import Writing
from ingestion_pipeline.domain.errors import SettingsError
from ingestion_pipeline.domain.phase import Phase
from ingestion_pipeline.domain.phase_change import PhaseChange, to_be_applied
from ingestion_pipeline.domain.reports import State
from ingestion_pipeline.domain.transition import Verdict
from ingestion_pipeline.operations.change_phase import Actions, ChangeReport, Order, change_phase, plan
from ingestion_pipeline.operations.recording import Recording


@dataclass(frozen=True, slots=True)
class Plan:
    """Where a site could go from here.

    Attributes:
        wanted: The phase that the configuration asks for.
        state: The phase in force.
        verdicts: On every move from there.
    """

    wanted: Phase
    state: State
    verdicts: tuple[Verdict, ...]


AS_USUAL = How()
"""Nothing let pass, nothing dropped."""


class Phases:
    """Plans and makes changes of phase.

    Args:
        places: The site's.
        authority: Who leads.
        writing: Settles.
        export: Publishes a version.
        by: Who changes the phase.
    """

    def __init__(
        self, places: Places, authority: Authority, writing: Writing, export: Export, by: str
    ) -> None:
        self._places = places
        self._authority = authority
        self._writing = writing
        self._export = export
        self._by = by

    @timed("plan")
    def plan(self) -> Plan:
        """Every move from the phase in force, and what speaks against it; changes nothing."""
        self._places.csv.check_here()
        state = self._changing(AS_USUAL).in_force()
        return self.plan_from(state)

    def plan_from(self, state: State) -> Plan:
        """Every move from a phase; asks nobody whether that is in force, and so begins nothing anywhere."""
        return Plan(self._wanted, state, tuple(plan(state, self._changing(AS_USUAL).evidence(state))))

    @timed("change_phase")
    def advance(self, to: Phase | None = None, how: How = AS_USUAL) -> ChangeReport:
        """Go on to a phase by hand, as far as the gates are open; see `apply`.

        Args:
            to: The phase; without it the one wanted if that is further on, else the next.
            how: How it is changed.

        Raises:
            SettingsError: That phase lies behind.
        """

        def ahead(here: Phase) -> Phase:
            target = to or (self._wanted if here.is_before(self._wanted) else here.next) or here
            if target.is_before(here):
                raise SettingsError(
                    f"{target} lies behind {here}",
                    code="not_ahead",
                    hint="`ingest phase rollback` goes back.",
                )
            return target

        return self._change(ahead, how, by_hand=True)

    @timed("change_phase")
    def rollback(self, to: Phase | None = None, how: How = AS_USUAL) -> ChangeReport:
        """Go back to a phase by hand; see `apply`.

        Args:
            to: The phase; without it the one before.
            how: How it is changed.

        Raises:
            SettingsError: That phase lies ahead.
        """

        def behind(here: Phase) -> Phase:
            target = to or here.previous or here
            if here.is_before(target):
                raise SettingsError(
                    f"{target} lies ahead of {here}",
                    code="not_behind",
                    hint="`ingest phase advance` goes on.",
                )
            return target

        return self._change(behind, how, by_hand=True)

    @timed("change_phase")
    def apply(self, how: How = AS_USUAL) -> ChangeReport:
        """Go to the phase that the configuration asks for, one gate at a time, as far as the gates are open.

        A phase entered by hand stays until the configuration is edited.

        Args:
            how: How it is changed.

        Raises:
            UnavailableError: A side is away, or somebody else changes the phase; as `outcome_unknown`,
                whether it was changed is known once PostgreSQL is back.
            ProtectedError: A brake stopped something.
        """

        def asked_for(here: Phase) -> Phase:
            return self._wanted if self._is_asked_for(here) else here

        return self._change(asked_for, how, by_hand=False)

    def history(self) -> list[PhaseChange]:
        """Every change of phase, the oldest first."""
        return self._places.csv.phases()

    def changing(self) -> PhaseChange | None:
        """The change that was begun and nobody has seen the end of; whoever writes next sees to it."""
        return self._places.csv.changing()

    def wants_change(self) -> bool:
        """Whether the configuration asks for a change of phase that nobody has decided against since."""
        # First: a change that was interrupted is in the history once it is known whether it was made.
        return self._is_asked_for(self._authority.in_force().phase)

    def _is_asked_for(self, here: Phase) -> bool:
        changes = self.history()
        return to_be_applied(self._wanted, here, changes[-1] if changes else None)

    @property
    def _wanted(self) -> Phase:
        return self._places.settings.wanted_phase

    def _change(self, aim: Callable[[Phase], Phase], how: How, *, by_hand: bool) -> ChangeReport:
        self._places.csv.check_here()
        changing = self._changing(how)
        if how.dry_run:
            order = self._order(aim(changing.in_force().phase), how, by_hand=by_hand)
            return replace(_changed(Recording(changing), order, how.step), dry_run=True)
        with self._places.csv.switching():
            # Nobody else changes it from here on.
            order = self._order(aim(changing.in_force().phase), how, by_hand=by_hand)
            return _changed(changing, order, how.step)

    def _order(self, to: Phase, how: How, *, by_hand: bool) -> Order:
        return Order(
            to,
            by=self._by,
            wanted=self._wanted,
            by_hand=by_hand,
            overrides=how.overrides,
            because=how.because,
            run_id=how.run_id,
            drop_tables=how.drop_tables,
        )

    def _changing(self, how: How) -> Changing:
        return Changing(self._places, self._authority, self._writing, self._export, how)


def _changed(actions: Actions, order: Order, tell: Callable[[str], None]) -> ChangeReport:
    steps: list[str] = []

    def step(name: str) -> None:
        steps.append(name)
        tell(name)

    report = change_phase(actions, order, now=lambda: datetime.now(UTC), step=step)
    return replace(report, steps=tuple(steps))

"""Where a site stands between its phases: what Dagster shows of it, and judges it by."""

from dataclasses import dataclass
from typing import Self

from ingestion_pipeline.app import Pipeline
from ingestion_pipeline.app.phases import Plan
from ingestion_pipeline.domain.errors import UnavailableError
from ingestion_pipeline.domain.phase import Phase, path
from ingestion_pipeline.domain.phase_change import PhaseChange
from ingestion_pipeline.domain.transition import Verdict
from ingestion_pipeline.operations.status import StatusReport


@dataclass(frozen=True, slots=True)
class Standing:
    """Where a site stands.

    Attributes:
        plan: Every move from here; None while it is not known which phase is in force.
        status: What is pending, compared and undecided.
        history: Every change of phase, the oldest first.
        changing: The change that was interrupted, if one was.
        is_asked_for: Whether the configuration asks for a change that nobody has decided against since.
        shut: The gate that has just stayed shut, if one has.
    """

    plan: Plan | None
    status: StatusReport
    history: list[PhaseChange]
    changing: PhaseChange | None
    is_asked_for: bool
    shut: Verdict | None

    @classmethod
    def of(cls, site: Pipeline, shut: Verdict | None = None) -> Self:
        """Look at a site.

        Args:
            site: The site.
            shut: The gate that has just stayed shut, if one has.
        """
        plan = _plan(site)
        return cls(
            plan,
            site.status(),
            site.phase.history(),
            site.phase.changing(),
            plan is not None and site.phase.wants_change(),
            shut,
        )

    @property
    def wanted(self) -> Phase:
        """The phase that the configuration asks for."""
        return self.status.wanted

    @property
    def in_force(self) -> Phase | None:
        """The phase in force, where that is known."""
        return None if self.plan is None else self.plan.state.phase

    @property
    def in_the_way(self) -> Verdict | None:
        """The verdict on the first step towards the phase wanted; None where there is none to take."""
        if self.shut is not None or self.plan is None or self.plan.state.phase is self.wanted:
            return self.shut
        first = path(self.plan.state.phase, self.wanted)[0]
        return next(one for one in self.plan.verdicts if one.move == first)


def _plan(site: Pipeline) -> Plan | None:
    try:
        return site.phase.plan()
    except UnavailableError:
        if site.phase.changing() is None:
            raise
        return None

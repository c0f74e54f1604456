"""Changes of phase as they are kept, and what the configuration still asks for after one made by hand."""

from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import Any

from ingestion_pipeline.domain.phase import Move, Phase
from ingestion_pipeline.domain.reports import State


@dataclass(frozen=True, slots=True)
class PhaseChange:
    """The receipt of one change of phase.

    Attributes:
        epoch: The epoch that began with it.
        before: The phase before.
        after: The phase since.
        at: When, in ISO 8601, UTC.
        by: Who changed it.
        wanted: The phase that the configuration asked for at that time.
        by_hand: Whether somebody named the phase, rather than the configuration.
        run_id: The Dagster run that changed it, if one did.
        overridden: The conditions that were let pass.
        because: Why, in the words of whoever let them pass.
        csv_sha256: The file that was compared.
        compared_at: When.
        drained: People brought over to the follower while nobody could write.
        rechecked: People compared once more at that time.
        pause: Seconds for which nobody could write.
        version_before: The version published before.
        version_after: The version published after.
        equal_after: Whether a comparison afterwards found both sides equal.
        unfinished: What could not be done afterwards; the change itself stands.
    """

    epoch: int
    before: Phase
    after: Phase
    at: str
    by: str
    wanted: Phase
    by_hand: bool
    run_id: str | None = None
    overridden: tuple[str, ...] = ()
    because: str | None = None
    csv_sha256: str | None = None
    compared_at: str | None = None
    drained: int = 0
    rechecked: int = 0
    pause: float | None = None
    version_before: str | None = None
    version_after: str | None = None
    equal_after: bool | None = None
    unfinished: str | None = None

    @property
    def move(self) -> Move:
        """What was changed."""
        return Move(self.before, self.after)

    @property
    def began(self) -> State:
        """What was in force before."""
        return State(self.before, self.epoch - 1)

    @property
    def ends(self) -> State:
        """What is in force since."""
        return State(self.after, self.epoch)

    def as_json(self) -> dict[str, Any]:
        """What is kept."""
        kept = {field.name: getattr(self, field.name) for field in fields(self)}
        return {name: value for name, value in kept.items() if value is not None}

    @classmethod
    def from_json(cls, kept: Mapping[str, Any]) -> "PhaseChange":
        """What was kept."""
        phases = {name: Phase(kept[name]) for name in ("before", "after", "wanted")}
        return cls(**{**kept, **phases, "overridden": tuple(kept.get("overridden", ()))})


def to_be_applied(wanted: Phase, in_force: Phase, last: PhaseChange | None) -> bool:
    """Whether the configuration asks for a change that nobody has decided against since it was written.

    A phase entered by hand stays until the configuration is edited, or somebody changes it again.
    """
    if wanted is in_force:
        return False
    return last is None or not last.by_hand or last.wanted is not wanted or last.after is not in_force

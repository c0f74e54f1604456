"""recording: the actions of a change of phase, noted and not made, for --dry-run."""

from dataclasses import replace

from ingestion_pipeline.domain.phase import Move
from ingestion_pipeline.domain.phase_change import PhaseChange
from ingestion_pipeline.domain.proof import Proof
from ingestion_pipeline.domain.reports import State
from ingestion_pipeline.domain.transition import (
    Condition,
    Evidence,
    PostgresFacts,
    Remedy,
    Since,
    Verdict,
    judge,
)
from ingestion_pipeline.operations.change_phase import Actions

_CLEAN = Proof(0, "", "", "", 0, 0, 0, 0, bytes_equal=True, way_back_rehearsed=True, run_id=None)


class Recording:
    """Goes by the evidence there is, and by what every action would add to it if all went well.

    Args:
        actions: Those that would be made; only asked, never made.
    """

    def __init__(self, actions: Actions) -> None:
        self._actions = actions
        self._evidence: Evidence | None = None

    def in_force(self) -> State:
        """The phase in force."""
        return self._actions.in_force()

    def evidence(self, state: State) -> Evidence:
        """What is known, and would be by now."""
        if self._evidence is None:
            self._evidence = self._actions.evidence(state)
        return self._evidence

    def remedy(self, remedy: Remedy, move: Move) -> None:  # noqa: ARG002 - the port's
        """Go on as if it had helped."""
        match remedy:
            case Remedy.SYNC:
                self._found(synced=True)
            case Remedy.SETTLE:
                self._found(pending=0, fallback=0)
            case Remedy.COMPARE:
                self._found(pending=0, proof=_CLEAN, since=Since())

    def publish(self) -> str | None:
        """Nothing is published."""
        return None

    def switch(self, change: PhaseChange, overrides: frozenset[Condition]) -> PhaseChange | Verdict:
        """Go on as if the phase were changed, which voids the proof."""
        verdict = judge(change.move, self.evidence(change.began), overrides)
        if not verdict.is_open:
            return verdict
        self._found(since=Since(voided=f"the last comparison was made in epoch {change.epoch - 1}"))
        return change

    def prove(self) -> bool:
        """Go on as if both sides were equal."""
        self._found(proof=replace(_CLEAN, way_back_rehearsed=False), since=Since())
        return True

    def take_along(self, state: State) -> None:
        """Go on as if PostgreSQL held an older file."""
        self._evidence = Evidence(self.evidence(state).csv, PostgresFacts(synced=False))

    def drop_tables(self) -> None:
        """Nothing is dropped."""

    def note(self, change: PhaseChange) -> None:
        """Nothing is kept."""

    def _found(self, **found: object) -> None:
        if self._evidence is not None and isinstance(self._evidence.postgres, PostgresFacts):
            self._evidence = replace(self._evidence, postgres=replace(self._evidence.postgres, **found))  # type: ignore[arg-type]

"""change phase: go to another phase one gate at a time, gathering the evidence that is missing."""

from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Protocol

from ingestion_pipeline.domain.errors import PipelineError, ProtectedError, SettingsError
from ingestion_pipeline.domain.phase import Move, Phase, path
from ingestion_pipeline.domain.phase_change import PhaseChange
from ingestion_pipeline.domain.reports import State
from ingestion_pipeline.domain.transition import (
    REMEDIES,
    Condition,
    Evidence,
    Remedy,
    Unreached,
    Verdict,
    judge,
    overridable,
)

TRIES = 3
"""How often both sides are compared anew because too much changed before the switch."""

AT_THE_FENCE = frozenset({Condition.STALE_PROOF, Condition.PENDING})
"""What others may cause at any moment while they write, and is looked at again once they cannot."""


@dataclass(frozen=True, slots=True)
class Order:
    """Who asks for a change of phase, and how.

    Attributes:
        to: The phase to go to.
        by: Who asks.
        wanted: The phase that the configuration asks for.
        by_hand: Whether the phase was named by somebody, rather than by the configuration.
        overrides: Conditions to let pass.
        because: Why they may pass.
        run_id: The Dagster run, if one asks.
        drop_tables: On arrival in original, drop the tables and all that PostgreSQL holds.
    """

    to: Phase
    by: str
    wanted: Phase
    by_hand: bool
    overrides: frozenset[Condition] = frozenset()
    because: str | None = None
    run_id: str | None = None
    drop_tables: bool = False


@dataclass(frozen=True, slots=True)
class ChangeReport:
    """What came of it.

    Attributes:
        began: The phase it began in.
        state: The phase in force at the end.
        changes: The receipts, in order.
        shut: The verdict of the gate that stayed shut, if one did.
        dropped: Whether the tables were dropped.
        steps: What was done, or with dry_run would be; a line each.
        dry_run: Whether nothing was changed.
    """

    began: State
    state: State
    changes: tuple[PhaseChange, ...] = ()
    shut: Verdict | None = None
    dropped: bool = False
    steps: tuple[str, ...] = ()
    dry_run: bool = False


class Actions(Protocol):
    """What a change of phase is made of."""

    def in_force(self) -> State:
        """The phase in force, once it is known whether an interrupted change was made."""
        ...

    def evidence(self, state: State) -> Evidence:
        """All that the gate goes by."""
        ...

    def remedy(self, remedy: Remedy, move: Move) -> None:
        """Do something about what keeps the gate shut."""
        ...

    def publish(self) -> str | None:
        """Publish a version, and give its name."""
        ...

    def switch(self, change: PhaseChange, overrides: frozenset[Condition]) -> PhaseChange | Verdict:
        """Change the phase, or leave everything as it is."""
        ...

    def prove(self) -> bool:
        """Compare both sides."""
        ...

    def take_along(self, state: State) -> None:
        """Have PostgreSQL, which was left behind, go on from the phase in force."""
        ...

    def drop_tables(self) -> None:
        """Drop all that PostgreSQL holds."""
        ...

    def note(self, change: PhaseChange) -> None:
        """Keep what became known of a change afterwards."""
        ...


def change_phase(
    actions: Actions, order: Order, *, now: Callable[[], datetime], step: Callable[[str], None]
) -> ChangeReport:
    """Go to another phase, one step and one gate at a time, as far as the gates are open.

    Args:
        actions: What it is made of; recorded only, nothing is changed.
        order: Who asks for what.
        now: The time in UTC.
        step: Told what is being done.

    Raises:
        SettingsError: A condition is to be overridden that cannot be.
        PipelineError: A side is away, or a brake stopped something; the phase is the one it was, or, as
            `outcome_unknown`, it is known once PostgreSQL is back.
    """
    began = state = actions.in_force()
    changes: list[PhaseChange] = []
    moves = _moves(actions, state, order)
    _refuse_contradictions(moves, order)
    if order.drop_tables and state.phase is Phase.ORIGINAL:
        _refuse_dropping_unseen(actions.evidence(state))
    for move in moves:
        outcome = _move(actions, move, state, order, now, step)
        if isinstance(outcome, Verdict):
            return ChangeReport(began, state, tuple(changes), outcome)
        changes.append(outcome)
        state = outcome.ends
    if order.drop_tables:
        step("drop the tables")
        actions.drop_tables()
    return ChangeReport(began, state, tuple(changes), dropped=order.drop_tables)


def _moves(actions: Actions, state: State, order: Order) -> list[Move]:
    """The steps to take; without PostgreSQL there is only one way, and it leads to original at once."""
    if order.to is Phase.ORIGINAL and Condition.POSTGRES_AWAY in order.overrides:
        alone = Move(state.phase, order.to)
        # Within reach, it is not left behind with what the CSV has not got.
        if judge(alone, actions.evidence(state), order.overrides).overridden:
            return [alone] if state.phase is not order.to else []
    return path(state.phase, order.to)


def _refuse_contradictions(moves: list[Move], order: Order) -> None:
    if order.drop_tables and order.to is not Phase.ORIGINAL:
        raise SettingsError(
            f"{order.to} needs the tables", code="tables_needed", hint="They can go in phase original only."
        )
    if order.drop_tables and Condition.POSTGRES_AWAY in order.overrides:
        raise SettingsError(
            "without PostgreSQL its tables cannot be dropped",
            code="tables_unreached",
            hint="Go back first, and drop them when it is there again.",
        )
    if order.overrides and not (order.because or "").strip():
        raise SettingsError(
            "what is overridden needs a reason, which is kept with it",
            code="no_reason",
            hint='Name it with --because "…".',
        )
    possible: frozenset[Condition] = frozenset().union(*(overridable(move) for move in moves))
    for condition in sorted(order.overrides - possible):
        raise SettingsError(
            f"{condition} cannot be overridden on the way to {order.to}",
            code="not_overridable",
            hint=f"What can be: {', '.join(sorted(possible)) or 'nothing'}."
            + (" Without PostgreSQL, name --to original." if condition is Condition.POSTGRES_AWAY else ""),
        )


def _refuse_dropping_unseen(evidence: Evidence) -> None:
    """What was left behind may hold what the CSV has not got."""
    if isinstance(evidence.postgres, Unreached):
        raise ProtectedError(
            f"the tables are not dropped: {evidence.postgres.why}",
            code=evidence.postgres.condition.value,
            hint="Look at what they hold; then drop them with psql, or advance with --override left_behind.",
        )


def _move(
    actions: Actions,
    move: Move,
    state: State,
    order: Order,
    now: Callable[[], datetime],
    step: Callable[[str], None],
) -> PhaseChange | Verdict:
    outcome = judge(move, actions.evidence(state), order.overrides)
    if not outcome.is_within_reach:
        return outcome.without(REMEDIES)
    passed: tuple[Condition, ...] = ()
    if outcome.lets_pass(Condition.LEFT_BEHIND):
        step("have PostgreSQL go on from the phase in force")
        actions.take_along(state)
        passed = (Condition.LEFT_BEHIND,)
        outcome = judge(move, actions.evidence(state), order.overrides)
    outcome = _gather(actions, outcome, state, order, step, Remedy.SYNC, Remedy.SETTLE)
    before = _published_before(actions, move, order, step)
    for _ in range(TRIES):
        outcome = _gather(actions, outcome, state, order, step, *Remedy)
        if not outcome.without(AT_THE_FENCE).is_open:
            break
        change = PhaseChange(
            epoch=state.epoch + 1,
            before=move.before,
            after=move.after,
            at=now().isoformat(),
            by=order.by,
            wanted=order.wanted,
            by_hand=order.by_hand,
            run_id=order.run_id,
            overridden=passed,
            because=order.because,
            version_before=before,
        )
        step(f"switch to {move.after}: stop writers, drain, look again, change the phase")
        found = actions.switch(change, order.overrides)
        if isinstance(found, PhaseChange):
            return _closed(actions, order, found, step)
        outcome = found
        # A whole comparison tells more of who differs than the look at those who have changed.
        if not outcome.without(AT_THE_FENCE | {Condition.DIFFERENCES}).is_open:
            break
    return outcome


def _gather(
    actions: Actions,
    verdict: Verdict,
    state: State,
    order: Order,
    step: Callable[[str], None],
    *remedies: Remedy,
) -> Verdict:
    """Do what helps against a verdict, each once; gives the verdict after it."""
    move = verdict.move
    for remedy in remedies:
        if remedy in verdict.remedies:
            step(_ABOUT[remedy])
            actions.remedy(remedy, move)
            verdict = judge(move, actions.evidence(state), order.overrides)
    return verdict


_ABOUT = {
    Remedy.SYNC: "sync: make PostgreSQL equal to the CSV",
    Remedy.SETTLE: "settle: bring the follower level",
    Remedy.COMPARE: "compare both sides, and rehearse the way back",
}


def _published(actions: Actions, order: Order, step: Callable[[str], None]) -> str | None:
    """The name of a version of the present state, unless the sides differ, of which there is none."""
    if Condition.POSTGRES_AWAY in order.overrides:
        return None
    step("publish a version")
    try:
        return actions.publish()
    except ProtectedError as error:
        if error.code != "sides_differ":
            raise
        return None


def _published_before(actions: Actions, move: Move, order: Order, step: Callable[[str], None]) -> str | None:
    """As `_published`; the way back must not hang on it."""
    try:
        return _published(actions, order, step)
    except PipelineError as error:
        if move.is_forward:
            raise
        step(f"no version could be published: {error.message}")
        return None


def _closed(actions: Actions, order: Order, change: PhaseChange, step: Callable[[str], None]) -> PhaseChange:
    """What is done once everybody writes again; where it fails, the change stands."""
    unfinished: str | None = None
    equal: bool | None = None
    version: str | None = None
    try:
        if change.after.follower is not None:
            step(f"compare both sides in {change.after}")
            equal = actions.prove()
        version = _published(actions, order, step)
    except PipelineError as error:
        unfinished = error.message
    closed = replace(change, equal_after=equal, version_after=version, unfinished=unfinished)
    with suppress(PipelineError):
        actions.note(closed)
    return closed


def plan(state: State, evidence: Evidence) -> Iterator[Verdict]:
    """The verdict on every move from here."""
    for after in (state.phase.next, state.phase.previous):
        if after is not None:
            yield judge(Move(state.phase, after), evidence)

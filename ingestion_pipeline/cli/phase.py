"""`ingest phase`: where the site could go, going there and back, and where it has been."""

import dataclasses
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any

import click

from ingestion_pipeline.cli import show
from ingestion_pipeline.cli.frame import Frame, command
from ingestion_pipeline.cli.progress import size_of
from ingestion_pipeline.domain.errors import Exit
from ingestion_pipeline.domain.phase import Phase
from ingestion_pipeline.domain.transition import Condition

if TYPE_CHECKING:
    from ingestion_pipeline.app.changing import How
    from ingestion_pipeline.app.phases import Phases, Plan
    from ingestion_pipeline.domain.phase_change import PhaseChange
    from ingestion_pipeline.domain.transition import Verdict
    from ingestion_pipeline.operations.change_phase import ChangeReport


@click.group()
def phase() -> None:
    """Which side leads: plan a change of phase, make it, take it back."""


@phase.command("plan")
@command
def show_plan(frame: Frame) -> None:
    """Show every move from here: whether its gate is open, and if not, why not."""
    with frame.pipeline() as pipeline, frame.bar("looking at both sides"):
        plan = pipeline.phase.plan()
    frame.answer(_plan_answer(plan), lambda: _show_plan(plan))


def _plan_answer(plan: "Plan") -> dict[str, Any]:
    return {
        "phase": {"wanted": plan.wanted, "in_force": plan.state.phase, "epoch": plan.state.epoch},
        "moves": [
            {
                **_verdict_answer(verdict),
                "gate": verdict.gate,
                "first": list(verdict.remedies) if verdict.is_within_reach else [],
            }
            for verdict in plan.verdicts
        ],
    }


def _verdict_answer(verdict: "Verdict") -> dict[str, Any]:
    return {
        "before": verdict.move.before,
        "after": verdict.move.after,
        "why_not": [{"condition": one.condition, "why": one.why, "hint": one.hint} for one in verdict.unmet],
    }


def _show_plan(plan: "Plan") -> None:
    title = f"In force: {plan.state.phase}, epoch {plan.state.epoch}. Wanted: {plan.wanted}."
    lines = [line for verdict in plan.verdicts for line in _plan_lines(verdict)]
    show.table(title, ("move", "gate", "why not, and what next"), lines)


def _plan_lines(verdict: "Verdict") -> list[tuple[str, str, str]]:
    """A line a reason, with what the command itself does about it, or else what people can do."""
    verb = "advance" if verdict.move.is_forward else "rollback"
    reasons = [f"{one.why} ({one.what_next})" for one in verdict.unmet]
    first, *others = reasons or [f"`ingest phase {verb}`"]
    return [
        (f"{verb} to {verdict.move.after}", verdict.gate, first),
        *((" ", " ", reason) for reason in others),
    ]


def _changing(run: Callable[..., Exit | None]) -> Callable[..., Exit | None]:
    """The options of a change of phase, forward or back."""
    for option in reversed(
        (
            click.option("--dry-run", is_flag=True, help="Say what would be done, and change nothing."),
            click.option(
                "--override",
                "overrides",
                multiple=True,
                type=click.Choice([condition.value for condition in Condition]),
                metavar="CONDITION",
                help="Let a named condition of the gate pass; kept for the record. Needs --because.",
            ),
            click.option("--because", metavar="TEXT", help="Why, in your own words."),
        )
    ):
        run = option(run)
    return run


@phase.command()
@click.option("--to", type=click.Choice([one.value for one in Phase]), help="The phase to go to.")
@click.option("--accept-loss", is_flag=True, help="Go on where a brake would stop a sync.")
@_changing
@command
def advance(
    frame: Frame,
    *,
    to: str | None,
    accept_loss: bool,
    dry_run: bool,
    overrides: tuple[str, ...],
    because: str | None,
) -> Exit:
    """Go on towards PostgreSQL, one gate at a time, gathering what proof is missing.

    Without --to: to the phase that the configuration asks for if that lies ahead, else to the next one. What
    is done by hand stays until the configuration is edited. Exits 1 where a gate stays shut.
    """
    from ingestion_pipeline.app.changing import How  # noqa: PLC0415 - --help does not wait for it
    from ingestion_pipeline.app.phases import Phases  # noqa: PLC0415 - likewise

    how = How(_named(overrides), because, accept_loss=accept_loss, dry_run=dry_run)
    return _change(frame, to, how, Phases.advance)


@phase.command()
@click.option("--to", type=click.Choice([one.value for one in Phase]), help="The phase to go back to.")
@click.option("--drop-tables", is_flag=True, help="On arrival in original, drop all that PostgreSQL holds.")
@_changing
@command
def rollback(
    frame: Frame,
    *,
    to: str | None,
    drop_tables: bool,
    dry_run: bool,
    overrides: tuple[str, ...],
    because: str | None,
) -> Exit:
    """Go back towards the CSV; where PostgreSQL leads, the CSV is brought level first and proved equal.

    Without --to: to the phase before. What is done by hand stays until the configuration is edited. Exits 1
    where a gate stays shut.
    """
    from ingestion_pipeline.app.changing import How  # noqa: PLC0415 - --help does not wait for it
    from ingestion_pipeline.app.phases import Phases  # noqa: PLC0415 - likewise

    how = How(_named(overrides), because, drop_tables=drop_tables, dry_run=dry_run)
    return _change(frame, to, how, Phases.rollback)


def _named(overrides: tuple[str, ...]) -> frozenset[Condition]:
    return frozenset(Condition(name) for name in overrides)


def _change(
    frame: Frame,
    to: str | None,
    how: "How",
    change: Callable[["Phases", Phase | None, "How"], "ChangeReport"],
) -> Exit:
    with frame.pipeline() as pipeline, frame.bar("looking at both sides") as progress:
        total = size_of(pipeline.csv.path)
        if total is not None:
            progress.whole(total)
        wanted = pipeline.settings.wanted_phase
        report = change(
            pipeline.phase,
            Phase(to) if to else None,
            dataclasses.replace(how, step=progress.step, progress=progress.read),
        )
    frame.answer(_report_answer(report), lambda: _show_report(report, wanted))
    return Exit.DONE if report.shut is None else Exit.FINDING


def _report_answer(report: "ChangeReport") -> dict[str, Any]:
    return {
        "began": report.began.phase,
        "phase": report.state.phase,
        "epoch": report.state.epoch,
        "changes": report.changes,
        "shut": None if report.shut is None else _verdict_answer(report.shut),
        "dropped": report.dropped and not report.dry_run,
        "steps": report.steps,
        "dry_run": report.dry_run,
    }


def _show_report(report: "ChangeReport", wanted: Phase) -> None:
    if report.dry_run:
        show.table("Would be done (nothing was changed)", ("step",), [(step,) for step in report.steps])
    elif report.changes:
        _show_changes("Changed", report.changes)
    elif report.shut is None:
        click.echo(f"The phase in force is {report.state.phase} already.")
    if report.dropped and not report.dry_run:
        click.echo("The tables are dropped.")
    if report.shut is not None:
        lines = [(one.condition, one.why, one.hint) for one in report.shut.unmet]
        title = f"The gate of {report.shut.move} is shut; {report.state.phase} stays in force"
        show.table(title, ("condition", "why not", "what next"), lines)
    elif report.changes and not report.dry_run and wanted is not report.state.phase:
        click.echo(f"The configuration asks for {wanted}: edit migration.phase, so that it says what holds.")


def _show_changes(title: str, changes: tuple["PhaseChange", ...]) -> None:
    header = ("epoch", "change", "at", "remarks")
    show.table(title, header, [_change_line(one) for one in changes])


def _change_line(change: "PhaseChange") -> tuple[object, ...]:
    at = change.at[:19].replace("T", " ")
    return change.epoch, f"{change.before}\n-> {change.after}", at, "; ".join(_remarks(change))


def _remarks(change: "PhaseChange") -> Iterator[str]:
    yield f"by {change.by}" if change.by_hand else "by the configuration"
    if change.pause is not None:
        yield f"writers paused {change.pause:.3f} s"
    if change.drained or change.rechecked:
        yield f"{change.drained} drained, {change.rechecked} looked at again"
    if change.equal_after is not None:
        yield "equal since" if change.equal_after else "NOT equal since: see `ingest compare`"
    if change.overridden:
        yield f"{', '.join(change.overridden)} let pass: {change.because}"
    if change.unfinished:
        yield change.unfinished


@phase.command()
@command
def history(frame: Frame) -> None:
    """Show every change of phase: when, by whom, how long writers paused, and what was let pass."""
    with frame.pipeline() as pipeline:
        changes = pipeline.phase.history()
        changing = pipeline.phase.changing()
    if not changes and not frame.as_json:
        click.echo("The phase has never been changed.")
    else:
        frame.answer(
            {"changes": changes, "changing": changing}, lambda: _show_changes("Phases", tuple(changes))
        )
    if changing is not None and not frame.as_json:
        click.echo(f"A change to {changing.after} was begun at {changing.at} and is not over: run it again.")

"""The commands: each opens the pipeline, calls one verb and answers."""

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from ingestion_pipeline.cli import show
from ingestion_pipeline.cli.adopt import adopt
from ingestion_pipeline.cli.alerts import alerts
from ingestion_pipeline.cli.asking import find, search
from ingestion_pipeline.cli.backups import backup, drill
from ingestion_pipeline.cli.database import database
from ingestion_pipeline.cli.frame import Frame, command
from ingestion_pipeline.cli.health import health, metrics
from ingestion_pipeline.cli.phase import phase
from ingestion_pipeline.cli.progress import size_of
from ingestion_pipeline.cli.quarantine import quarantine
from ingestion_pipeline.cli.render import render
from ingestion_pipeline.cli.report import report
from ingestion_pipeline.cli.restore import restore
from ingestion_pipeline.cli.versions import export, prune, versions
from ingestion_pipeline.cli.writing import delete, history, settle, write
from ingestion_pipeline.domain.errors import Exit
from ingestion_pipeline.domain.reports import FIRST, CompareReport, Normalised, SyncReport

if TYPE_CHECKING:
    from ingestion_pipeline.domain.pending import Pending
    from ingestion_pipeline.domain.phase_change import PhaseChange
    from ingestion_pipeline.operations.status import StatusReport

SHOWN = 20
"""Differences shown to people; --json names all that were asked for."""


@click.group(context_settings={"help_option_names": ["-h", "--help"]})
@click.option("--config", type=click.Path(path_type=Path), help="The configuration file.")
@click.option("--json", "as_json", is_flag=True, help="Answer in JSON.")
@click.version_option(package_name="ingestion-pipeline")
def ingest(**_options: Any) -> None:
    """Take a CSV that acts as a database to PostgreSQL, and back.

    Exit codes: 0 done or equal; 1 a finding; 2 usage or configuration; 3 input refused; 4 a store is
    unavailable; 5 refused to protect data.
    """


@ingest.command()
@command
def status(frame: Frame) -> None:
    """Say where the site stands: phase, who leads, what is open."""
    with frame.pipeline() as pipeline, frame.bar("looking"):
        report = pipeline.status()
    frame.answer(_status_answer(report), lambda: _show_status(report))


def _status_answer(report: "StatusReport") -> dict[str, Any]:
    return {
        "phase": {"wanted": report.wanted, "in_force": report.in_force, "epoch": report.epoch},
        **show.host(report.host, report.in_force),
        "authority": report.authority,
        "follower": report.follower,
        "pending": report.pending.all,
        "pending_seconds": round(report.pending.seconds, 3),
        "degraded": report.degraded,
        "changing": report.changing,
        "merged": report.merged,
        "quarantine": {"undecided": report.quarantine.undecided, "accepted": report.quarantine.accepted},
        "proved_equal": {"now": not report.why_not, "why_not": list(report.why_not)},
        "proof": report.proof,
    }


def _show_status(report: "StatusReport") -> None:
    pairs: list[tuple[str, object]] = [
        ("phase", report.in_force or "not begun"),
        ("wanted", report.wanted),
        ("epoch", report.epoch),
        ("authority", report.authority),
        ("follower", report.follower),
        *([("this host may", report.host.may(report.in_force))] if report.host else []),
        ("pending", _pending(report.pending)),
        *([("degraded", report.degraded)] if report.degraded else []),
        *([("half-done", _half_done(report.changing))] if report.changing else []),
        *([("the CSV was rewritten by others", show.merged(report.merged))] if report.merged else []),
        ("quarantine", f"{report.quarantine.undecided} undecided, {report.quarantine.accepted} accepted"),
        ("compared", None if report.proof is None else report.proof.stamped_at),
        ("proved equal", "no" if report.why_not else "yes, as both sides are now"),
    ]
    show.rows("Status", [*pairs, *(("", f"because {reason}") for reason in report.why_not)])


def _half_done(change: "PhaseChange") -> str:
    verb = "advance" if change.move.is_forward else "rollback"
    return f"a change to {change.after}, begun at {change.at}: run `ingest phase {verb}` again"


def _pending(pending: "Pending") -> str:
    waiting = f", the first for {pending.seconds:,.0f} s" if pending.all else ""
    return f"{pending.all:,}{waiting}"


@ingest.command()
@click.option("--dry-run", is_flag=True, help="Count what would change, and change nothing.")
@click.option("--accept-loss", is_flag=True, help="Go on where a brake would stop the load.")
@click.option("--normalise", is_flag=True, help="Write a normalised copy beside the CSV and sync that.")
@command
def sync(frame: Frame, *, dry_run: bool, accept_loss: bool, normalise: bool) -> None:
    """Make PostgreSQL equal to the CSV that leads."""
    if dry_run and normalise:
        raise click.UsageError("--normalise writes a copy; it does not go with --dry-run")
    with (
        frame.pipeline() as pipeline,
        frame.bar("normalising" if normalise else "preparing", total=size_of(pipeline.csv.path)) as progress,
    ):
        csv, normalised = pipeline.csv.normalised() if normalise else (None, None)
        report = pipeline.sync(
            csv=csv, accept_loss=accept_loss, dry_run=dry_run, progress=progress.read, step=progress.step
        )
    answer: dict[str, Any] = {name: getattr(report, name) for name in SyncReport.__dataclass_fields__}
    if normalised is not None:
        answer["normalised"] = normalised
    frame.answer(answer, lambda: _show_sync(report, normalised))


def _show_sync(report: SyncReport, normalised: Normalised | None) -> None:
    if normalised is not None:
        title = f"{len(normalised.changes):,} rows are spelled otherwise in {normalised.path}"
        show.table(title, ("line", "column"), [(c.line, c.column) for c in normalised.changes[:SHOWN]])
        click.echo("PostgreSQL follows the copy; put it in the CSV's place before you compare.")
    title = "Would sync (nothing was changed)" if report.dry_run else "Synced"
    show.rows(
        title,
        [
            ("rows read", f"{report.rows_read:,}"),
            ("inserted", f"{report.inserted:,}"),
            ("updated", f"{report.updated:,}"),
            ("unchanged", f"{report.unchanged:,}"),
            ("deleted", f"{report.deleted:,}"),
            ("moved", f"{report.moved:,}"),
            ("repeated lines", f"{report.repeated:,}"),
            ("quarantined", f"{report.quarantined_rows:,} rows, {report.quarantined_cells:,} cells"),
            ("seconds", report.seconds),
        ],
    )


@ingest.command()
@click.option(
    "--limit",
    type=click.IntRange(min=0),
    default=FIRST,
    show_default=True,
    help="Name at most so many; all are counted.",
)
@command
def compare(frame: Frame, *, limit: int) -> Exit:
    """Prove that both sides are equal, or name each row and column that differs. Exits 1 if any does."""
    with (
        frame.pipeline() as pipeline,
        frame.bar("comparing", total=size_of(pipeline.csv.path)) as progress,
    ):
        report = pipeline.compare(limit=limit, progress=progress.read)
    frame.answer(_compare_answer(report), lambda: _show_compare(report))
    return Exit.DONE if report.equal else Exit.FINDING


def _compare_answer(report: CompareReport) -> dict[str, Any]:
    return {name: getattr(report, name) for name in CompareReport.__dataclass_fields__}


def _show_compare(report: CompareReport) -> None:
    show.rows(
        "Equal" if report.equal else "Not equal",
        [
            ("rows", f"{report.rows:,}"),
            ("bytes equal", "yes" if report.bytes_equal else "no"),
            ("missing", f"{report.missing:,}"),
            ("extra", f"{report.extra:,}"),
            ("changed", f"{report.changed:,}"),
            ("pending", f"{report.pending:,}"),
            ("seconds", report.seconds),
            *([] if report.stamped else [("proof", "not kept: that takes the role of the writer")]),
            *([("replica", report.replica)] if report.replica else []),
        ],
    )
    if report.differences:
        lines = [(one.row_id, one.column, one.kind) for one in report.differences[:SHOWN]]
        title = f"{report.counted:,} differences" + (", the first of them" if report.counted > SHOWN else "")
        show.table(title, ("row_id", "column", "kind"), lines)


@ingest.command()
@command
def doctor(frame: Frame) -> Exit:
    """Look at everything the pipeline needs, and say what to mend."""
    from ingestion_pipeline.doctor import examine  # noqa: PLC0415 - no other command needs it

    with frame.bar("looking"):
        checks = examine(frame.config)
    lines = [("ok" if check.ok else "mend", check.name, check.finding, check.hint) for check in checks]
    answer = {"ok": all(check.ok for check in checks), "checks": checks}
    frame.answer(answer, lambda: show.table("Doctor", ("", "what", "found", "what next"), lines))
    return Exit.DONE if answer["ok"] else Exit.FINDING


for _verb in (
    *(write, delete, settle, history, search, find, render, report, health, metrics),
    *(export, versions, restore, prune, backup, drill, adopt),
):
    ingest.add_command(_verb)
for _group in (phase, quarantine, alerts, database):
    ingest.add_command(_group)

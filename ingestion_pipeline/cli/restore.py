"""`ingest restore`: bring back what was published, or what was at a time."""

import re
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from ingestion_pipeline.cli import show
from ingestion_pipeline.cli.frame import Frame, command
from ingestion_pipeline.domain.errors import Exit
from ingestion_pipeline.domain.phase import Side

if TYPE_CHECKING:
    from ingestion_pipeline.app import Pipeline
    from ingestion_pipeline.app.database_backups import DatabaseRestored
    from ingestion_pipeline.app.restorable import How
    from ingestion_pipeline.app.restoring import RestoreReport

BOTH = "both"

_EQUAL = {True: "yes", False: "NO: see `ingest compare`", None: "not known: run `ingest compare`"}

_AGO = re.compile(r"(\d+) (second|minute|hour|day|week)s? ago", re.ASCII)


def moment(_context: click.Context, _option: click.Parameter, text: str | None) -> datetime | None:
    """The time that is meant by ISO 8601, in this machine's zone unless it has its own, or by so long ago."""
    if text is None:
        return None
    ago = _AGO.fullmatch(text.strip())
    try:
        if ago is not None:
            return datetime.now(UTC) - timedelta(**{f"{ago.group(2)}s": int(ago.group(1))})
        found = datetime.fromisoformat(text.strip())
        return found if found.tzinfo is not None else found.astimezone()
    except (ValueError, OverflowError):
        raise click.BadParameter(
            "a time is 2026-11-22T10:30, with Z or +01:00 after it or not, or such as `5 minutes ago`"
        ) from None


@click.command()
@click.argument("version", required=False, metavar="[VERSION|latest]")
@click.option(
    "--as-of", "at", callback=moment, metavar="TIME", help="What PostgreSQL held at this time instead."
)
@click.option(
    "--to",
    "target",
    default=BOTH,
    show_default=True,
    metavar="csv|postgres|both|PATH",
    help="The side that leads, with its follower; or a file.",
)
@click.option("--database", is_flag=True, help="VERSION is a dump of the database; see `ingest backup`.")
@click.option("--dry-run", is_flag=True, help="Say what would be done, and change nothing.")
@click.option("--accept-loss", is_flag=True, help="Go on where people would vanish.")
@command
def restore(
    frame: Frame,
    *,
    version: str | None,
    at: datetime | None,
    target: str,
    database: bool,
    dry_run: bool,
    accept_loss: bool,
) -> Exit:
    """Make the site what a version holds, or what PostgreSQL held at a time; or write that to a file.

    VERSION is `latest`, a version's key, or the last part of it; see `ingest versions`. TIME is ISO 8601, in
    this machine's zone unless it has its own, or such as "5 minutes ago".

    With --database PostgreSQL becomes what a dump holds, history and all. Where the CSV leads, it goes on
    leading, and only history is another one.

    It is a new state: whatever was there before is published first. Exits 1 where both sides are not equal
    afterwards.
    """
    if (version is None) == (at is None):
        raise click.UsageError("name a VERSION, or a time with --as-of")
    if database and (version is None or target != BOTH):
        raise click.UsageError("--database takes a VERSION, and neither --as-of nor --to")
    to_file = target not in (BOTH, *Side)
    if to_file and (target == "-" or target.lower() in (BOTH, *Side)):
        raise click.UsageError(f"--to is csv, postgres, both or the name of a file; {target} is none of them")
    if to_file and dry_run:
        raise click.UsageError("--dry-run goes with csv, postgres and both; a file changes nothing else")
    from ingestion_pipeline.app.restorable import How  # noqa: PLC0415 - --help does not wait for it

    what = at or version or ""
    with frame.pipeline() as pipeline, frame.bar("looking") as progress:
        how = How(
            accept_loss=accept_loss,
            dry_run=dry_run,
            progress=progress.read,
            step=progress.step,
            size=progress.whole,
        )
        if database:
            dump = pipeline.backups.restore(str(what), how)
        elif to_file:
            written = _to_file(pipeline, what, Path(target), how)
        else:
            report = _to_site(pipeline, what, replace(how, to=None if target == BOTH else Side(target)))
    if database:
        return _say_dump(frame, dump)
    if to_file:
        frame.answer(written, lambda: show.rows("Written", written.items()))
        return Exit.DONE
    frame.answer(_answer(report), lambda: _show(report))
    return Exit.FINDING if report.equal is False else Exit.DONE


def _to_site(pipeline: "Pipeline", what: str | datetime, how: "How") -> "RestoreReport":
    if isinstance(what, datetime):
        return pipeline.restore.as_of(what, how)
    return pipeline.restore.version(what, how)


def _to_file(pipeline: "Pipeline", what: str | datetime, target: Path, how: "How") -> dict[str, Any]:
    if isinstance(what, datetime):
        written = pipeline.restore.as_of_to(what, target, accept_loss=how.accept_loss)
        source = what.isoformat()
    else:
        manifest, written = pipeline.restore.version_to(what, target, how.progress, how.size)
        source = manifest.key
    return {"source": source, "path": str(target), "sha256": written.sha256, "size": written.size}


def _say_dump(frame: Frame, report: "DatabaseRestored") -> Exit:
    answer = {
        "source": report.key,
        "phase": report.state.phase,
        "epoch": report.state.epoch,
        "rows": report.rows,
        "dump_before": report.dump_before,
        "version_before": report.version_before,
        "kept": report.kept,
        "equal": report.equal,
        "dry_run": report.dry_run,
    }
    frame.answer(answer, lambda: _show_dump(report))
    return Exit.FINDING if report.equal is False else Exit.DONE


def _show_dump(report: "DatabaseRestored") -> None:
    pairs: list[tuple[str, object]] = [
        ("dump", report.key),
        ("rows in it", f"{report.rows:,}"),
        ("phase", report.state.phase),
    ]
    if report.dry_run:
        from ingestion_pipeline.operations import restore_dump  # noqa: PLC0415 - see restore

        _show_steps(restore_dump.steps(report.state.phase))
        show.rows("The dump is whole", pairs)
        return
    pairs += [
        ("epoch", report.state.epoch),
        ("dump before", report.dump_before),
        ("version before", report.version_before),
        *([("kept before", report.kept)] if report.kept else []),
        *([("equal", _EQUAL[report.equal])] if report.state.phase.follower else []),
    ]
    show.rows("Restored", pairs)


def _show_steps(named: tuple[str, ...]) -> None:
    show.table("Would be done (nothing was changed)", ("", "step"), list(enumerate(named, start=1)))


def _answer(report: "RestoreReport") -> dict[str, Any]:
    weighed = report.restored.weighed
    return {
        "source": report.source,
        "phase": report.phase,
        "rows": weighed.rows,
        "inserted": weighed.inserted,
        "updated": weighed.updated,
        "deleted": weighed.deleted,
        "sides": report.restored.sides,
        "version_before": report.version_before,
        "kept": report.kept,
        "kept_follower": report.kept_follower,
        "equal": report.equal,
        "dry_run": report.dry_run,
        "seconds": report.restored.seconds,
    }


_NOT_TOLD = "not told: spelled otherwise, or nothing there that can be read"


def _show(report: "RestoreReport") -> None:
    weighed, sides = report.restored.weighed, report.restored.sides
    pairs: list[tuple[str, object]] = [
        ("restored", report.source),
        ("phase", report.phase),
        ("rows", f"{weighed.rows:,}"),
        ("inserted", f"{weighed.inserted:,}"),
        ("updated", _NOT_TOLD if weighed.updated is None else f"{weighed.updated:,}"),
        ("deleted", f"{weighed.deleted:,}"),
    ]
    if report.dry_run:
        from ingestion_pipeline.operations.restore import steps  # noqa: PLC0415 - see restore

        _show_steps(steps(report.phase))
        show.rows("Would come of it", pairs)
        return
    pairs += [
        ("holds it now", " and ".join(sides)),
        ("version before", report.version_before),
        *([("kept before", report.kept)] if report.kept else []),
        *([("kept of PostgreSQL", report.kept_follower)] if report.kept_follower else []),
        *([("equal", _equal(report))] if report.phase.follower else []),
        ("seconds", report.restored.seconds),
    ]
    show.rows("Restored", pairs)


def _equal(report: "RestoreReport") -> str:
    if len(report.restored.sides) == 1:
        return f"{report.phase.follower} has yet to get it: run `ingest settle`"
    return _EQUAL[report.equal]

"""`ingest export`, `versions`, `restore` and `prune`: what was published, and bringing it back."""

import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from itertools import islice
from pathlib import Path
from typing import Any

import click

from ingestion_pipeline.app import Pipeline
from ingestion_pipeline.app.restoring import How, RestoreReport
from ingestion_pipeline.cli import show
from ingestion_pipeline.cli.frame import Frame, command, is_terminal
from ingestion_pipeline.cli.progress import Bar, bar
from ingestion_pipeline.domain.errors import Exit
from ingestion_pipeline.domain.phase import Side
from ingestion_pipeline.domain.version import Manifest, Version
from ingestion_pipeline.operations.restore import steps

SHOWN = 20
"""Versions shown unless more are asked for."""

BOTH = "both"

_AGO = re.compile(r"(\d+) (second|minute|hour|day|week)s? ago", re.ASCII)


@click.command()
@command
def export(frame: Frame) -> None:
    """Publish a version, unless the newest holds the same bytes already."""
    with frame.pipeline() as pipeline:
        report = pipeline.export()
    content = report.manifest.content
    answer = {
        "published": report.published,
        "version": report.manifest.key,
        "place": report.place,
        "sha256": content.sha256,
        "rows": content.rows,
        "size": content.size,
        "seconds": report.seconds,
    }
    title = "Published" if report.published else "Unchanged: the newest version holds the same bytes"
    frame.answer(answer, lambda: show.rows(title, answer.items()))


@click.command()
@click.option(
    "--limit", type=click.IntRange(min=1), default=SHOWN, show_default=True, help="The newest so many."
)
@click.option("--all", "show_all", is_flag=True, help="All there are.")
@click.option("--no-read", "unread", is_flag=True, help="Go by the manifests; do not read the versions back.")
@command
def versions(frame: Frame, *, limit: int, show_all: bool, unread: bool) -> Exit:
    """List the versions, newest first, each read back and compared with its digest.

    Exits 1 if one that is listed is not good.
    """
    with frame.pipeline() as pipeline:
        listing = list(islice(pipeline.listing(read=not unread), None if show_all else limit))
        place = pipeline.versions.place
    answer = {"place": place, "versions": [_version(one, read=not unread) for one in listing]}
    lines = [_line(one, read=not unread) for one in listing]
    header = ("version", "phase", "rows", "found")
    if listing or frame.as_json:
        frame.answer(answer, lambda: show.table(f"Versions in {place}", header, lines, whole=header[:1]))
    else:
        click.echo(f"Versions in {place}: none yet.")
    return Exit.DONE if all(version.amiss is None for version in listing) else Exit.FINDING


def _version(version: Version, *, read: bool) -> dict[str, Any]:
    good = None if version.good and not read else version.good
    found = {"key": version.key, "good": good, "amiss": version.amiss}
    return found if version.manifest is None else found | _manifest(version.manifest)


def _manifest(manifest: Manifest) -> dict[str, Any]:
    content, stored = manifest.content, manifest.stored
    return {
        "key": manifest.key,
        "number": manifest.number,
        "published_at": content.published_at,
        "phase": content.phase,
        "epoch": content.epoch,
        "compared_at": content.compared_at,
        "run_id": content.run_id,
        "rows": content.rows,
        "size": content.size,
        "sha256": content.sha256,
        "stored": {"size": stored.size, "form": stored.form, "version_id": stored.version_id},
    }


def _line(version: Version, *, read: bool) -> tuple[object, ...]:
    name = version.key.rpartition("/")[2]
    standing = version.amiss or ("good" if read else "not read")
    if version.manifest is None:
        return name, None, None, standing
    return name, version.manifest.content.phase, f"{version.manifest.content.rows:,}", standing


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
@click.option("--dry-run", is_flag=True, help="Say what would be done, and change nothing.")
@click.option("--accept-loss", is_flag=True, help="Go on where people would vanish.")
@command
def restore(
    frame: Frame, *, version: str | None, at: datetime | None, target: str, dry_run: bool, accept_loss: bool
) -> Exit | None:
    """Make the site what a version holds, or what PostgreSQL held at a time; or write that to a file.

    VERSION is `latest`, a version's key, or the last part of it; see `ingest versions`. TIME is ISO 8601, in
    this machine's zone unless it has its own, or such as "5 minutes ago".

    It is a new state: whatever was there before is published first. Exits 1 where both sides are not equal
    afterwards.
    """
    if (version is None) == (at is None):
        raise click.UsageError("name a VERSION, or a time with --as-of")
    to_file = target not in (BOTH, *Side)
    if to_file and dry_run:
        raise click.UsageError("--dry-run goes with csv, postgres and both; a file changes nothing else")
    with frame.pipeline() as pipeline, _watched(frame) as progress:
        if to_file:
            answer = _to_file(pipeline, version, at, Path(target), accept_loss=accept_loss, progress=progress)
        else:
            how = How(
                None if target == BOTH else Side(target),
                accept_loss=accept_loss,
                dry_run=dry_run,
                progress=progress.read,
                step=progress.step,
            )
            report = _restored(pipeline, version, at, how)
    if to_file:
        frame.answer(answer, lambda: show.rows("Written", answer.items()))
        return None
    frame.answer(_answer(report), lambda: _show(report))
    return Exit.FINDING if report.equal is False else Exit.DONE


@contextmanager
def _watched(frame: Frame) -> Iterator[Bar]:
    with bar(None, hidden=frame.as_json or not is_terminal()) as progress:
        yield progress


def _restored(pipeline: Pipeline, version: str | None, at: datetime | None, how: How) -> RestoreReport:
    if at is not None:
        return pipeline.restore.as_of(at, how)
    return pipeline.restore.version(version or "", how)


def _to_file(
    pipeline: Pipeline,
    version: str | None,
    at: datetime | None,
    target: Path,
    *,
    accept_loss: bool,
    progress: Bar,
) -> dict[str, Any]:
    if at is not None:
        source, written = at.isoformat(), pipeline.restore.as_of_to(at, target, accept_loss=accept_loss)
    else:
        manifest, written = pipeline.restore.version_to(version or "", target, progress.read)
        source = manifest.key
    return {"source": source, "path": str(target), "sha256": written.sha256, "size": written.size}


def _answer(report: RestoreReport) -> dict[str, Any]:
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
        "equal": report.equal,
        "dry_run": report.dry_run,
        "seconds": report.restored.seconds,
    }


def _show(report: RestoreReport) -> None:
    weighed, sides = report.restored.weighed, report.restored.sides
    pairs: list[tuple[str, object]] = [
        ("restored", report.source),
        ("phase", report.phase),
        ("rows", f"{weighed.rows:,}"),
        ("inserted", f"{weighed.inserted:,}"),
        ("updated", "all are spelled otherwise" if weighed.updated is None else f"{weighed.updated:,}"),
        ("deleted", f"{weighed.deleted:,}"),
    ]
    if report.dry_run:
        numbered = list(enumerate(steps(report.phase), start=1))
        show.table("Would be done (nothing was changed)", ("", "step"), numbered)
        show.rows("Would come of it", pairs)
        return
    pairs += [
        ("holds it now", " and ".join(sides)),
        ("version before", report.version_before),
        *([("kept before", report.kept)] if report.kept else []),
        *([("equal", _equal(report))] if report.phase.follower else []),
        ("seconds", report.restored.seconds),
    ]
    show.rows("Restored", pairs)


def _equal(report: RestoreReport) -> str:
    if len(report.restored.sides) == 1:
        return f"{report.phase.follower} has yet to get it: run `ingest settle`"
    known = {True: "yes", False: "NO: see `ingest compare`", None: "not known: run `ingest compare`"}
    return known[report.equal]


@click.command()
@click.option("--dry-run", is_flag=True, help="Name them, and take none away.")
@command
def prune(frame: Frame, *, dry_run: bool) -> None:
    """Take away the versions that need not be kept, by exports.keep of the configuration.

    The newest good version stays, and so do those that a change of phase or the newest comparison names.
    """
    with frame.pipeline() as pipeline:
        gone = pipeline.restore.prune(dry_run=dry_run)
        keep = pipeline.restore.keep
    answer = {
        "keep": None if keep.is_all else keep,
        "versions": [one.key for one in gone],
        "dry_run": dry_run,
    }
    frame.answer(answer, _shown_pruned(gone, is_all=keep.is_all, dry_run=dry_run))


def _shown_pruned(gone: list[Manifest], *, is_all: bool, dry_run: bool) -> Callable[[], None]:
    def shown() -> None:
        if is_all:
            click.echo("All versions are kept: exports.keep asks for nothing else.")
        elif not gone:
            click.echo("There is no version that need not be kept.")
        else:
            title = "Would take away (nothing was changed)" if dry_run else "Taken away"
            lines = [(one.key, f"{one.content.rows:,}") for one in gone]
            show.table(title, ("version", "rows"), lines, whole=("version",))

    return shown

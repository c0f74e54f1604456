"""`ingest export`, `versions` and `prune`: what is published, and for how long."""

from collections.abc import Callable
from itertools import islice
from typing import TYPE_CHECKING, Any

import click

from ingestion_pipeline.cli import show
from ingestion_pipeline.cli.frame import Frame, command
from ingestion_pipeline.cli.progress import size_of
from ingestion_pipeline.domain.errors import Exit

if TYPE_CHECKING:
    from ingestion_pipeline.domain.version import Manifest, Version

SHOWN = 20
"""Versions shown unless more are asked for."""


@click.command()
@command
def export(frame: Frame) -> None:
    """Publish a version, unless the newest holds the same bytes already."""
    with (
        frame.pipeline() as pipeline,
        frame.bar("exporting", total=size_of(pipeline.csv.path)) as progress,
    ):
        report = pipeline.export(progress=progress.read)
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
@click.option("--database", "dumps", is_flag=True, help="The dumps of the database instead.")
@click.option("--no-read", "unread", is_flag=True, help="Go by the manifests; do not read the versions back.")
@command
def versions(frame: Frame, *, limit: int, show_all: bool, dumps: bool, unread: bool) -> Exit:
    """List the versions, newest first, each read back and compared with its digest.

    Exits 1 if one that is listed is not good.
    """
    with frame.pipeline() as pipeline, frame.bar("reading", unit="versions") as progress:
        published = pipeline.backups.listing if dumps else pipeline.listing
        listing = []
        for one in islice(published(read=not unread), None if show_all else limit):
            listing.append(one)
            progress.count(1)
        place = pipeline.versions.place
    answer = {"place": place, "versions": [_version(one, read=not unread) for one in listing]}
    lines = [_line(one, read=not unread) for one in listing]
    what = "Dumps" if dumps else "Versions"
    header = ("version", "phase", "rows", "found")
    if listing or frame.as_json:
        frame.answer(answer, lambda: show.table(f"{what} in {place}", header, lines, whole=header[:1]))
    else:
        click.echo(f"{what} in {place}: none yet.")
    return Exit.DONE if all(version.amiss is None for version in listing) else Exit.FINDING


def _version(version: "Version", *, read: bool) -> dict[str, Any]:
    good = None if version.good and not read else version.good
    found = {"key": version.key, "good": good, "amiss": version.amiss}
    return found if version.manifest is None else found | _manifest(version.manifest)


def _manifest(manifest: "Manifest") -> dict[str, Any]:
    content, stored = manifest.content, manifest.stored
    return {
        "key": manifest.key,
        "number": manifest.number,
        "published_at": content.published_at,
        "phase": content.phase,
        "epoch": content.epoch,
        "compared_at": content.compared_at,
        "run_id": content.run_id,
        "before": content.before,
        "rows": content.rows,
        "size": content.size,
        "sha256": content.sha256,
        "stored": {"size": stored.size, "form": stored.form, "version_id": stored.version_id},
    }


def _line(version: "Version", *, read: bool) -> tuple[object, ...]:
    name = version.key.rpartition("/")[2]
    standing = version.amiss or ("good" if read else "not read")
    if version.manifest is None:
        return name, None, None, standing
    content = version.manifest.content
    if content.before is not None:
        standing += ", kept before a restore"
    return name, content.phase, f"{content.rows:,}", standing


@click.command()
@click.option("--dry-run", is_flag=True, help="Name them, and take none away.")
@command
def prune(frame: Frame, *, dry_run: bool) -> None:
    """Take away the versions and the dumps that need not be kept, by exports.keep of the configuration.

    The newest good one of each stays, and so do versions that a change of phase or the newest comparison
    names.
    """
    with frame.pipeline() as pipeline, frame.bar("looking at what was published"):
        gone = pipeline.restore.prune(dry_run=dry_run)
        keep = pipeline.restore.keep
    answer = {
        "keep": None if keep.is_all else keep,
        "versions": [one.key for one in gone],
        "dry_run": dry_run,
    }
    frame.answer(answer, _shown_pruned(gone, is_all=keep.is_all, dry_run=dry_run))


def _shown_pruned(gone: list["Manifest"], *, is_all: bool, dry_run: bool) -> Callable[[], None]:
    def shown() -> None:
        if is_all:
            click.echo("All are kept: exports.keep asks for nothing else.")
        elif not gone:
            click.echo("There is none that need not be kept.")
        else:
            title = "Would take away (nothing was changed)" if dry_run else "Taken away"
            lines = [(one.key, f"{one.content.rows:,}") for one in gone]
            show.table(title, ("key", "rows"), lines, whole=("key",))

    return shown

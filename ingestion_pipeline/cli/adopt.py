"""`ingest adopt`: what an old checkout does to the CSV, and its imports moved over."""

import sys
from collections import Counter
from collections.abc import Callable, Iterator
from itertools import groupby
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from ingestion_pipeline.cli import show
from ingestion_pipeline.cli.frame import Frame, command
from ingestion_pipeline.domain.errors import Exit
from ingestion_pipeline.domain.phase import Phase

if TYPE_CHECKING:
    from ingestion_pipeline.app.adopting import AdoptReport
    from ingestion_pipeline.domain.adoption import Access


@click.command()
@click.argument("path", type=click.Path(path_type=Path))
@click.option("--csv", help="The CSV that is looked for.  [default: as the checkout's configuration says]")
@click.option("--diff", "as_diff", is_flag=True, help="Print the patch for the import lines instead.")
@click.option("--write", is_flag=True, help="Apply that patch.")
@command
def adopt(frame: Frame, *, path: Path, csv: str | None, as_diff: bool, write: bool) -> Exit:
    """Say what an old checkout does to the CSV, line by line, and move its imports over.

    PATH is the checkout's folder or one of its files: Python, shell, Makefile, crontab, workflow. Nothing of
    it is run, and nothing is changed without --write. Exits 1 while anything touches the CSV.
    """
    from ingestion_pipeline.app.adopting import adopt as adopt_checkout  # noqa: PLC0415 - others start quicker
    from ingestion_pipeline.domain.adoption.patching import unified  # noqa: PLC0415 - likewise

    with frame.bar("reading", unit="files") as progress:
        report = adopt_checkout(path, csv, write=write, step=progress.count)
    diff = unified(report.findings.patches) if as_diff else None
    frame.answer(_answer(report, diff), _shown(report, diff))
    return Exit.DONE if report.is_clean else Exit.FINDING


def _answer(report: "AdoptReport", diff: bytes | None) -> dict[str, Any]:
    found = report.findings
    answer = {
        "root": _plain(str(report.root)),
        "csv": _plain(report.csv),
        "looked_at": found.looked_at,
        "counts": Counter(one.what for one in found.accesses),
        "patched": sum(one.patched for one in found.accesses),
        "left": len(found.left),
        "changed": [_plain(file) for file in report.changed],
        "uncommitted": report.uncommitted,
        "accesses": [_access(one) for one in found.accesses],
        "unreadable": [
            {"file": _plain(one.file), "line": one.line, "why": one.why} for one in found.unreadable
        ],
        "replaced": [_plain(file) for file in found.replaced],
    }
    return answer if diff is None else answer | {"diff": diff.decode("utf-8", "replace")}


def _access(one: "Access") -> dict[str, Any]:
    names = ("line", "column", "what", "effect", "how", "certainty", "change", "patched", "phases")
    return {"file": _plain(one.file)} | {name: getattr(one, name) for name in names}


def _plain(text: str) -> str:
    """A name from the disk, of which a terminal shows every character."""
    known = text.encode("utf-8", "surrogateescape").decode("utf-8", "replace")
    return "".join(each if each.isprintable() else "?" for each in known)


def _shown(report: "AdoptReport", diff: bytes | None) -> Callable[[], None]:
    def shown() -> None:
        if diff is None:
            _show(report)
            return
        sys.stdout.buffer.write(diff)
        sys.stdout.buffer.flush()
        for line in _ending(report):
            click.echo(line, err=True)

    return shown


def _show(report: "AdoptReport") -> None:
    found = report.findings
    for file, accesses in groupby(found.accesses, key=lambda one: one.file):
        lines = [_line(one) for one in accesses]
        show.table(
            _plain(file), ("line", "what", "", "recognised by", "what to do"), lines, whole=("line", "what")
        )
    if found.unreadable:
        unread = [(_plain(one.file), one.line, one.why) for one in found.unreadable]
        show.table("Cannot be read", ("file", "line", "why"), unread)
    effects = sorted({one.effect for one in found.accesses})
    if effects:
        notes = {one.effect: one.phases for one in found.accesses}
        header = ("phase", *effects)
        by_phase = [(phase, *(notes[effect][phase] for effect in effects)) for phase in Phase]
        show.table("What becomes of it", header, by_phase, whole=("phase",))
    for line in _ending(report):
        click.echo(line)


def _line(one: "Access") -> tuple[object, ...]:
    what = one.what if one.what == one.effect else f"{one.what}, {one.effect}"
    return f"{one.line}:{one.column}", what, one.certainty, _plain(one.how), one.change


def _ending(report: "AdoptReport") -> Iterator[str]:
    found = report.findings
    counts = Counter(one.what for one in found.accesses)
    counted = (
        ", ".join(f"{count} {what}" for what, count in sorted(counts.items())) or "nothing touches the CSV"
    )
    yield f"{found.looked_at:,} files looked at for {_plain(report.csv)}: {counted}."
    for file in found.replaced:
        yield f"{_plain(file)} is the old module itself: take it away when nothing imports it any more."
    yield from _of_patches(report)
    if found.left:
        yield f"{len(found.left):,} places are left to you."
    if report.uncommitted:
        yield "git had changes that are not committed: they and these are in the same files or beside them."


def _of_patches(report: "AdoptReport") -> Iterator[str]:
    number = sum(one.patched for one in report.findings.accesses)
    if report.changed:
        yield f"{number:,} imports changed in {len(report.changed):,} files."
    elif number:
        yield f"{number:,} imports can be changed: look at them with --diff, change them with --write."
    else:
        yield "No import is left to change."

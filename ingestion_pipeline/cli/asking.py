"""`ingest search` and `find`: who has these words, whose is this file."""

import click

from ingestion_pipeline.cli import show
from ingestion_pipeline.cli.frame import Frame, command
from ingestion_pipeline.domain.asking import FOUND, FindReport, SearchReport, Shared
from ingestion_pipeline.domain.reports import READ

_limited = click.option(
    "--limit",
    type=click.IntRange(min=1),
    default=FOUND,
    show_default=True,
    help="Show at most so many; all are counted.",
)


@click.command()
@click.argument("words")
@_limited
@command
def search(frame: Frame, *, words: str, limit: int) -> None:
    """Find people by words in their name or document, the best first.

    WORDS is one argument: `ada engine` for people who have both, `"difference engine"` in double quotes for a
    phrase, `ada or grace`, `engine -steam`. A name weighs more than a document. PostgreSQL answers, in every
    phase but original.
    """
    with frame.pipeline() as pipeline, frame.bar("asking"):
        report = pipeline.search(words, limit)
    told = ("total", "more", "behind", "csv_changed", "replica", "hits")
    answer = {name: getattr(report, name) for name in told}
    frame.answer(answer, lambda: _show_hits(report))


def _show_hits(report: SearchReport) -> None:
    if report.hits:
        counted = f"{'more than ' if report.more else ''}{report.total:,} people"
        lines = [(hit.row_id, *map(_line, (hit.name, hit.highlight))) for hit in report.hits]
        show.table(_title(len(report.hits), counted), ("row_id", "name", "where"), lines)
    else:
        click.echo("Nobody is found.")
    _say_lag(report)


@click.command()
@click.option("--uuid", metavar="UUID", help="Whose is this UUID, to the letter.")
@click.option("--path", metavar="S3PATH", help="Whose is what lies at this S3 path.")
@click.option("--description", metavar="TEXT", help="Who has a file of this description.")
@click.option("--shared", is_flag=True, help="UUIDs and S3 paths that several people have.")
@click.option("--mismatched", is_flag=True, help="UUIDs in one of a person's maps and not in the other.")
@_limited
@command
def find(
    frame: Frame,
    *,
    uuid: str | None,
    path: str | None,
    description: str | None,
    shared: bool,
    mismatched: bool,
    limit: int,
) -> None:
    """Find people by their files, as file_uuids and s3_paths name them; by one option at a time.

    PostgreSQL answers, in every phase but original.
    """
    with frame.pipeline() as pipeline, frame.bar("asking"):
        report = pipeline.find(
            uuid=uuid,
            path=path,
            description=description,
            shared=shared,
            mismatched=mismatched,
            limit=limit,
        )
    found = {"shared": report.shared} if shared else {"files": report.files}
    told = ("total", "behind", "csv_changed", "replica")
    answer = {**{name: getattr(report, name) for name in told}, **found}
    frame.answer(answer, lambda: _show_shared(report) if shared else _show_files(report))


def _show_files(report: FindReport) -> None:
    if report.files:
        header = ("row_id", "name", "uuid", "description", "path")
        lines = [
            (one.row_id, *map(_line, (one.name, one.uuid, one.description, one.path))) for one in report.files
        ]
        title = _title(len(lines), f"{report.total:,} files")
        show.table(title, header, lines, whole=("row_id", "uuid"))
    else:
        click.echo("No file is found.")
    _say_lag(report)


def _show_shared(report: FindReport) -> None:
    if report.shared:
        header = ("", "shared", "people", "row_ids")
        lines = [(one.kind, _line(one.text), f"{one.people:,}", _named(one)) for one in report.shared]
        show.table(_title(len(lines), f"{report.total:,} UUIDs and paths"), header, lines)
    else:
        click.echo("No UUID or path is shared.")
    _say_lag(report)


def _named(one: Shared) -> str:
    return ", ".join(one.row_ids) + (", …" if one.people > len(one.row_ids) else "")


def _title(shown: int, counted: str) -> str:
    return f"{shown:,} of {counted}"


def _line(text: str | None) -> str:
    """A text on one line, without what a terminal would carry out."""
    return "".join(char if char.isprintable() else " " for char in text or "")


def _say_lag(report: SearchReport | FindReport) -> None:
    """Say what the answer may lack, and where it is from."""
    if report.replica is not None and report.replica != READ:
        click.echo(f"The primary was asked: {report.replica}.")
    if report.behind:
        click.echo(f"{report.behind:,} people are not in the search index as they are now.")
    if report.csv_changed:
        click.echo("Somebody changed the CSV, and PostgreSQL has yet to get it: run `ingest sync`.")

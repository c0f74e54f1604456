"""`ingest render`: the CSV that PostgreSQL holds, to the byte or for a spreadsheet program, and back."""

import sys
from pathlib import Path
from typing import TYPE_CHECKING

import click

from ingestion_pipeline.cli import show
from ingestion_pipeline.cli.frame import Frame, command

if TYPE_CHECKING:
    from ingestion_pipeline.app import Pipeline
    from ingestion_pipeline.domain.ports import Progress
    from ingestion_pipeline.stores.atomic import Written


@click.command()
@click.option(
    "--to",
    "target",
    required=True,
    type=click.Path(allow_dash=True, path_type=Path),
    help="A file, or - for standard output.",
)
@click.option(
    "--spreadsheet", is_flag=True, help="With ' before each cell that a spreadsheet program would run."
)
@click.option(
    "--unescape",
    "source",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    help="Not PostgreSQL's CSV: this file that --spreadsheet made, as it was.",
)
@command
def render(frame: Frame, *, target: Path, spreadsheet: bool, source: Path | None) -> None:
    """Write the CSV that PostgreSQL holds, byte for byte.

    With --spreadsheet, cells that begin with = + - @, a tab or a carriage return get an apostrophe in front,
    so that a spreadsheet program shows them and runs nothing. `ingest render --unescape FILE --to PATH` takes
    it away again, which gives the same bytes as without.
    """
    if source is not None and (spreadsheet or str(target) == "-"):
        raise click.UsageError("--unescape goes with --to FILE alone")
    with frame.pipeline() as pipeline:
        if str(target) == "-":
            write = pipeline.spreadsheets.render if spreadsheet else pipeline.render
            write(sys.stdout.buffer)
            return
        with frame.bar("rendering" if source is None else "unescaping") as progress:
            rows, written = _written(pipeline, target, source, progress.read, spreadsheet=spreadsheet)
    answer = {"rows": rows, "path": str(target), "sha256": written.sha256, "size": written.size}
    frame.answer(answer, lambda: show.rows("Rendered" if source is None else "Unescaped", answer.items()))


def _written(
    pipeline: "Pipeline", target: Path, source: Path | None, progress: "Progress", *, spreadsheet: bool
) -> tuple[int, "Written"]:
    if source is not None:
        return pipeline.spreadsheets.unescape_to(source, target, progress)
    return (pipeline.spreadsheets if spreadsheet else pipeline).render_to(target, progress)

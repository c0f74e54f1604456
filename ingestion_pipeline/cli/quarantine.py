"""`ingest quarantine`: what no typed column can hold, and what becomes of it."""

from functools import partial

import click

from ingestion_pipeline.cli import show
from ingestion_pipeline.cli.frame import Frame, command
from ingestion_pipeline.cli.progress import size_of
from ingestion_pipeline.cli.writing import by_column
from ingestion_pipeline.domain.phase import Side


@click.group()
def quarantine() -> None:
    """Rows and cells that no typed column can hold."""


@quarantine.command("list")
@click.option("--all", "decided", is_flag=True, help="Those decided as well.")
@command
def list_entries(frame: Frame, *, decided: bool) -> None:
    """List the entries that wait for a decision."""
    with frame.pipeline() as pipeline:
        entries = pipeline.quarantine(decided=decided)
    if not entries and not frame.as_json:
        click.echo("Nothing is in quarantine." if decided else "Nothing waits for a decision.")
        return
    lines = [(e.id, e.scope, e.row_id, e.column, e.reason, e.decision) for e in entries]
    header = ("id", "scope", "row_id", "column", "reason", "decision")
    frame.answer({"entries": entries}, lambda: show.table("Quarantine", header, lines))


@quarantine.command()
@click.argument("number", type=int, metavar="ID")
@click.argument("decision", type=click.Choice(["drop", "accept", "fix"]))
@click.argument("text", nargs=-1, metavar="[COLUMN=TEXT]…")
@command
def decide(frame: Frame, *, number: int, decision: str, text: tuple[str, ...]) -> None:
    """Decide on an entry, and sync where that changes the CSV.

    drop: the row leaves the CSV, or the cell is emptied.  accept: it stays as it is, without a typed
    value.  fix COLUMN=TEXT: it gets other text.

    Where both sides changed a cell (conflict): drop keeps what PostgreSQL holds, accept takes what the CSV
    took in, fix writes other text.
    """
    from ingestion_pipeline.domain.quarantine import Decision  # noqa: PLC0415 - --help does not wait for it

    with (
        frame.pipeline() as pipeline,
        frame.bar("preparing", total=size_of(pipeline.csv.path)) as progress,
    ):
        sync = partial(pipeline.sync, progress=progress.read, step=progress.step)
        if decision != Decision.ACCEPT and pipeline.in_force().phase.authority is Side.CSV:
            # A brake must stop the sync that follows before the CSV is changed, not after.
            sync(dry_run=True)
        progress.step("deciding")
        decided = pipeline.decide(number, Decision(decision), by_column(text))
        if decided.file_changed:
            sync()
    answer = {"id": number, "decision": decision, "file_changed": decided.file_changed}
    frame.answer(answer, lambda: show.rows("Decided", answer.items()))

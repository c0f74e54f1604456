"""`ingest db`: the schema, and the embedded server."""

import click

from ingestion_pipeline.cli import show
from ingestion_pipeline.cli.frame import Frame, command
from ingestion_pipeline.domain.errors import ProtectedError
from ingestion_pipeline.stores.postgres import schema


@click.group("db")
def database() -> None:
    """The database's schema, and the embedded server."""


@database.command()
@command
def upgrade(frame: Frame) -> None:
    """Bring the schema to the revision this program needs."""
    with frame.pipeline() as pipeline:
        before = schema.current(pipeline.pool)
        schema.upgrade(pipeline.pool)
        answer = {"before": before, "now": schema.current(pipeline.pool)}
    frame.answer(answer, lambda: show.rows("Schema", answer.items()))


@database.command()
@click.option(
    "--to", "revision", default="base", show_default=True, help="The revision; base takes all away."
)
@click.option("--accept-loss", is_flag=True, help="Let the tables and all their rows go.")
@command
def downgrade(frame: Frame, *, revision: str, accept_loss: bool) -> None:
    """Take the schema back to a revision, with what it held."""
    if not accept_loss:
        raise ProtectedError(
            f"going back to {revision} deletes what the newer tables hold",
            code="brake",
            hint="If that is meant, run it again with --accept-loss.",
        )
    with frame.pipeline() as pipeline:
        before = schema.current(pipeline.pool)
        schema.downgrade(pipeline.pool, revision)
        answer = {"before": before, "now": schema.current(pipeline.pool)}
    frame.answer(answer, lambda: show.rows("Schema", answer.items()))


@database.command()
@command
def start(frame: Frame) -> None:
    """Start the embedded server and keep it running until `ingest db stop`."""
    with frame.pipeline() as pipeline:
        server = pipeline.embedded()
        server.start_and_keep()
        answer = {"running": True, "folder": str(server.folder)}
    frame.answer(answer, lambda: show.rows("Embedded PostgreSQL", answer.items()))


@database.command()
@click.option("--force", is_flag=True, help="Even while others use it.")
@command
def stop(frame: Frame, *, force: bool) -> None:
    """Stop the embedded server."""
    with frame.pipeline() as pipeline:
        server = pipeline.embedded()
        server.stop(force=force)
        answer = {"running": server.status().running, "folder": str(server.folder)}
    frame.answer(answer, lambda: show.rows("Embedded PostgreSQL", answer.items()))

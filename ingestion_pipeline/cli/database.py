"""`ingest db`: the schema, and the embedded server."""

import dataclasses
from typing import TYPE_CHECKING, Any

import click

from ingestion_pipeline.cli import show
from ingestion_pipeline.cli.frame import Frame, command
from ingestion_pipeline.domain import parts as tables_in_parts
from ingestion_pipeline.domain.errors import Exit, ProtectedError

if TYPE_CHECKING:
    from ingestion_pipeline.stores.postgres.roles import Role

MAY = {
    "owner": "change phase and schema, restore dumps, and all below",
    "writer": "write, sync, settle, decide on quarantine, back up, and all below",
    "reader": "read people, figures, phase and proofs; not history, not quarantine",
}
"""What the members of a role may do, in a line."""


@click.group("db")
def database() -> None:
    """The database's schema, and the embedded server."""


@database.command()
@command
def upgrade(frame: Frame) -> None:
    """Bring the schema to the revision this program needs."""
    from ingestion_pipeline.stores.postgres import schema  # noqa: PLC0415 - --help does not wait for it

    with frame.pipeline() as pipeline, frame.bar("upgrading") as progress:
        before = schema.current(pipeline.pool)
        schema.upgrade(pipeline.pool)
        progress.step("looking whether every row keeps the rules")
        broken = schema.validate(pipeline.pool)
        answer: dict[str, Any] = {"before": before, "now": schema.current(pipeline.pool)}
    if broken:
        answer["broken"] = broken
    frame.answer(answer, lambda: _show_upgraded(answer, broken))


def _show_upgraded(answer: dict[str, Any], broken: list[str]) -> None:
    show.rows("Schema", [(name, value) for name, value in answer.items() if name != "broken"])
    if broken:
        click.echo(
            f"Rows from before break {', '.join(broken)}: `ingest compare` names them. "
            "Mend them, and upgrade again."
        )


@database.command()
@click.option("--create", is_flag=True, help="Make what is missing, and grant all of it again.")
@command
def roles(frame: Frame, *, create: bool) -> Exit:
    """Show the roles of this database, what each may do, and who is in it; exits 1 where one is not set up.

    Their names are `database.roles` of the configuration. Whoever is to read or write is made a user of their
    own and a member of a role: GRANT ingestion_reader TO anna.
    """
    from ingestion_pipeline.stores.postgres import roles as role_store  # noqa: PLC0415 - see upgrade

    with frame.pipeline() as pipeline:
        names = {role_store.Part(part): name for part, name in pipeline.settings.database.roles}
        verb = role_store.create if create else role_store.found
        found = verb(pipeline.pool, names)
    answer = {"roles": [{"good": one.good, **dataclasses.asdict(one)} for one in found]}
    header = ("part", "role", "set up", "members", "may")
    lines = [
        (one.part, one.name, _set_up(one), ", ".join(one.members) or "nobody", MAY[one.part]) for one in found
    ]
    frame.answer(answer, lambda: show.table("Roles", header, lines, whole=("role",)))
    return Exit.DONE if all(one.good for one in found) else Exit.FINDING


def _set_up(role: "Role") -> str:
    if not role.exists:
        return "missing: --create"
    if not role.is_group:
        return "may do more than is granted"
    return "yes" if role.granted else "not granted: --create"


@database.command()
@click.option(
    "--parts",
    type=click.IntRange(min=0, max=tables_in_parts.MOST),
    help="Into how many; 0 or 1 makes them whole again. Without it, say how they are.",
)
@command
def partition(frame: Frame, *, parts: int | None) -> None:
    """Bring the three tables into parts by hash, or make them whole again, in one transaction.

    Nobody writes meanwhile, and every row is copied: choose the hour. Proofs of before are void.
    """
    from ingestion_pipeline.stores.postgres import partitioning  # noqa: PLC0415 - see upgrade

    with frame.pipeline() as pipeline:
        if parts is None:
            answer: dict[str, Any] = {"parts": partitioning.parts(pipeline.pool)}
        else:
            answer = dataclasses.asdict(partitioning.partition(pipeline.pool, parts))
    frame.answer(answer, lambda: show.rows("Partitions", answer.items()))


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
    from ingestion_pipeline.stores.postgres import schema  # noqa: PLC0415 - --help does not wait for it

    with frame.pipeline() as pipeline, frame.bar("downgrading"):
        before = schema.current(pipeline.pool)
        schema.downgrade(pipeline.pool, revision)
        answer = {"before": before, "now": schema.current(pipeline.pool)}
    frame.answer(answer, lambda: show.rows("Schema", answer.items()))


@database.command()
@command
def start(frame: Frame) -> None:
    """Start the embedded server and keep it running until `ingest db stop`."""
    with frame.pipeline() as pipeline, frame.bar("starting"):
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

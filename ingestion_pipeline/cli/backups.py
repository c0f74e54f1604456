"""`ingest backup`, `ingest drill`: dumps of the database, and trying out what was published."""

from typing import TYPE_CHECKING, Any

import click

from ingestion_pipeline.cli import show
from ingestion_pipeline.cli.frame import Frame, command
from ingestion_pipeline.domain.errors import Exit
from ingestion_pipeline.domain.phase import Phase

if TYPE_CHECKING:
    from ingestion_pipeline.app import Pipeline
    from ingestion_pipeline.cli.progress import Bar
    from ingestion_pipeline.operations.drill import Drilled


@click.command()
@command
def backup(frame: Frame) -> None:
    """Dump the database, history and all, and publish the dump beside the versions."""
    with frame.pipeline() as pipeline, frame.bar("dumping") as progress:
        manifest = pipeline.backups.make(progress=progress.read)
        answer = {
            "backup": manifest.key,
            "place": pipeline.backups.place,
            "sha256": manifest.stored.sha256,
            "size": manifest.stored.size,
            "rows": manifest.content.rows,
            "made_by": manifest.stored.made_by,
        }
    frame.answer(answer, lambda: show.rows("Dumped", answer.items()))


@click.command()
@command
def drill(frame: Frame) -> Exit:
    """Restore the newest version and the newest dump into a scratch database. Exits 1 if one fails."""
    with frame.pipeline() as pipeline, frame.bar("making a database") as progress:
        found = dict(_tried(pipeline, progress))
    answer: dict[str, Any] = {"passed": all(one.passed for one in found.values()), **found}
    lines = [(what, one.key, one.rows, one.seconds, one.amiss or "restores") for what, one in found.items()]
    frame.answer(answer, lambda: show.table("Drill", ("", "newest", "rows", "seconds", "found"), lines))
    return Exit.DONE if answer["passed"] else Exit.FINDING


def _tried(pipeline: "Pipeline", progress: "Bar") -> list[tuple[str, "Drilled"]]:
    tried = [("version", pipeline.backups.drill_version(progress.read, progress.step))]
    progress.step("making a database")
    dump = pipeline.backups.drill_dump(progress.read, progress.step)
    if dump.key is not None or pipeline.in_force().phase is not Phase.ORIGINAL:
        tried.append(("dump", dump))
    return tried

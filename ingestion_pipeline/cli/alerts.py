"""`ingest alerts`: whether alerts arrive."""

import click

from ingestion_pipeline.app.alerting import Alerting
from ingestion_pipeline.cli import show
from ingestion_pipeline.cli.frame import Frame, command
from ingestion_pipeline.domain.errors import Exit


@click.group()
def alerts() -> None:
    """Who is told when something goes wrong."""


@alerts.command()
@command
def test(frame: Frame) -> Exit:
    """Send a test message to every receiver in section alerts, and say whom it reached.

    Exits 4 if one could not be told.
    """
    with frame.pipeline() as pipeline:
        deliveries = Alerting(pipeline.settings).test()
    answer = {
        "receivers": [
            {
                "receiver": one.receiver,
                "told": one.error is None,
                "why_not": None if one.error is None else one.error.message,
            }
            for one in deliveries
        ]
    }
    lines = [(one.receiver, "told" if one.error is None else one.error.message) for one in deliveries]
    frame.answer(answer, lambda: show.table("Test message", ("receiver", "came of it"), lines))
    return Exit.DONE if all(one.error is None for one in deliveries) else Exit.UNAVAILABLE

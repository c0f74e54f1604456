"""`ingest alerts`: whether alerts arrive, and who watches without Dagster."""

import threading
from typing import TYPE_CHECKING

import click

from ingestion_pipeline.cli import show
from ingestion_pipeline.cli.frame import Frame, as_json_line, command
from ingestion_pipeline.cli.stopping import until_stopped
from ingestion_pipeline.domain.errors import Exit, PipelineError

if TYPE_CHECKING:
    from ingestion_pipeline.app.alerting import Outcome
    from ingestion_pipeline.app.watching import Watch

EVERY = 30.0
"""Seconds from one look to the next."""


@click.group()
def alerts() -> None:
    """Who is told when something goes wrong."""


@alerts.command()
@command
def test(frame: Frame) -> Exit:
    """Send a test message to every receiver in section alerts, and say whom it reached.

    Exits 4 if one could not be told.
    """
    from ingestion_pipeline.app.alerting import Alerting  # noqa: PLC0415 - --help does not wait for it

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


@alerts.command()
@click.option(
    "--every",
    type=click.FloatRange(min=1, max=3600),
    default=EVERY,
    show_default=True,
    help="Seconds from one look to the next.",
)
@command
def watch(frame: Frame, *, every: float) -> None:
    """Look at the site's health until stopped, and tell the receivers what is wrong, without Dagster.

    One at a time is enough for a site: where there is one already, it says so and ends with 0.
    """
    from ingestion_pipeline.app.watching import Watch  # noqa: PLC0415 - --help does not wait for it

    with until_stopped() as stopped, Watch(frame.config) as watching, watching.memory.watching() as is_alone:
        if frame.as_json:
            click.echo(as_json_line({"watching": is_alone, "every": every}))
        else:
            click.echo(f"Looking every {every:g} s" if is_alone else "Somebody watches this site already")
        if is_alone:
            _look_on(frame, watching, stopped, every)


def _look_on(frame: Frame, watching: "Watch", stopped: threading.Event, every: float) -> None:
    while not stopped.is_set():
        try:
            outcome = watching.look()
        except PipelineError as error:
            click.echo(f"ingest: nobody was told: {error.message}", err=True)
        else:
            # People read the log, which is told what every receiver is.
            if frame.as_json and any(one.told or one.error for one in outcome.deliveries):
                click.echo(as_json_line(_answer(outcome)))
        stopped.wait(every)


def _answer(outcome: "Outcome") -> dict[str, object]:
    return {
        "at": outcome.look.at,
        "wrong": [one.key for one in outcome.look.troubles],
        "receivers": [
            {
                "receiver": one.receiver,
                "told": [{"event": alert.event, "key": alert.key} for alert in one.told],
                "why_not": None if one.error is None else one.error.message,
            }
            for one in outcome.deliveries
        ],
    }

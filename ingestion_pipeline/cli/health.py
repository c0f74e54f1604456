"""`ingest health` and `ingest metrics`: how the site is, for people and for Prometheus."""

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from ingestion_pipeline.cli import show
from ingestion_pipeline.cli.frame import Frame, as_json_line, command
from ingestion_pipeline.cli.stopping import until_stopped
from ingestion_pipeline.domain.errors import Exit
from ingestion_pipeline.domain.health import Finding, Health

if TYPE_CHECKING:
    from ingestion_pipeline.app.metrics import Metrics

PORT = 9464


@click.command()
@click.option("--signals", "with_signals", is_flag=True, help="Show every figure, too.")
@command
def health(frame: Frame, *, with_signals: bool) -> Exit:
    """Look at the whole site, and say what is not as it should be. Exits 1 where something is not.

    The limits are those of the section `health` of the configuration.
    """
    with frame.pipeline() as pipeline, frame.bar("looking"):
        found = pipeline.health()
    frame.answer(_answer(found), lambda: _show(found, with_signals=with_signals))
    return Exit.DONE if found.ok else Exit.FINDING


def _answer(found: Health) -> dict[str, Any]:
    return {
        "ok": found.ok,
        "at": found.at,
        **show.host(found.host, found.phase),
        "findings": list(found.findings),
        "signals": [
            {"name": one.name, "labels": dict(one.labels), "value": one.value} for one in found.signals
        ],
    }


def _show(found: Health, *, with_signals: bool) -> None:
    title = "Healthy" if found.ok else "Not healthy"
    if found.host is not None:
        click.echo(f"{found.host.name} may: {found.host.may(found.phase)}")
    show.table(f"{title}, at {found.at:%Y-%m-%d %H:%M:%S} UTC", _HEADER, map(_line, found.findings))
    if with_signals:
        lines = [
            (one.name, ", ".join(about for _, about in one.labels), _figure(one.value))
            for one in found.signals
        ]
        show.table("Signals", ("signal", "of", "value"), lines, whole=("signal",))


_HEADER = ("", "what", "found", "measured", "limit", "what next")


def _line(one: Finding) -> tuple[object, ...]:
    standing = "ok" if one.ok else "NOT"
    return standing, one.name, one.message, _figure(one.measured), _figure(one.limit), one.hint


def _figure(value: float | None) -> str | None:
    if value is None:
        return None
    return f"{value:,.0f}" if value == int(value) else f"{value:,.4g}"


@click.command()
@click.option(
    "--textfile",
    type=click.Path(path_type=Path, dir_okay=False),
    help="Put them in this file's place, for node_exporter.",
)
@click.option("--serve", is_flag=True, help="Answer Prometheus on 127.0.0.1 until interrupted.")
@click.option(
    "--port",
    type=click.IntRange(min=0, max=65535),
    default=PORT,
    show_default=True,
    help="Where; 0 for any that is free.",
)
@command
def metrics(frame: Frame, *, textfile: Path | None, serve: bool, port: int) -> None:
    """Say how the site is, as Prometheus reads it."""
    if serve and textfile is not None:
        raise click.UsageError("--serve goes without --textfile")
    with frame.pipeline() as pipeline:
        found = pipeline.metrics()
        if serve:
            _serve(frame, found, port)
        elif textfile is not None:
            written = found.write(textfile)
            answer = {"path": str(textfile), "size": written.size}
            frame.answer(answer, lambda: show.rows("Written", answer.items()))
        elif frame.as_json:
            frame.answer({"samples": list(found.samples())}, lambda: None)
        else:
            click.echo(found.text(), nl=False)


def _serve(frame: Frame, found: "Metrics", port: int) -> None:
    with until_stopped() as stopped, found.serving(port) as address:
        click.echo(as_json_line({"url": address}) if frame.as_json else f"Serving {address}")
        stopped.wait()

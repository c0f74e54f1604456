"""`ingest report`: the figures, and how the migration has gone, at the terminal or as a page."""

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from ingestion_pipeline.cli import show
from ingestion_pipeline.cli.frame import Frame, command

if TYPE_CHECKING:
    from ingestion_pipeline.app.reports import Report
    from ingestion_pipeline.domain.figures import Figures, Processing
    from ingestion_pipeline.domain.timing import Latency

SHOWN = 15
"""Lines shown of what may have many; --json gives all of them."""


@click.command()
@click.option(
    "--html", "page", type=click.Path(path_type=Path), metavar="FILE", help="Write it to a file, as one page."
)
@click.option("--no-refresh", "stale", is_flag=True, help="Tell what was last counted; count nothing.")
@command
def report(frame: Frame, *, page: Path | None, stale: bool) -> None:
    """Report the figures of what PostgreSQL holds, and how the migration has gone.

    How far the work has come, people by type, how downloads went, which files there are; the phases, the
    comparisons, and what is pending now. Numbers only, by type and status as the CSV has them.
    """
    if page == Path("-"):
        raise click.UsageError("--html takes the name of a file")
    with frame.pipeline() as pipeline, frame.bar("reading" if stale else "counting"):
        found = pipeline.reports.read(refresh=not stale)
        written = None if page is None else pipeline.reports.write_page(found, page)
    answer = _answer(found)
    if page is not None and written is not None:
        html = {"path": str(page), "sha256": written.sha256, "size": written.size}
        frame.answer(answer | {"html": html}, lambda: click.echo(f"Written: {page}, {written.size:,} bytes."))
        return
    frame.answer(answer, lambda: _show(found))


def _answer(found: "Report") -> dict[str, Any]:
    status = found.status
    return {
        "made_at": found.made_at,
        "phase": {"wanted": status.wanted, "in_force": status.in_force, "epoch": status.epoch},
        "pending": status.pending.all,
        "pending_seconds": round(status.pending.seconds, 3),
        "proved_equal": not status.why_not,
        "changes": [
            {"epoch": one.epoch, "before": one.before, "after": one.after, "at": one.at, "pause": one.pause}
            for one in found.changes
        ],
        "comparisons": [
            {
                "at": one.stamped_at,
                "epoch": one.epoch,
                "rows": one.rows,
                "differences": one.differences,
                "bytes_equal": one.bytes_equal,
                "pending": one.pending,
                "undecided": one.undecided,
            }
            for one in found.comparisons
        ],
        "latencies": found.latencies,
        "figures": found.figures,
        "why_no_figures": found.why_no_figures,
        "replica": found.replica,
    }


def _show(found: "Report") -> None:
    status = found.status
    waiting = f", the first for {status.pending.seconds:,.0f} s" if status.pending.all else ""
    show.rows(
        "The migration",
        [
            ("phase", status.in_force or "not begun"),
            ("wanted", status.wanted),
            ("pending", f"{status.pending.all:,}{waiting}"),
            ("proved equal", "no" if status.why_not else "yes, as both sides are now"),
            *(("", f"because {reason}") for reason in status.why_not),
            *([("replica", found.replica)] if found.replica else []),
        ],
    )
    _show_changes(found)
    _show_comparisons(found)
    _show_latencies(found.latencies)
    if found.figures is None:
        click.echo(f"No figures: {found.why_no_figures}.")
    else:
        _show_figures(found.figures)


def _show_changes(found: "Report") -> None:
    if not found.changes:
        click.echo("The phase has never been changed.")
        return
    lines = [
        (
            one.epoch,
            f"{one.before} -> {one.after}",
            one.at[:19].replace("T", " "),
            None if one.pause is None else f"{one.pause:.3f}",
        )
        for one in found.changes
    ]
    show.table("Phases", ("epoch", "change", "at (UTC)", "writers paused, s"), lines)


def _show_comparisons(found: "Report") -> None:
    if not found.comparisons:
        click.echo("No comparison is known.")
        return
    lines = [
        (
            None if one.stamped_at is None else f"{one.stamped_at:%Y-%m-%d %H:%M:%S}",
            f"{one.rows:,}",
            f"{one.differences:,}",
            "yes" if one.bytes_equal else "no",
        )
        for one in found.comparisons[::-1][:SHOWN]
    ]
    title = _titled("Comparisons, the newest first", len(found.comparisons))
    show.table(title, ("at (UTC)", "rows", "differences", "bytes equal"), lines)


def _show_latencies(measured: Sequence["Latency"]) -> None:
    if not measured:
        click.echo("Latencies: not measured yet.")
        return
    lines = [
        (one.operation, *(f"{1000 * seconds:,.1f}" for seconds in (one.p50, one.p95, one.p99)))
        for one in measured
    ]
    show.table("Latencies", ("operation", "p50, ms", "p95, ms", "p99, ms"), lines)


def _show_figures(figures: "Figures") -> None:
    show.rows("Processing", _processing(figures.processing))
    types = [(one.type, f"{one.people:,}") for one in figures.types[:SHOWN]]
    _show_table(_titled("Types", len(figures.types)), ("type", "people"), types)
    outcomes = [
        (one.source, one.status, f"{one.people:,}", f"{one.with_errors:,}", f"{one.permanent_failures:,}")
        for one in figures.outcomes
    ]
    header = ("source", "status", "people", "with errors", "permanent failures")
    _show_table(_titled("Downloads", len(outcomes)), header, outcomes[:SHOWN])
    show.rows("Files", _counts(figures.storage.counts))
    shares = [
        *(("prefix", one.name, f"{one.paths:,}") for one in figures.storage.prefixes[:SHOWN]),
        *(("ending", one.name, f"{one.paths:,}") for one in figures.storage.endings[:SHOWN]),
    ]
    _show_table("Paths", ("by", "", "paths"), shares)
    for one in figures.refreshed[:1]:  # all are counted at once
        click.echo(f"Counted {one.at:%Y-%m-%d %H:%M:%S} UTC.")


def _show_table(title: str, header: tuple[str, ...], lines: Sequence[tuple[str, ...]]) -> None:
    if lines:
        show.table(title, header, lines)
    else:
        click.echo(f"{title}: none.")


def _titled(title: str, number: int) -> str:
    return f"{title}: {SHOWN} of {number:,}" if number > SHOWN else title


def _processing(found: "Processing") -> Iterator[tuple[str, object]]:
    undecided = {"in quarantine": found.in_quarantine, "undecided": found.undecided}
    yield from _counts({"people": found.people, **found.of_people, **undecided})
    yield "last download attempt", found.last_download_attempt


def _counts(named: Mapping[str, int]) -> Iterator[tuple[str, object]]:
    for name, count in named.items():
        yield name, f"{count:,}"

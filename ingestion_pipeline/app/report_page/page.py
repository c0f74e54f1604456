"""What the page says, and the page itself."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from importlib.resources import files

from jinja2 import Environment, StrictUndefined
from markupsafe import Markup

from ingestion_pipeline.app.report_page import plots
from ingestion_pipeline.app.report_page.plots import Point, Span
from ingestion_pipeline.app.reports import Report
from ingestion_pipeline.domain.figures import Figures, Outcome, Share
from ingestion_pipeline.domain.phase import Phase
from ingestion_pipeline.domain.proof import Proof
from ingestion_pipeline.domain.timing import Latency

SHOWN = 20
"""Lines of a table that may have any number."""

COMPARED = 8
"""Comparisons that are written out."""


@dataclass(frozen=True, slots=True)
class Line:
    """A line of a table, with its bar.

    Attributes:
        name: What it is of.
        counts: Its numbers.
        bar: How large the first is, beside the others.
    """

    name: str
    counts: tuple[int, ...]
    bar: Markup


def render(report: Report) -> str:
    """The page of a report: one file, whole in itself."""
    page = _environment().from_string(files(__package__).joinpath("page.html.jinja").read_text("utf-8"))
    found = report.figures
    return page.render(
        report=report,
        status=report.status,
        phases=_phases(report),
        changes=report.changes[::-1],
        differences=_differences(report.comparisons),
        pending=_pending(report.comparisons),
        compared=report.comparisons[::-1][:COMPARED],
        latencies=_latencies(report.latencies),
        figures=found,
        **({} if found is None else _counted(found)),
    )


def _environment() -> Environment:
    environment = Environment(
        autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True
    )
    environment.filters |= {
        "number": _number,
        "seconds": _seconds,
        "moment": _moment,
        "parsed": datetime.fromisoformat,
    }
    return environment


def _number(value: int) -> str:
    return f"{value:,}"


def _seconds(value: float) -> str:
    return f"{1000 * value:,.1f} ms" if value < 1 else f"{value:,.1f} s"


def _moment(at: datetime) -> Markup:
    said = Markup('<time datetime="{}">{}</time>')
    return said.format(at.astimezone(UTC).isoformat(), _said(at))


def _said(at: datetime) -> str:
    return f"{at.astimezone(UTC):%d\xa0%b\xa0%Y, %H:%M}\xa0UTC"


def _phases(report: Report) -> Markup | None:
    """The phases over time; None where no time is known."""
    spans = _spans(report)
    if not spans:
        return None
    last = spans[-1]
    passed = ", then ".join(span.about for span in spans)
    return plots.timeline(list(Phase), spans, f"Phases over time: {passed}. In force: {last.lane}.")


def _spans(report: Report) -> list[Span]:
    changes, end = report.changes, report.made_at
    compared = [one.stamped_at for one in report.comparisons if one.stamped_at is not None]
    begins = [datetime.fromisoformat(one.at) for one in changes]
    known = min([*compared, *begins], default=None)
    first = changes[0].before if changes else report.status.in_force
    if known is None or first is None:
        return []
    if known in begins:
        # Since when the first phase had been in force, nobody has noted.
        known -= (end - known) / 20
    phases = [first, *(one.after for one in changes)]
    times = [known, *begins, end]
    return [
        Span(
            phase,
            begin,
            until,
            _about(phase, begin if number else None, until if number < len(changes) else None),
        )
        for number, (phase, begin, until) in enumerate(zip(phases, times[:-1], times[1:], strict=True))
    ]


def _about(phase: Phase, begin: datetime | None, end: datetime | None) -> str:
    since = "" if begin is None else f" from {_said(begin)}"
    return f"{phase}{since}" + ("" if end is None else f" until {_said(end)}")


def _differences(comparisons: Sequence[Proof]) -> Markup | None:
    points = _points(comparisons, [one.differences for one in comparisons])
    if not points:
        return None
    parted = sum(one.differences > 0 for one in comparisons)
    most = max(point.value for point in points)
    about = f"Differences over time: {parted:,} of {len(points):,} comparisons found any, at most {most:,}."
    return plots.lollipops(points, about)


def _pending(comparisons: Sequence[Proof]) -> Markup | None:
    points = _points(comparisons, [one.pending for one in comparisons])
    if not points:
        return None
    most = max(point.value for point in points)
    return plots.lollipops(points, f"Rows pending when they were compared: at most {most:,}.")


def _points(comparisons: Sequence[Proof], values: Sequence[int]) -> list[Point]:
    return [
        Point(
            one.stamped_at,
            value,
            f"{_said(one.stamped_at)}: {one.differences:,} differences, {one.pending:,} pending",
        )
        for one, value in zip(comparisons, values, strict=True)
        if one.stamped_at is not None
    ]


def _latencies(measured: Sequence[Latency]) -> list[tuple[Latency, Markup]]:
    longest = max((one.p95 for one in measured), default=0)
    return [
        (one, plots.bar(one.p95, longest, f"{_seconds(one.p95)} of {_seconds(longest)}")) for one in measured
    ]


def _counted(found: Figures) -> dict[str, object]:
    types = [(one.type or "(none)", (one.people,)) for one in found.types]
    left = found.types[SHOWN:]
    processing, storage = found.processing, found.storage
    return {
        "processing": _lines(
            [(name, (count,)) for name, count in processing.of_people.items()], processing.people
        ),
        "types": _lines(types[:SHOWN], max((one.people for one in found.types), default=0)),
        "other_types": (len(left), sum(one.people for one in left)),
        "sources": _sources(found.outcomes, processing.people),
        "storage": storage.counts,
        "prefixes": _shares(storage.prefixes, storage.distinct_paths),
        "endings": _shares(storage.endings, storage.distinct_paths),
    }


def _sources(outcomes: Sequence[Outcome], people: int) -> list[tuple[str, list[Line]]]:
    """By source, in the order in which they come."""
    return [
        (
            source,
            _lines(
                [
                    (one.status, (one.people, one.with_errors, one.permanent_failures))
                    for one in outcomes
                    if one.source == source
                ],
                people,
            ),
        )
        for source in dict.fromkeys(one.source for one in outcomes)
    ]


def _shares(shares: Sequence[Share], paths: int) -> list[Line]:
    return _lines([(one.name, (one.paths,)) for one in shares[:SHOWN]], paths)


def _lines(named: Sequence[tuple[str, tuple[int, ...]]], whole: int) -> list[Line]:
    return [
        Line(name, counts, plots.bar(counts[0], whole, f"{counts[0]:,} of {whole:,}"))
        for name, counts in named
    ]

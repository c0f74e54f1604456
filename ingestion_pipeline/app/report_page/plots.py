"""Plots as SVG in the page: places are shares of the width, so that letters keep their size on a phone.

What is not ours is only put in through `Markup.format`, which escapes it.
"""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from markupsafe import Markup

LANE = 42
"""Pixels from one lane of a timeline to the next."""

HEIGHT = 110
"""Pixels of a plot of points, without what is written around it."""

DOTS = 60
"""Points that are marked one by one; more would hide each other."""

_SVG = Markup('<svg role="img" class="{}" width="100%" height="{}" aria-label="{}">{}</svg>')
_BAR = Markup(
    '<svg role="img" class="bar" width="100%" height="8" aria-label="{}">'
    '<rect class="track" width="100%" height="8" rx="4"/>'
    '<rect class="fill" width="{:.2f}%" height="8" rx="4"/></svg>'
)
_TEXT = Markup('<text class="{}" x="{}%" y="{}" text-anchor="{}">{}</text>')
_SPAN = Markup(
    '<rect class="{}" x="{:.3f}%" y="{}" width="{:.3f}%" height="12" rx="2"><title>{}</title></rect>'
)
_TRACK = Markup('<rect class="track" x="0" y="{}" width="100%" height="12" rx="2"/>')
_AREA = Markup('<svg class="area" x="0" y="{}" width="100%" height="{}">{}</svg>')
_LINE = Markup('<line class="{}" x1="{:.3f}%" y1="{:.2f}%" x2="{:.3f}%" y2="{:.2f}%"/>')
_DOT = Markup('<circle class="{}" cx="{:.3f}%" cy="{:.2f}%" r="{}"><title>{}</title></circle>')


@dataclass(frozen=True, slots=True)
class Span:
    """A stretch of time in a lane.

    Attributes:
        lane: The lane's name.
        begin: Its begin.
        end: Its end.
        about: What it is, in words.
    """

    lane: str
    begin: datetime
    end: datetime
    about: str


@dataclass(frozen=True, slots=True)
class Point:
    """A number at a time.

    Attributes:
        at: When.
        value: The number, 0 or more.
        about: What it is, in words.
    """

    at: datetime
    value: int
    about: str


def bar(part: float, whole: float, about: str) -> Markup:
    """A bar as long as a part's share of a whole.

    Args:
        part: The part.
        whole: The whole; nothing is drawn of none.
        about: What it says, in words.
    """
    share = 100 * part / whole if whole else 0
    # A little that is there is seen.
    return _BAR.format(about, max(share, 0.8) if part else 0)


def timeline(lanes: Sequence[str], spans: Sequence[Span], about: str) -> Markup:
    """Lanes above one axis of time, with stretches in them.

    Args:
        lanes: The lanes' names, from top to bottom.
        spans: One or more stretches, in order of time; the last one goes on.
        about: What it says, in words.
    """
    axis = _Axis(spans[0].begin, spans[-1].end)
    drawn = []
    for number, lane in enumerate(lanes):
        kind = "lane now" if lane == spans[-1].lane else "lane"
        drawn += [_TEXT.format(kind, 0, LANE * number + 14, "start", lane), _TRACK.format(LANE * number + 20)]
    for span in spans:
        begin, end = axis.place(span.begin), axis.place(span.end)
        kind = "span now" if span is spans[-1] else "span"
        width = max(end - begin, 0.4)
        top = LANE * lanes.index(span.lane) + 20
        drawn.append(_SPAN.format(kind, min(begin, 100 - width), top, width, span.about))
    bottom = LANE * len(lanes)
    return _SVG.format("plot", bottom + 20, about, _joined([*drawn, *axis.ticks(bottom + 14)]))


def lollipops(points: Sequence[Point], about: str) -> Markup:
    """Numbers over time, each on a stem: filled where it is more than 0."""

    def draw(axis: "_Axis", height: Callable[[int], float]) -> Iterable[Markup]:
        for point in points:
            x, y = axis.place(point.at), height(point.value)
            if point.value:
                yield _LINE.format("stem", x, 100, x, y)
                yield _DOT.format("some", x, y, 4, point.about)
            else:
                yield _DOT.format("none", x, y, 3 if len(points) <= DOTS else 1, point.about)

    return _plot(points, draw, about)


def _plot(
    points: Sequence[Point],
    draw: Callable[["_Axis", Callable[[int], float]], Iterable[Markup]],
    about: str,
) -> Markup:
    axis = _Axis(points[0].at, points[-1].at)
    most = max(point.value for point in points)

    def height(value: int) -> float:
        return 100 - 100 * value / (most or 1)

    top = 20
    inner = [_LINE.format("grid", 0, 100, 100, 100), _LINE.format("grid", 0, 0, 100, 0), *draw(axis, height)]
    drawn = [
        _AREA.format(top, HEIGHT, _joined(inner)),
        _TEXT.format("scale", 0, top - 6, "start", f"{most:,}" if most else "none"),
        *axis.ticks(top + HEIGHT + 20),
    ]
    return _SVG.format("plot", top + HEIGHT + 26, about, _joined(drawn))


class _Axis:
    """Time from left to right."""

    def __init__(self, begin: datetime, end: datetime) -> None:
        self._begin = begin.astimezone(UTC)
        self._end = end.astimezone(UTC)

    def place(self, at: datetime) -> float:
        """Where a time lies, in percent; in the middle where there is no other."""
        length = self._end - self._begin
        if length <= timedelta(0):
            return 50
        return min(100, max(0, 100 * ((at - self._begin) / length)))

    def ticks(self, y: int) -> list[Markup]:
        """The times at both ends, written at a height in pixels."""
        length = self._end - self._begin
        if length <= timedelta(0):
            return [_TEXT.format("tick", 50, y, "middle", f"{self._begin:%d %b %Y %H:%M} UTC")]
        form = (
            "%d %b %Y"
            if length > timedelta(days=2)
            else "%d %b %H:%M"
            if length > timedelta(minutes=5)
            else "%H:%M:%S"
        )
        return [
            _TEXT.format("tick", 0, y, "start", self._begin.strftime(form)),
            _TEXT.format("tick", 50, y, "middle", (self._begin + length / 2).strftime(form)),
            _TEXT.format("tick", 100, y, "end", self._end.strftime(form)),
        ]


def _joined(parts: Iterable[Markup]) -> Markup:
    return Markup("").join(parts)

"""The form of a job: who does it, what is asked of it, and how it is measured."""

import statistics
import sys
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any

from benchmarks.bench import Bench
from benchmarks.child import FailedError, Taken
from benchmarks.growth import exponent
from benchmarks.shapes import Shape

Figures = Mapping[str, Any]


class Role(StrEnum):
    """As what somebody does a job."""

    OURS = "ours"
    FLOOR = "floor"
    """The least the same machine can do it with."""
    PEER = "peer"
    """What others would do it with."""


def _nothing() -> None:
    """Nothing to make ready."""


@dataclass(frozen=True)
class Contender:
    """Somebody who does the job.

    Attributes:
        role: As what.
        name: What it is called in the table.
        once: Does it once, and sees that it was done.
        before: What must be so before; not timed.
        most: Rows beyond which it would take too long.
        missing: Why it cannot be measured here.
    """

    role: Role
    name: str
    once: Callable[[], Taken]
    before: Callable[[], object] = _nothing
    most: int | None = None
    missing: str | None = None


@dataclass(frozen=True)
class Goal:
    """A bound on one figure.

    Attributes:
        figure: `ratio` (of ours to the floor's time), `rate` (its inverse), `times NAME` (of a peer's time to
            ours), `seconds`, `rss_mb`; of growth: `exponent`, `growth` (of the time at most rows to that at
            fewest).
        limit: The bound.
        least: Whether the figure must be so much at least, or at most.
        rows: From how many rows to how many it is asked for.
    """

    figure: str
    limit: float
    least: bool = False
    rows: tuple[int, int] = (0, 10**9)

    def verdict(self, figures: Figures, rows: int = 0) -> dict[str, Any] | None:
        """Whether it is kept, and by what; None where it is not asked for, or was not measured."""
        found = figures.get(self.figure)
        if found is None or not self.rows[0] <= rows <= self.rows[1]:
            return None
        kept = found >= self.limit if self.least else found <= self.limit
        return {"figure": self.figure, "found": found, "goal": str(self), "kept": kept}

    def __str__(self) -> str:
        sign = "≥" if self.least else "≤"
        name, _, peer = self.figure.partition(" ")
        unit = {
            "ratio": "times the floor",
            "rate": "of the floor's rate",
            "times": f"times as fast as {peer}",
            "seconds": "s",
            "rss_mb": "MB",
            "exponent": "as exponent",
            "growth": "times as long at most rows",
        }
        return f"{sign} {self.limit:g} {unit[name]}"


@dataclass(frozen=True)
class Job:
    """Something that is measured.

    Attributes:
        name: What it is called.
        about: What is done, for people.
        ready: Makes everything ready and gives who does it; ours first where nothing else is needed.
        goals: What is asked of it at each size.
        growth: What is asked of how it grows.
        bulk: Whether it is measured at a million rows too, and in the other shape.
        sizes: Where it has sizes of its own.
        most: Rows beyond which it is not measured.
        of: Which of several rounds counts.
    """

    name: str
    about: str
    ready: Callable[[Bench, Shape, int], AbstractContextManager[Sequence[Contender]]]
    goals: tuple[Goal, ...] = ()
    growth: tuple[Goal, ...] = ()
    bulk: bool = False
    sizes: tuple[int, ...] | None = None
    most: int = 10**9
    of: Callable[[Sequence[float]], float] = field(default=statistics.median)


def measured(
    job: Job, bench: Bench, shape: Shape, rows: int, rounds: int, *, peers: bool = True
) -> dict[str, Any]:
    """Everybody in turn, round by round; the figures that come of it, and whether the goals are kept."""
    with job.ready(bench, shape, rows) as contenders:
        asked = [one for one in contenders if peers or one.role is not Role.PEER]
        why_not = {one.name: _why_not(one, rows) for one in asked}
        takes: dict[str, list[Taken]] = {one.name: [] for one in asked}
        for number in range(rounds):
            for one in asked:
                if not why_not[one.name] and (number < TURNS or one.role is not Role.PEER):
                    try:
                        takes[one.name].append(_turn(bench, one, bulk=job.bulk))
                    except FailedError as error:
                        if one.role is not Role.PEER:
                            raise
                        why_not[one.name] = "failed"
                        print(error, file=sys.stderr)
    found: dict[Contender, dict[str, Any]] = {
        one: {"not_run": why_not[one.name]} if why_not[one.name] else _of(job, takes[one.name])
        for one in asked
    }
    figures: dict[str, Any] = {
        "job": job.name,
        "shape": shape.name,
        "rows": rows,
        "rounds": rounds,
        **{
            str(one.role): {"name": one.name, **of_it}
            for one, of_it in found.items()
            if one.role is not Role.PEER
        },
        "peers": {one.name: of_it for one, of_it in found.items() if one.role is Role.PEER},
    }
    verdicts = [goal.verdict(compared(figures), rows) for goal in job.goals]
    return figures | {"goals": [verdict for verdict in verdicts if verdict]}


def _why_not(contender: Contender, rows: int) -> str | None:
    too_many = contender.most is not None and rows > contender.most
    return contender.missing or ("takes too long" if too_many else None)


def _turn(bench: Bench, contender: Contender, *, bulk: bool) -> Taken:
    contender.before()
    if bulk:
        # Not where single rows are written: each page's first write after it is a dear one.
        bench.calm()
    return contender.once()


def _of(job: Job, takes: Sequence[Taken]) -> dict[str, Any]:
    seconds = [take.seconds for take in takes]
    return {
        "seconds": job.of(seconds),
        "fastest": min(seconds),
        "slowest": max(seconds),
        "cpu_seconds": statistics.median(take.cpu_seconds for take in takes),
        "rss_mb": round(max(take.rss_mb for take in takes)),
    }


def compared(figures: Figures) -> dict[str, float]:
    """The figures that goals are about, and that mean something on another machine."""
    ours = figures["ours"]["seconds"]
    found = {"seconds": ours, "rss_mb": figures["ours"]["rss_mb"]}
    if floor := figures.get("floor"):
        found |= {"ratio": ours / floor["seconds"], "rate": floor["seconds"] / ours}
    return found | {
        f"times {name}": peer["seconds"] / ours
        for name, peer in figures["peers"].items()
        if "seconds" in peer
    }


def grown(job: Job, lines: Sequence[Figures]) -> dict[str, Any] | None:
    """How a job's time grows with the rows, given its lines of one shape; None where that cannot be told."""
    times = {line["rows"]: line["ours"]["seconds"] for line in lines}
    if len(times) < 2 or job.sizes:  # noqa: PLR2004 - one point is no line
        return None
    fewest, most = min(times), max(times)
    figures: dict[str, Any] = {"job": job.name, "shape": lines[0]["shape"], "from": fewest, "to": most}
    figures["growth"] = times[most] / times[fewest]
    if (slope := exponent({rows: time for rows, time in times.items() if rows >= LEAST})) is not None:
        figures["exponent"] = slope
    return figures | {"goals": [verdict for goal in job.growth if (verdict := goal.verdict(figures))]}


TURNS = 2
"""Rounds that peers take part in: they need not be known so well."""

LEAST = 10_000
"""Rows below which what a start costs would hide how a job grows."""

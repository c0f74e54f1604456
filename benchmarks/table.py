"""A run as a table: for the terminal, and for the page of the docs."""

import sys
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from rich.console import Console
from rich.table import Table

from benchmarks.kept import Run

HEADER = ("job", "rows", "ours", "floor", "ratio", "goal", "MB", "kept")
PEERS_HEADER = ("job", "rows", "peer", "takes", "times ours", "times the floor", "MB")
Line = tuple[str, ...]


def lines(run: Run) -> Iterator[Line]:
    """A line for each job and size."""
    for one in run["lines"]:
        floor = one.get("floor", {})
        ratio = one["ours"]["seconds"] / floor["seconds"] if floor else None
        yield (
            one["job"],
            f"{one['rows']:,}{'' if one['shape'] == 'documents' else ' ' + one['shape']}"
            if one["rows"]
            else "",
            spoken(one["ours"]["seconds"]),
            f"{spoken(floor['seconds'])} {floor['name']}" if floor else "",
            "" if ratio is None else f"{ratio:.2f}",
            "; ".join(verdict["goal"] for verdict in one["goals"]),
            str(one["ours"]["rss_mb"]),
            verdict_of(one["goals"]),
        )


def peer_lines(run: Run) -> Iterator[Line]:
    """A line for each peer, job and size."""
    for one in run["lines"]:
        for name, peer in one["peers"].items():
            begun = (one["job"], f"{one['rows']:,}", name)
            if "seconds" not in peer:
                yield (*begun, peer["not_run"], "", "", "")
                continue
            seconds = peer["seconds"]
            floor = f"{seconds / one['floor']['seconds']:.2g}" if "floor" in one else ""
            memory = str(peer["rss_mb"] or "")
            yield (*begun, spoken(seconds), f"{seconds / one['ours']['seconds']:.2g}", floor, memory)


def growth_lines(run: Run) -> Iterator[Line]:
    """A line for how each job grows."""
    for one in run["growth"]:
        yield (
            one["job"] if one["shape"] == "documents" else f"{one['job']}, {one['shape']}",
            f"{one['from']:,} to {one['to']:,}",
            f"{one['growth']:.2f}",
            f"{one['exponent']:.2f}" if "exponent" in one else "",
            "; ".join(verdict["goal"] for verdict in one["goals"]),
            verdict_of(one["goals"]),
        )


GROWTH_HEADER = ("job", "rows", "times as long", "exponent", "goal", "kept")


def spoken(seconds: float) -> str:
    """Seconds, in the unit that has few digits.

    >>> spoken(0.00042), spoken(0.042), spoken(4.2)
    ('420 µs', '42 ms', '4.2 s')
    """
    for unit, factor in (("s", 1.0), ("ms", 1e3), ("µs", 1e6)):
        if seconds * factor >= 1 or unit == "µs":
            return f"{seconds * factor:.{0 if seconds * factor >= 10 else 1}f} {unit}"  # noqa: PLR2004 - two digits
    raise AssertionError


def verdict_of(goals: Sequence[Mapping[str, Any]]) -> str:
    """Whether all goals are kept; which are not."""
    lost = [goal for goal in goals if not goal["kept"]]
    if not lost:
        return "yes" if goals else ""
    return "no: " + "; ".join(f"{goal['figure']} {goal['found']:.3g}" for goal in lost)


def show(run: Run) -> None:
    """Print its tables."""
    # Where it goes to a file, it is as wide as it needs to be.
    console = Console(highlight=False, width=None if sys.stdout.isatty() else 200)
    for title, header, found in (
        ("What each job takes", HEADER, lines(run)),
        ("What others take", PEERS_HEADER, peer_lines(run)),
        ("How it grows", GROWTH_HEADER, growth_lines(run)),
    ):
        table = Table(*header, title=title, title_justify="left", box=None, pad_edge=False)
        for line in found:
            table.add_row(*line, style="red" if any(cell.startswith("no: ") for cell in line) else None)
        if table.row_count:
            console.print(table)


def markdown(header: Line, found: Iterator[Line]) -> str:
    """The same for a page."""
    rows = [header, tuple("---" for _ in header), *found]
    return (
        "\n".join("| " + " | ".join(cell.replace("|", "\\|") for cell in row) + " |" for row in rows) + "\n"
    )

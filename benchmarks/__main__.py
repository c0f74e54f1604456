"""Measure jobs beside the least that the machine can do them with, and beside what others would use."""

import argparse
import sys
from collections.abc import Iterator, Sequence
from typing import NamedTuple

from benchmarks import curves, kept, page, table
from benchmarks.bench import Bench, opened
from benchmarks.job import Figures, Job, grown, measured
from benchmarks.jobs import JOBS
from benchmarks.shapes import DOCUMENTS, FILLED, SHAPES, Shape

SIZES = (500, 10_000, 100_000)
MILLION = (10_000, 100_000, 1_000_000)
SAMPLE = 510
"""Rows of the sample, which is measured whatever sizes are asked for."""


class Place(NamedTuple):
    """One line to come."""

    shape: Shape
    rows: int
    job: Job


def places(jobs: Sequence[Job], sizes: Sequence[int], shapes: Sequence[Shape]) -> Iterator[Place]:
    """What is measured, in this order: all that use the same files together."""
    for job in jobs:
        yield from (Place(DOCUMENTS, rows, job) for rows in job.sizes or () if rows <= max(*sizes, SAMPLE))
    for rows in sizes:
        for shape in shapes:
            for job in jobs:
                if not job.sizes and rows <= job.most and (shape is DOCUMENTS or job.bulk):
                    yield Place(shape, rows, job)


def usual(jobs: Sequence[Job], sizes: Sequence[int]) -> list[Place]:
    """All sizes in one shape, and bulk jobs in the other one too where most rows are."""
    return [
        *places(jobs, sizes, [DOCUMENTS]),
        *places([job for job in jobs if job.bulk], [max(sizes)], [FILLED]),
    ]


def rounds_of(rows: int) -> int:
    """How often everybody has a turn: fewer where each takes long."""
    return 5 if rows <= 500 else 3 if rows <= 100_000 else 2  # noqa: PLR2004 - sizes


def measure(
    bench: Bench, wanted: Sequence[Place], rounds: int | None, *, peers: bool = True
) -> tuple[list[Figures], list[Figures]]:
    """The lines of all places, and how each job grows."""
    lines: list[Figures] = []
    last = None
    for place in wanted:
        if (place.shape, place.rows) != last:
            bench.forget_files()
            last = place.shape, place.rows
        print(f"{place.job.name}, {place.rows:,} rows, {place.shape.name}", file=sys.stderr, flush=True)
        # Others are measured on the one shape that they all can read.
        beside = peers and place.shape is DOCUMENTS
        times = rounds or rounds_of(place.rows)
        lines.append(measured(place.job, bench, place.shape, place.rows, times, peers=beside))
    growths: list[Figures] = []
    for job in dict.fromkeys(place.job for place in wanted):
        for shape in dict.fromkeys(place.shape for place in wanted):
            own = [line for line in lines if (line["job"], line["shape"]) == (job.name, shape.name)]
            if growth := grown(job, own):
                growths.append(growth)
    return lines, growths


def main(words: Sequence[str] | None = None) -> int:
    """Measure, show, keep, and say whether the goals are kept."""
    options = _arguments(words)
    jobs = [JOBS[name] for name in options.jobs]
    if options.million:
        jobs = [job for job in jobs if job.bulk]
    sizes = options.sizes or (MILLION if options.million else SIZES)
    if options.shapes:
        wanted = list(places(jobs, sizes, [SHAPES[name] for name in options.shapes]))
    else:
        wanted = list(places(jobs, sizes, [DOCUMENTS])) if options.million else usual(jobs, sizes)
    with opened(options.folder) as bench:
        lines, growths = measure(
            bench, wanted, options.rounds, peers=not (options.no_peers or options.million)
        )
        run = kept.run_of(bench, lines, growths)
    table.show(run)
    if options.keep:
        kept.keep(options.keep, run)
        if curves.can_draw():
            curves.draw(run, options.keep)
        page.write()
    for words_of_it in kept.missed(run):
        print(f"missed: {words_of_it}")
    return 1 if kept.missed(run) else 0


def _arguments(words: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    parser.add_argument("--jobs", nargs="+", choices=list(JOBS), default=list(JOBS), metavar="JOB")
    parser.add_argument(
        "--sizes", nargs="+", type=int, metavar="ROWS", help="500, 10,000 and 100,000 by default"
    )
    parser.add_argument("--shapes", nargs="+", choices=list(SHAPES), help="what rows look like")
    parser.add_argument("--rounds", type=int, help="by default fewer where more rows are")
    parser.add_argument(
        "--million", action="store_true", help="bulk jobs up to a million rows, ours and floor"
    )
    parser.add_argument("--no-peers", action="store_true", help="ours and the floor only")
    parser.add_argument("--folder", help="where files and sites lie; needs room for five times the CSV")
    parser.add_argument(
        "--keep", choices=list(page.RUNS), help="keep the figures, and put them into the docs"
    )
    return parser.parse_args(words)


if __name__ == "__main__":
    sys.exit(main())

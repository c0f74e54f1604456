"""Measure jobs beside the least that the machine can do them with, and beside what others would use."""

import argparse
import sys
from collections.abc import Iterator, Sequence
from typing import NamedTuple

from benchmarks import curves, kept, page, table
from benchmarks.bench import Bench, opened
from benchmarks.child import FailedError
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


class Measured(NamedTuple):
    """The lines of all places, how each job grows, and what could not be measured, in words."""

    lines: list[Figures]
    growths: list[Figures]
    broken: list[str]


def measure(
    bench: Bench, wanted: Sequence[Place], rounds: int | None = None, *, peers: bool = True
) -> Measured:
    """Measure one place after another; where one fails, the others are measured all the same."""
    found = Measured([], [], [])
    last = None
    for shape, rows, job in wanted:
        if (shape, rows) != last:
            bench.forget_files()
            last = shape, rows
        print(f"{job.name}, {rows:,} rows, {shape.name}", file=sys.stderr, flush=True)
        # Others are measured on the one shape that they all can read.
        beside = peers and shape is DOCUMENTS
        try:
            line = measured(job, bench, shape, rows, rounds or rounds_of(rows), peers=beside)
            found.lines.append(line)
        except FailedError as error:
            found.broken.append(f"{job.name}, {rows:,} rows, {shape.name}: {error}")
    for job in dict.fromkeys(place.job for place in wanted):
        for shape in dict.fromkeys(place.shape for place in wanted):
            own = [line for line in found.lines if (line["job"], line["shape"]) == (job.name, shape.name)]
            if growth := grown(job, own):
                found.growths.append(growth)
    return found


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
        found = measure(bench, wanted, options.rounds, peers=not (options.no_peers or options.million))
        run = kept.run_of(bench, found.lines, found.growths)
    table.show(run)
    if options.keep:
        kept.keep(options.keep, run)
        if curves.can_draw():
            curves.draw(run, options.keep)
        page.write()
    failed = [*(f"missed: {one}" for one in kept.missed(run)), *(f"broken: {one}" for one in found.broken)]
    print("\n".join(failed))
    return 1 if failed else 0


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

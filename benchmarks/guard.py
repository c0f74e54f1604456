"""A short run beside the one that is kept: which ratio got worse?"""

import argparse
import sys
from collections.abc import Iterator, Sequence
from typing import NamedTuple

from benchmarks import kept
from benchmarks.__main__ import Place, measure, places
from benchmarks.bench import Bench, opened
from benchmarks.jobs import JOBS
from benchmarks.kept import Run
from benchmarks.shapes import DOCUMENTS

WORSE = 1.25
"""Times what it was, from which a ratio has got worse."""

ROWS = 10_000
ROUNDS = 3
GUARDED = (
    *("sync", "sync-again", "compare", "differences", "publish", "restore"),
    *("write", "write-csv", "batch-dual", "start"),
)


class Ratio(NamedTuple):
    """A job's ratio to its floor, before and now."""

    job: str
    rows: int
    before: float
    now: float

    @property
    def worse(self) -> bool:
        """Whether it has got worse."""
        return self.now > self.before * WORSE

    def __str__(self) -> str:
        sign = "worse" if self.worse else "as it was" if self.now * WORSE >= self.before else "better"
        return f"{self.job:12} {self.rows:>7,} rows  {self.before:6.2f} before  {self.now:6.2f} now  {sign}"


def ratios(before: Run, now: Run) -> Iterator[Ratio]:
    """Those that both runs have."""
    known = {(line["job"], line["shape"], line["rows"]): line for line in before["lines"]}
    for line in now["lines"]:
        other = known.get((line["job"], line["shape"], line["rows"]))
        if other and "floor" in line and "floor" in other:
            yield Ratio(line["job"], line["rows"], _ratio(other), _ratio(line))


def _ratio(line: Run) -> float:
    # Of so few rounds, the fastest is what the machine's other work has disturbed least.
    return float(line["ours"]["fastest"] / line["floor"]["fastest"])


def surely(bench: Bench, before: Run, wanted: Sequence[Place], rounds: int) -> tuple[list[Ratio], list[str]]:
    """All ratios, and what could not be measured; what seems to be worse is measured once more."""
    first = measure(bench, wanted, rounds, peers=False)
    found = {ratio.job: ratio for ratio in ratios(before, {"lines": first.lines})}
    doubted = [place for place in wanted if place.job.name in found and found[place.job.name].worse]
    second = measure(bench, doubted, rounds, peers=False)
    for again in ratios(before, {"lines": second.lines}):
        found[again.job] = min(found[again.job], again, key=lambda ratio: ratio.now)
    return list(found.values()), [*first.broken, *second.broken]


def main(words: Sequence[str] | None = None) -> int:
    """Measure, and say what got worse; 2 where nothing is kept to measure against."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.guard", description=__doc__)
    parser.add_argument("--rows", type=int, default=ROWS)
    parser.add_argument("--rounds", type=int, default=ROUNDS)
    parser.add_argument("--jobs", nargs="+", choices=list(JOBS), default=list(GUARDED), metavar="JOB")
    options = parser.parse_args(words)
    before = kept.load("bench")
    if before is None:
        print("nothing is kept yet: run `make bench`")
        return 2
    with opened() as bench:
        wanted = list(places([JOBS[name] for name in options.jobs], [options.rows], [DOCUMENTS]))
        found, broken = surely(bench, before, wanted, options.rounds)
    for line in (*found, *broken):
        print(line)
    if not found and not broken:
        print(f"nothing is kept of {options.rows:,} rows")
        return 2
    return 1 if broken or any(ratio.worse for ratio in found) else 0


if __name__ == "__main__":
    sys.exit(main())

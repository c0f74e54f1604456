"""Curves of a run: time against rows, both logarithmic, with the exponent that fits."""

from collections import defaultdict
from importlib.util import find_spec
from pathlib import Path

from benchmarks.child import ROOT
from benchmarks.growth import exponent
from benchmarks.job import LEAST
from benchmarks.kept import Run

IMAGES = ROOT / "docs" / "images"


def can_draw() -> bool:
    """Whether what draws is installed."""
    return find_spec("matplotlib") is not None


def draw(run: Run, name: str, folder: Path = IMAGES) -> list[Path]:
    """A PNG for the bulk jobs and one for writes, where they have two sizes or more."""
    import matplotlib as mpl  # noqa: PLC0415 - only who draws needs it

    mpl.use("Agg")
    from matplotlib import pyplot as plt  # noqa: PLC0415

    by_job: dict[str, dict[int, float]] = defaultdict(dict)
    floors: dict[str, dict[int, float]] = defaultdict(dict)
    for line in run["lines"]:
        if line["shape"] == "documents":
            by_job[line["job"]][line["rows"]] = line["ours"]["seconds"]
            if "floor" in line:
                floors[line["job"]][line["rows"]] = line["floor"]["seconds"]
    written = []
    for kind, wanted in (("bulk", False), ("writes", True)):
        jobs = {
            job: times
            for job, times in by_job.items()
            if len(times) > 1 and job.startswith(("write", "batch", "save")) is wanted
        }
        if not jobs:
            continue
        figure, axes = plt.subplots(figsize=(8, 5), layout="constrained")
        for job, times in jobs.items():
            slope = exponent({rows: time for rows, time in times.items() if rows >= LEAST})
            label = job if slope is None else f"{job}, exponent {slope:.2f}"
            [drawn] = axes.loglog(list(times), list(times.values()), marker="o", label=label)
            if floor := floors[job]:
                axes.loglog(
                    list(floor), list(floor.values()), linestyle=":", marker=".", color=drawn.get_color()
                )
        axes.set(xlabel="rows", ylabel="seconds (dotted: the floor)")
        axes.grid(visible=True, which="major", alpha=0.3)
        axes.legend(fontsize="small")
        written.append(folder / f"{name}-{kind}.png")
        figure.savefig(written[-1], dpi=110, metadata={"Software": None})
        plt.close(figure)
    return written

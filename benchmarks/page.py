"""The figures of docs/performance.md, written between its markers from what is kept."""

import re
from pathlib import Path

from benchmarks import curves, kept, table
from benchmarks.child import ROOT

PAGE = ROOT / "docs" / "performance.md"
RUNS = {"bench": "make bench", "bench-1m": "make bench-1m"}


def text_of(name: str) -> str:
    """A run's tables, as they stand on the page."""
    run = kept.load(name)
    if run is None:
        return f"Not taken yet: `{RUNS[name]}`.\n"
    at = run["machine"]
    where = (
        f"Taken on {at['date']} at {at['commit']}, with {at['cores']} cores, {at['memory_gb']} GB, "
        f"{at['system']} {at['kernel']}, Python {at['python']}, PostgreSQL {at['postgresql']}, and "
        + ", ".join(f"{peer} {version or 'not installed'}" for peer, version in at["peers"].items())
        + "."
    )
    drawn = [image.name for image in sorted(curves.IMAGES.glob(f"{name}-[bw]*.png"))]
    images = "\n".join(f"![Time against rows](images/{image})" for image in drawn)
    parts = [where, *([images] if images else []), table.markdown(table.HEADER, table.lines(run))]
    if run["growth"]:
        parts.append(table.markdown(table.GROWTH_HEADER, table.growth_lines(run)))
    if any(line["peers"] for line in run["lines"]):
        parts.append(table.markdown(table.PEERS_HEADER, table.peer_lines(run)))
    return "\n\n".join(part.rstrip("\n") for part in parts) + "\n"


def text_of_gates() -> str:
    """What each gate of a first sync costs, as it stands on the page."""
    run = kept.load("gates")
    if run is None:
        return "Not taken yet: `python -m benchmarks.gates --keep`.\n"
    at, shapes = run["machine"], list(run["found"])
    header = ("side", "step", *(f"{shape}, s" for shape in shapes), *(f"{shape}, floors" for shape in shapes))
    lines = (
        (
            side,
            step,
            *(f"{run['found'][shape][side][step]:.2f}" for shape in shapes),
            *(
                f"{run['found'][shape][side][step] / run['found'][shape]['floor']['psql copy']:.2f}"
                for shape in shapes
            ),
        )
        for side in ("client", "server")
        for step in run["found"][shapes[0]][side]
    )
    said = f"{run['rows']:,} rows, taken on {at['date']} at {at['commit']}, at a load of {at['load']}."
    return said + "\n\n" + table.markdown(header, lines)


def text_of_steps() -> str:
    """What some jobs are made of, as it stands on the page."""
    run = kept.load("steps")
    if run is None:
        return "Not taken yet: `python -m benchmarks.steps --keep`.\n"
    at = run["machine"]
    lines = (
        (job, step, f"{seconds * 1000:,.1f}")
        for job, steps in run["found"].items()
        for step, seconds in steps.items()
    )
    said = f"Taken on {at['date']} at {at['commit']}, at a load of {at['load']}."
    return said + "\n\n" + table.markdown(("job", "step", "ms"), lines)


def marked(name: str) -> re.Pattern[str]:
    """What stands between a run's markers."""
    return re.compile(rf"(<!-- {name} -->\n)(.*?)(<!-- end -->)", re.DOTALL)


def texts() -> dict[str, str]:
    """What stands between each pair of markers."""
    return {name: text_of(name) for name in RUNS} | {"gates": text_of_gates(), "steps": text_of_steps()}


def write(page: Path = PAGE) -> None:
    """Put what is kept into the page."""
    text = page.read_text(encoding="utf-8")
    for name, new in texts().items():
        text = marked(name).sub(lambda found, new=new: found[1] + new + found[3], text)  # type: ignore[misc]
    page.write_text(text, encoding="utf-8")


if __name__ == "__main__":
    write()

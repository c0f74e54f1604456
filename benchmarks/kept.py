"""What is kept of a run: its lines, the machine, the versions, the commit."""

import json
import os
import platform
import subprocess
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

from benchmarks.bench import Bench, ask
from benchmarks.child import ROOT
from benchmarks.peers import program

RESULTS = Path(__file__).parent / "results"
LIBRARIES = ("dagster", "psycopg2-binary", "pandas", "polars", "csvkit", "reladiff")
Run = Mapping[str, Any]


def run_of(bench: Bench, lines: Sequence[Any], growths: Sequence[Any]) -> dict[str, Any]:
    """A run as it is kept."""
    return {"machine": machine(bench), "lines": list(lines), "growth": list(growths)}


def machine(bench: Bench) -> dict[str, Any]:
    """Where and with what it was measured."""
    return {
        "date": datetime.now(UTC).date().isoformat(),
        "commit": _commit(),
        "cores": os.cpu_count(),
        "memory_gb": round(os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30),
        "system": platform.system(),
        "kernel": platform.release().partition("-")[0],
        "python": platform.python_version(),
        "postgresql": str(ask(bench.server.url, "SHOW server_version")),
        "load": round(os.getloadavg()[0], 1),
        "peers": {**{name: _version(name) for name in LIBRARIES}, "pgloader": _of_pgloader()},
    }


def _version(name: str) -> str | None:
    try:
        return version(name)
    except PackageNotFoundError:
        return None


def _of_pgloader() -> str | None:
    found = program("pgloader")
    if found is None:
        return None
    said = subprocess.run([found, "--version"], capture_output=True, text=True, check=False)  # noqa: S603
    return said.stdout.partition('"')[2].partition('"')[0] or None


def _commit() -> str | None:
    def git(*words: str) -> str:
        said = subprocess.run(  # noqa: S603 - git itself
            ["git", "-C", str(ROOT), *words],  # noqa: S607
            capture_output=True,
            text=True,
            check=False,
        )
        return said.stdout.strip()

    short = git("rev-parse", "--short", "HEAD")
    changed = git(
        "status", "--porcelain", "--untracked-files=no", "--", "ingestion_pipeline", "benchmarks/*.py"
    )
    return f"{short} and changes" if short and changed else short or None


def keep(name: str, run: Run) -> None:
    """Keep a run under a name."""
    RESULTS.mkdir(exist_ok=True)
    text = json.dumps(_short(run), indent=1, ensure_ascii=False)
    (RESULTS / f"{name}.json").write_text(text + "\n", encoding="utf-8")


def load(name: str) -> dict[str, Any] | None:
    """The run that is kept under a name."""
    path = RESULTS / f"{name}.json"
    found: dict[str, Any] | None = json.loads(path.read_text(encoding="utf-8")) if path.exists() else None
    return found


def _short(value: Any) -> Any:
    """Figures to four digits: more are noise."""
    if isinstance(value, float):
        return float(f"{value:.4g}")
    if isinstance(value, Mapping):
        return {name: _short(one) for name, one in value.items()}
    return [_short(one) for one in value] if isinstance(value, list | tuple) else value


def missed(run: Run) -> list[str]:
    """The goals that were not kept, in words."""
    return [
        f"{one['job']}, {where(one)}: {verdict['goal']}, found {verdict['found']:.3g}"
        for one in (*run["lines"], *run["growth"])
        for verdict in one["goals"]
        if not verdict["kept"]
    ]


def where(one: Mapping[str, Any]) -> str:
    """Which rows, in words."""
    rows = f"{one['rows']:,} rows" if "rows" in one else f"from {one['from']:,} to {one['to']:,} rows"
    return rows if one["shape"] == "documents" else f"{rows} {one['shape']}"

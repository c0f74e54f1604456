"""What every part of the campaign needs: arguments, a server, and a place for its figures."""

import argparse
import json
import os
import platform
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path

from ingestion_pipeline.stores.postgres import schema
from ingestion_pipeline.stores.postgres.embedded import EmbeddedServer
from ingestion_pipeline.stores.postgres.pool import Pool, fetch_one
from ingestion_pipeline_tests.conftest import Server

RESULTS = Path(__file__).parent.parent / "results"

Figures = Mapping[str, object]
"""One line of the table: what was counted, by name."""


class NotRunError(Exception):
    """Something that a part needs is not there."""


@dataclass
class Part:
    """One part of the campaign.

    Attributes:
        name: Its file's name.
        promise: Which of the promises it is about.
        lines: Its figures so far. Each has `case` and `violations`; a control has `noticed` in their stead.
        first: The first violations, in words.
    """

    name: str
    promise: str
    lines: list[Figures] = field(default_factory=list)
    first: list[str] = field(default_factory=list)

    def add(self, case: str, violations: Sequence[str], **figures: object) -> None:
        """Add what a case came to, and show it."""
        self._add({"case": case, **figures, "violations": len(violations)})
        self.first += [f"{case}: {violation}" for violation in violations[: 5 - len(self.first)]]

    def control(self, case: str, *, noticed: bool, **figures: object) -> None:
        """Add what became of a planted fault: where it is not noticed, the part proves nothing."""
        self._add({"case": f"control: {case}", **figures, "noticed": noticed})

    def _add(self, line: Figures) -> None:
        self.lines.append(line)
        print("  " + "  ".join(f"{name}={value}" for name, value in line.items()), flush=True)

    @property
    def void(self) -> bool:
        """Whether a control was not noticed, or there was none."""
        noticed = [line["noticed"] for line in self.lines if "noticed" in line]
        return not noticed or not all(noticed)

    @property
    def violations(self) -> int:
        """How many there were in all."""
        return sum(int(str(line.get("violations", 0))) for line in self.lines)


def run(
    part: Part, description: str, counts: Mapping[str, tuple[int, int]], work: Callable[..., None]
) -> int:
    """Run a part and keep its figures; gives the exit code.

    Args:
        part: The part.
        description: What it does, for --help.
        counts: By name, the full count and the one with --quick.
        work: Does it, given the part, and the counts by name.
    """
    options = _arguments(description, counts)
    print(f"{part.promise}: {description}", flush=True)
    began = time.monotonic()
    try:
        work(part, **options)
    except NotRunError as error:
        print(f"  not run: {error}")
        return 0
    _keep(part, options, time.monotonic() - began)
    for words in part.first:
        print(f"  {words}")
    print(f"  {part.violations} violations" + (", but void: a control was not noticed" if part.void else ""))
    return 1 if part.violations or part.void else 0


def _arguments(description: str, counts: Mapping[str, tuple[int, int]]) -> dict[str, int]:
    parser = argparse.ArgumentParser(description=description)
    parser.add_argument("--quick", action="store_true", help="small counts, for a look")
    for name, (full, _) in counts.items():
        parser.add_argument(f"--{name}", type=int, help=f"{full:,} by default")
    given = vars(parser.parse_args())
    quick = given.pop("quick")
    return {
        name: (small if quick else full) if given[name] is None else given[name]
        for name, (full, small) in counts.items()
    }


def _keep(part: Part, counts: Mapping[str, int], seconds: float) -> None:
    kept = {
        "promise": part.promise,
        "command": f"python -m benchmarks.campaign.{part.name}",
        "counts": dict(counts),
        "date": datetime.now(UTC).date().isoformat(),
        "seconds": round(seconds),
        "machine": {
            "cores": os.cpu_count(),
            "system": platform.system(),
            "kernel": platform.release().partition("-")[0],
            "python": platform.python_version(),
            "postgresql": _POSTGRESQL[0] if _POSTGRESQL else None,
        },
        "violations": part.violations,
        "void": part.void,
        "first": part.first,
        "figures": part.lines,
    }
    RESULTS.mkdir(exist_ok=True)
    text = json.dumps(kept, indent=2, ensure_ascii=False)
    (RESULTS / f"{part.name}.json").write_text(text + "\n", encoding="utf-8")


_POSTGRESQL: list[str] = []


@contextmanager
def server(**settings: str) -> Iterator[Server]:
    """A server of its own, and gone at the end."""
    with tempfile.TemporaryDirectory() as folder:
        embedded = EmbeddedServer(Path(folder), settings)
        try:
            with embedded:
                yield Server(embedded.dsn("postgres"))
        finally:
            embedded.destroy()


@contextmanager
def database(on: Server) -> Iterator[str]:
    """The URL of a new database with the schema in it, gone at the end."""
    with on.new_database() as url:
        upgrade(url)
        yield url


def upgrade(url: str) -> None:
    """Put the schema into a database."""
    pool = Pool(url)
    schema.upgrade(pool)
    with pool.transaction() as cursor:
        cursor.execute("SHOW server_version")
        _POSTGRESQL[:] = [str(fetch_one(cursor)[0])]
    pool.close()


@contextmanager
def folder() -> Iterator[Path]:
    """A new folder, gone at the end."""
    with tempfile.TemporaryDirectory() as name:
        yield Path(name) / "site"


def as_root() -> None:
    """See that this is root.

    Raises:
        NotRunError: It is not.
    """
    if os.geteuid() != 0:
        raise NotRunError("needs root")

"""What every command waits for first, and the whole job on the sample."""

import os
import shutil
import sys
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from benchmarks import child
from benchmarks.bench import Bench
from benchmarks.child import ROOT, Taken
from benchmarks.job import Contender, Goal, Job, Role
from benchmarks.shapes import Shape
from ingestion_pipeline.stores.postgres.embedded import EmbeddedServer

INGEST = "from ingestion_pipeline.cli import main; main()"


@contextmanager
def starts(_bench: Bench, _shape: Shape, _rows: int) -> Iterator[Sequence[Contender]]:
    """`ingest` that says how it is called, and a Python that does nothing."""
    yield [
        Contender(Role.OURS, "ingest --help", lambda: child.program(sys.executable, "-c", INGEST, "--help")),
        Contender(Role.FLOOR, "python -c pass", lambda: child.program(sys.executable, "-c", "pass")),
    ]


@contextmanager
def whole(_bench: Bench, _shape: Shape, _rows: int) -> Iterator[Sequence[Contender]]:
    """The demo in a folder where nothing is yet, not even a server; again; and six assets that do nothing."""
    with tempfile.TemporaryDirectory() as made:
        folder = Path(made)

        def clear() -> None:
            EmbeddedServer(folder / ".ingestion").destroy()
            shutil.rmtree(folder)
            for name in ("config", "sample_data"):
                shutil.copytree(ROOT / name, folder / name)
            shutil.copyfile(ROOT / "dagster.yaml", folder / "dagster.yaml")

        def demo() -> Taken:
            env = {"INGESTION_CONFIG": str(folder / "config" / "config.yaml"), "DATABASE_URL": ""}
            return child.program(sys.executable, "-m", "ingestion_pipeline.defs.demo", env=env, cwd=folder)

        try:
            yield [
                Contender(Role.OURS, "demo, nothing there yet", demo, clear),
                Contender(
                    Role.FLOOR,
                    "six empty assets",
                    lambda: child.program(sys.executable, "-m", "benchmarks.jobs.start"),
                ),
                Contender(Role.PEER, "demo, once more", demo),
            ]
        finally:
            EmbeddedServer(folder / ".ingestion").destroy()


def six_assets() -> dict[str, Any]:
    """Six assets that do nothing, in this process."""
    # Only what measures Dagster waits for it.
    import dagster  # noqa: PLC0415

    assets = [dagster.asset(name=f"asset_{number}")(lambda: None) for number in range(6)]
    with tempfile.TemporaryDirectory() as folder:
        os.environ["DAGSTER_HOME"] = folder
        with dagster.DagsterInstance.local_temp(folder) as instance:
            done = dagster.materialize(assets, instance=instance)
    return {"success": done.success}


JOBS = (
    Job("start", "a command that does nothing", starts, goals=(Goal("seconds", 0.3),), sizes=(0,)),
    Job(
        "sample",
        "the whole job on the sample, Dagster and all",
        whole,
        goals=(Goal("seconds", 6.0),),
        sizes=(510,),
    ),
)

if __name__ == "__main__":
    six_assets()

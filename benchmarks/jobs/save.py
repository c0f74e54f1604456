"""The save of a whole frame after each person, as old scripts do."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from shutil import copyfile
from typing import Any
from unittest.mock import patch

from benchmarks import child
from benchmarks.bench import Bench
from benchmarks.child import seconds
from benchmarks.job import Contender, Goal, Job, Role
from benchmarks.ours import MARK, SPREAD
from benchmarks.shapes import DOCUMENTS, Shape
from ingestion_pipeline import open_pipeline
from ingestion_pipeline.domain.phase import Phase

TIMES = 40
GOALS = {500: 20, 10_000: 500}
"""Times as fast as the old recipe, at least, by people."""


def saves(config: str, times: int) -> dict[str, Any]:
    """One person more processed each time, and the frame of all saved; seconds of each save alone."""
    # What a script imports; no other job needs it.
    import pandas as pd  # noqa: PLC0415

    from ingestion_pipeline.legacy import CSVManager  # noqa: PLC0415
    from ingestion_pipeline.legacy.own_table import OwnTable  # noqa: PLC0415

    with open_pipeline(config) as pipeline:
        own = OwnTable(pipeline)
        with patch.multiple("ingestion_pipeline.legacy.manager", table_of=lambda _path, **_: own):
            manager = CSVManager()
            records: list[dict[Any, Any]] = manager.read().to_dict("records")
            taken = 0.0
            for number in range(-2, times):
                text = f"text {MARK} {number} " * 100
                records[number * SPREAD % len(records)] |= {"processed": "yes", "document_text": text}
                frame = pd.DataFrame(records)
                took = seconds(lambda _, frame=frame: _save(frame), 1)  # type: ignore[misc]
                # The first ones index the file and prepare statements.
                taken += took if number >= 0 else 0
        kept = {row["row_id"]: row["document_text"] for row in records}
        if any(row["document_text"] != kept[row["row_id"]] for row in pipeline.rows()):
            raise SystemExit("what was saved is not what is there")
    return {"seconds": taken / times}


def _save(frame: Any) -> None:
    from ingestion_pipeline.legacy import CSVManager  # noqa: PLC0415

    if not CSVManager().safe_csv_write(frame, operation_name="incremental_update"):
        raise SystemExit("a save was refused")


def ready_in(phase: Phase) -> Callable[[Bench, Shape, int], AbstractContextManager[Sequence[Contender]]]:
    """A site in a phase, and a copy of its file for the old recipe."""

    @contextmanager
    def ready(bench: Bench, _shape: Shape, rows: int) -> Iterator[Sequence[Contender]]:
        csv = bench.file(DOCUMENTS, rows)
        old = bench.folder / "old.csv"

        def legacy() -> child.Taken:
            copyfile(csv, old)
            return child.work("benchmarks.peers.legacy:saves", str(old), 3, True)

        with bench.site(csv, phase) as site:
            yield [
                Contender(
                    Role.OURS,
                    "CSVManager",
                    lambda: child.work("benchmarks.jobs.save:saves", site.config, TIMES, env=site.env),
                ),
                Contender(Role.PEER, "old recipe", legacy),
            ]

    return ready


JOBS = tuple(
    Job(
        f"save-{name}",
        f"a frame of all people saved with one changed, in {phase}",
        ready_in(phase),
        goals=tuple(
            Goal("times old recipe", times, least=True, rows=(rows, rows)) for rows, times in GOALS.items()
        ),
        most=max(GOALS),
    )
    for name, phase in (("dual", Phase.DUAL_WRITE), ("primary", Phase.DATABASE_PRIMARY))
)

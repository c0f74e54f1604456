"""What the pipeline does in a process of its own; each verb from opening the site to closing it."""

from collections.abc import Callable
from dataclasses import asdict
from typing import Any
from uuid import uuid4

from benchmarks.child import seconds
from ingestion_pipeline import Pipeline, open_pipeline
from ingestion_pipeline.domain.phase import Phase

MARK = uuid4().hex[:8]
"""In everything that this process writes: what is there already would cost less."""

SPREAD = 7919
"""A prime, so that rows that are written one after another lie apart."""


def begin(config: str, phase: str | None) -> dict[str, Any]:
    """Begin a site; with a phase, sync it and bring it there."""
    with open_pipeline(config) as pipeline:
        pipeline.begin()
        if phase not in (None, Phase.ORIGINAL):
            pipeline.sync()
            report = pipeline.phase.advance(Phase(phase))
            if report.state.phase != phase:
                raise SystemExit(f"the gate to {phase} stays shut: {report.shut}")
    return {}


def sync(config: str) -> dict[str, Any]:
    """Make PostgreSQL equal to the CSV."""
    with open_pipeline(config) as pipeline:
        report = pipeline.sync(accept_loss=True)
    return {"report": asdict(report)}


def compare(config: str, limit: int) -> dict[str, Any]:
    """Compare both sides, and name so many differences at most."""
    with open_pipeline(config) as pipeline:
        report = pipeline.compare(limit=limit)
    return {"report": asdict(report)}


def export(config: str) -> dict[str, Any]:
    """Publish a version."""
    with open_pipeline(config) as pipeline:
        report = pipeline.export()
    return {"version": report.manifest.key, "published": report.published}


def restore(config: str, version: str) -> dict[str, Any]:
    """Bring a version back to both sides."""
    with open_pipeline(config) as pipeline:
        pipeline.restore.version(version)
    return {}


def change(config: str, row_id: str, column: str, text: str) -> dict[str, Any]:
    """Write one cell, and settle it."""
    with open_pipeline(config) as pipeline:
        pipeline.write(row_id, {column: text})
        pipeline.settle()
    return {}


def write(config: str, rows: int, times: int) -> dict[str, Any]:
    """Write one person after another; seconds of each."""

    def one(pipeline: Pipeline) -> Callable[[int], object]:
        return lambda number: pipeline.write(
            str(number * SPREAD % rows + 1), {"type": f"{MARK}{number % 16}"}
        )

    return _each(config, one, times)


def batch(config: str, rows: int, times: int, group: int) -> dict[str, Any]:
    """Write groups of people, each group durable together; seconds of each person."""

    def one(pipeline: Pipeline) -> Callable[[int], object]:
        def written(number: int) -> None:
            with pipeline.batch() as together:
                for place in range(number * group, (number + 1) * group):
                    together.write(str(place * SPREAD % rows + 1), {"type": f"{MARK}{number}"})

        return written

    found = _each(config, one, times)
    return {"seconds": found["seconds"] / group}


def _each(config: str, of: Callable[[Pipeline], Callable[[int], object]], times: int) -> dict[str, Any]:
    with open_pipeline(config) as pipeline:
        one = of(pipeline)
        # The first ones index the file and prepare statements.
        seconds(lambda number: one(-1 - number), max(1, times // 4))
        return {"seconds": seconds(one, times)}

"""What a site's configuration asks for, and a change of phase that nobody has seen the end of."""

import os
import time

from ingestion_pipeline.app import Pipeline, open_pipeline
from ingestion_pipeline.domain.phase import Phase
from ingestion_pipeline.domain.phase_change import PhaseChange
from ingestion_pipeline.domain.reports import State
from ingestion_pipeline_tests.conftest import Site

UNDECIDED = b"9001,Ada,ada@example.org,T,,,,,perhaps" + b"," * 12 + b"\n"
"""A row with a cell that goes into quarantine."""


def want(site: Site, phase: Phase, more: str = "") -> None:
    """Have the configuration ask for a phase, and be done with it."""
    configure(site, f"migration:\n  phase: {phase}\n{more}")


def configure(site: Site, text: str, seconds_ago: float = 60) -> None:
    site.config.write_text(text)
    moment = time.time() - seconds_ago
    os.utime(site.config, (moment, moment))


def in_force(site: Site) -> Phase:
    with open_pipeline(site.config) as pipeline:
        return pipeline.in_force().phase


def half_done(pipeline: Pipeline, phase: Phase) -> None:
    """Begin to go to the phase wanted, and die before PostgreSQL is told."""
    began = pipeline.in_force()
    at = "2026-01-02T03:04:05.6+00:00"
    change = PhaseChange(began.epoch + 1, began.phase, phase, at, by="ada", wanted=phase, by_hand=False)
    with pipeline.csv.held() as held:
        held.mark(State(began.phase, began.epoch), change)

"""A site in another phase."""

from ingestion_pipeline.app import Pipeline
from ingestion_pipeline.app.phases import How
from ingestion_pipeline.domain.phase import Phase
from ingestion_pipeline.domain.transition import Condition

UNDECIDED = How(overrides=frozenset({Condition.UNDECIDED}), because="nobody looks at it here")


def lead(pipeline: Pipeline, phase: Phase) -> None:
    """Bring a site whose two sides are equal into a phase further on, through its gates."""
    report = pipeline.phase.advance(phase, UNDECIDED)
    assert report.state.phase is phase, report.shut


def advance(pipeline: Pipeline, phase: Phase) -> None:
    """Put the phase into PostgreSQL only, as it is for those who have not noticed yet."""
    with pipeline.pool.transaction() as cursor:
        cursor.execute("UPDATE ingestion.migration_state SET phase = %s, epoch = epoch + 1", (phase,))

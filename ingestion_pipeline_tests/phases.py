"""A site put into a phase in which PostgreSQL leads, without the gate that a change of phase goes through."""

from ingestion_pipeline.app import Pipeline
from ingestion_pipeline.domain.phase import Phase


def lead(pipeline: Pipeline, phase: Phase) -> None:
    """Put a site whose two sides are equal into a phase: in PostgreSQL, and in the ledger beside the CSV."""
    with pipeline.csv.held() as held:
        advance(pipeline, phase)
        held.adopt()
        state = pipeline.tables.state()
        assert state is not None
        held.keep(state)


def advance(pipeline: Pipeline, phase: Phase) -> None:
    """Put the phase into PostgreSQL only, as it is for those who have not noticed yet."""
    with pipeline.pool.transaction() as cursor:
        cursor.execute("UPDATE ingestion.migration_state SET phase = %s, epoch = epoch + 1", (phase,))

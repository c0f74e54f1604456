"""A site in another phase."""

from ingestion_pipeline.app import Pipeline
from ingestion_pipeline.app.changing import How
from ingestion_pipeline.domain.phase import Phase, Side
from ingestion_pipeline.domain.receipt import Standing
from ingestion_pipeline.domain.transition import Condition
from ingestion_pipeline.operations.change_phase import ChangeReport
from ingestion_pipeline_tests.conftest import Site
from ingestion_pipeline_tests.files import rendered

ROUND = (
    *(Phase.DUAL_WRITE, Phase.DATABASE_PRIMARY, Phase.DATABASE_NATIVE),
    *(Phase.DATABASE_PRIMARY, Phase.DUAL_WRITE, Phase.ORIGINAL),
)
"""There and back, from original."""

DURABLE = {
    Phase.ORIGINAL: (Side.CSV, Standing.NONE),
    Phase.DUAL_WRITE: (Side.CSV, Standing.SETTLED),
    Phase.DATABASE_PRIMARY: (Side.POSTGRES, Standing.PENDING),
    Phase.DATABASE_NATIVE: (Side.POSTGRES, Standing.NONE),
}

AS_USUAL = How()
UNDECIDED = How(overrides=frozenset({Condition.UNDECIDED}), because="nobody looks at it here")


def go(pipeline: Pipeline, to: Phase, how: How = AS_USUAL) -> ChangeReport:
    """Advance or roll back, whichever leads there, as far as the gates are open."""
    back = to.is_before(pipeline.in_force().phase)
    return pipeline.phase.rollback(to, how) if back else pipeline.phase.advance(to, how)


def lead(pipeline: Pipeline, phase: Phase) -> ChangeReport:
    """Bring a site whose two sides are equal into a phase, whatever is undecided."""
    onward = pipeline.in_force().phase.is_before(phase)
    report = go(pipeline, phase, UNDECIDED if onward and phase.authority is Side.POSTGRES else AS_USUAL)
    assert report.state.phase is phase, report.shut
    return report


def advance(pipeline: Pipeline, phase: Phase) -> None:
    """Put the phase into PostgreSQL only, as it is for those who have not noticed yet."""
    with pipeline.pool.transaction() as cursor:
        cursor.execute("UPDATE ingestion.migration_state SET phase = %s, epoch = epoch + 1", (phase,))


def both(site: Site, pipeline: Pipeline, phase: Phase) -> list[bytes]:
    """What the sides hold that are kept equal."""
    pipeline.settle()
    sides = []
    if phase is not Phase.DATABASE_NATIVE:
        sides.append(site.csv.read_bytes())
    if phase is not Phase.ORIGINAL:
        sides.append(rendered(pipeline))
    return sides

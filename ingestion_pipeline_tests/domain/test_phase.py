"""The phases: which side leads, which follows, and where a fresh site may begin."""

import pytest

from ingestion_pipeline.domain.phase import FIRST_PHASES, Phase, Side


@pytest.mark.parametrize(
    ("phase", "authority", "follower"),
    [
        (Phase.ORIGINAL, Side.CSV, None),
        (Phase.DUAL_WRITE, Side.CSV, Side.POSTGRES),
        (Phase.DATABASE_PRIMARY, Side.POSTGRES, Side.CSV),
        (Phase.DATABASE_NATIVE, Side.POSTGRES, None),
    ],
)
def test_each_phase_has_its_sides(phase: Phase, authority: Side, follower: Side | None) -> None:
    assert phase.authority is authority
    assert phase.follower is follower


def test_there_are_four_phases_in_order() -> None:
    assert list(Phase) == ["original", "dual_write", "database_primary", "database_native"]


def test_a_fresh_site_begins_where_the_csv_leads() -> None:
    assert {phase for phase in Phase if phase.authority is Side.CSV} == FIRST_PHASES

"""The phases: which side leads, which follows, and where a fresh site may begin."""

import pytest

from ingestion_pipeline.domain.phase import Phase, Side, first_phase, path


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
    assert [first_phase(phase) for phase in Phase] == ["original", *["dual_write"] * 3]


def test_a_way_is_made_of_single_steps() -> None:
    there = path(Phase.ORIGINAL, Phase.DATABASE_NATIVE)
    back = path(Phase.DATABASE_NATIVE, Phase.ORIGINAL)
    assert [str(move) for move in there] == [
        "original -> dual_write",
        "dual_write -> database_primary",
        "database_primary -> database_native",
    ]
    assert [(move.after, move.before) for move in reversed(back)] == [
        (move.before, move.after) for move in there
    ]
    assert path(Phase.DUAL_WRITE, Phase.DUAL_WRITE) == []

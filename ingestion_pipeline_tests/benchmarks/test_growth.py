"""The exponent of a curve that is known."""

import pytest

from benchmarks.growth import exponent


@pytest.mark.parametrize("power", [0.0, 1.0, 1.1, 2.0])
def test_it_is_found_whatever_a_row_costs(power: float) -> None:
    assert exponent({rows: 0.003 * rows**power for rows in (10_000, 100_000, 1_000_000)}) == pytest.approx(
        power, abs=0.001
    )


def test_one_point_has_none() -> None:
    assert exponent({10_000: 1.0}) is None


def test_a_curve_that_is_not_straight_has_the_one_that_fits_best() -> None:
    found = exponent({10: 1.0, 100: 20.0, 1000: 100.0})

    assert found is not None
    assert 0.99 < found < 1.01

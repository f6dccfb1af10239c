"""Figures of predicted against measured latencies."""

import numpy as np
import pytest

from mnas_evo.latency.scoring import coverage_percent, quality


def test_figures_are_those_of_their_definitions() -> None:
    measured = np.array([10.0, 20.0, 30.0, 40.0])
    found = quality(measured * np.array([1.005, 0.97, 1.08, 0.7]), measured)
    assert found.mape == pytest.approx((0.5 + 3 + 8 + 30) / 4)
    assert (found.w1, found.w5, found.w10) == (25.0, 50.0, 75.0)
    assert found.kendall == pytest.approx(4 / 6)  # 28 ms is put before 32.4: one pair of six is the wrong way


def test_a_perfect_prediction_has_no_error_and_the_right_order() -> None:
    measured = np.array([3.0, 1.0, 2.0])
    found = quality(measured, measured)
    assert (found.mape, found.w1, found.kendall) == (0.0, 100.0, 1.0)


def test_a_constant_prediction_has_no_order() -> None:
    assert quality(np.full(5, 2.0), np.arange(1.0, 6.0)).kendall == 0.0


def test_a_measurement_on_an_intervals_edge_is_covered() -> None:
    low, high = np.array([1.0, 1.0, 1.0, 1.0]), np.array([2.0, 2.0, 2.0, 2.0])
    assert coverage_percent(low, high, np.array([1.0, 2.0, 0.9, 2.1])) == 50.0

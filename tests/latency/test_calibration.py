"""From a sum of rows to a network's time: what was planted is found, and a few bad networks do not move it."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mnas_evo.latency.calibration import SHRINKAGES, Calibration, fit_calibration

FAMILY_COSTS = np.array([0.0, 0.25, -0.15])


def planted(
    *,
    n: int = 80,
    overhead_ms: float = 0.5,
    scale: float = 1.2,
    costs: np.ndarray = FAMILY_COSTS,
    noise: float = 0.0,
    seed: int = 0,
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Sums (n,), their parts (n, 3) and measured times (n,) that follow a known calibration."""
    rng = np.random.default_rng(seed)
    parts = rng.uniform(1.0, 8.0, size=(n, 3))
    sums = parts.sum(axis=1)
    ms = overhead_ms + scale * sums + parts @ costs
    return sums, parts, ms * (1 + noise * rng.standard_normal(n))


def error_percent(calibration: Calibration, data: tuple[np.ndarray, np.ndarray, np.ndarray]) -> float:
    """Mean error on data."""
    sums, parts, ms = data
    return float(100 * np.mean(np.abs(calibration.ms(sums, parts) / ms - 1)))


@given(st.floats(0.0, 3.0), st.floats(0.3, 4.0))
def test_a_planted_overhead_scale_and_family_costs_are_found(overhead_ms: float, scale: float) -> None:
    found = fit_calibration(*planted(overhead_ms=overhead_ms, scale=scale), shrinkage=SHRINKAGES[0])
    unseen = planted(overhead_ms=overhead_ms, scale=scale, seed=1)
    assert error_percent(found, unseen) < 0.5


def test_one_scale_alone_is_found_exactly() -> None:
    sums, parts, ms = planted(overhead_ms=0.0, costs=np.zeros(3))
    found = fit_calibration(sums, parts, ms, shrinkage=1.0)
    assert found.scale == pytest.approx(1.2)
    assert found.ms(sums, parts) == pytest.approx(ms)


def test_a_tenth_of_the_networks_far_off_hardly_moves_the_rest() -> None:
    sums, parts, ms = planted(noise=0.002)
    ms[::10] *= 1.5
    found = fit_calibration(sums, parts, ms, shrinkage=0.01)
    assert error_percent(found, planted(seed=1)) < 1.0


def test_more_shrinkage_pulls_the_departures_to_0() -> None:
    data = planted(noise=0.01)
    sizes = [
        np.abs(fit_calibration(*data, shrinkage=shrinkage).departures).sum() for shrinkage in (0.001, 0.1, 10.0, 1e4)
    ]
    assert sizes == sorted(sizes, reverse=True)
    assert sizes[-1] < 1e-3


def test_a_part_that_no_network_has_gets_no_departure() -> None:
    sums, parts, ms = planted(noise=0.01)
    parts[:, 1] = 0.0
    assert fit_calibration(sums, parts, ms, shrinkage=0.01).departures[1] == 0.0


def test_without_parts_a_scale_and_an_overhead_are_fitted() -> None:
    sums, parts, ms = planted(costs=np.zeros(3))
    found = fit_calibration(sums, parts[:, :0], ms, shrinkage=0.0)
    assert found.departures == ()
    assert np.abs(found.ms(sums, parts[:, :0]) / ms - 1).max() < 0.05


@given(st.floats(1e-3, 1e3))
def test_a_calibration_does_not_depend_on_the_unit_of_time(factor: float) -> None:
    sums, parts, ms = planted(noise=0.01)
    one = fit_calibration(sums, parts, ms, shrinkage=0.01)
    other = fit_calibration(factor * sums, factor * parts, factor * ms, shrinkage=0.01)
    assert other.ms(factor * sums, factor * parts) == pytest.approx(factor * one.ms(sums, parts), rel=1e-4)


@given(st.floats(-100, 100), st.floats(1e-3, 10), st.tuples(*[st.floats(-10, 10)] * 3))
def test_a_time_is_always_positive(overhead_ms: float, scale: float, departures: tuple[float, ...]) -> None:
    sums, parts, _ = planted()
    assert (Calibration(overhead_ms, scale, departures).ms(sums, parts) >= 0.1 * scale * sums).all()

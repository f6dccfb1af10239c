"""Intervals: of the rank that CV+ says, covering what they promise, and wider the farther a network lies."""

import math
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from support.interval_coverage import KINDS, USUAL, covered_percent
from support.known_times import SMALL, measured_design, measured_ms

from mnas_evo.latency.intervals import Reach, cv_plus, fit_reach
from mnas_evo.latency.model import Model, fit_model
from mnas_evo.space.graph import Graph
from mnas_evo.space.lowering import lower

# Ranks


@given(st.integers(1, 300), st.floats(1, 9))
def test_an_interval_reaches_as_far_as_nine_in_ten_residuals_and_one_more(count: int, deviation: float) -> None:
    # Barber et al. 2021: the smallest whole number that is at least .9 (n + 1), counted from the smallest residual.
    residuals = np.arange(1, count + 1) / 1000 * (-1) ** np.arange(count)  # their signs do not count
    deviations = np.array([1.0, deviation])
    low, high = cv_plus([(np.zeros(2), residuals[::2]), (np.zeros(2), residuals[1::2])], deviations)
    rank = -(-9 * (count + 1) // 10)
    if rank > count:
        assert (low == 0).all()
        assert np.isinf(high).all()
    else:
        assert np.log(high) == pytest.approx(rank / 1000 * deviations)
        assert np.log(low) == pytest.approx(-rank / 1000 * deviations)


def test_each_residual_is_added_to_what_the_model_that_never_saw_it_says() -> None:
    # Nine folds of one network each: the interval of nine residuals ends at the ninth, the farthest.
    said = [(np.array([float(fold)]), np.array([0.1 if fold else 7.5])) for fold in range(9)]
    low, high = cv_plus(said, np.ones(1))
    assert np.log(high) == pytest.approx([8.1])
    assert np.log(low) == pytest.approx([-7.5])


def test_nothing_measured_gives_an_endless_interval() -> None:
    low, high = cv_plus([], np.ones(3))
    assert (low.tolist(), high.tolist()) == ([0] * 3, [math.inf] * 3)


def test_a_network_farther_than_floats_can_say_has_an_endless_interval() -> None:
    low, high = cv_plus([(np.zeros(1), np.full(20, 0.1))], np.array([1e8]))
    assert low == [0.0] and np.isinf(high).all()


def test_an_interval_is_made_for_each_of_many_networks_as_for_one() -> None:
    rng = np.random.default_rng(0)
    values, deviations = rng.uniform(0, 1, size=120_000), rng.uniform(1, 3, size=120_000)
    residuals = rng.normal(0, 0.05, size=40)
    low, high = cv_plus([(values, residuals)], deviations)
    for i in (0, 49_999, 50_000, 119_999):
        one_low, one_high = cv_plus([(values[[i]], residuals)], deviations[[i]])
        assert (low[i], high[i]) == (one_low[0], one_high[0])
        assert low[i] < math.exp(values[i]) < high[i]


# Reach


def reach_of(seed: int, *, n: int = 30) -> tuple[Reach, np.ndarray, np.ndarray]:
    """A reach, and the vectors and times it was fitted on."""
    rng = np.random.default_rng(seed)
    vectors = rng.lognormal(size=(n, 4)) * (1, 1e6, 1e-3, 0)  # the last is a kind that none of them has
    ms = 0.5 + vectors @ (1, 1e-6, 1e3, 0) * rng.lognormal(0, 0.05, size=n)
    return fit_reach(vectors, ms, columns=(0, 1, 2, 3)), vectors, ms


@given(st.integers(0, 10**6), st.integers(0, 10**6))
def test_no_network_lies_nearer_than_those_fitted_on(seed: int, other: int) -> None:
    reach, _, _ = reach_of(seed)
    _, vectors, ms = reach_of(other)
    assert (reach.deviations(vectors, ms) >= 1).all()


@given(st.integers(0, 10**6))
def test_a_deviation_is_that_of_a_ridges_prediction(seed: int) -> None:
    reach, vectors, ms = reach_of(seed)
    shares = np.column_stack([np.ones(30), vectors[:, :3]]) / ms[:, None]
    shares /= np.sqrt(np.mean(shares**2, axis=0))
    # In dual form: what 30 noisy networks leave unknown of one more, of prior variance 100.
    known = shares @ shares.T
    left = 100 * known - 1e4 * known @ np.linalg.solve(100 * known + np.eye(30), known)
    assert reach.deviations(vectors, ms) == pytest.approx(np.sqrt(1 + np.diag(left)), rel=1e-6)


@given(st.integers(0, 10**6), st.sampled_from([1e-3, 0.1, 7.0, 1e5]), st.sampled_from([1e-6, 3.0, 1e4]))
def test_units_of_times_and_of_features_do_not_matter(seed: int, unit: float, other: float) -> None:
    reach, vectors, ms = reach_of(seed)
    scaled = vectors * (unit, other, 1, 1)
    again = fit_reach(scaled, unit * ms, columns=(0, 1, 2, 3))
    assert again.deviations(scaled, unit * ms) == pytest.approx(reach.deviations(vectors, ms), rel=1e-5)


def test_columns_that_it_was_not_given_do_not_matter() -> None:
    _, vectors, ms = reach_of(0)
    reach = fit_reach(vectors, ms, columns=(0, 2))
    changed = vectors * (1, 50, 1, 50)
    assert np.array_equal(reach.deviations(vectors, ms), reach.deviations(changed, ms))


def larger(factor: int) -> list[Graph]:
    """Networks of the small space with so many times the channels and the side of the image."""
    blocks = tuple(replace(block, channels=factor * block.channels) for block in SMALL.blocks)
    frame = replace(SMALL.frame, height=32 * factor, width=32 * factor)
    space = replace(SMALL, blocks=blocks, frame=frame)
    return [lower(network) for network in space.networks(space.sample(60, rng=np.random.default_rng(5)))]


def spread(model: Model, factor: int) -> tuple[float, float]:
    """Median deviation, and median width of the interval in logs, of networks so many times as large."""
    sums = np.array([np.sum([model.of_layer(layer) for layer in graph.layers], axis=0) for graph in larger(factor)])
    found = model.predict(sums)
    vectors = sums[:, -len(model.features.columns) :]
    deviations = model.reach.deviations(vectors, model.additive.total_ms(sums[:, 0]))
    return float(np.median(deviations)), float(np.median(np.log(found.high / found.low)))


def test_intervals_widen_beyond_the_measured_range() -> None:
    table = USUAL.table(SMALL, networks=60, rows=False)
    model, _ = fit_model(measured_design(table), measured_ms(table), seed=0)
    (here, narrow), (beyond, wide), (far, widest) = (spread(model, factor) for factor in (1, 2, 4))
    assert here < 1.3
    assert beyond > 1.5 * here
    assert far > 1.5 * beyond
    assert 2.5 * narrow < 1.5 * wide < widest


# Coverage


@pytest.mark.parametrize(("kind", "rows"), [("sums", True), ("cache", False)])
def test_nine_measurements_in_ten_lie_in_their_intervals(kind: str, rows: bool) -> None:
    assert covered_percent(KINDS[kind], rows=rows, splits=50, fitted=50) == pytest.approx(90, abs=3)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("kind", "fitted", "rows"),
    [("sums", 30, True), ("cache", 100, False), ("heavy", 100, True), ("disturbed", 30, False)],
)
def test_so_they_do_on_every_kind_of_device(kind: str, fitted: int, rows: bool) -> None:
    # Of 30 networks, models that saw 28 of them are so much worse that intervals cover 95 %.
    # Every combination, on many tables: make evidence PART=coverage.
    assert 86 < covered_percent(KINDS[kind], rows=rows, splits=50, fitted=fitted) < (96 if fitted < 50 else 94)

"""Samples that are spread evenly over a number."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from strategies import TINY

from mnas_evo.space.sampling import sample_by_macs, spread_evenly
from mnas_evo.space.space import distinct_rows
from mnas_evo.space.space_file import load_space

SKEWED = np.random.default_rng(0).lognormal(size=10_000)

# Few different values, so that many are equal, or any.
VALUES = arrays(
    np.float64, st.integers(1, 60), elements=st.integers(0, 5).map(float) | st.floats(-1e6, 1e6, allow_nan=False)
)


@given(VALUES, st.integers(0, 70))
def test_a_spread_is_of_n_different_indices_ascending_by_value(values: np.ndarray, n: int) -> None:
    picked = spread_evenly(values, n)
    assert len(picked) == len(set(picked.tolist())) == min(n, len(values))
    assert np.all(np.diff(values[picked]) >= 0)


@given(VALUES, st.integers(0, 20))
def test_a_spread_of_no_more_values_than_asked_is_all_of_them(values: np.ndarray, more: int) -> None:
    assert set(spread_evenly(values, len(values) + more)) == set(range(len(values)))


@given(VALUES, st.data())
def test_each_step_takes_the_nearest_value_that_is_still_free(values: np.ndarray, data: st.DataObject) -> None:
    n = data.draw(st.integers(0, len(values) - 1))
    free, taken = sorted(values.tolist()), []
    low, high = np.quantile(values, (0.01, 0.99)).tolist()
    for wanted in np.linspace(low, high, n).tolist():
        taken.append(min(free, key=lambda value: (abs(value - wanted), value)))
        free.remove(taken[-1])
    assert values[spread_evenly(values, n)].tolist() == sorted(taken)


@given(st.integers(0, 1000), st.integers(1, 30))
def test_a_spread_of_whole_numbers_is_that_of_the_same_floats(seed: int, n: int) -> None:
    values = np.random.default_rng(seed).integers(0, 10**9, 40)
    assert np.array_equal(spread_evenly(values, n), spread_evenly(values.astype(np.float64), n))


def test_the_ends_of_a_spread_are_the_values_nearest_the_1st_and_the_99th_percentile() -> None:
    picked = SKEWED[spread_evenly(SKEWED, 50)]
    for found, wanted in zip((picked[0], picked[-1]), np.quantile(SKEWED, (0.01, 0.99)), strict=True):
        assert abs(found - wanted) == np.abs(SKEWED - wanted).min()


def test_a_spread_over_skewed_values_leaves_no_hole_as_a_uniform_pick_does() -> None:
    picked = SKEWED[spread_evenly(SKEWED, 50)]
    uniform = np.sort(np.random.default_rng(1).choice(SKEWED, 50, replace=False))
    even_step = (picked[-1] - picked[0]) / 49
    assert np.diff(picked).max() < 1.5 * even_step
    assert np.diff(uniform).max() > 3 * np.diff(picked).max()


def test_a_spread_of_one_is_the_value_nearest_the_1st_percentile() -> None:
    assert spread_evenly(np.arange(1000.0), 1).tolist() == [10]


@pytest.mark.parametrize("name", ["paper", "around-a1", "mbconv-e146", "nas-bench-macro"])
def test_a_sample_by_macs_is_of_different_canonical_genomes_ascending_in_macs(name: str) -> None:
    space = load_space(name)
    genes = sample_by_macs(space, 100, rng=np.random.default_rng(0))
    assert genes.shape == (100, len(space.sizes))
    assert np.array_equal(space.canonical(genes), genes)
    assert len(list(distinct_rows(genes))) == 100
    assert np.all(np.diff(space.macs(genes)) >= 0)


@pytest.mark.parametrize("name", ["paper", "around-a1", "mbconv-e146"])
def test_a_sample_by_macs_is_flatter_than_a_uniform_one(name: str) -> None:
    space = load_space(name)
    even = space.macs(sample_by_macs(space, 300, rng=np.random.default_rng(0)))
    uniform = space.macs(space.sample(300, rng=np.random.default_rng(1)))
    edges = np.linspace(even[0], even[-1], 11)
    counts, uniform_counts = np.histogram(even, edges)[0], np.histogram(uniform, edges)[0]
    assert counts.min() >= 25
    assert counts.max() <= 35
    assert np.ptp(uniform_counts) > 5 * np.ptp(counts)


def test_a_sample_of_more_than_a_space_holds_is_all_of_it() -> None:
    rng = np.random.default_rng(0)
    assert len(sample_by_macs(load_space("single-op"), 10, rng=rng)) == 4
    assert len(sample_by_macs(TINY, 2_000, rng=rng)) == TINY.architectures


def test_the_same_seed_gives_the_same_sample_and_another_seed_another() -> None:
    one, same, other = (sample_by_macs(load_space("digits"), 20, rng=np.random.default_rng(seed)) for seed in (3, 3, 4))
    assert np.array_equal(one, same)
    assert not np.array_equal(one, other)

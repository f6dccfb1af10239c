"""Indicators and tests of comparisons: laws, and values worked out by hand."""

import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from strategies import objective_values

from mnas_evo.comparing.statistics import best_within, figure, hypervolumes, igd_plus, pair_tests, seeds_needed
from mnas_evo.search.front import hypervolume, non_dominated

CORNER = np.array([8.0, 7.0])


@given(objective_values(), st.integers(0, 29))
def test_a_curve_has_the_hypervolume_of_what_came_before_each_of_its_points(values: np.ndarray, gap: int) -> None:
    values[gap % len(values)] = np.nan  # an evaluation that failed
    found = hypervolumes(values, CORNER, after=range(len(values) + 3))
    kept = [values[:n][~np.isnan(values[:n]).any(axis=1)] for n in range(len(values) + 3)]
    assert np.allclose(found, [hypervolume(one, CORNER) for one in kept])


@given(arrays(np.float64, (12, 3), elements=st.integers(0, 9).map(float)))
def test_so_has_a_curve_of_three_objectives(values: np.ndarray) -> None:
    values[4] = np.nan
    corner, after = np.array([9.0, 8.0, 9.0]), [0, 1, 5, 12, 20]
    kept = [values[:n][~np.isnan(values[:n]).any(axis=1)] for n in after]
    assert np.allclose(hypervolumes(values, corner, after=after), [hypervolume(one, corner) for one in kept])


def test_nothing_covers_nothing() -> None:
    assert hypervolumes(np.empty((0, 2)), CORNER, after=[1, 5]).tolist() == [0, 0]
    assert hypervolumes(np.full((2, 3), np.nan), np.ones(3), after=[1, 2]).tolist() == [0, 0]


@given(objective_values())
def test_a_front_is_at_no_distance_from_itself_in_whatever_units(values: np.ndarray) -> None:
    front = values[non_dominated(values)]
    assert igd_plus(values, front) == 0
    assume(np.ptp(front, axis=0).all())
    worse = values + 1
    units = np.array([1000.0, 0.01])
    assert np.isclose(igd_plus(worse, front), igd_plus(worse * units, front * units))


def test_igd_plus_counts_only_where_a_front_is_worse() -> None:
    front = np.array([[0.0, 10.0], [10.0, 0.0]])
    assert igd_plus(np.array([[1.0, 10.0], [10.0, -5.0]]), front) == pytest.approx(0.05)
    assert igd_plus(np.full((1, 2), np.nan), front) == np.inf


@given(objective_values())
def test_the_best_within_a_limit_is_the_least_of_all_within_it(values: np.ndarray) -> None:
    costs, scores = values.T
    limits = [-1.0, 0.0, 3.5, 9.0]
    expected = [min([s for c, s in values if c <= limit], default=np.inf) for limit in limits]
    assert best_within(costs, scores, limits=limits).tolist() == expected


def test_a_figure_leaves_out_what_is_not_there() -> None:
    found = figure([1.0, None, np.inf, 3.0])
    assert (found.mean, found.per_seed) == (2.0, (1.0, None, None, 3.0))
    assert found.sd == pytest.approx(np.sqrt(2))
    assert (figure([5.0]).sd, figure([None]).mean) == (None, None)


def test_tests_are_corrected_by_holm_over_all_pairs() -> None:
    rng = np.random.default_rng(0)
    samples = {name: (rng.standard_normal(10) + shift).tolist() for name, shift in (("a", 3), ("b", 0), ("c", 0.2))}
    tests = {(one.a, one.b): one for one in pair_tests(samples)}
    assert set(tests) == {("a", "b"), ("a", "c"), ("b", "c")}
    ordered = sorted(tests.values(), key=lambda one: one.p_alone or 0)
    for rank, one in enumerate(ordered):
        assert one.p is not None and one.p_alone is not None
        assert one.p >= min(1, one.p_alone * (3 - rank))
    assert ordered[0].p == pytest.approx(3 * (ordered[0].p_alone or 0))
    assert tests["a", "b"].significant and tests["a", "c"].significant and not tests["b", "c"].significant
    assert tests["a", "b"].effect == 1.0


def test_the_effect_is_the_share_of_pairs_won_ties_by_half() -> None:
    (one,) = pair_tests({"a": [1.0, 2.0], "b": [1.0, 0.0]})
    assert one.effect == (0.5 + 1 + 1 + 1) / 4


def test_pairs_that_are_not_asked_for_cost_no_correction() -> None:
    samples = {"a": [1.0, 2, 3, 4], "b": [5.0, 6, 7, 8], "c": [9.0, 10, 11, 12]}
    assert [(one.a, one.b) for one in pair_tests(samples, of=["b"])] == [("a", "b"), ("b", "c")]
    one = pair_tests(samples, of=["b"])[0]
    assert one.p == pytest.approx(2 * (one.p_alone or 0))


def test_one_seed_allows_no_test_and_equal_values_show_no_difference() -> None:
    (one,) = pair_tests({"a": [1.0], "b": [2.0, 3.0]})
    assert (one.p, one.p_alone, one.effect, one.significant) == (None, None, 0.0, False)
    (same,) = pair_tests({"a": [1.0, 1.0], "b": [1.0, 1.0]})
    assert (same.p, same.effect, same.significant) == (1.0, 0.5, False)
    (none,) = pair_tests({"a": [None, None], "b": [1.0, 1.0]})
    assert (none.p, none.effect) == (None, None)


def test_five_seeds_are_too_few_for_fifteen_pairs() -> None:
    assert [seeds_needed(pairs) for pairs in (1, 3, 6, 15)] == [4, 5, 5, 6]
    clear = {name: [10.0 * number + seed for seed in range(5)] for number, name in enumerate("abcdef")}
    assert not any(one.significant for one in pair_tests(clear))

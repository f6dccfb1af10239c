"""Fronts and hypervolumes."""

import numpy as np
from hypothesis import given
from strategies import objective_values

from mnas_evo.search.front import hypervolume, non_dominated


@given(objective_values())
def test_nothing_kept_dominates_another_and_everything_left_out_is_dominated_or_equal(values: np.ndarray) -> None:
    kept = non_dominated(values)
    for i in kept:
        assert not any((values[j] <= values[i]).all() and (values[j] < values[i]).any() for j in kept)
    for i in set(range(len(values))) - set(kept.tolist()):
        assert any((values[j] <= values[i]).all() for j in kept)


def test_of_no_points_none_is_kept() -> None:
    assert non_dominated(np.empty((0, 2))).shape == (0,)


@given(objective_values())
def test_hypervolume_is_that_of_its_front_and_grows_with_points(values: np.ndarray) -> None:
    reference = np.array([10.0, 10.0])
    assert np.isclose(hypervolume(values, reference), hypervolume(values[non_dominated(values)], reference))
    assert hypervolume(values[:-1], reference) <= hypervolume(values, reference) + 1e-9


def test_hypervolume_of_a_known_staircase() -> None:
    values = np.array([[1.0, 3.0], [2.0, 2.0], [3.0, 1.0], [5.0, 5.0]])
    assert hypervolume(values, np.array([4.0, 4.0])) == 6.0

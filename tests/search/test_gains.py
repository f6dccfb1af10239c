"""What a front gains by a point, and the order in which points add most."""

from itertools import islice

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from hypothesis.strategies import SearchStrategy

from mnas_evo.search.front import Matrix, hypervolume
from mnas_evo.search.gains import most_gaining

objectives = pytest.mark.parametrize("count", [2, 3])


def rows(count: int, *, least: int = 0) -> SearchStrategy[Matrix]:
    """Up to eight points of so many objectives, ties and points beyond the reference of 7 among them."""
    return arrays(np.float64, st.tuples(st.integers(least, 8), st.just(count)), elements=st.integers(0, 9).map(float))


def gain(point: Matrix, front: Matrix, reference: Matrix) -> float:
    return hypervolume(np.vstack([front, point]), reference) - hypervolume(front, reference)


@objectives
@given(data=st.data())
def test_each_point_is_the_one_of_most_gain_until_none_adds_any(count: int, data: st.DataObject) -> None:
    points, covered = data.draw(rows(count)), data.draw(rows(count))
    reference = np.full(count, 7.0)
    left = set(range(len(points)))
    for row in most_gaining(points, covered, reference=reference):
        gains = {i: gain(points[i], covered, reference) for i in left}
        assert gains[row] > 0 and np.isclose(gains[row], max(gains.values()))
        left.remove(row)  # so none comes twice
        covered = np.vstack([covered, points[row]])
    assert not any(gain(points[i], covered, reference) > 1e-9 for i in left)


@objectives
@given(data=st.data())
def test_a_point_comes_alone_if_it_adds_to_the_hypervolume_and_not_if_it_does_not(
    count: int, data: st.DataObject
) -> None:
    (point,), front = data.draw(rows(count, least=1))[:1], data.draw(rows(count))
    reference = np.full(count, 7.0)
    found = list(most_gaining(point[None], front, reference=reference))
    assert found == ([0] if gain(point, front, reference) > 1e-9 else [])


@objectives
@given(data=st.data())
def test_what_is_dominated_in_the_front_changes_nothing(count: int, data: st.DataObject) -> None:
    points, front = data.draw(rows(count)), data.draw(rows(count, least=1))
    reference = np.full(count, 7.0)
    worse = np.vstack([front, front + data.draw(st.integers(0, 3))])
    assert list(most_gaining(points, worse, reference=reference)) == list(
        most_gaining(points, front, reference=reference)
    )


def test_a_dominated_point_of_the_front_covers_nothing_that_is_then_gained_again() -> None:
    front = np.array([[1.0, 1.0], [2.0, 3.0]])
    assert list(most_gaining(np.array([[2.5, 2.0]]), front, reference=np.array([4.0, 4.0]))) == []


def test_a_known_staircase_is_climbed_by_its_largest_steps() -> None:
    points = np.array([[3.0, 0.0], [0.0, 3.0], [1.0, 1.0], [1.0, 1.0], [2.0, 2.0], [4.0, 0.0]])
    found = list(most_gaining(points, np.empty((0, 2)), reference=np.array([4.0, 4.0])))
    assert found[0] == 2 and sorted(found[1:]) == [0, 1]


@objectives
def test_nothing_comes_where_there_is_nothing_or_all_is_beyond_the_reference(count: int) -> None:
    nothing, reference = np.empty((0, count)), np.ones(count)
    assert list(most_gaining(nothing, nothing, reference=reference)) == []
    beyond = np.array([[0.0] * (count - 1) + [1.0], [2.0] * count, [np.nan] * count])
    assert list(most_gaining(beyond, nothing, reference=reference)) == []


@objectives
def test_a_front_beyond_the_reference_covers_nothing(count: int) -> None:
    point, front = np.zeros((1, count)), np.array([[-9.0] * (count - 1) + [2.0]])
    assert list(most_gaining(point, front, reference=np.ones(count))) == [0]


def test_of_many_points_in_three_objectives_the_first_alone_are_tried() -> None:
    points = np.vstack([np.full((200, 3), 0.5), np.zeros((1, 3))])
    assert list(most_gaining(points, points[:0], reference=np.ones(3))) == [0]
    assert list(islice(most_gaining(points[:, :2], points[:0, :2], reference=np.ones(2)), 1)) == [200]

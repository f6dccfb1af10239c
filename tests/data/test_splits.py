"""Laws of the stratified choice."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from mnas_evo.data.splits import stratified

labels_of_classes = st.lists(st.integers(1, 40), min_size=1, max_size=8).map(
    lambda sizes: np.repeat(np.arange(len(sizes)), sizes)
)


@given(labels_of_classes, st.data(), st.integers(0, 5))
def test_places_are_distinct_ascending_and_as_many_as_asked(labels: np.ndarray, data: st.DataObject, seed: int) -> None:
    count = data.draw(st.integers(0, len(labels)))
    chosen = stratified(labels, count, seed=seed)
    assert len(chosen) == count and (np.diff(chosen) > 0).all()
    assert not count or (chosen[0] >= 0 and chosen[-1] < len(labels))


@given(labels_of_classes, st.data(), st.integers(0, 5))
def test_fewer_are_among_more(labels: np.ndarray, data: st.DataObject, seed: int) -> None:
    few, many = sorted(data.draw(st.tuples(*[st.integers(0, len(labels))] * 2)))
    assert set(stratified(labels, few, seed=seed)) <= set(stratified(labels, many, seed=seed))


@given(labels_of_classes, st.integers(0, 5))
def test_a_quarter_leaves_some_of_every_class(labels: np.ndarray, seed: int) -> None:
    rest = np.setdiff1d(np.arange(len(labels)), stratified(labels, len(labels) // 4, seed=seed))
    assert set(labels[rest]) == set(labels)


@given(st.integers(2, 9), st.integers(1, 30), st.data(), st.integers(0, 5))
def test_classes_of_one_size_differ_by_one_at_most(classes: int, each: int, data: st.DataObject, seed: int) -> None:
    labels = np.tile(np.arange(classes), each)
    chosen = stratified(labels, data.draw(st.integers(0, len(labels))), seed=seed)
    assert np.ptp(np.bincount(labels[chosen], minlength=classes)) <= 1


def test_a_class_three_times_as_large_has_three_times_the_places() -> None:
    labels = np.repeat([0, 1], [300, 100])
    assert np.bincount(labels[stratified(labels, 100, seed=0)]).tolist() == [75, 25]


def test_another_seed_chooses_others() -> None:
    labels = np.repeat([0, 1], [300, 100])
    first, other = (stratified(labels, 100, seed=seed) for seed in (0, 1))
    assert set(first) != set(other) and len(set(first) & set(other)) < 60

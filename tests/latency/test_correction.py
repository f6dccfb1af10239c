"""The correction: taken on a device that is no sum, left out on one that is, and never on a gain within its noise."""

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn.model_selection import KFold
from strategies import TINY
from support.known_times import (
    SMALL,
    SyntheticDevice,
    crowded,
    known_table,
    measured_design,
    measured_ms,
    weights_spill,
)

from mnas_evo.latency.correction import (
    FEWEST_NETWORKS,
    FOLDS,
    SHARES,
    Correction,
    boost,
    earned,
    fit_correction,
    tree_features,
)
from mnas_evo.latency.model import fit_model
from mnas_evo.latency.table import Table

STRAIGHT = SyntheticDevice("straight", overhead_ms=0.5)
SPILLING = replace(STRAIGHT, factor=weights_spill)


def folds(n: int, *, seed: int) -> list[tuple[np.ndarray, np.ndarray]]:
    """(The others, a fold) for each of the folds that gains are taken from."""
    return list(KFold(FOLDS, shuffle=True, random_state=seed).split(np.arange(n)))


def share_of(table: Table) -> float:
    """The share that a fit takes on a table's networks."""
    return fit_model(measured_design(table), measured_ms(table), seed=0)[1].correction.share


# What earns a place


@pytest.mark.parametrize("rows", [True, False])
@pytest.mark.parametrize("seed", range(3))
def test_it_is_taken_on_a_device_that_is_no_sum_and_only_there(seed: int, rows: bool) -> None:
    assert share_of(SPILLING.table(SMALL, networks=120, rows=rows, seed=seed)) > 0
    assert share_of(STRAIGHT.table(SMALL, networks=120, rows=rows, seed=seed)) == 0


def test_it_is_not_tried_on_few_networks() -> None:
    rng = np.random.default_rng(0)
    for n, tried in ((FEWEST_NETWORKS - 1, False), (FEWEST_NETWORKS, True)):
        total, coarse = rng.uniform(1, 2, size=n), rng.random((n, 3))
        left = 0.3 * (total > 1.5).astype(np.float64)  # as plain as can be
        correction, reason, guessed = fit_correction(total, coarse, left, seed=0)
        assert (reason.share > 0) == (correction is not None) == tried == guessed.any()


@pytest.mark.parametrize(("strength", "share"), [(0.0, 0.5), (0.3, 0.5), (0.3, 1.0)])
def test_what_it_said_out_of_fold_comes_with_it(strength: float, share: float, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("mnas_evo.latency.correction.SHARES", (share,))
    rng = np.random.default_rng(3)
    total, coarse = rng.uniform(1, 2, size=100), rng.random((100, 4))
    left = strength * (total > 1.5) + 0.02 * rng.standard_normal(100)
    correction, reason, guessed = fit_correction(total, coarse, left, seed=3)
    assert reason.share == (share if strength else 0)
    if correction is None:
        assert not strength
        assert not guessed.any()
        return
    assert correction.share == share
    for rest, fold in folds(100, seed=3):
        never_saw = Correction(boost(tree_features(total[rest], coarse[rest]), left[rest], seed=3), share)
        assert guessed[fold] == pytest.approx(never_saw.log_ratio(total[fold], coarse[fold]), rel=1e-12)
    assert np.mean(np.abs(left - correction.log_ratio(total, coarse))) < np.mean(np.abs(left))


def gains_of(left: np.ndarray, guessed: np.ndarray, parts: Sequence[np.ndarray], *, share: float) -> np.ndarray:
    """What guesses take off the MAPE of each fold: of times 1 that were priced at exp(-left)."""
    before, after = np.abs(np.exp(-left) - 1), np.abs(np.exp(share * guessed - left) - 1)
    return np.array([100 * (before[part].mean() - after[part].mean()) for part in parts])


@given(st.integers(0, 10**6), st.floats(-1, 1), st.floats(0.001, 0.3))
def test_no_share_is_taken_of_a_gain_within_two_of_its_errors(seed: int, skill: float, noise: float) -> None:
    rng = np.random.default_rng(seed)
    left = noise * rng.standard_normal(50)
    guessed = skill * left + noise * rng.standard_normal(50)
    parts = [fold for _, fold in folds(50, seed=seed)]
    reason = earned(left, guessed, parts)
    gains = {share: gains_of(left, guessed, parts, share=share) for share in SHARES}
    best = max(SHARES, key=lambda share: gains[share].mean())
    error = np.std(gains[best], ddof=1) / np.sqrt(len(parts))
    assert reason.share == (best if gains[best].mean() > 2 * error else 0)
    assert reason.gain_percent == pytest.approx(gains[best].mean())
    assert reason.noise_percent == pytest.approx(error)


def test_half_of_it_is_taken_where_guesses_go_twice_too_far() -> None:
    left = 0.1 * np.random.default_rng(0).standard_normal(50)
    parts = [fold for _, fold in folds(50, seed=0)]
    assert earned(left, 2 * left, parts).share == 0.5
    assert earned(left, left, parts).share == 1.0
    assert earned(left, -left, parts).share == 0.0
    assert earned(left, 0 * left, parts).share == 0.0


# What it says


def test_the_same_networks_and_seed_give_the_same_trees() -> None:
    table = known_table(TINY, networks=60, bend=crowded)
    design, ms = measured_design(table), measured_ms(table)
    vectors = design.vectors[:, design.features.coarse]
    texts = [
        boost(tree_features(ms, vectors), np.log(ms / ms.mean()), seed=seed).model_to_string() for seed in (0, 0, 1)
    ]
    assert texts[0] == texts[1] != texts[2]


def test_a_share_of_the_trees_is_a_share_of_the_log_ratio() -> None:
    rng = np.random.default_rng(0)
    total, coarse = rng.uniform(1, 2, size=60), rng.random((60, 3))
    booster = boost(tree_features(total, coarse), np.log(total), seed=0)
    whole, half = (Correction(booster, share).log_ratio(total, coarse) for share in (1.0, 0.5))
    assert np.ptp(whole) > 0.1
    assert np.array_equal(half, whole / 2)


def test_trees_see_the_time_and_the_features_and_those_per_time() -> None:
    seen = tree_features(np.array([2.0, 4.0]), np.array([[6.0, 0.0], [8.0, 1.0]]))
    assert seen.tolist() == [[2, 6, 0, 3, 0], [4, 8, 1, 2, 0.25]]

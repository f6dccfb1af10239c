"""The correction: LightGBM on what the additive model leaves, in logs, taken as far as it earned its place."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch  # noqa: F401  before lightgbm: both bring an OpenMP, and torch's has to come first
from lightgbm import Booster, Dataset, train
from numpy.typing import NDArray
from sklearn.model_selection import KFold

from mnas_evo.files import Part

FOLDS = 5
SHARES = (0.5, 1.0)
FEWEST_NETWORKS = 40  # of fewer, trees of a few leaves learn nothing but noise
_DEVIATIONS = 2.0  # how far beyond its own noise a gain has to lie
_TREES = 100
_BOOSTING = {
    "objective": "l1",
    "learning_rate": 0.05,
    "num_leaves": 15,
    "min_data_in_leaf": 5,
    "lambda_l2": 1.0,
    "feature_fraction": 0.7,
    "deterministic": True,
    "force_row_wise": True,
    "num_threads": 1,
    "verbosity": -1,
}

Matrix = NDArray[np.float64]


class Earned(Part):
    """The share of the correction that is taken, 0 for none, and what showed it.

    `gain_percent` is what it takes off the error of networks left out, in points of MAPE, `noise_percent` the standard
    error of that from fold to fold; of the best share where none was earned.
    """

    share: float
    gain_percent: float
    noise_percent: float


@dataclass(frozen=True)
class Correction:
    """Trees on the additive model's time and the coarse features, and the share of them that is taken."""

    booster: Booster
    share: float

    def log_ratio(self, total_ms: Matrix, coarse: Matrix) -> Matrix:
        """Log of corrected over additive times, (n,), of networks with times (n,) and coarse features (n, k)."""
        found = self.booster.predict(tree_features(total_ms, coarse), num_threads=1)
        return self.share * np.asarray(found, dtype=np.float64)


def tree_features(total_ms: Matrix, coarse: Matrix) -> Matrix:
    """What the trees see, (n, 1 + 2 k): the time, the features, and the features per time."""
    total = total_ms[:, None]
    return np.hstack([total, coarse, coarse / total])


def boost(inputs: Matrix, target: Matrix, *, seed: int) -> Booster:
    """Trees for a target (n,), the same for the same seed."""
    return train({**_BOOSTING, "seed": seed}, Dataset(inputs, target), num_boost_round=_TREES)


def fit_correction(
    total_ms: Matrix, coarse: Matrix, left: Matrix, *, seed: int
) -> tuple[Correction | None, Earned, Matrix]:
    """Trees on what is left of networks, log residuals (n,) out of fold, if they earn a place.

    Returns them, what showed it, and what they said of each network out of fold, (n,), 0 where they have no place.
    """
    none = np.zeros(len(left))
    if len(left) < FEWEST_NETWORKS:
        return None, Earned(share=0.0, gain_percent=0.0, noise_percent=0.0), none
    inputs = tree_features(total_ms, coarse)
    guessed = np.empty(len(left))
    parts = list(KFold(FOLDS, shuffle=True, random_state=seed).split(inputs))
    for rest, fold in parts:
        guessed[fold] = np.asarray(boost(inputs[rest], left[rest], seed=seed).predict(inputs[fold], num_threads=1))
    reason = earned(left, guessed, [fold for _, fold in parts])
    if reason.share == 0:
        return None, reason, none
    return Correction(boost(inputs, left, seed=seed), reason.share), reason, reason.share * guessed


def earned(left: Matrix, guessed: Matrix, folds: Sequence[NDArray[np.int64]]) -> Earned:
    """The share of guesses of log residuals, both (n,) and out of fold, that lowers the error beyond its noise."""
    found = []
    for share in SHARES:
        gains = [
            100 * np.mean(np.abs(np.expm1(-left[fold])) - np.abs(np.expm1(share * guessed[fold] - left[fold])))
            for fold in folds
        ]
        noise = float(np.std(gains, ddof=1) / np.sqrt(len(gains)))
        found.append(Earned(share=share, gain_percent=float(np.mean(gains)), noise_percent=noise))
    best = max(found, key=lambda one: one.gain_percent)
    if best.gain_percent > _DEVIATIONS * best.noise_percent:
        return best
    return best.model_copy(update={"share": 0.0})

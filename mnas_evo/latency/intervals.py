"""Intervals: CV+ on log residuals (Barber et al. 2021), in units of how far a network lies from those fitted on."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from pydantic import FiniteFloat

from mnas_evo.files import Part

CONFIDENCE = 0.9
FEWEST_FOR_INTERVALS = 12  # sampled networks, of which four fifths then have nine residuals
_WIDE = 100.0  # prior variance of each share's weight, in noises
_AT_ONCE = 50_000  # 100 residuals x 50,000 networks are 40 MB

Matrix = NDArray[np.float64]


class Reach(Part):
    """How far networks lie from those fitted on: 1 among them, growing with the distance beyond.

    It is the deviation of a ridge's prediction, in units of the noise, from few features: their shares of the time.
    """

    columns: tuple[int, ...]
    covariance: tuple[tuple[FiniteFloat, ...], ...]

    def deviations(self, vectors: Matrix, ms: Matrix) -> Matrix:
        """Of networks with vectors (n, k) of all features and predicted times (n,): (n,), at least 1."""
        shares = np.hstack([np.ones((len(ms), 1)), vectors[:, list(self.columns)]]) / ms[:, None]
        return np.asarray(np.sqrt(1 + np.einsum("ij,jk,ik->i", shares, np.array(self.covariance), shares)))


def fit_reach(vectors: Matrix, ms: Matrix, *, columns: Sequence[int]) -> Reach:
    """The reach of networks with vectors (n, k) and times (n,)."""
    shares = np.hstack([np.ones((len(ms), 1)), vectors[:, list(columns)]]) / ms[:, None]
    scales = np.sqrt(np.mean(shares**2, axis=0))
    scales[scales == 0] = 1.0
    inverse = np.linalg.inv((shares / scales).T @ (shares / scales) + np.eye(len(scales)) / _WIDE)
    covariance = inverse / scales[:, None] / scales[None]
    return Reach(columns=tuple(columns), covariance=tuple(tuple(row) for row in covariance.tolist()))


def cv_plus(said: Sequence[tuple[Matrix, Matrix]], deviations: Matrix) -> tuple[Matrix, Matrix]:
    """Intervals, ms (n,) each, of (log prediction (n,), log residuals in deviations) a fold, and deviations (n,).

    Each measured network's residual is added to what the model that never saw it says of the new one. Endless where
    residuals are too few for the confidence, or a network is farther from all of them than floats can say.
    """
    n = len(deviations)
    count = sum(len(residuals) for _, residuals in said)
    rank = int(np.floor((1 - CONFIDENCE) * (count + 1) + 1e-9))  # .1 x 10 is a hair below 1
    if rank < 1:
        return np.zeros(n), np.full(n, np.inf)
    low, high = np.empty(n), np.empty(n)
    for start in range(0, n, _AT_ONCE):
        part = slice(start, start + _AT_ONCE)
        wide = deviations[part, None]
        lows = np.concatenate([log_ms[part, None] - np.abs(residuals) * wide for log_ms, residuals in said], axis=1)
        highs = np.concatenate([log_ms[part, None] + np.abs(residuals) * wide for log_ms, residuals in said], axis=1)
        low[part] = np.partition(lows, rank - 1, axis=1)[:, rank - 1]
        high[part] = np.partition(highs, count - rank, axis=1)[:, count - rank]
    with np.errstate(over="ignore"):
        return np.exp(low), np.exp(high)

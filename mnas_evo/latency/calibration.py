"""From a sum of rows to a network's time: a fixed overhead, one scale, and a shrunken departure from it a family."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from sklearn.linear_model import HuberRegressor

Matrix = NDArray[np.float64]

SHRINKAGES = (0.001, 0.01, 0.1, 1.0)
_ITERATIONS = 1000


@dataclass(frozen=True, slots=True)
class Calibration:
    """ms = overhead_ms + scale × sum + Σ departures × parts; robust, fitted on relative errors."""

    overhead_ms: float
    scale: float
    departures: tuple[float, ...]

    def ms(self, sums: Matrix, parts: Matrix) -> Matrix:
        """Calibrated times, (n,), of sums (n,) and their parts (n, p); at least a tenth of the scaled sum."""
        priced = self.overhead_ms + self.scale * sums + parts @ np.array(self.departures)
        return np.asarray(np.maximum(priced, 0.1 * self.scale * sums))


def fit_calibration(sums: Matrix, parts: Matrix, ms: Matrix, *, shrinkage: float) -> Calibration:
    """Fits on measured networks: the median ratio first, then overhead and departures by Huber's loss on what is left.

    Every row is divided by its measured time, so that errors count in percent. `shrinkage` pulls the departures to 0.
    """
    scale = float(np.median(ms / sums))
    typical = float(np.median(ms))
    # Columns are put on the scale of the target (fractions of a time), so that one shrinkage means the same to all.
    columns = np.column_stack([np.full(len(ms), typical), parts]) / ms[:, None]
    left = 1.0 - scale * sums / ms
    used = columns.std(axis=0) > 1e-12
    weights = np.zeros(columns.shape[1])
    if used.any() and left.std() > 1e-12:
        # Targets are a few percent: multiplied by 100 they suit the solver's tolerance.
        model = HuberRegressor(alpha=shrinkage, fit_intercept=False, max_iter=_ITERATIONS, tol=1e-6)
        model.fit(columns[:, used], 100 * left)
        weights[used] = model.coef_ / 100
    return Calibration(typical * float(weights[0]), scale, tuple(float(w) for w in weights[1:]))

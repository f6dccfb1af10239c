"""How good predicted latencies are: error in percent, share within 1, 5 and 10 %, rank correlation, coverage."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.stats import kendalltau

Vector = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Quality:
    """Figures of predicted against measured. `mape` and `w1`, `w5`, `w10` in percent; Kendall's tau-b in -1 to 1."""

    mape: float
    w1: float
    w5: float
    w10: float
    kendall: float


def quality(predicted: Vector, measured: Vector) -> Quality:
    """Quality of predictions (n,) against measurements (n,)."""
    errors = 100 * np.abs(predicted / measured - 1)
    w1, w5, w10 = (float(100 * np.mean(errors <= limit)) for limit in (1, 5, 10))
    constant = np.ptp(predicted) == 0 or np.ptp(measured) == 0
    kendall = 0.0 if constant else float(kendalltau(predicted, measured).statistic)
    return Quality(float(np.mean(errors)), w1, w5, w10, kendall)


def coverage_percent(low: Vector, high: Vector, measured: Vector) -> float:
    """Share of measurements inside their interval."""
    return float(100 * np.mean((low <= measured) & (measured <= high)))

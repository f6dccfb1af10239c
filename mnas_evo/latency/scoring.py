"""How good predicted latencies are: error, share within 1, 5 and 10 %, rank correlations, and coverage of intervals."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.stats import kendalltau, spearmanr

Vector = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Quality:
    """Figures of predicted against measured. `mape` and `w1`, `w5`, `w10` in percent; the rank correlations -1 to 1.

    `w5` is the share of networks within 5 %; `rmse_ms` is the root of the mean squared error.
    """

    mape: float
    w1: float
    w5: float
    w10: float
    rmse_ms: float
    kendall: float
    spearman: float


@dataclass(frozen=True, slots=True)
class Graded:
    """Quality over all networks, and within the fastest and the slowest fifth of them as they were measured."""

    whole: Quality
    fastest: Quality
    slowest: Quality


def quality(predicted: Vector, measured: Vector) -> Quality:
    """Quality of predictions (n,) against measurements (n,), ms."""
    errors = 100 * np.abs(predicted / measured - 1)
    w1, w5, w10 = (float(100 * np.mean(errors <= limit)) for limit in (1, 5, 10))
    rmse_ms = float(np.sqrt(np.mean((predicted - measured) ** 2)))
    return Quality(float(np.mean(errors)), w1, w5, w10, rmse_ms, *rank_correlations(predicted, measured))


def rank_correlations(predicted: Vector, known: Vector) -> tuple[float, float]:
    """Kendall's tau-b and Spearman's rho of two (n,), -1 to 1; 0 where one of them is constant."""
    if np.ptp(predicted) == 0 or np.ptp(known) == 0:
        return 0.0, 0.0
    return float(kendalltau(predicted, known).statistic), float(spearmanr(predicted, known).statistic)


def graded(predicted: Vector, measured: Vector) -> Graded:
    """Quality of predictions (n,) over all, and within the fastest and the slowest fifth (one network at least)."""
    order = np.argsort(measured, kind="stable")
    fifth = max(1, len(order) // 5)
    parts = (order, order[:fifth], order[-fifth:])
    return Graded(*(quality(predicted[part], measured[part]) for part in parts))


def coverage_percent(low: Vector, high: Vector, measured: Vector) -> float:
    """Share of measurements inside their interval."""
    return float(100 * np.mean((low <= measured) & (measured <= high)))

"""How well a source of top-1 ranks networks that were trained in full, beside what their size alone would tell.

Intervals are 90 % percentile bootstraps (Efron and Tibshirani 1993, chapter 13) over the networks; all predictors see
the same resamples, so that their differences are paired.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from mnas_evo.errors import RequestError

FEWEST = 10  # networks, to be ranked at all
FEWEST_IN_PART = 8
FEWEST_FOR_BEST = 20  # networks: of fewer, fifteen are most of them
BEST, AMONG = 10, 15
SOURCE = "source"
PARTS = {"all": 1.0, "better half": 0.5, "best quarter": 0.25}
_FEW = 30  # networks: below, an interval of Kendall's is some .4 wide
_RESAMPLES = 2000
_ENDS = (0.05, 0.95)
_ROWS = 1024  # networks whose pairs are counted at once, to bound memory
_WORDS = {"params": "parameters", "macs": "multiply-adds"}

Vector = NDArray[np.float64]
Matrix = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Estimate:
    """A figure with its 90 % bootstrap interval."""

    value: float
    low: float
    high: float


@dataclass(frozen=True, slots=True)
class Ranks:
    """Kendall's tau-b and Spearman's rho, -1 to 1; 0 where all values are the same."""

    kendall: Estimate
    spearman: Estimate


@dataclass(frozen=True, slots=True)
class Part:
    """How each predictor ranks some of the networks; where that cannot be told `ranks` is empty, `reason` says why."""

    networks: int
    ranks: Mapping[str, Ranks]
    reason: str = ""


@dataclass(frozen=True, slots=True)
class RankCheck:
    """How a source ranks `networks` networks, and how what stands beside it does.

    `parts` are those of PARTS, the better ones by what is known. `best_found` is how many of the best 10 are among each
    predictor's best 15, None of too few networks; where there are ties, as many as expected of breaking them at random.
    `gains` are Kendall's of the source less that of each other. `constant`: the source says the same of all networks.
    """

    networks: int
    parts: Mapping[str, Part]
    best_found: Mapping[str, float] | None
    gains: Mapping[str, Estimate]
    constant: bool

    @property
    def best_by_chance(self) -> float:
        """How many of the best 10 a blind choice of 15 holds on average."""
        return BEST * AMONG / self.networks

    @property
    def verdict(self) -> str:
        """Whether the source ranks better than what stands beside it, in words."""
        better = [name for name, gain in self.gains.items() if gain.low > 0]
        worse = [name for name, gain in self.gains.items() if gain.high < 0]
        error = "beyond the bootstrap's error"
        few = f" (of only {self.networks} networks: more may tell otherwise)" if self.networks < _FEW else ""
        if self.constant:
            return f"says the same of all networks, and ranks nothing{few}"
        if worse:
            return f"ranks worse than {_and(worse)} {error}: rank by {_and(worse[:1])} rather{few}"
        if len(better) == len(self.gains):
            return f"ranks better than {_and(better)} {error}{few}"
        rest = [name for name in self.gains if name not in better]
        if better:
            return f"ranks better than {_and(better)} {error}, but not than {_and(rest)}{few}"
        return f"does not rank better than {_and(rest)} {error}{few}"


def rank_check(predicted: Vector, known: Vector, *, beside: Mapping[str, Vector], seed: int = 0) -> RankCheck:
    """How predicted (n,) and what stands `beside` it, (n,) each, rank networks of known top-1 (n,); more is better.

    A part is resampled by itself: its interval is that of networks as good as these.

    Raises:
        RequestError: fewer than 10 networks, or all of them as good.
    """
    n = len(known)
    if n < FEWEST:
        raise RequestError(
            f"{n} networks of known top-1 are too few to judge a ranking, which takes {FEWEST}; train more"
        )
    if np.ptp(known) == 0:
        raise RequestError(f"all {n} networks have a top-1 of {known[0]:g} %: there is nothing to rank")
    predictors = {SOURCE: predicted, **beside}
    parts, gains = {}, {}
    for name, share in PARTS.items():
        best = known >= np.sort(known)[-int(np.ceil(share * n))]  # of networks that are as good, all
        if reason := _reason(known[best]):
            parts[name] = Part(int(best.sum()), {}, reason)
            continue
        found = _resampled({one: values[best] for one, values in predictors.items()}, known[best], seed=seed)
        ranks = {one: Ranks(_estimate(kendall), _estimate(spearman)) for one, (kendall, spearman) in found.items()}
        parts[name] = Part(int(best.sum()), ranks)
        if name == "all":
            gains = {one: _estimate(found[SOURCE][0] - found[one][0]) for one in beside}
    best_found = None
    if n >= FEWEST_FOR_BEST:
        truly = _share_among_best(known, BEST)
        best_found = {one: float(truly @ _share_among_best(values, AMONG)) for one, values in predictors.items()}
    return RankCheck(n, parts, best_found, gains, bool(np.ptp(predicted) == 0))


def _reason(known: Vector) -> str:
    """Why a part tells nothing; empty where it does."""
    if len(known) < FEWEST_IN_PART:
        return f"too few: it takes {FEWEST_IN_PART}"
    return f"all have a top-1 of {known[0]:g} %" if np.ptp(known) == 0 else ""


def _estimate(resampled: Vector) -> Estimate:
    """An estimate from its value and, after it, those of the resamples."""
    low, high = np.quantile(resampled[1:], _ENDS)
    return Estimate(float(resampled[0]), float(low), float(high))


def _resampled(predictors: Mapping[str, Vector], known: Vector, *, seed: int) -> dict[str, tuple[Vector, Vector]]:
    """Kendall's and Spearman's correlation, as they are and of every resample, (1 + resamples,) each, by predictor."""
    n = len(known)
    drawn = np.random.default_rng(seed).multinomial(n, np.full(n, 1 / n), size=_RESAMPLES)
    times = np.vstack([np.ones((1, n)), drawn])
    return {name: correlations(values, known, times=times) for name, values in predictors.items()}


def correlations(predicted: Vector, known: Vector, *, times: Matrix) -> tuple[Vector, Vector]:
    """Kendall's tau-b and Spearman's rho of predicted and known (n,), each network taken so many `times` (b, n).

    Both (b,), and 0 where one side is constant. With s the sign of a difference, pairs in order less those out of order
    are a sum of s_x s_y over pairs, and twice a rank, counted from the middle, is a sum of s over the others.
    """
    few = times.astype(np.float32)  # exact: sums of a network's signs stay below 2**24
    ordered, products = np.zeros(len(times)), np.zeros((3, len(times)))
    for start in range(0, len(known), _ROWS):
        rows = slice(start, start + _ROWS)
        x, y = (np.sign(values[rows, None] - values).astype(np.float32) for values in (predicted, known))
        ordered += np.einsum("br,br->b", times[:, rows], few @ (x * y).T)
        x_ranks, y_ranks = ((few @ signs.T).astype(np.float64) for signs in (x, y))
        for product, (one, other) in zip(
            products, ((x_ranks, y_ranks), (x_ranks, x_ranks), (y_ranks, y_ranks)), strict=True
        ):
            product += np.einsum("br,br,br->b", times[:, rows], one, other)
    untied = _untied_pairs(predicted, times) * _untied_pairs(known, times)
    return _ratio(ordered, untied), _ratio(products[0], products[1] * products[2])


def _untied_pairs(values: Vector, times: Matrix) -> Vector:
    """Ordered pairs of different values, (b,)."""
    order = np.argsort(values, kind="stable")
    starts = np.flatnonzero(np.diff(values[order], prepend=-np.inf))
    alike = np.add.reduceat(times[:, order], starts, axis=1)
    return np.asarray(times.sum(axis=1) ** 2 - (alike**2).sum(axis=1))


def _ratio(product: Vector, squares: Vector) -> Vector:
    found = np.divide(product, np.sqrt(squares), out=np.zeros_like(product), where=squares > 0)
    return np.clip(found, -1, 1)


def _share_among_best(values: Vector, count: int) -> Vector:
    """The share to which each value is one of the `count` greatest, (n,): those tied for the last places share them."""
    last = np.sort(values)[-count]
    above, tied = values > last, values == last
    return np.where(above, 1.0, np.where(tied, (count - above.sum()) / tied.sum(), 0.0))


def _and(names: Sequence[str]) -> str:
    return " and ".join(_WORDS.get(name, name) for name in names)

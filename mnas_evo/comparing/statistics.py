"""Searches in numbers: what their fronts cover, how near they come, and tests corrected for many comparisons."""

from bisect import bisect_left
from collections.abc import Collection, Iterator, Mapping, Sequence
from itertools import combinations, pairwise

import numpy as np
from numpy.typing import NDArray
from pymoo.indicators.igd_plus import IGDPlus
from scipy.stats import mannwhitneyu

from mnas_evo.files import Part
from mnas_evo.search.front import hypervolume, non_dominated

SIGNIFICANT = 0.05
_MOST_SEEDS = 100  # beyond, no number of seeds is looked for

Matrix = NDArray[np.float64]


class Figure(Part):
    """A figure of one algorithm: mean and standard deviation over its seeds, and each; None where there is none."""

    mean: float | None
    sd: float | None
    per_seed: tuple[float | None, ...]


class PairTest(Part):
    """Mann-Whitney's U test, two-sided, of two algorithms, and how often `a` beats `b`.

    `p`: after Holm's correction over the pairs tested, `p_alone` before it; None of fewer than two seeds.
    `effect`: A12 of Vargha and Delaney (2000), the share of pairs of seeds in which `a` is higher, ties by half.
    """

    a: str
    b: str
    p: float | None
    effect: float | None
    p_alone: float | None
    significant: bool


def figure(values: Sequence[float | None]) -> Figure:
    """A figure of its values by seed; what is no finite number is none."""
    kept = tuple(None if one is None or not np.isfinite(one) else float(one) for one in values)
    known = [one for one in kept if one is not None]
    mean = float(np.mean(known)) if known else None
    return Figure(mean=mean, sd=float(np.std(known, ddof=1)) if len(known) > 1 else None, per_seed=kept)


# What a search covers


def hypervolumes(values: Matrix, reference: Matrix, *, after: Sequence[int]) -> Matrix:
    """Hypervolume of the first so many rows of (n, m) minimised objectives, for each number, ascending.

    A row of NaN, an evaluation that gave nothing, covers nothing. With two objectives every point is added in the time
    of a search in a list; with more each hypervolume is computed for itself, so ask for few.
    """
    if values.shape[1] == 2:
        course = np.concatenate([[0.0], np.fromiter(_staircase(values, reference), float, len(values))])
        return np.asarray(course[np.minimum(after, len(values))])
    kept, done, found = np.empty((0, values.shape[1])), 0, []
    for number in after:
        new = values[done:number]
        kept = np.vstack([kept, new[~np.isnan(new).any(axis=1)]])
        kept = kept[non_dominated(kept)] if len(kept) else kept
        done = max(done, number)
        found.append(hypervolume(kept, reference))
    return np.array(found)


def _staircase(values: Matrix, reference: Matrix) -> Iterator[float]:
    """Area covered after each point of two minimised objectives."""
    x_end, y_end = (float(value) for value in reference)
    xs: list[float] = []  # ascending, while ys descend
    ys: list[float] = []
    area = 0.0
    for x, y in values.tolist():
        at = bisect_left(xs, x)
        before = ys[at - 1] if at else y_end
        same = at < len(xs) and xs[at] == x and ys[at] <= y
        if x < x_end and y < min(before, y_end) and not same:  # never of a NaN
            end = at
            while end < len(ys) and ys[end] >= y:
                end += 1
            corners = [x, *xs[at:end], xs[end] if end < len(xs) else x_end]
            heights = [before, *ys[at:end]]
            area += sum(
                (right - left) * (top - y) for (left, right), top in zip(pairwise(corners), heights, strict=True)
            )
            xs[at:end], ys[at:end] = [x], [y]
        yield area


def igd_plus(values: Matrix, front: Matrix) -> float:
    """IGD+ (Ishibuchi et al. 2015) of (n, m) minimised objectives, each as a share of the front's range in it.

    Infinite of none.
    """
    values = values[~np.isnan(values).any(axis=1)]
    if not len(values):
        return float("inf")
    least, extent = front.min(axis=0), np.ptp(front, axis=0)
    extent = np.where(extent > 0, extent, 1.0)
    return float(IGDPlus((front - least) / extent)((values[non_dominated(values)] - least) / extent))


def best_within(costs: Matrix, scores: Matrix, *, limits: Sequence[float]) -> Matrix:
    """The least of minimised scores (n,) whose cost is within each limit; infinite where none is."""
    known = ~(np.isnan(costs) | np.isnan(scores))
    order = np.argsort(costs[known], kind="stable")
    best = np.concatenate([[np.inf], np.minimum.accumulate(scores[known][order])])
    return np.asarray(best[np.searchsorted(costs[known][order], limits, side="right")])


# Tests


def pair_tests(
    samples: Mapping[str, Sequence[float | None]], *, of: Collection[str] | None = None
) -> tuple[PairTest, ...]:
    """Tests of pairs of algorithms on a figure of which more is better, one value a seed.

    All pairs, or those in which one of the algorithms `of` stands: what is not asked costs no correction.
    """
    known = {name: [one for one in values if one is not None] for name, values in samples.items()}
    pairs = [pair for pair in combinations(known, 2) if of is None or not set(of).isdisjoint(pair)]
    alone = [_p(known[a], known[b]) for a, b in pairs]
    corrected = _holm(alone)
    return tuple(
        PairTest(
            a=a,
            b=b,
            p=p,
            effect=_a12(known[a], known[b]),
            p_alone=p_alone,
            significant=p is not None and p <= SIGNIFICANT,
        )
        for (a, b), p_alone, p in zip(pairs, alone, corrected, strict=True)
    )


def seeds_needed(pairs: int) -> int | None:
    """Seeds from which a difference can be significant after correction; None where no number up to 100 is enough."""
    enough = (n for n in range(2, _MOST_SEEDS + 1) if (_p(range(n), range(n, 2 * n)) or 1) * pairs <= SIGNIFICANT)
    return next(enough, None)


def _p(a: Sequence[float], b: Sequence[float]) -> float | None:
    if min(len(a), len(b)) < 2:
        return None
    if len({*a, *b}) == 1:
        return 1.0
    return float(mannwhitneyu(a, b, alternative="two-sided").pvalue)


def _holm(alone: Sequence[float | None]) -> list[float | None]:
    """Holm's correction (1979) of those tests that there are."""
    order = sorted((p, i) for i, p in enumerate(alone) if p is not None)
    found: list[float | None] = [None] * len(alone)
    least = 0.0
    for rank, (p, i) in enumerate(order):
        least = max(least, min(1.0, p * (len(order) - rank)))
        found[i] = least
    return found


def _a12(a: Sequence[float], b: Sequence[float]) -> float | None:
    if not a or not b:
        return None
    differences = np.asarray(a, dtype=float)[:, None] - np.asarray(b, dtype=float)[None]
    return float(((differences > 0) + 0.5 * (differences == 0)).mean())

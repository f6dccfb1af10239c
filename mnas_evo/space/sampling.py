"""Samples of a space that are spread evenly over a number, where most of a uniform one lies near the middle."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from mnas_evo.space.space import Genes, SearchSpace, distinct_rows

_CANDIDATES = 20_000


def sample_by_macs(space: SearchSpace, n: int, *, rng: np.random.Generator) -> Genes:
    """Different architectures spread evenly over multiply-adds: canonical genomes, ascending, shape (n, g).

    They are picked from a large uniform sample, so the ends are those of such a sample, not of the space. Fewer come
    where that sample holds fewer architectures.
    """
    genes = space.sample(max(_CANDIDATES, 20 * n), rng=rng)
    genes = genes[list(distinct_rows(genes))]
    return genes[spread_evenly(space.macs(genes), n)]


def spread_evenly(values: NDArray[Any], n: int) -> NDArray[np.int64]:
    """Indices of n values spread evenly between their 1st and 99th percentile, ascending; all where there are no more.

    Each of n even steps takes the nearest value that no step before has taken.
    """
    order = np.argsort(values, kind="stable")
    if n >= len(values):
        return order
    ordered = values[order]
    free = np.ones(len(ordered), dtype=bool)
    low, high = np.quantile(ordered, (0.01, 0.99))
    for wanted in np.linspace(float(low), float(high), n):
        at = int(np.searchsorted(ordered, wanted))
        # Within n of the place something is free on one side, for fewer than n are taken.
        near = np.arange(max(0, at - n), min(len(ordered), at + n))
        near = near[free[near]]
        free[near[np.abs(ordered[near] - wanted).argmin()]] = False
    return order[~free]

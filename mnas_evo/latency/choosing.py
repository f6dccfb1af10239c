"""Which networks to measure: those that leave the additive model least unsure of all others.

What is not known yet of a network is a matter of its features alone, so that networks can be chosen before any is
measured (Krause et al. 2008, section 2, have the criterion beside others).
"""

import numpy as np
from numpy.typing import NDArray

from mnas_evo.latency.additive import Design, Prior

Indices = NDArray[np.int64]

# What fits of 100 networks usually choose.
_VARIANCES = {"fixed": 100.0, "rows": 1e4, "parts": 1.0, "graph": 100.0, "sizes": 0.1, "layers": 0.01}


def most_telling(candidates: Design, rough_ms: NDArray[np.float64], n: int) -> Indices:
    """Indices of n different candidates of about these times, ms (candidates,), each chosen beside those before it.

    Every step takes the one whose measurement would lower the summed variance of all candidates most. Anchors count as
    measured already and are not taken.
    """
    blocks = candidates.blocks
    unsure = Prior(blocks, rough_ms).covariance(tuple(_VARIANCES[name] for name in blocks))
    for anchor in np.flatnonzero(candidates.anchors):
        unsure = _measured(unsure, int(anchor))
    free = ~candidates.anchors
    taken: list[int] = []
    for _ in range(min(n, int(free.sum()))):
        gains = np.where(free, (unsure**2).sum(axis=0) / (np.diag(unsure) + 1), -1.0)
        taken.append(int(gains.argmax()))
        free[taken[-1]] = False
        unsure = _measured(unsure, taken[-1])
    return np.array(taken, dtype=np.int64)


def _measured(unsure: NDArray[np.float64], which: int) -> NDArray[np.float64]:
    """The covariance once one of the networks was measured, with the noise of 1."""
    column = unsure[:, which]
    return unsure - np.outer(column, column / (column[which] + 1))

"""How much more a front would cover with one point more: what a batch to evaluate is chosen by."""

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray
from pymoo.indicators.hv import Hypervolume

from mnas_evo.search.front import Matrix, non_dominated

_DEAR = 200  # points at most, whose gain in more than two objectives is computed


def most_gaining(points: Matrix, front: Matrix, *, reference: Matrix) -> Iterator[int]:
    """Rows of (n, m) minimised points, each the one that adds most hypervolume to the front and those before it.

    Ends when no point adds any.
    """
    front = front[(front < reference).all(axis=1)]
    front = front[non_dominated(front)]
    left = np.flatnonzero((points < reference).all(axis=1))
    if points.shape[1] > 2:
        left = left[:_DEAR]
    while len(left):
        gains = _gains(points[left], front, reference)
        best = int(gains.argmax())
        if gains[best] <= 0:
            return
        yield int(left[best])
        front = np.vstack([front, points[left[best]]])
        front = front[non_dominated(front)]
        left = np.delete(left, best)


def _gains(points: Matrix, front: Matrix, reference: Matrix) -> NDArray[np.float64]:
    """Hypervolume that each of (n, m) points would add, (n,)."""
    if points.shape[1] == 2:
        return _gains_in_a_plane(points, front, reference)
    volume = Hypervolume(ref_point=reference)
    now = float(volume(front)) if len(front) else 0.0
    return np.array([float(volume(np.vstack([front, point]))) - now for point in points])


def _gains_in_a_plane(points: Matrix, front: Matrix, reference: Matrix) -> NDArray[np.float64]:
    """The same for two objectives: between steps of the front's staircase, what of the point lies below it."""
    steps = front[np.argsort(front[:, 0])]
    # Stripes along the first objective: before the first step nothing is covered, then all above each step.
    left = np.concatenate([[-np.inf], steps[:, 0]])
    right = np.concatenate([steps[:, 0], reference[:1]])
    top = np.concatenate([reference[1:], steps[:, 1]])
    width = right[None] - np.maximum(points[:, :1], left[None])
    height = top[None] - points[:, 1:]
    found: NDArray[np.float64] = (np.maximum(width, 0.0) * np.maximum(height, 0.0)).sum(axis=1)
    return found

"""Which architectures of a front go on: its knee, its spread, and the one that fits a latency budget."""

from collections.abc import Sequence

import numpy as np

from mnas_evo.errors import Infeasible
from mnas_evo.search.front import Candidate, minimised

OBJECTIVES = ("top1", "latency_ms")


def knee(front: Sequence[Candidate]) -> Candidate:
    """The point of a front furthest below the line between its ends, both objectives scaled to the front's range."""
    values = minimised(front, OBJECTIVES)
    if len(front) < 3:
        return front[-1]
    extent = np.ptp(values, axis=0)
    scaled = (values - values.min(axis=0)) / np.where(extent > 0, extent, 1.0)
    first, last = scaled[values[:, 1].argmin()], scaled[values[:, 1].argmax()]
    along = last - first
    above = (scaled - first) @ np.array([along[1], -along[0]])  # of the line: less is better
    return front[int(above.argmin())]


def spread(front: Sequence[Candidate], count: int) -> list[Candidate]:
    """At most `count` of a front: all of a short one, else its knee, its ends, and an even spread between."""
    if len(front) <= count:
        return list(front)
    at_knee = next(i for i, candidate in enumerate(front) if candidate is knee(front))
    rows = {at_knee, *(int(row) for row in np.linspace(0, len(front) - 1, count - 1).round())}
    return [front[row] for row in sorted(rows)]


def choose(front: Sequence[Candidate], *, target_ms: float | None) -> Candidate:
    """The most accurate architecture within a latency budget, or the knee where there is none.

    Raises:
        Infeasible: no architecture of the front is within the budget.
    """
    if not front:
        raise Infeasible("the front is empty: the search found nothing within its limits")
    if target_ms is None:
        return knee(front)
    within = [candidate for candidate in front if candidate.quantity("latency_ms") <= target_ms]
    if not within:
        fastest = min(candidate.quantity("latency_ms") for candidate in front)
        raise Infeasible(f"nothing on the front runs within {target_ms:g} ms; the fastest takes {fastest:.4g} ms")
    return max(within, key=lambda candidate: candidate.quantity("top1"))

"""Which architectures of a front go on: those to be measured, its knee, and the one that fits a latency budget."""

from collections.abc import Iterator, Sequence

import numpy as np

from mnas_evo.errors import Infeasible
from mnas_evo.search.front import Candidate, front, minimised

OBJECTIVES = ("top1", "latency_ms")
# Networks predicted so near a limit may lie on either side of it: fronts were off by 3 to 10 % on average.
NEAR = 0.1
_SIDE = 5  # a fifth of the finalists to either side of the limit


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
    bend = knee(front)
    at_knee = next(i for i, candidate in enumerate(front) if candidate is bend)
    rows = {at_knee, *(int(row) for row in np.linspace(0, len(front) - 1, count - 1).round())}
    return [front[row] for row in sorted(rows)]


def finalists(
    found: Sequence[Candidate], count: int, *, limit_ms: float | None = None, beyond: Sequence[Candidate] = ()
) -> list[Candidate]:
    """`count` of the candidates to be measured, fewer where there are fewer, fastest first.

    With a limit a fifth of them lies just within it, the most accurate one first, and a fifth just beyond: a
    prediction may be off either way. `beyond` are candidates that a search turned down for that limit alone. The others
    are a spread of the front, then of what only the front dominates, and so on.
    """
    chosen: dict[str, Candidate] = {}
    if limit_ms is not None:
        chosen |= {one.network: one for one in _around(front([*found, *beyond], OBJECTIVES), count, limit_ms)}
    for rank in _ranks(found):
        while len(chosen) < count and (left := [one for one in rank if one.network not in chosen]):
            chosen |= {one.network: one for one in spread(left, count - len(chosen))}
        if len(chosen) >= count:
            break
    return sorted(chosen.values(), key=lambda one: one.quantity("latency_ms"))


def _around(best: Sequence[Candidate], count: int, limit_ms: float) -> list[Candidate]:
    """Those of a front to either side of a limit, the two nearest first; at most `count`."""
    ms = [one.quantity("latency_ms") for one in best]
    within = [one for one, time in zip(best, ms, strict=True) if time <= limit_ms][::-1]
    beyond = [one for one, time in zip(best, ms, strict=True) if time > limit_ms]
    each = max(1, count // _SIDE)
    sides = (_nearest(within, each, limit_ms), _nearest(beyond, each, limit_ms))
    return [*(one for side in sides for one in side[:1]), *(one for side in sides for one in side[1:])][:count]


def _nearest(side: Sequence[Candidate], count: int, limit_ms: float) -> list[Candidate]:
    """`count` of one side, nearest to the limit first: an even spread of what lies near it, the nearest always."""
    near = [one for one in side if abs(one.quantity("latency_ms") / limit_ms - 1) <= NEAR]
    if len(near) <= count:
        return list(side[:count])
    return [near[int(row)] for row in np.linspace(0, len(near) - 1, count).round()]


def _ranks(found: Sequence[Candidate]) -> Iterator[list[Candidate]]:
    """The front, then the front of what is left without it, and so on."""
    left = list(found)
    while left:
        rank = front(left, OBJECTIVES)
        yield rank
        taken = {one.network for one in rank}
        left = [one for one in left if one.network not in taken]


def choose(front: Sequence[Candidate], *, target_ms: float | None) -> Candidate:
    """The most accurate architecture within a latency budget, or the knee where there is none.

    Where some were measured, those alone are asked: a budget is not met by a prediction.

    Raises:
        Infeasible: no architecture of the front is within the budget.
    """
    if not front:
        raise Infeasible("the front is empty: the search found nothing within its limits")
    if target_ms is None:
        return knee(front)
    asked = [candidate for candidate in front if candidate.measured_ms is not None] or front
    within = [candidate for candidate in asked if candidate.quantity("latency_ms") <= target_ms]
    if not within:
        fastest = min(candidate.quantity("latency_ms") for candidate in asked)
        raise Infeasible(f"nothing on the front runs within {target_ms:g} ms; the fastest takes {fastest:.4g} ms")
    return max(within, key=lambda candidate: candidate.quantity("top1"))

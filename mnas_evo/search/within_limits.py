"""Random architectures within the limits on what is cheap, also where those leave few."""

from collections.abc import Callable

import numpy as np

from mnas_evo.search.objectives import Problem
from mnas_evo.space.neighbourhood import mutated
from mnas_evo.space.space import Genes, distinct_rows

_DRAWN = 500  # genomes a step
_PARENTS = 50
_STEPS = 40


def random_within_limits(
    problem: Problem, count: int, *, is_new: Callable[[Genes], Genes], rng: np.random.Generator
) -> Genes:
    """Up to `count` distinct canonical genomes (n, g) of those that `is_new` lets through.

    They are uniform where enough uniform ones are within the limits. Elsewhere those that miss least are changed again
    and again; where that does not help either, those that miss least are given.
    """
    space = problem.space
    limited = problem.limits.keys() & problem.cheap.keys()
    kept = space.sample(0, rng=rng)
    missed = np.zeros(0)
    for _ in range(_STEPS):
        order = np.argsort(missed, kind="stable")
        near = mutated(space, kept[order[:_PARENTS]], rng=rng) if len(kept) else kept
        kept = np.concatenate([kept[order[:_DRAWN]], near, space.sample(_DRAWN, rng=rng)])
        kept = is_new(kept[list(distinct_rows(kept))])
        missed = problem.violations(problem.cheap_arrays(kept)) if limited and len(kept) else np.zeros(len(kept))
        if (missed == 0).sum() >= count:
            break
    return kept[np.argsort(missed, kind="stable")[:count]]

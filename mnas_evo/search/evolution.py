"""Regularized evolution (Real et al. 2019) on the reward of the MnasNet paper: one number, one target."""

from collections import deque
from collections.abc import Sequence
from typing import Annotated

import numpy as np
from pydantic import Field

from mnas_evo.search.contract import Outcome, Searcher
from mnas_evo.search.objectives import Problem
from mnas_evo.search.reward import Reward, RewardSettings, rewards
from mnas_evo.search.turns import taking_turns
from mnas_evo.space.neighbourhood import mutated
from mnas_evo.space.space import Genes, SearchSpace

_TRIES = 100


class EvolutionSettings(RewardSettings):
    """`population`: the youngest so many may be parents; `sample`: of which the best of so many is; `batch`: children
    before the next survival, which the paper has one by one."""

    population: Annotated[int, Field(ge=2)] = 50
    sample: Annotated[int, Field(ge=1)] = 10
    batch: Annotated[int, Field(ge=1)] = 10


class Evolution:
    """The oldest die, whatever their reward; a child is the best of a random sample with one choice changed.

    A child asked before is drawn again, so that the budget goes to new architectures.
    """

    def __init__(
        self, space: SearchSpace, settings: EvolutionSettings, reward: Reward, *, rng: np.random.Generator
    ) -> None:
        self._space = space
        self._settings = settings
        self._reward = reward
        self._rng = rng
        self._alive: deque[tuple[Genes, float]] = deque(maxlen=settings.population)
        self._seen: set[int] = set()

    def ask(self) -> Genes:
        """Random genomes until the population is full, then children."""
        born: list[Genes] = []
        for _ in range(_TRIES * self._settings.batch):
            if len(self._alive) < self._settings.population:
                (row,) = self._space.sample(1, rng=self._rng)
            else:
                row = self._child()
            key = hash(row.tobytes())
            if key not in self._seen:
                self._seen.add(key)
                born.append(row)
                if len(born) == self._settings.batch:
                    break
        return np.array(born, dtype=np.int64).reshape(-1, len(self._space.sizes))

    def _child(self) -> Genes:
        chosen = self._rng.choice(len(self._alive), min(self._settings.sample, len(self._alive)), replace=False)
        parent, _ = max((self._alive[i] for i in chosen), key=lambda one: one[1])
        child: Genes = mutated(self._space, parent[None], rng=self._rng)[0]
        return child

    def tell(self, genes: Genes, outcomes: Sequence[Outcome]) -> None:
        """The batch joins the population; as many of the oldest leave it."""
        self._alive.extend(zip(genes, self._reward.of(outcomes).tolist(), strict=True))


def evolution(problem: Problem, settings: EvolutionSettings, *, seed: int) -> Searcher:
    """An evolution for every target, taking turns.

    Raises:
        RequestError: the objectives are not top1 and one cost.
    """
    return taking_turns(
        [
            Evolution(problem.space, settings, reward, rng=np.random.default_rng([seed, number]))
            for number, reward in enumerate(rewards(problem, settings, seed=seed))
        ]
    )

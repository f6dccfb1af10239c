"""NSGA-II (Deb et al. 2002) by pymoo, on integer genes of the factorized space with operators of our own."""

from collections.abc import Sequence
from typing import Any

import numpy as np
from pymoo.algorithms.moo.nsga2 import NSGA2
from pymoo.core.crossover import Crossover
from pymoo.core.duplicate import DuplicateElimination
from pymoo.core.evaluator import Evaluator
from pymoo.core.mutation import Mutation
from pymoo.core.population import Population
from pymoo.core.problem import Problem
from pymoo.core.repair import Repair
from pymoo.core.sampling import Sampling
from pymoo.core.termination import NoTermination
from pymoo.problems.static import StaticProblem

from mnas_evo.search.contract import Outcome
from mnas_evo.space.space import Genes, SearchSpace

_HOPELESS = 1e9  # objectives of what has none; being infeasible, it is compared by its violation alone


class Nsga2:
    """A true multi-objective search: feasible before infeasible, then rank, then crowding.

    Every genome is canonical and asked once: an architecture that was asked before is a duplicate, whatever became of
    it. When mating finds nothing new in 100 tries a batch comes back short or empty.
    """

    def __init__(self, space: SearchSpace, *, objectives: int, seed: int, population: int = 20) -> None:
        self._unseen = _Unseen()
        self._problem = Problem(
            n_var=len(space.sizes), n_obj=objectives, n_ieq_constr=1, xl=np.zeros(len(space.sizes)), xu=space.sizes - 1
        )
        self._algorithm = NSGA2(
            pop_size=population,
            sampling=_Uniform(space),
            crossover=_ByBlocks(space),
            mutation=_OtherOption(space),
            repair=_Canonical(space),
            eliminate_duplicates=self._unseen,
        )
        self._algorithm.setup(self._problem, termination=NoTermination(), seed=seed)
        self._genes = len(space.sizes)
        self._asked: Any = None

    def ask(self) -> Genes:
        """The next generation."""
        self._asked = self._algorithm.ask()
        if self._asked is None or len(self._asked) == 0:
            return np.empty((0, self._genes), dtype=np.int64)
        genes = np.asarray(self._asked.get("X"), dtype=np.int64)
        self._unseen.remember(genes)
        return genes

    def tell(self, genes: Genes, outcomes: Sequence[Outcome]) -> None:
        """Survival among parents and this generation."""
        values = np.full((len(outcomes), self._problem.n_obj), _HOPELESS)
        violations = np.zeros((len(outcomes), 1))
        for i, outcome in enumerate(outcomes):
            if outcome.kind == "values":
                values[i] = outcome.values
            else:
                violations[i] = outcome.violation if outcome.kind == "violation" else _HOPELESS
        told = StaticProblem(self._problem, F=values, G=violations)
        Evaluator().eval(told, self._asked)
        self._algorithm.tell(infills=self._asked)


class _Uniform(Sampling):  # type: ignore[misc]
    """Genomes drawn uniformly, enough of them that duplicates leave a full population where the space has one."""

    def __init__(self, space: SearchSpace) -> None:
        super().__init__()
        self._space = space

    def _do(
        self, problem: Problem, n_samples: int, *args: Any, random_state: np.random.Generator, **kwargs: Any
    ) -> Genes:
        drawn = self._space.sample(20 * n_samples, rng=random_state)
        _, first = np.unique(drawn, axis=0, return_index=True)
        return drawn[np.sort(first)[:n_samples]]


class _ByBlocks(Crossover):  # type: ignore[misc]
    """Two children of two parents: each block of genes from one or the other, half of them gene by gene."""

    def __init__(self, space: SearchSpace) -> None:
        super().__init__(n_parents=2, n_offsprings=2)
        _, self._groups = np.unique(space.gene_blocks, return_inverse=True)

    def _do(self, problem: Problem, X: Genes, *args: Any, random_state: np.random.Generator, **kwargs: Any) -> Genes:
        _, matings, genes = X.shape
        by_block = (random_state.random((matings, self._groups.max() + 1)) < 0.5)[:, self._groups]
        by_gene = random_state.random((matings, genes)) < 0.5
        swap = np.where(random_state.random((matings, 1)) < 0.5, by_block, by_gene)
        return np.stack([np.where(swap, X[1], X[0]), np.where(swap, X[0], X[1])])


class _OtherOption(Mutation):  # type: ignore[misc]
    """Each gene becomes another of its options with probability 1/g, at least one gene of each genome."""

    def __init__(self, space: SearchSpace) -> None:
        super().__init__()
        self._sizes = space.sizes
        self._free = np.flatnonzero(space.sizes > 1)

    def _do(self, problem: Problem, X: Genes, *args: Any, random_state: np.random.Generator, **kwargs: Any) -> Genes:
        X = np.asarray(X, dtype=np.int64)
        if len(self._free) == 0:
            return X
        change = random_state.random(X.shape) < 1 / len(self._free)
        change[np.arange(len(X)), random_state.choice(self._free, len(X))] = True
        step = 1 + (random_state.random(X.shape) * (self._sizes - 1)).astype(np.int64)
        return np.where(change & (self._sizes > 1), (X + step) % self._sizes, X)


class _Canonical(Repair):  # type: ignore[misc]
    """Every genome in canonical form, as integers."""

    def __init__(self, space: SearchSpace) -> None:
        super().__init__()
        self._space = space

    def _do(self, problem: Problem, X: Genes, **kwargs: Any) -> Genes:
        return self._space.canonical(np.asarray(X, dtype=np.int64))


class _Unseen(DuplicateElimination):  # type: ignore[misc]
    """Lets through only genomes that were never asked."""

    def __init__(self) -> None:
        super().__init__()
        self._seen: set[bytes] = set()

    def remember(self, genes: Genes) -> None:
        self._seen.update(row.tobytes() for row in genes)

    def do(self, pop: Population, *others: Population, to_itself: bool = True) -> Population:
        known = set(self._seen)
        for other in others:
            known.update(np.asarray(one.X, dtype=np.int64).tobytes() for one in other)
        keep = []
        for i, one in enumerate(pop):
            key = np.asarray(one.X, dtype=np.int64).tobytes()
            if key not in known:
                keep.append(i)
                if to_itself:
                    known.add(key)
        return pop[keep]

"""NSGA-II (Deb et al. 2002) by pymoo, on integer genes of the factorized space with operators of our own.

From three objectives on it is NSGA-III (Deb and Jain 2014), by pymoo too: crowding says little in many dimensions.
"""

from collections.abc import Sequence
from math import comb
from typing import Annotated, Any

import numpy as np
from pydantic import Field
from pymoo.algorithms.moo.nsga2 import NSGA2
from pymoo.algorithms.moo.nsga3 import NSGA3
from pymoo.core.crossover import Crossover
from pymoo.core.duplicate import DuplicateElimination
from pymoo.core.evaluator import Evaluator
from pymoo.core.individual import Individual
from pymoo.core.mutation import Mutation
from pymoo.core.population import Population
from pymoo.core.problem import Problem
from pymoo.core.repair import Repair
from pymoo.core.sampling import Sampling
from pymoo.core.termination import NoTermination
from pymoo.problems.static import StaticProblem
from pymoo.util.ref_dirs import get_reference_directions

from mnas_evo.errors import RequestError, SpaceError
from mnas_evo.files import Part
from mnas_evo.search.contract import Outcome
from mnas_evo.search.objectives import Problem as SearchProblem
from mnas_evo.search.settings import Several
from mnas_evo.space.named import named_network
from mnas_evo.space.neighbourhood import nearest
from mnas_evo.space.space import Genes, SearchSpace

_MANY = 3  # objectives from which NSGA-III is better
_HOPELESS = 1e9  # objectives of what has none; being infeasible, it is compared by its violation alone


class Nsga2Settings(Part):
    """`population`: architectures a generation; `start`: named networks whose nearest genomes stand in the first."""

    population: Annotated[int, Field(ge=2)] = 20
    start: Several[str] = ()


def nsga2(problem: SearchProblem, settings: Nsga2Settings, *, seed: int) -> "Nsga2":
    """NSGA-II or III for a problem.

    Raises:
        RequestError: a network to start from is not known, or has other blocks than the space.
    """
    start = nearest_genomes(problem.space, settings.start)
    count = len(problem.objectives)
    return Nsga2(problem.space, objectives=count, seed=seed, population=settings.population, start=start)


def nearest_genomes(space: SearchSpace, names: Sequence[str]) -> Genes:
    """Canonical genomes (n, g) nearest to named networks, which seldom lie in a space themselves.

    Raises:
        RequestError: no network of that name, or one of another number of blocks.
    """
    return np.array([_nearest(space, name) for name in names], dtype=np.int64).reshape(-1, len(space.sizes))


def _nearest(space: SearchSpace, name: str) -> Genes:
    try:
        return nearest(space, named_network(name, task=space.frame).architecture)
    except SpaceError as error:
        raise RequestError(f"a search cannot start from {name}: {error}") from error


class Nsga2:
    """A true multi-objective search: feasible before infeasible, then rank, then crowding.

    Every genome is canonical and asked once: an architecture that was asked before is a duplicate, whatever became of
    it. When mating finds nothing new in 100 tries a batch comes back short or empty.
    """

    def __init__(
        self, space: SearchSpace, *, objectives: int, seed: int, population: int = 20, start: Genes | None = None
    ) -> None:
        """`start`: canonical genomes (n, g) that stand in the first generation beside random ones.

        Raises:
            RequestError: the population is smaller than the number of objectives.
        """
        if population < objectives:
            raise RequestError(f"{objectives} objectives need a population of at least {objectives}, not {population}")
        self._unseen = _Unseen()
        self._problem = Problem(
            n_var=len(space.sizes), n_obj=objectives, n_ieq_constr=1, xl=np.zeros(len(space.sizes)), xu=space.sizes - 1
        )
        operators = {
            "pop_size": population,
            "sampling": _Uniform(space, space.sample(0, rng=np.random.default_rng(0)) if start is None else start),
            "crossover": _ByBlocks(space),
            "mutation": _OtherOption(space),
            "repair": _Canonical(space),
            "eliminate_duplicates": self._unseen,
        }
        if objectives < _MANY:
            self._algorithm = NSGA2(**operators)
        else:
            self._algorithm = NSGA3(ref_dirs=_directions(objectives, population), **operators)
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


def _directions(objectives: int, population: int) -> Any:
    """Reference directions (Das and Dennis 1998): the most that a population can follow."""
    parts = 1
    while comb(parts + objectives, objectives - 1) <= population:
        parts += 1
    return get_reference_directions("das-dennis", objectives, n_partitions=parts)


class _Uniform(Sampling):  # type: ignore[misc]
    """Given genomes and uniform ones, enough that duplicates leave a full population where the space has one."""

    def __init__(self, space: SearchSpace, start: Genes) -> None:
        super().__init__()
        self._space = space
        self._start = start

    def _do(
        self, problem: Problem, n_samples: int, *args: Any, random_state: np.random.Generator, **kwargs: Any
    ) -> Genes:
        drawn = np.concatenate([self._start, self._space.sample(20 * n_samples, rng=random_state)])
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
    """Each gene becomes another of its options with probability 1/g.

    To change one gene at least covers less: NOTES.md has the figures.
    """

    def __init__(self, space: SearchSpace) -> None:
        super().__init__()
        self._sizes = space.sizes
        self._free = np.flatnonzero(space.sizes > 1)

    def _do(self, problem: Problem, X: Genes, *args: Any, random_state: np.random.Generator, **kwargs: Any) -> Genes:
        X = np.asarray(X, dtype=np.int64)
        if len(self._free) == 0:
            return X
        change = random_state.random(X.shape) < 1 / len(self._free)
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
        self._seen: set[int] = set()

    def remember(self, genes: Genes) -> None:
        self._seen.update(hash(row.tobytes()) for row in genes)

    def do(self, pop: Population, *others: Population, to_itself: bool = True) -> Population:
        known = {_key(one) for other in others for one in other}
        keep = []
        for i, one in enumerate(pop):
            key = _key(one)
            if key not in known and key not in self._seen:
                keep.append(i)
                if to_itself:
                    known.add(key)
        return pop[keep]


def _key(one: Individual) -> int:
    return hash(np.asarray(one.X, dtype=np.int64).tobytes())

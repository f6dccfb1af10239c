"""NSGA-II on predictions: what was evaluated trains a surrogate, a spread of whose front is evaluated next."""

from collections.abc import Mapping, Sequence
from typing import Annotated

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from mnas_evo.errors import RequestError
from mnas_evo.files import Part
from mnas_evo.search.contract import Outcome
from mnas_evo.search.front import non_dominated
from mnas_evo.search.gains import most_gaining
from mnas_evo.search.nsga2 import Nsga2, nearest_genomes
from mnas_evo.search.objectives import Problem
from mnas_evo.search.predicted import PredictedProblem
from mnas_evo.search.settings import Several
from mnas_evo.search.within_limits import random_within_limits
from mnas_evo.space.space import Genes

_ALL = 20_000  # genomes: a space of no more is predicted whole
_OPTIMISM = (0.5, 2.0)  # times what a model is unsure by: at first, and for slots that this leaves

Matrix = NDArray[np.float64]


class SurrogateNsga2Settings(Part):
    """`first`: random architectures before the first model; `batch`: evaluated between two models.

    `population` and `generations` are those of NSGA-II on predictions; `start`: named networks whose nearest genomes
    are evaluated first.
    """

    first: Annotated[int, Field(ge=10)] = 30
    batch: Annotated[int, Field(ge=1)] = 20
    population: Annotated[int, Field(ge=4)] = 100
    generations: Annotated[int, Field(ge=1)] = 40
    start: Several[str] = ()


class SurrogateNsga2:
    """First random architectures, then batches of the predicted front that would add most to what is covered.

    Nothing is asked twice. What limits on cheap quantities rule out is not asked where anything else is found.
    """

    def __init__(self, problem: Problem, settings: SurrogateNsga2Settings, *, seed: int) -> None:
        if settings.population < (count := len(problem.objectives)):
            raise RequestError(f"{count} objectives need a population of at least {count}, not {settings.population}")
        self._problem = problem
        self._space = problem.space
        self._settings = settings
        self._seed = seed
        self._predicted = PredictedProblem(problem, seed=seed)
        self._start = nearest_genomes(problem.space, settings.start)
        self._asked: set[int] = set()
        self._genes: list[Genes] = []
        self._outcomes: list[Outcome] = []
        self._batch = 0

    def ask(self) -> Genes:
        """Networks to start from, random ones, or a spread of the predicted front; random ones where that is short."""
        rng = np.random.default_rng([self._seed, self._batch])
        found = self._start if self._batch == 0 else self._start[:0]
        self._batch += 1
        if len(self._genes) >= self._settings.first:
            found = self._promising(rng)
        self._remember(found)
        if (missing := self._settings.batch - len(found)) > 0:
            drawn = random_within_limits(self._problem, missing, is_new=self._new, rng=rng)
            self._remember(drawn)
            found = np.concatenate([found, drawn])
        return found

    def tell(self, genes: Genes, outcomes: Sequence[Outcome]) -> None:
        """What has values is learned from, within the limits or not."""
        for row, outcome in zip(genes, outcomes, strict=True):
            if outcome.values and np.isfinite(outcome.values).all():
                self._genes.append(row)
                self._outcomes.append(outcome)

    def facts(self) -> Mapping[str, float]:
        """How well the models rank out of fold, when they were chosen last."""
        return self._predicted.facts()

    def _new(self, genes: Genes) -> Genes:
        new: Genes = genes[[i for i, row in enumerate(genes) if hash(row.tobytes()) not in self._asked]]
        return new

    def _remember(self, genes: Genes) -> None:
        self._asked.update(hash(row.tobytes()) for row in genes)

    def _promising(self, rng: np.random.Generator) -> Genes:
        """The batch, or less, of new genomes that are predicted to add most hypervolume to the front, and any."""
        genes = np.array(self._genes)
        values = np.array([outcome.values for outcome in self._outcomes])
        within = np.array([outcome.kind == "values" for outcome in self._outcomes])
        self._predicted.learn(genes, values)
        front = values[within][non_dominated(values[within])] if within.any() else values[:0]
        candidates = self._new(self._candidates(genes, values, within, rng))
        chosen: list[int] = []
        for optimism in _OPTIMISM:
            said, missed = self._predicted.of(candidates, optimism=optimism)
            left = np.setdiff1d(np.flatnonzero(missed == 0), chosen)
            covered = np.vstack([front, said[chosen]])
            for row in most_gaining(said[left], covered, reference=values.max(axis=0)):
                if len(chosen) == self._settings.batch:
                    break
                chosen.append(int(left[row]))
        found: Genes = candidates[chosen]
        return found

    def _candidates(self, genes: Genes, values: Matrix, within: NDArray[np.bool_], rng: np.random.Generator) -> Genes:
        """Genomes worth predicting, the best first: of a small space all, else those that NSGA-II comes by."""
        if self._space.genomes <= _ALL:
            found = self._space.all_genes()
        else:
            start = genes[within][non_dominated(values[within])] if within.any() else genes[:0]
            found = self._searched(start, seed=int(rng.integers(2**31)))
        said, missed = self._predicted.of(found, optimism=_OPTIMISM[0])
        order = np.lexsort([*said.T[::-1], missed])
        first = order[missed[order] == 0]
        best = first[non_dominated(said[first])] if len(first) else first
        rest = np.setdiff1d(order, best, assume_unique=True)
        ordered: Genes = found[np.concatenate([best, rest])]
        return ordered

    def _searched(self, start: Genes, *, seed: int) -> Genes:
        """All genomes that NSGA-II on predictions asks for, beginning with the evaluated front."""
        searcher = Nsga2(
            self._space,
            objectives=len(self._problem.objectives),
            seed=seed,
            population=self._settings.population,
            start=start,
        )
        asked = []
        for _ in range(self._settings.generations):
            if len(genes := searcher.ask()) == 0:
                break
            said, missed = self._predicted.of(genes, optimism=_OPTIMISM[0])
            searcher.tell(
                genes,
                [
                    Outcome("values", tuple(row)) if over == 0 else Outcome("violation", violation=float(over))
                    for row, over in zip(said.tolist(), missed, strict=True)
                ],
            )
            asked.append(genes)
        return np.concatenate([start[:0], *asked])

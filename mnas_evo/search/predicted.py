"""A problem as it is predicted from what was evaluated: dear objectives by models, cheap ones as they are."""

from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray
from threadpoolctl import threadpool_limits

from mnas_evo.accuracy.surrogate import ChosenModel, Fitted, SurrogateFeatures, choose_model
from mnas_evo.search.objectives import MAXIMISED, Problem
from mnas_evo.space.space import Genes

_AGAIN = 1.5  # times the networks that the kind of model was chosen on: it is chosen anew
_FLAT = 1e-9  # a spread of values below which there is nothing to learn

Matrix = NDArray[np.float64]


class PredictedProblem:
    """Objectives and violations of any genomes, from models of every objective that is not cheap.

    Top-1 is learned even where a table would tell it: a search pays for what it is told.
    """

    def __init__(self, problem: Problem, *, seed: int) -> None:
        self._problem = problem
        self._seed = seed
        self._features = SurrogateFeatures(problem.space)
        self._learned = [name for name in problem.objectives if name in MAXIMISED or name not in problem.cheap]
        self._chosen: dict[str, ChosenModel] = {}
        self._models: dict[str, Fitted] = {}
        self._chosen_on = 0

    def learn(self, genes: Genes, values: Matrix) -> None:
        """Fits on evaluated genomes (n, g) and their objectives (n, m), all minimised."""
        vectors = self._features.of_genes(genes)
        anew = len(genes) >= _AGAIN * self._chosen_on
        for name in self._learned:
            target = values[:, self._problem.objectives.index(name)]
            if np.ptp(target) < _FLAT:
                self._models[name] = _flat(float(target[0]))
                continue
            if anew or name not in self._chosen:
                self._chosen[name] = choose_model(vectors, target, seed=self._seed)
            self._models[name] = self._chosen[name].fit(vectors, target, seed=self._seed)
        if anew:
            self._chosen_on = len(genes)

    def of(self, genes: Genes, *, optimism: float = 0.0) -> tuple[Matrix, Matrix]:
        """Objectives (n, m), better by `optimism` times what a model is unsure by, and violations (n,) of genomes."""
        known = self._problem.cheap_arrays(genes)
        vectors = self._features.of_genes(genes)
        columns = []
        for name in self._problem.objectives:
            sign = -1.0 if name in MAXIMISED else 1.0
            if name in self._learned:
                with threadpool_limits(1):  # more threads sum in another order
                    value, unsure = self._models[name](vectors)
                known[name] = sign * (value - optimism * unsure)
            columns.append(sign * known[name])
        return np.column_stack(columns), self._problem.violations(known)

    def facts(self) -> Mapping[str, float]:
        """Kendall's rank correlation out of fold of each learned objective, when its model was chosen."""
        return {f"Kendall of {name} out of fold": one.quality[one.name].kendall for name, one in self._chosen.items()}


def _flat(value: float) -> Fitted:
    """What predicts one value and is sure of it."""
    return lambda wanted: (np.full(len(wanted), value), np.zeros(len(wanted)))

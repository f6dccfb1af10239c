"""The additive model: a network's time is a fixed cost and a sum over its layers, all weights under one ridge.

It is Bayesian linear regression on relative errors, its columns in groups. Each group has a prior variance of its own:
sums of rows, their parts by family, the lowered graph's statistics, the same by size, and one number a layer, the same
wherever that layer stands. Where rows are good their sum takes nearly all; where there are none, few networks are
explained by the graph and many by their layers, with no other model at any size. The variances are those under which
each network left out would have been least surprising, which a ridge tells without fitting again (Rasmussen and
Williams 2006, section 5.4.2).
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray
from pydantic import FiniteFloat
from scipy.linalg import lapack
from sklearn.model_selection import KFold

from mnas_evo.files import Part
from mnas_evo.latency.features import Features
from mnas_evo.space.graph import Graph

Matrix = NDArray[np.float64]
Variances = tuple[float, ...]

# In units of the noise; 0 leaves a group out.
VARIANCES = (0.0, 1e-3, 1e-2, 0.1, 1.0, 10.0, 100.0, 1e3, 1e4)
# What is expected of a group before its networks are looked at; a factor of ten beside it costs so many nats in all.
_EXPECTED = {"fixed": 100.0, "rows": 1e4, "parts": 0.1, "graph": 1.0, "sizes": 1e-3, "layers": 1e-3}
_NATS_PER_DECADE = 2.0
_LEAST = 1e-4  # what leaving a group out counts as
_ROUNDS = 3
_ENOUGH = 200  # networks to choose variances on: what a matrix of that size costs is paid some hundred times
_ROBUST_ROUNDS = 2
_ROBUST_BEYOND = 2.5  # deviations; Huber's weight sinks from there
_TO_DEVIATION = 1.4826  # of a normal distribution's median absolute deviation
_LEAST_SHARE = 0.1


class Additive(Part):
    """ms = overhead_ms + Σ over layers of (weights · features + the layer's own number); at least `least_ms`.

    `own` are the numbers of the layers that a design lists; any other layer has none.
    """

    overhead_ms: FiniteFloat
    weights: tuple[FiniteFloat, ...]
    own: tuple[FiniteFloat, ...]
    least_ms: FiniteFloat

    def total_ms(self, layers_ms: Matrix) -> Matrix:
        """Times of networks from the sums of what their layers add, (n,)."""
        return np.asarray(np.maximum(self.overhead_ms + layers_ms, self.least_ms))


@dataclass(frozen=True)
class Design:
    """Networks as the model sees them: their features (n, k), and how often each layer stands in them (n, layers).

    Anchors, (n,) bool, are fitted on and in no fold: networks that lie elsewhere than those to be judged on.
    """

    features: Features
    vectors: Matrix
    counts: Matrix
    layers: tuple[str, ...]
    anchors: NDArray[np.bool_]

    def __len__(self) -> int:
        return len(self.vectors)

    def take(self, rows: NDArray[np.int64]) -> "Design":
        """Some of the networks."""
        return Design(self.features, self.vectors[rows], self.counts[rows], self.layers, self.anchors[rows])

    def folds(self, count: int, *, seed: int) -> list[tuple[NDArray[np.int64], NDArray[np.int64]]]:
        """(The others, a fold) for each of at most `count` folds of the networks that are no anchors, shuffled."""
        judged, anchors = np.flatnonzero(~self.anchors), np.flatnonzero(self.anchors)
        splits = KFold(min(count, len(judged)), shuffle=True, random_state=seed).split(judged)
        return [(np.concatenate([judged[rest], anchors]), judged[fold]) for rest, fold in splits]

    def layers_ms(self, model: Additive) -> Matrix:
        """Σ over the layers of each network, ms (n,)."""
        return np.asarray(self.vectors @ np.array(model.weights) + self.counts @ np.array(model.own))

    def total_ms(self, model: Additive) -> Matrix:
        """Times by a model, ms (n,)."""
        return model.total_ms(self.layers_ms(model))

    @cached_property
    def blocks(self) -> dict[str, Matrix]:
        """Columns of each group that has any, a fixed cost first, the layers last."""
        groups = {"fixed": np.ones((len(self), 1))}
        groups |= {name: self.vectors[:, columns] for name, columns in self.features.groups.items()}
        groups["layers"] = self.counts
        return {name: block for name, block in groups.items() if block.shape[1]}


def design_of(graphs: Sequence[Graph], features: Features, *, anchors: Sequence[bool] | None = None) -> Design:
    """The design of networks, by default with no anchors.

    Raises:
        UnmeasuredOp: a row is missing.
    """
    keys = tuple(sorted({layer.spec.key for graph in graphs for layer in graph.layers}))
    at = {key: i for i, key in enumerate(keys)}
    counts = np.zeros((len(graphs), len(keys)))
    for row, graph in zip(counts, graphs, strict=True):
        for layer in graph.layers:
            row[at[layer.spec.key]] += 1
    held = np.zeros(len(graphs), dtype=bool) if anchors is None else np.array(anchors, dtype=bool)
    return Design(features, features.of_graphs(graphs), counts, keys, held)


def fit_additive(design: Design, ms: Matrix, *, variances: Variances, trust: Matrix) -> Additive:
    """The model under given prior variances, one a block of the design; networks of `trust` (n,) below 1 count less."""
    prior = Prior(design.blocks, ms)
    return _model(design, ms, prior.weights(variances, prior.solve(variances, trust).dual))


def fit_without(
    design: Design, ms: Matrix, *, variances: Variances, trust: Matrix, folds: Sequence[NDArray[np.int64]]
) -> list[Additive]:
    """For each fold the model of all other networks; all for about the price of one, from one inverse.

    What a fold's networks say is taken back out of the solution (the block form of leaving one out), while the columns
    keep the scales that they have over all networks.
    """
    prior = Prior(design.blocks, ms)
    solution = prior.solve(variances, trust)
    return [_model(design, ms, prior.weights(variances, solution.dual_without(fold))) for fold in folds]


def _model(design: Design, ms: Matrix, weights: dict[str, Matrix]) -> Additive:
    own = weights.pop("layers", np.zeros(0))
    (overhead,) = weights.pop("fixed")
    columns = np.zeros(len(design.features.columns))
    for name, found in weights.items():
        columns[design.features.groups[name]] = found
    return Additive(
        overhead_ms=_stored(overhead),
        weights=tuple(map(_stored, columns)),
        own=tuple(map(_stored, own)),
        least_ms=_stored(_LEAST_SHARE * ms.min()),
    )


def trusted(design: Design, ms: Matrix, *, variances: Variances) -> Matrix:
    """How far each network is trusted, (n,): 1, and less for one that the others hardly explain (Huber's weights)."""
    return Prior(design.blocks, ms).trust(variances)


def choose_variances(design: Design, ms: Matrix, *, rng: np.random.Generator) -> Variances:
    """Prior variances of the blocks, from a fixed grid, one after the other while networks left out grow likelier.

    At most 200 networks beside the anchors are looked at: in units of the noise, variances hold for any number.
    """
    some = np.concatenate([rng.permutation(np.flatnonzero(~design.anchors))[:_ENOUGH], np.flatnonzero(design.anchors)])
    design, ms = design.take(some), ms[some]
    blocks = design.blocks
    prior = Prior(blocks, ms)
    chosen = expected = tuple(_EXPECTED[name] for name in blocks)
    for _ in range(_ROBUST_ROUNDS):
        trust = prior.trust(chosen)
        known: dict[Variances, float] = {}

        def surprise(variances: Variances, trust: Matrix = trust, known: dict[Variances, float] = known) -> float:
            if variances not in known:
                unlikely = _NATS_PER_DECADE * np.sum(np.abs(np.log10(np.maximum(variances, _LEAST) / expected)))
                known[variances] = prior.solve(variances, trust).surprise + float(unlikely) / len(ms)
            return known[variances]

        for _ in range(_ROUNDS):
            before = chosen
            for block in range(len(chosen)):
                near = [(*chosen[:block], value, *chosen[block + 1 :]) for value in VARIANCES]
                chosen = min([chosen, *near], key=surprise)
            if chosen == before:
                break
    return chosen


@dataclass(frozen=True)
class _Solution:
    """The inverse covariance (n, n), its dual weights, and what they say of networks left out."""

    inverse: Matrix

    @cached_property
    def dual(self) -> Matrix:
        """Weights of the networks, (n,)."""
        return np.asarray(self.inverse.sum(axis=1))  # all targets are 1

    @property
    def residuals(self) -> Matrix:
        """Of each network left out, in shares of its time (n,)."""
        return self.dual / np.diag(self.inverse)

    @property
    def variances(self) -> Matrix:
        """Of each network left out, in noises (n,)."""
        return 1 / np.diag(self.inverse)

    def dual_without(self, fold: NDArray[np.int64]) -> Matrix:
        """Weights of the networks had those of a fold not been there, (n,): theirs are 0."""
        taken = np.linalg.solve(self.inverse[np.ix_(fold, fold)], self.dual[fold])
        dual = self.dual - self.inverse[:, fold] @ taken
        dual[fold] = 0.0
        return np.asarray(dual)

    @property
    def surprise(self) -> float:
        """Mean negative log density of the networks left out, at the noise that makes it least."""
        noise = np.mean(self.residuals**2 / self.variances)
        return float(0.5 * (np.log(noise) + np.mean(np.log(self.variances))))


class Prior:
    """Blocks of a design divided by measured times, so that errors count in percent; targets are then all 1."""

    def __init__(self, blocks: Mapping[str, Matrix], ms: Matrix) -> None:
        relative = {name: block / ms[:, None] for name, block in blocks.items()}
        self._scales = {name: _scales(block, alike=name == "layers") for name, block in relative.items()}
        self._columns = {name: block / self._scales[name] for name, block in relative.items()}
        self._kernels = [block @ block.T for block in self._columns.values()]

    def covariance(self, variances: Variances) -> Matrix:
        """Of the networks' times before any is measured, in shares of them and units of the noise: (n, n)."""
        found = np.zeros_like(self._kernels[0])
        for variance, kernel in zip(variances, self._kernels, strict=True):
            found += variance * kernel
        return found

    def solve(self, variances: Variances, trust: Matrix) -> _Solution:
        """Networks of `trust` (n,) below 1 are taken for as much noisier."""
        covariance = self.covariance(variances) + np.diag(1 / trust)
        factor, fault = lapack.dpotrf(covariance, lower=True)
        inverse, _ = lapack.dpotri(factor, lower=True)
        assert fault == 0, "a covariance with noise on its diagonal is positive definite"
        return _Solution(np.tril(inverse) + np.tril(inverse, -1).T)

    def trust(self, variances: Variances) -> Matrix:
        """Huber's weights of the networks' residuals when left out, (n,): 1, less for outlying ones."""
        trust = np.ones(len(self._kernels[0]))
        for _ in range(_ROBUST_ROUNDS):
            found = self.solve(variances, trust)
            # What a network would deviate by were it trusted like all others.
            off = np.abs(found.residuals) / np.sqrt(np.maximum(found.variances - 1 / trust + 1, 1e-12))
            deviation = _TO_DEVIATION * float(np.median(off))
            trust = np.minimum(1.0, _ROBUST_BEYOND * deviation / np.maximum(off, 1e-12)) if deviation > 0 else trust
        return trust

    def weights(self, variances: Variances, dual: Matrix) -> dict[str, Matrix]:
        """Weights of the columns of each block, from those of the networks (n,)."""
        return {
            name: variance * (columns.T @ dual) / self._scales[name]
            for variance, (name, columns) in zip(variances, self._columns.items(), strict=True)
        }


def _stored(number: float) -> float:
    """A weight as it is written to a file and used: seven digits are a thousand times finer than any noise."""
    return float(f"{number:.7g}")


def _scales(block: Matrix, *, alike: bool) -> Matrix:
    """Root mean squares of the columns, (k,); of all together where columns are alike and a rare one is worth less."""
    squares = np.mean(block**2, axis=0)
    there = squares > 0
    if alike and there.any():
        squares = np.full_like(squares, np.mean(squares[there]))
    return np.sqrt(np.where(there | alike, squares, np.inf))

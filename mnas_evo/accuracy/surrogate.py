"""A surrogate: top-1 predicted from networks that were evaluated, by the model that ranks best out of fold.

What it knows of a network are its choices, one-hot, and the logarithms of its graph's sums: either alone ranks worse.
"""

import warnings
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch  # noqa: F401  before lightgbm: both bring an OpenMP, and torch's has to come first
from lightgbm import LGBMRegressor
from numpy.typing import NDArray
from sklearn.exceptions import ConvergenceWarning
from sklearn.gaussian_process import GaussianProcessRegressor
from sklearn.gaussian_process.kernels import ConstantKernel, DotProduct, Matern, WhiteKernel
from sklearn.linear_model import RidgeCV
from sklearn.model_selection import KFold
from threadpoolctl import threadpool_limits

from mnas_evo.accuracy.table import read_accuracy_table
from mnas_evo.errors import RequestError, SpaceError
from mnas_evo.files import fingerprint
from mnas_evo.latency.contract import Prediction
from mnas_evo.latency.features import features_of_layers
from mnas_evo.latency.scoring import rank_correlations
from mnas_evo.space.notation import parse_network
from mnas_evo.space.space import Genes, SearchSpace

FEWEST = 30  # networks: of fewer no ranking is worth much
FOLDS = 5
_ENOUGH = 400  # networks to choose a Gaussian process's kernel on, whose cost grows with the cube
_CONFIDENCE = 0.9
_DRAWN = 2000  # genomes, to scale the columns by
_CONSTANT = 1e-9
_SUMS_WEIGH = 0.7  # beside the choices, in a distance between networks
_DECIMALS = 6  # of a percentage: what a network's company in a batch can change lies below

Matrix = NDArray[np.float64]
Fitted = Callable[[Matrix], tuple[Matrix, Matrix]]
"""From features (n, k) to top-1, percent, and how unsure that is beside others, (n,) each."""


@dataclass(frozen=True, slots=True)
class RankQuality:
    """Rank correlations, -1 to 1, and the mean absolute error, percent."""

    kendall: float
    spearman: float
    mae: float


class SurrogateFeatures:
    """Vectors of genomes of one space: choices, one-hot, and logarithms of the graph's sums, whole and by image size.

    Columns have mean 0 and deviation 1 over the space, and weigh so that choices and sums count about alike in all.
    """

    def __init__(self, space: SearchSpace) -> None:
        self._space = space
        features = features_of_layers(space.layers(), None)
        sums = len(features.columns)
        self._layer_sums = space.gene_sums(features.of_layer)
        drawn = self._columns(space.sample(_DRAWN, rng=np.random.default_rng(0)))
        deviations = drawn.std(axis=0)
        choices = drawn.shape[1] - sums
        weights = np.repeat([1 / np.sqrt(max(choices, 1)), _SUMS_WEIGH / np.sqrt(sums)], [choices, sums])
        self._middle = drawn.mean(axis=0)
        self._scale = np.where(deviations > _CONSTANT, weights / np.maximum(deviations, _CONSTANT), 0.0)

    def of_genes(self, genes: Genes) -> Matrix:
        """Vectors of genomes (n, g): (n, k), the same for genomes that are one architecture."""
        return np.asarray((self._columns(self._space.canonical(genes)) - self._middle) * self._scale)

    def _columns(self, genes: Genes) -> Matrix:
        choices = [np.eye(size)[genes[:, g]] for g, size in enumerate(self._space.sizes.tolist()) if size > 1]
        return np.hstack([*choices, np.log1p(self._space.sum_over(genes, self._layer_sums))])


@dataclass(frozen=True)
class Evaluated:
    """Top-1, percent, of networks by their full strings, and the file or folder where they stand."""

    where: Path
    top1: Mapping[str, float]

    @property
    def array(self) -> Matrix:
        """Their top-1, percent (n,)."""
        return np.array(list(self.top1.values()))

    def genes(self, space: SearchSpace) -> Genes:
        """Their genomes (n, g).

        Raises:
            SpaceError: a network is not of this space.
        """
        networks = [parse_network(string) for string in self.top1]
        for string, network in zip(self.top1, networks, strict=True):
            if network.frame != space.frame:
                raise SpaceError(f"{self.where}: {string} has another input, stem, head or classes than {space.name}")
        return np.array([space.encode(network.architecture) for network in networks])


@dataclass(frozen=True, slots=True)
class ChosenModel:
    """The kind of model that ranked best out of fold, the quality of each kind there, and how far it was off.

    `shares` of PARTS make the model. `reach` times what it says it is unsure by held nine in ten networks out of fold.
    """

    name: str
    shares: Mapping[str, float]
    reach: float
    quality: Mapping[str, RankQuality]

    def fit(self, vectors: Matrix, values: Matrix, *, seed: int) -> Fitted:
        """A model of this kind, fitted on (n, k) features and (n,) values."""
        with threadpool_limits(1):
            fitted = {part: PARTS[part](vectors, values, seed) for part in self.shares}
        return lambda wanted: _together({part: fit(wanted) for part, fit in fitted.items()}, self.shares)


def choose_model(vectors: Matrix, values: Matrix, *, seed: int) -> ChosenModel:
    """Judges every kind of model out of fold on (n, k) features and (n,) values."""
    parts = {}
    with threadpool_limits(1):
        for part, fit in PARTS.items():
            said, unsure = np.empty(len(values)), np.empty(len(values))
            for rest, fold in KFold(FOLDS, shuffle=True, random_state=seed).split(vectors):
                said[fold], unsure[fold] = fit(vectors[rest], values[rest], seed)(vectors[fold])
            parts[part] = said, unsure
    models = {part: {part: 1.0} for part in PARTS} | {STACKED: _shares(parts, values)}
    quality, reach = {}, {}
    for name, shares in models.items():
        said, unsure = _together(parts, shares)
        quality[name] = rank_quality(said, values)
        reach[name] = float(np.quantile(np.abs(said - values) / unsure, _CONFIDENCE, method="higher"))
    name = max(quality, key=lambda name: quality[name].kendall)
    return ChosenModel(name, models[name], reach[name], quality)


def _shares(said: Mapping[str, tuple[Matrix, Matrix]], values: Matrix) -> dict[str, float]:
    """Shares of the stacked parts, of the least squared error out of fold, where none is below 0 (Breiman 1996)."""
    smooth, stepped = (said[part][0] for part in _STACKED_PARTS)
    apart = smooth - stepped
    share = float(np.clip((values - stepped) @ apart / max(float(apart @ apart), _CONSTANT), 0, 1))
    return {part: part_share for part, part_share in zip(_STACKED_PARTS, (share, 1 - share), strict=True) if part_share}


def _together(said: Mapping[str, tuple[Matrix, Matrix]], shares: Mapping[str, float]) -> tuple[Matrix, Matrix]:
    """What parts say together, and how unsure that is: as the first of them tells."""
    value = np.sum([share * said[part][0] for part, share in shares.items()], axis=0)
    return value, said[next(iter(shares))][1]


@dataclass(frozen=True)
class TopOneSurrogate:
    """Predicts top-1, percent, of genomes of one space; `quality` is that of each model, out of fold.

    Intervals are `reach` times as wide as the model is unsure, which held nine in ten networks out of fold.
    """

    evaluated: Evaluated
    features: SurrogateFeatures
    model: Fitted
    reach: float
    chosen: str
    quality: Mapping[str, RankQuality]

    @property
    def fingerprint(self) -> str:
        """What was evaluated, and the model."""
        entries = (f"{network} {top1!r}" for network, top1 in self.evaluated.top1.items())
        return fingerprint("surrogate", self.chosen, *entries)

    @property
    def source(self) -> str:
        """What its figures are called in an archive."""
        return f"surrogate:{self.evaluated.where.name}"

    def predict(self, genes: Genes) -> Prediction:
        """Top-1 of genomes (n, g), with a 90 % interval."""
        vectors = self.features.of_genes(genes)
        if len(vectors) == 0:
            return Prediction(*(np.zeros(0),) * 3)
        value, unsure = self.model(vectors)
        value, low, high = (
            np.round(np.clip(end, 0, 100), _DECIMALS).astype(np.float64)
            for end in (value, value - self.reach * unsure, value + self.reach * unsure)
        )
        return Prediction(value, low, high)


def read_surrogate(path: Path, space: SearchSpace, *, seed: int = 0) -> TopOneSurrogate:
    """Fits a surrogate on a CSV of architecture and top1.

    Raises:
        DamagedFile: a line cannot be read.
        SpaceError: an architecture is not of this space.
        RequestError: too few were evaluated.
    """
    return fit_surrogate(read_evaluated(path, space), space, seed=seed)


def read_evaluated(path: Path, space: SearchSpace) -> Evaluated:
    """What a CSV of architecture and top1 lists.

    Raises:
        DamagedFile: a line cannot be read.
    """
    return Evaluated(path, {string: top1 for string, (top1, _) in read_accuracy_table(path, space).entries.items()})


def fit_surrogate(evaluated: Evaluated, space: SearchSpace, *, seed: int = 0) -> TopOneSurrogate:
    """Fits a surrogate on networks that were evaluated.

    Raises:
        SpaceError: a network is not of this space.
        RequestError: too few were evaluated.
    """
    if len(evaluated.top1) < FEWEST:
        raise RequestError(
            f"{evaluated.where} lists {len(evaluated.top1)} architectures, a surrogate needs at least {FEWEST}; "
            "evaluate more"
        )
    genes = evaluated.genes(space)
    features = SurrogateFeatures(space)
    return _fit(evaluated, features, features.of_genes(genes), seed=seed)


@dataclass(frozen=True)
class TopOneScore:
    """Quality on networks held back, and the out-of-fold quality of every model on those fitted on."""

    held_back: RankQuality
    chosen: str
    out_of_fold: Mapping[str, RankQuality]
    coverage_percent: float
    test: int


def score_top1(path: Path, *, space: SearchSpace, train: int, seed: int) -> TopOneScore:
    """Fits on a random `train` of a CSV's architectures and judges on the others.

    Raises:
        RequestError: too few would be on either side.
    """
    evaluated = read_evaluated(path, space)
    strings, top1 = list(evaluated.top1), evaluated.array
    if not FEWEST <= train <= len(top1) - 2:
        raise RequestError(f"of {len(top1)} architectures, {FEWEST} to {len(top1) - 2} can be fitted on, not {train}")
    genes = evaluated.genes(space)
    features = SurrogateFeatures(space)
    order = np.random.default_rng(seed).permutation(len(top1))
    fitted, held = order[:train], order[train:]
    known = Evaluated(path, {strings[i]: evaluated.top1[strings[i]] for i in fitted})
    found = _fit(known, features, features.of_genes(genes[fitted]), seed=seed)
    said = found.predict(genes[held])
    covered = np.mean((said.low <= top1[held]) & (top1[held] <= said.high))
    quality = rank_quality(said.value, top1[held])
    return TopOneScore(quality, found.chosen, found.quality, float(100 * covered), len(held))


def rank_quality(predicted: Matrix, known: Matrix) -> RankQuality:
    """How predictions (n,) rank and meet what is known (n,)."""
    return RankQuality(*rank_correlations(predicted, known), float(np.mean(np.abs(predicted - known))))


def _fit(evaluated: Evaluated, features: SurrogateFeatures, vectors: Matrix, *, seed: int) -> TopOneSurrogate:
    top1 = evaluated.array
    chosen = choose_model(vectors, top1, seed=seed)
    model = chosen.fit(vectors, top1, seed=seed)
    return TopOneSurrogate(evaluated, features, model, chosen.reach, chosen.name, chosen.quality)


def _gaussian_process(vectors: Matrix, top1: Matrix, seed: int) -> Fitted:
    """Matérn 5/2 and linear, whose amplitudes, length and noise are those of most evidence on up to 400 networks."""
    kernel = ConstantKernel(1.0, (1e-2, 1e3)) * Matern(2.0, (0.3, 30.0), nu=2.5)
    kernel += ConstantKernel(1.0, (1e-3, 1e3)) * DotProduct(0.0, "fixed") + WhiteKernel(0.01, (1e-4, 1.0))
    some = np.random.default_rng(seed).permutation(len(top1))[:_ENOUGH]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)  # a bound is as good an answer as any near it
        chosen = GaussianProcessRegressor(kernel, normalize_y=True).fit(vectors[some], top1[some]).kernel_
    model = GaussianProcessRegressor(chosen, optimizer=None, normalize_y=True).fit(vectors, top1)

    def predict(wanted: Matrix) -> tuple[Matrix, Matrix]:
        value, deviation = model.predict(wanted, return_std=True)
        return value, deviation

    return predict


def _trees(vectors: Matrix, top1: Matrix, seed: int) -> Fitted:
    model = _boosted(vectors, top1, seed)
    return lambda wanted: (np.asarray(model.predict(wanted)), np.ones(len(wanted)))


def _ridge_and_trees(vectors: Matrix, top1: Matrix, seed: int) -> Fitted:
    """A ridge, and trees on what it leaves."""
    ridge = RidgeCV(np.logspace(-4, 2, 7)).fit(vectors, top1)
    trees = _boosted(vectors, top1 - ridge.predict(vectors), seed)
    return lambda wanted: (ridge.predict(wanted) + trees.predict(wanted), np.ones(len(wanted)))


def _boosted(vectors: Matrix, target: Matrix, seed: int) -> LGBMRegressor:
    model = LGBMRegressor(
        n_estimators=300, learning_rate=0.05, num_leaves=15, min_child_samples=5, reg_lambda=1.0, colsample_bytree=0.5,
        random_state=seed, n_jobs=1, deterministic=True, force_row_wise=True, verbosity=-1,
    )  # fmt: skip
    return model.fit(vectors, target)


PARTS: dict[str, Callable[[Matrix, Matrix, int], Fitted]] = {
    "gaussian-process": _gaussian_process,
    "ridge+lightgbm": _ridge_and_trees,
    "lightgbm": _trees,
}
STACKED = "gaussian-process with ridge+lightgbm"
_STACKED_PARTS = ("gaussian-process", "ridge+lightgbm")  # a smooth and a stepped one, wrong about other networks
MODELS = (*PARTS, STACKED)
"""What is chosen among."""

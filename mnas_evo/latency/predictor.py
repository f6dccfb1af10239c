"""The latency predictor: sum of rows, calibrated, and a LightGBM correction on the log residual that has to earn its place.

Everything it says of itself is out of fold. Intervals are CV+ (Barber et al. 2021) on log residuals: each measured
network's residual is added to what the model that never saw it says of the new one.
"""

from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Protocol

import numpy as np
import torch  # noqa: F401  before lightgbm: both bring an OpenMP, and torch's has to come first
from lightgbm import Booster, Dataset, train
from numpy.typing import NDArray
from sklearn.model_selection import KFold

from mnas_evo.errors import DamagedFile, RequestError, UnmeasuredOp
from mnas_evo.files import Form, Part, read_form, read_text, write_form, write_text
from mnas_evo.latency.calibration import SHRINKAGES, Calibration, fit_calibration
from mnas_evo.latency.features import VERSION, Features, SpaceFeatures, family
from mnas_evo.latency.scoring import Quality, coverage_percent, quality
from mnas_evo.latency.table import Table, measurements_fingerprint, read_table, refuse_stock, table_fingerprint
from mnas_evo.space.architecture import Network
from mnas_evo.space.graph import Graph
from mnas_evo.space.lowering import lower
from mnas_evo.space.notation import parse_network
from mnas_evo.space.space import Genes, SearchSpace

FOLDS = 5
REPEATS = 3
CONFIDENCE = 0.9
FEWEST_NETWORKS = 10
METHODS = ("macs", "sum", "calibrated", "lightgbm", "combined")
FITTED_FILES = ("predictor.json", "correction.txt")

_SEPARATOR = "\n# ---- next model ----\n"
_BOOSTING = {
    "objective": "l1",
    "learning_rate": 0.05,
    "num_leaves": 15,
    "min_data_in_leaf": 5,
    "lambda_l2": 1.0,
    "feature_fraction": 0.7,
    "deterministic": True,
    "force_row_wise": True,
    "num_threads": 1,
    "verbosity": -1,
}
_TREES = 100

Matrix = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Prediction:
    """Values with a 90 % interval: three arrays (n,)."""

    value: Matrix
    low: Matrix
    high: Matrix


class Predictor(Protocol):
    """What is cheap and vectorised: a value for each genome of the space it was made for."""

    def predict(self, genes: Genes) -> Prediction:
        """Values and intervals of genomes (n, g)."""
        ...


class CalibrationForm(Part):
    """A calibration as it stands in predictor.json."""

    overhead_ms: float
    scale: float
    departures: tuple[float, ...]


class QualityForm(Part):
    """Figures of one method, out of fold."""

    mape: float
    w1: float
    w5: float
    w10: float
    kendall: float


class FoldForm(Part):
    """One fold's calibration and the log residuals of the networks it never saw."""

    calibration: CalibrationForm
    residuals: tuple[float, ...]


class PredictorForm(Form):
    """predictor.json."""

    feature_version: int
    families: tuple[str, ...]
    measurements: str
    networks: int
    shrinkage: float
    calibration: CalibrationForm
    corrected: bool
    correction_gain_percent: float
    correction_gain_noise_percent: float
    folds: tuple[FoldForm, ...]
    methods: dict[str, QualityForm]
    chosen: str
    noise_percent: float | None
    coverage_percent: float
    predicted_ms: tuple[float, ...]
    measured_ms: tuple[float, ...]


@dataclass(frozen=True)
class _Model:
    """A calibration with or without a correction."""

    calibration: Calibration
    booster: Booster | None

    def log_ms(self, vectors: Matrix, parts: slice) -> Matrix:
        out = np.log(self.calibration.ms(vectors[:, 0], vectors[:, parts]))
        return out if self.booster is None else out + self.booster.predict(_shape(vectors), num_threads=1)


class LatencyPredictor:
    """Predicts ms on one table's device, for networks or, through `for_space`, for genes."""

    def __init__(self, table: Table, form: PredictorForm, boosters: Sequence[Booster]) -> None:
        self.table = table
        self.form = form
        self.features = Features(table, form.families)
        models = list(boosters) if form.corrected else [None] * (1 + len(form.folds))
        self._model = _Model(_calibration(form.calibration), models[0])
        self._folds = [
            (_Model(_calibration(fold.calibration), booster), np.array(fold.residuals))
            for fold, booster in zip(form.folds, models[1:], strict=True)
        ]

    def predict_networks(self, networks: Sequence[Network]) -> Prediction:
        """Predictions for networks of any shape whose rows the table has.

        Raises:
            UnmeasuredOp: a row is missing.
        """
        return self.predict_vectors(self.features.of_graphs([lower(network) for network in networks]))

    def by_layer(self, graph: Graph) -> Matrix:
        """Each layer's share of the prediction, ms (layers,): in proportion to calibrated rows."""
        vectors = np.array([self.features.of_layer(layer) for layer in graph.layers])
        calibration = self._model.calibration
        rows = calibration.scale * vectors[:, 0] + vectors[:, self.features.parts] @ np.array(calibration.departures)
        return np.asarray(rows * (self.predict_vectors(vectors.sum(axis=0)[None]).value[0] / rows.sum()))

    def predict_vectors(self, vectors: Matrix) -> Prediction:
        """Predictions from feature vectors (n, k)."""
        value = np.exp(self._model.log_ms(vectors, self.features.parts))
        low, high = _cv_plus(
            [(model.log_ms(vectors, self.features.parts), residuals) for model, residuals in self._folds]
        )
        return Prediction(value, np.minimum(low, value), np.maximum(high, value))

    def for_space(self, space: SearchSpace) -> "SpacePredictor":
        """The predictor over a space's genes.

        Raises:
            UnmeasuredOp: the table lacks rows that the space can contain.
        """
        missing = self.table.missing(space.layers())
        if missing:
            raise UnmeasuredOp(
                f"{self.table.name} lacks {len(missing)} of the {len(space.layers())} rows that space {space.name} can "
                f"contain, {missing[0]} first. Measure them: mnas-evo profile TARGET --table {self.table.name} "
                f"--space {space.name} --missing"
            )
        return SpacePredictor(self, SpaceFeatures(self.features, space))


@dataclass(frozen=True)
class SpacePredictor:
    """A latency predictor over one space's genes."""

    predictor: LatencyPredictor
    features: SpaceFeatures

    def predict(self, genes: Genes) -> Prediction:
        """Latencies of genomes (n, g), ms."""
        return self.predictor.predict_vectors(self.features.of_genes(genes))


def fit(folder: Path, *, seed: int = 0) -> LatencyPredictor:
    """Fits a table's predictor on its sampled networks and writes it into the table.

    Raises:
        RequestError: too few networks were measured.
        UnmeasuredOp: a sampled network has a layer without a row.
    """
    refuse_stock(folder)
    table = read_table(folder)
    sampled = [entry for entry in table.networks if entry.role == "sampled"]
    if len(sampled) < FEWEST_NETWORKS:
        raise RequestError(
            f"{folder} holds {len(sampled)} sampled networks, a fit needs at least {FEWEST_NETWORKS}; "
            f"measure more: mnas-evo profile TARGET --table {folder} --space SPACE"
        )
    graphs = [lower(parse_network(entry.network)) for entry in sampled]
    features = Features(table, tuple(sorted({family(layer) for graph in graphs for layer in graph.layers})))
    vectors = features.of_graphs(graphs)
    ms = np.array([entry.time.ms for entry in sampled])
    form, boosters = _fit(vectors, ms, features=features, table=table, folder=folder, seed=seed)
    write_text(folder / "correction.txt", _SEPARATOR.join(booster.model_to_string() for booster in boosters))
    write_form(folder / "predictor.json", form)
    return LatencyPredictor(table, form, boosters)


def load_predictor(folder: Path) -> LatencyPredictor:
    """A table's predictor as it was fitted.

    Raises:
        RequestError: none was fitted, or on other measurements than the table now holds.
        DamagedFile: a file cannot be read.
    """
    mend = f"run: mnas-evo fit --table {folder}"
    table = read_table(folder)
    if not (folder / "predictor.json").exists():
        raise RequestError(f"{folder} has no predictor yet; {mend}")
    form = read_form(folder / "predictor.json", PredictorForm)
    if form.feature_version != VERSION or form.measurements != measurements_fingerprint(folder):
        raise RequestError(f"{folder} was measured or changed after its predictor was fitted; {mend}")
    boosters: list[Booster] = []
    if form.corrected:
        texts = read_text(folder / "correction.txt").split(_SEPARATOR)
        if len(texts) != 1 + len(form.folds):
            raise DamagedFile(f"{folder / 'correction.txt'} holds {len(texts)} models, not {1 + len(form.folds)}; {mend}")
        try:
            boosters = [Booster(model_str=text) for text in texts]
        except Exception as error:  # lightgbm raises its own kinds for what it cannot parse
            raise DamagedFile(f"{folder / 'correction.txt'} is no LightGBM model: {error}; {mend}") from error
    return LatencyPredictor(table, form, boosters)


def predictor_fingerprint(folder: Path) -> str:
    """SHA-256 of all that a table's predictions depend on."""
    return table_fingerprint(folder, fitted=FITTED_FILES)


def _fit(
    vectors: Matrix, ms: Matrix, *, features: Features, table: Table, folder: Path, seed: int
) -> tuple[PredictorForm, list[Booster]]:
    parts = features.parts
    shrinkage = _choose_shrinkage(vectors, ms, parts, seed=seed)
    macs = vectors[:, [features.columns.index("macs")]]

    def calibrated(train_rows: NDArray[np.int64]) -> _Model:
        return _Model(_calibrate(vectors[train_rows], ms[train_rows], parts, shrinkage), None)

    def combined(train_rows: NDArray[np.int64]) -> _Model:
        return _corrected(vectors[train_rows], ms[train_rows], parts, shrinkage, seed=seed)

    def by_macs(train_rows: NDArray[np.int64], test: NDArray[np.int64]) -> Matrix:
        only = macs[train_rows]
        return fit_calibration(only[:, 0], only[:, :0], ms[train_rows], shrinkage=0.0).ms(macs[test, 0], macs[test, :0])

    def by_trees(train_rows: NDArray[np.int64], test: NDArray[np.int64]) -> Matrix:
        booster = _boost(vectors[train_rows], np.log(ms[train_rows]), seed=seed)
        return np.asarray(np.exp(booster.predict(_shape(vectors[test]), num_threads=1)))

    guesses: dict[str, Callable[[NDArray[np.int64], NDArray[np.int64]], Matrix]] = {
        "macs": by_macs,
        "sum": lambda _, test: vectors[test, 0],
        "calibrated": lambda rows, test: np.exp(calibrated(rows).log_ms(vectors[test], parts)),
        "lightgbm": by_trees,
        "combined": lambda rows, test: np.exp(combined(rows).log_ms(vectors[test], parts)),
    }
    rounds = [_out_of_fold(guesses, len(ms), seed=seed + repeat) for repeat in range(REPEATS)]
    methods = {name: _mean_quality([quality(found[name], ms) for found, _ in rounds]) for name in METHODS}
    gain, noise = _gain(rounds, ms)
    admitted = gain > noise
    fit_model = combined if admitted else calibrated
    model = fit_model(np.arange(len(ms)))
    folds = [(fit_model(rows), test) for rows, test in _folds(len(ms), seed=seed)]
    residuals = [np.log(ms[test]) - fold.log_ms(vectors[test], parts) for fold, test in folds]
    chosen = "combined" if admitted else "calibrated"
    form = PredictorForm(
        feature_version=VERSION,
        families=features.families,
        measurements=measurements_fingerprint(folder),
        networks=len(ms),
        shrinkage=shrinkage,
        calibration=_calibration_form(model.calibration),
        corrected=admitted,
        correction_gain_percent=gain,
        correction_gain_noise_percent=noise,
        folds=tuple(
            FoldForm(calibration=_calibration_form(fold.calibration), residuals=tuple(float(r) for r in left))
            for (fold, _), left in zip(folds, residuals, strict=True)
        ),
        methods={name: QualityForm(**asdict(figures)) for name, figures in methods.items()},
        chosen=chosen,
        noise_percent=table.noise_percent,
        coverage_percent=_coverage(fit_model, vectors, ms, parts, seed=seed),
        predicted_ms=tuple(float(v) for v in rounds[0][0][chosen]),
        measured_ms=tuple(float(v) for v in ms),
    )
    boosters = [found.booster for found in (model, *(fold for fold, _ in folds)) if found.booster is not None]
    return form, boosters


_Round = tuple[dict[str, Matrix], list[NDArray[np.int64]]]


def _out_of_fold(
    guesses: dict[str, Callable[[NDArray[np.int64], NDArray[np.int64]], Matrix]], n: int, *, seed: int
) -> _Round:
    """Each method's prediction of every network by a model that never saw it, and the folds."""
    found = {name: np.empty(n) for name in guesses}
    tests = []
    for rows, test in _folds(n, seed=seed):
        tests.append(test)
        for name, guess in guesses.items():
            found[name][test] = guess(rows, test)
    return found, tests


def _gain(rounds: Sequence[_Round], ms: Matrix) -> tuple[float, float]:
    """What the correction takes off the error, points of MAPE, and the standard error of that from fold to fold."""
    gains = [
        quality(found["calibrated"][test], ms[test]).mape - quality(found["combined"][test], ms[test]).mape
        for found, tests in rounds
        for test in tests
    ]
    # Repeats share their data, so that folds of one repeat are the independent ones.
    return float(np.mean(gains)), float(np.std(gains, ddof=1) / np.sqrt(FOLDS))


def _coverage(
    fit_model: Callable[[NDArray[np.int64]], _Model], vectors: Matrix, ms: Matrix, parts: slice, *, seed: int
) -> float:
    """Coverage of CV+ intervals made without a fifth of the networks, on that fifth; mean over the fifths."""
    shares = []
    for rows, test in _folds(len(ms), seed=seed + 100):
        said = []
        for inner_rows, inner_test in _folds(len(rows), seed=seed):
            model = fit_model(rows[inner_rows])
            left = np.log(ms[rows[inner_test]]) - model.log_ms(vectors[rows[inner_test]], parts)
            said.append((model.log_ms(vectors[test], parts), left))
        low, high = _cv_plus(said)
        shares.append(coverage_percent(low, high, ms[test]))
    return float(np.mean(shares))


def _cv_plus(said: Sequence[tuple[Matrix, Matrix]]) -> tuple[Matrix, Matrix]:
    """CV+ interval, ms (n,) each, of (log prediction (n,), log residuals) a fold; wide open where residuals are too few."""
    n = len(said[0][0])
    count = sum(len(residuals) for _, residuals in said)
    rank = int(np.floor((1 - CONFIDENCE) * (count + 1)))
    if rank < 1:
        return np.zeros(n), np.full(n, np.inf)
    low, high = np.empty(n), np.empty(n)
    for start in range(0, n, 50_000):  # 100 residuals × 50,000 networks are 40 MB
        part = slice(start, start + 50_000)
        lows = np.concatenate([log_ms[part, None] - np.abs(residuals) for log_ms, residuals in said], axis=1)
        highs = np.concatenate([log_ms[part, None] + np.abs(residuals) for log_ms, residuals in said], axis=1)
        low[part] = np.partition(lows, rank - 1, axis=1)[:, rank - 1]
        high[part] = np.partition(highs, count - rank, axis=1)[:, count - rank]
    return np.exp(low), np.exp(high)


def _folds(n: int, *, seed: int) -> list[tuple[NDArray[np.int64], NDArray[np.int64]]]:
    return list(KFold(min(FOLDS, n), shuffle=True, random_state=seed).split(np.arange(n)))


def _choose_shrinkage(vectors: Matrix, ms: Matrix, parts: slice, *, seed: int) -> float:
    def error(shrinkage: float) -> float:
        out = np.empty(len(ms))
        for rows, test in _folds(len(ms), seed=seed):
            calibration = _calibrate(vectors[rows], ms[rows], parts, shrinkage)
            out[test] = calibration.ms(vectors[test, 0], vectors[test, parts])
        return quality(out, ms).mape

    return min(SHRINKAGES, key=error)


def _calibrate(vectors: Matrix, ms: Matrix, parts: slice, shrinkage: float) -> Calibration:
    return fit_calibration(vectors[:, 0], vectors[:, parts], ms, shrinkage=shrinkage)


def _corrected(vectors: Matrix, ms: Matrix, parts: slice, shrinkage: float, *, seed: int) -> _Model:
    calibration = _calibrate(vectors, ms, parts, shrinkage)
    left = np.log(ms) - np.log(calibration.ms(vectors[:, 0], vectors[:, parts]))
    return _Model(calibration, _boost(vectors, left, seed=seed))


def _boost(vectors: Matrix, target: Matrix, *, seed: int) -> Booster:
    return train({**_BOOSTING, "seed": seed}, Dataset(_shape(vectors), target), num_boost_round=_TREES)


def _shape(vectors: Matrix) -> Matrix:
    """What the trees see: the features, and every one but the sum as a share of the sum."""
    return np.hstack([vectors, vectors[:, 1:] / vectors[:, :1]])


def _mean_quality(found: Sequence[Quality]) -> Quality:
    return Quality(*(float(np.mean([asdict(one)[name] for one in found])) for name in asdict(found[0])))


def _calibration(form: CalibrationForm) -> Calibration:
    return Calibration(form.overhead_ms, form.scale, form.departures)


def _calibration_form(calibration: Calibration) -> CalibrationForm:
    return CalibrationForm(**asdict(calibration))

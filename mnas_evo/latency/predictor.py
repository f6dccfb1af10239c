"""The latency predictor: sum of rows, calibrated, and a LightGBM correction that has to earn its place.

Everything it says of itself is out of fold. Intervals are CV+ (Barber et al. 2021) on log residuals: each measured
network's residual is added to what the model that never saw it says of the new one.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch  # noqa: F401  before lightgbm: both bring an OpenMP, and torch's has to come first
from lightgbm import Booster
from numpy.typing import NDArray
from pydantic import model_validator

from mnas_evo.errors import DamagedFile, RequestError, UnmeasuredOp
from mnas_evo.files import Form, Part, read_form, read_text
from mnas_evo.latency.calibration import Calibration
from mnas_evo.latency.contract import Prediction
from mnas_evo.latency.features import CROSSING, VERSION, Features, SpaceFeatures
from mnas_evo.latency.scoring import Quality
from mnas_evo.latency.table import Table, measurements_fingerprint, read_table, table_fingerprint
from mnas_evo.space.architecture import Network
from mnas_evo.space.graph import Graph
from mnas_evo.space.lowering import lower
from mnas_evo.space.space import Genes, SearchSpace

CONFIDENCE = 0.9
METHODS = ("macs", "sum", "calibrated", "lightgbm", "combined")
FITTED_FILES = ("predictor.json", "correction.txt")

SEPARATOR = "\n# ---- next model ----\n"
Matrix = NDArray[np.float64]


class FoldForm(Part):
    """One fold's calibration and the log residuals of the networks it never saw."""

    calibration: Calibration
    residuals: tuple[float, ...]


class PredictorForm(Form):
    """predictor.json."""

    feature_version: int
    seed: int
    versions: dict[str, str]
    families: tuple[str, ...]
    measurements: str
    networks: int
    shrinkage: float
    calibration: Calibration
    corrected: bool
    correction_gain_percent: float
    correction_gain_noise_percent: float
    folds: tuple[FoldForm, ...]
    methods: dict[str, Quality]
    chosen: str
    noise_percent: float | None
    coverage_percent: float
    predicted_ms: tuple[float, ...]
    measured_ms: tuple[float, ...]

    @model_validator(mode="after")
    def _whole(self) -> "PredictorForm":
        if set(self.methods) != set(METHODS) or self.chosen not in METHODS:
            raise ValueError(f"methods are {', '.join(METHODS)}, one of them chosen")
        calibrations = (self.calibration, *(fold.calibration for fold in self.folds))
        if any(len(c.departures) != len(self.families) + CROSSING for c in calibrations) or not self.folds:
            raise ValueError("a calibration does not fit the families")
        return self


@dataclass(frozen=True)
class Model:
    """A calibration with or without a correction."""

    calibration: Calibration
    booster: Booster | None

    def log_ms(self, vectors: Matrix, parts: slice) -> Matrix:
        out = np.log(self.calibration.ms(vectors[:, 0], vectors[:, parts]))
        return out if self.booster is None else out + self.booster.predict(tree_features(vectors), num_threads=1)


class LatencyPredictor:
    """Predicts ms on one table's device, for networks or, through `for_space`, for genes."""

    def __init__(self, table: Table, form: PredictorForm, boosters: Sequence[Booster]) -> None:
        self.table = table
        self.form = form
        self.features = Features(table, form.families)
        models = list(boosters) if form.corrected else [None] * (1 + len(form.folds))
        self._model = Model(form.calibration, models[0])
        self._folds = [
            (Model(fold.calibration, booster), np.array(fold.residuals))
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
        low, high = cv_plus(
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
                f"contain, {missing[0]} first. Measure them: mnas-evo profile TARGET --table {self.table.folder} "
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
        texts = read_text(folder / "correction.txt").split(SEPARATOR)
        if len(texts) != 1 + len(form.folds):
            raise DamagedFile(
                f"{folder / 'correction.txt'} holds {len(texts)} models, not {1 + len(form.folds)}; {mend}"
            )
        try:
            boosters = [Booster(model_str=text) for text in texts]
        except Exception as error:  # lightgbm raises its own kinds for what it cannot parse
            raise DamagedFile(f"{folder / 'correction.txt'} is no LightGBM model: {error}; {mend}") from error
    return LatencyPredictor(table, form, boosters)


def predictor_fingerprint(folder: Path) -> str:
    """SHA-256 of all that a table's predictions depend on."""
    return table_fingerprint(folder, fitted=FITTED_FILES)


def cv_plus(said: Sequence[tuple[Matrix, Matrix]]) -> tuple[Matrix, Matrix]:
    """CV+ interval, ms (n,) each, of (log prediction (n,), log residuals) a fold; endless where residuals are few."""
    n = len(said[0][0])
    count = sum(len(residuals) for _, residuals in said)
    rank = int(np.floor((1 - CONFIDENCE) * (count + 1) + 1e-9))  # .1 × 10 is a hair below 1
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


def tree_features(vectors: Matrix) -> Matrix:
    """What the trees see: the features, and every one but the sum as a share of the sum."""
    return np.hstack([vectors, vectors[:, 1:] / vectors[:, :1]])

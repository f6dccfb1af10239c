"""Fits a table's latency predictor: calibration, the correction if it earns its place, and figures out of fold."""

from collections.abc import Callable, Sequence
from dataclasses import asdict
from pathlib import Path

import numpy as np
import torch  # noqa: F401  before lightgbm: both bring an OpenMP, and torch's has to come first
from lightgbm import Booster, Dataset, train
from numpy.typing import NDArray
from sklearn.model_selection import KFold
from threadpoolctl import threadpool_limits

from mnas_evo.errors import RequestError
from mnas_evo.files import only_process, versions, write_form, write_text
from mnas_evo.latency.calibration import SHRINKAGES, Calibration, fit_calibration
from mnas_evo.latency.features import VERSION, Features, family
from mnas_evo.latency.predictor import (
    METHODS,
    SEPARATOR,
    FoldForm,
    LatencyPredictor,
    Model,
    PredictorForm,
    cv_plus,
    tree_features,
)
from mnas_evo.latency.scoring import Quality, coverage_percent, quality
from mnas_evo.latency.table import Table, measurements_fingerprint, read_table, refuse_stock
from mnas_evo.space.lowering import lower
from mnas_evo.space.notation import parse_network

FOLDS = 5
REPEATS = 3
FEWEST_NETWORKS = 10

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


def fit(folder: Path, *, seed: int = 0) -> LatencyPredictor:
    """Fits a table's predictor on its sampled networks and writes it into the table.

    Raises:
        RequestError: too few networks were measured.
        UnmeasuredOp: a sampled network has a layer without a row.
        InUse: the table is being measured or fitted.
    """
    refuse_stock(folder)
    with only_process(folder, doing="fitting"):
        return _fit_table(folder, seed=seed)


def _fit_table(folder: Path, *, seed: int) -> LatencyPredictor:
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
    with threadpool_limits(1):  # problems this small only wait for a second thread
        form, boosters = _fit(vectors, ms, features=features, table=table, folder=folder, seed=seed)
    write_text(folder / "correction.txt", SEPARATOR.join(booster.model_to_string() for booster in boosters))
    write_form(folder / "predictor.json", form)
    return LatencyPredictor(table, form, boosters)


def _fit(
    vectors: Matrix, ms: Matrix, *, features: Features, table: Table, folder: Path, seed: int
) -> tuple[PredictorForm, list[Booster]]:
    parts = features.parts
    shrinkage = _choose_shrinkage(vectors, ms, parts, seed=seed)
    macs = vectors[:, [features.columns.index("macs")]]

    def calibrated(train_rows: NDArray[np.int64]) -> Model:
        return Model(_calibrate(vectors[train_rows], ms[train_rows], parts, shrinkage), None)

    def combined(train_rows: NDArray[np.int64]) -> Model:
        return _corrected(vectors[train_rows], ms[train_rows], parts, shrinkage, seed=seed)

    def by_macs(train_rows: NDArray[np.int64], test: NDArray[np.int64]) -> Matrix:
        only = macs[train_rows]
        return fit_calibration(only[:, 0], only[:, :0], ms[train_rows], shrinkage=0.0).ms(macs[test, 0], macs[test, :0])

    def by_trees(train_rows: NDArray[np.int64], test: NDArray[np.int64]) -> Matrix:
        booster = _boost(vectors[train_rows], np.log(ms[train_rows]), seed=seed)
        return np.asarray(np.exp(booster.predict(tree_features(vectors[test]), num_threads=1)))

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
        seed=seed,
        versions=versions(),
        families=features.families,
        measurements=measurements_fingerprint(folder),
        networks=len(ms),
        shrinkage=shrinkage,
        calibration=model.calibration,
        corrected=admitted,
        correction_gain_percent=gain,
        correction_gain_noise_percent=noise,
        folds=tuple(
            FoldForm(calibration=fold.calibration, residuals=tuple(float(r) for r in left))
            for (fold, _), left in zip(folds, residuals, strict=True)
        ),
        methods=methods,
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
    fit_model: Callable[[NDArray[np.int64]], Model], vectors: Matrix, ms: Matrix, parts: slice, *, seed: int
) -> float:
    """Coverage of CV+ intervals made without a fifth of the networks, on that fifth; mean over the fifths."""
    shares = []
    for rows, test in _folds(len(ms), seed=seed + 100):
        said = []
        for inner_rows, inner_test in _folds(len(rows), seed=seed):
            model = fit_model(rows[inner_rows])
            left = np.log(ms[rows[inner_test]]) - model.log_ms(vectors[rows[inner_test]], parts)
            said.append((model.log_ms(vectors[test], parts), left))
        low, high = cv_plus(said)
        shares.append(coverage_percent(low, high, ms[test]))
    return float(np.mean(shares))


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


def _corrected(vectors: Matrix, ms: Matrix, parts: slice, shrinkage: float, *, seed: int) -> Model:
    calibration = _calibrate(vectors, ms, parts, shrinkage)
    left = np.log(ms) - np.log(calibration.ms(vectors[:, 0], vectors[:, parts]))
    return Model(calibration, _boost(vectors, left, seed=seed))


def _boost(vectors: Matrix, target: Matrix, *, seed: int) -> Booster:
    return train({**_BOOSTING, "seed": seed}, Dataset(tree_features(vectors), target), num_boost_round=_TREES)


def _mean_quality(found: Sequence[Quality]) -> Quality:
    return Quality(*(float(np.mean([asdict(one)[name] for one in found])) for name in asdict(found[0])))

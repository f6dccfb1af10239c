"""What a fit gives: an additive model, a correction if it earned its place, and what intervals are made from.

It prices sums over layers: of what each layer adds by the model and by those of the folds, and of its features. Those
sums are the same for a network's graph and, as look-ups, for genes.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from mnas_evo.files import Part
from mnas_evo.latency.additive import Additive, Design, Variances, choose_variances, fit_additive, fit_without, trusted
from mnas_evo.latency.contract import Prediction
from mnas_evo.latency.correction import Correction, Earned, fit_correction
from mnas_evo.latency.features import Features
from mnas_evo.latency.intervals import Reach, cv_plus, fit_reach
from mnas_evo.space.graph import Layer

# Of few networks, intervals from models that saw four fifths of them cover 96 % instead of 90.
FOLDS = 20

Matrix = NDArray[np.float64]


class Fold(Part):
    """A model that saw all networks but one fold's, and the log residuals of those, in deviations of the reach."""

    model: Additive
    residuals: tuple[float, ...]


@dataclass(frozen=True)
class Model:
    """A fitted model of times on one device."""

    features: Features
    layers: tuple[str, ...]
    additive: Additive
    correction: Correction | None
    folds: tuple[Fold, ...]
    reach: Reach

    def of_layer(self, layer: Layer) -> Matrix:
        """What is summed over layers, (s,): ms by the model and by each fold's, then the features.

        Raises:
            UnmeasuredOp: the layer's row is missing.
        """
        vector = self.features.of_layer(layer)
        ms = self._weights @ vector
        if (at := self._at.get(layer.spec.key)) is not None:
            ms = ms + self._own[:, at]
        return np.concatenate([ms, vector])

    @property
    def width(self) -> int:
        """How many numbers are summed over layers."""
        return len(self._models) + len(self.features.columns)

    def of_design(self, design: Design) -> Matrix:
        """The sums of a design's networks, (n, s)."""
        return np.column_stack([*(design.layers_ms(model) for model in self._models), design.vectors])

    def ms(self, sums: Matrix) -> Matrix:
        """Times of networks with sums (n, s): (n,)."""
        total = self.additive.total_ms(sums[:, 0])
        return np.asarray(total * np.exp(self._log_ratio(total, sums)))

    def predict(self, sums: Matrix) -> Prediction:
        """Times of networks with sums (n, s), and their 90 % intervals."""
        total = self.additive.total_ms(sums[:, 0])
        log_ratio = self._log_ratio(total, sums)
        # One correction serves all folds: theirs would differ by far less than the residuals.
        said = [
            (np.log(fold.model.total_ms(sums[:, column])) + log_ratio, np.array(fold.residuals))
            for column, fold in enumerate(self.folds, start=1)
        ]
        value = total * np.exp(log_ratio)
        low, high = cv_plus(said, self.reach.deviations(self._vectors(sums), total))
        return Prediction(value, np.minimum(low, value), np.maximum(high, value))

    def knows(self, layer: Layer) -> bool:
        """Whether a network that was fitted on has this layer."""
        return layer.spec.key in self._at

    @cached_property
    def _at(self) -> dict[str, int]:
        return {key: at for at, key in enumerate(self.layers)}

    @cached_property
    def _weights(self) -> Matrix:
        return np.array([model.weights for model in self._models])

    @cached_property
    def _own(self) -> Matrix:
        return np.array([model.own for model in self._models])

    @property
    def _models(self) -> tuple[Additive, ...]:
        return (self.additive, *(fold.model for fold in self.folds))

    def _vectors(self, sums: Matrix) -> Matrix:
        return sums[:, len(self._models) :]

    def _log_ratio(self, total: Matrix, sums: Matrix) -> Matrix:
        if self.correction is None:
            return np.zeros(len(total))
        return self.correction.log_ratio(total, self._vectors(sums)[:, self.features.coarse])


@dataclass(frozen=True, slots=True)
class Reasons:
    """What was chosen in a fit: prior variances of the additive model's blocks, and the share of the correction."""

    variances: Variances
    correction: Earned


def fit_model(design: Design, ms: Matrix, *, seed: int) -> tuple[Model, Reasons]:
    """Fits networks of times (n,), ms; at least two that are no anchors.

    All that is chosen is chosen on these networks alone, so that any others are a test of it.
    """
    variances = choose_variances(design, ms, rng=np.random.default_rng([seed, 5]))
    trust = trusted(design, ms, variances=variances)
    additive = fit_additive(design, ms, variances=variances, trust=trust)
    parts = design.folds(FOLDS, seed=seed)
    models = fit_without(design, ms, variances=variances, trust=trust, folds=[fold for _, fold in parts])
    total = np.ones(len(ms))
    for model, (_, fold) in zip(models, parts, strict=True):
        total[fold] = design.take(fold).total_ms(model)
    judged = ~design.anchors
    left, guessed = np.log(ms / total), np.zeros(len(ms))
    coarse = design.vectors[:, design.features.coarse]
    correction, reason, guessed[judged] = fit_correction(total[judged], coarse[judged], left[judged], seed=seed)
    reach = fit_reach(design.vectors, ms, columns=_reaching(design.features))
    residuals = (left - guessed) / reach.deviations(design.vectors, ms)
    kept = tuple(
        Fold(model=model, residuals=tuple(residuals[fold].tolist()))
        for model, (_, fold) in zip(models, parts, strict=True)
    )
    return Model(design.features, design.layers, additive, correction, kept, reach), Reasons(variances, reason)


def _reaching(features: Features) -> Sequence[int]:
    """The columns that tell how far a network lies from others: sums of rows, and the graph's statistics."""
    columns = range(len(features.columns))
    return [*columns[features.groups["rows"]], *columns[features.groups["graph"]]]

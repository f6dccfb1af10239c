"""A table's latency predictor as it is stored and asked: for networks, or through `for_space` for genes.

Everything it says of itself is out of fold. A table of rows alone, with no measured network to fit on, is priced by the
bare sum of its rows, and has no intervals.
"""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import cached_property
from pathlib import Path

import numpy as np
import torch  # noqa: F401  before lightgbm: both bring an OpenMP, and torch's has to come first
from lightgbm import Booster
from numpy.typing import NDArray

from mnas_evo.errors import DamagedFile, RequestError, SpaceError, UnmeasuredOp
from mnas_evo.files import read_text
from mnas_evo.latency.additive import Additive
from mnas_evo.latency.contract import Prediction
from mnas_evo.latency.correction import Correction
from mnas_evo.latency.features import Features
from mnas_evo.latency.form import PREDICTOR, PredictorForm, read_predictor_form, refit
from mnas_evo.latency.intervals import Reach
from mnas_evo.latency.model import Model
from mnas_evo.latency.rows import OwnRows, Rows, read_borrowed
from mnas_evo.latency.table import Table, measurements_fingerprint, read_table, table_fingerprint
from mnas_evo.space.architecture import Network
from mnas_evo.space.graph import Graph, Layer
from mnas_evo.space.lowering import lower
from mnas_evo.space.notation import parse_network
from mnas_evo.space.space import Genes, GeneSums, SearchSpace
from mnas_evo.space.space_file import load_space

FITTED_FILES = (PREDICTOR, "correction.txt", "borrowed.csv")

Matrix = NDArray[np.float64]


class LatencyPredictor:
    """Predicts ms on one table's device."""

    def __init__(self, table: Table, model: Model, form: PredictorForm | None) -> None:
        self.table = table
        self.model = model
        self.form = form

    def predict_networks(self, networks: Sequence[Network]) -> Prediction:
        """Predictions for networks of any shape.

        Raises:
            UnmeasuredOp: a row is missing.
        """
        return self.predict_graphs([lower(network) for network in networks])

    def predict_graphs(self, graphs: Sequence[Graph]) -> Prediction:
        """Predictions for lowered networks.

        Raises:
            UnmeasuredOp: a row is missing.
        """
        return self.model.predict(self._sums(graphs, self._of_layers(graphs)))

    def by_place(self, graphs: Sequence[Graph]) -> list[dict[str, float]]:
        """ms by block of each network: `overhead` where a call has a fixed cost, `stem`, blocks by number, `head`, ...

        They add up to the prediction; a correction is spread over all in proportion. What lifts a prediction to the
        least that there is, is `least`. A share may be below 0: a layer that, where it stands, costs less than the
        features that it brings along.

        Raises:
            UnmeasuredOp: a row is missing.
        """
        of_layers = self._of_layers(graphs)
        said = self.model.ms(self._sums(graphs, of_layers))
        return [self._shares(graph, float(ms), of_layers) for graph, ms in zip(graphs, said, strict=True)]

    def _shares(self, graph: Graph, said_ms: float, of_layers: Mapping[Layer, Matrix]) -> dict[str, float]:
        found = {"overhead": self.model.additive.overhead_ms} if self.form is not None else {}
        for place, layer in zip(graph.places, graph.layers, strict=True):
            block = place.split(".")[0]
            found[block] = found.get(block, 0.0) + float(of_layers[layer][0])
        total = sum(found.values())
        if total < self.model.additive.least_ms:  # far from all that was measured: what it adds up to is no time
            return {**found, "least": said_ms - total}
        return {block: ms * said_ms / total for block, ms in found.items()}

    def _of_layers(self, graphs: Sequence[Graph]) -> dict[Layer, Matrix]:
        layers = dict.fromkeys(layer for graph in graphs for layer in graph.layers)
        return {layer: self.model.of_layer(layer) for layer in layers}

    def _sums(self, graphs: Sequence[Graph], of_layers: Mapping[Layer, Matrix]) -> Matrix:
        sums = [np.sum([of_layers[layer] for layer in graph.layers], axis=0) for graph in graphs]
        return np.array(sums) if sums else np.zeros((0, self.model.width))

    def notes(self, network: Network, ms: float) -> list[str]:
        """What makes this prediction of a network less sure than the table's figures say."""
        if self.form is None:
            return ["no sampled network was measured, so that nothing is fitted: it is the bare sum of rows"]
        found = []
        measured = [entry.time.ms for entry in self.table.networks]
        fastest, slowest = min(measured), max(measured)
        if not fastest <= ms <= slowest:
            found.append(f"outside the measured range, {fastest:.4g} to {slowest:.4g} ms")
        if self._spaces and not any(space.contains(network) for space in self._spaces):
            found.append(f"outside the space {self._spaces[-1].name} that the measured networks come from")
        unknown = len({layer for layer in lower(network).layers if not self.model.knows(layer)})
        if unknown:
            found.append(f"{unknown} of its layers stand in no network that was fitted on")
        return found

    def for_space(self, space: SearchSpace) -> "SpacePredictor":
        """The predictor over a space's genes.

        Raises:
            UnmeasuredOp: the table lacks rows that the space can contain.
        """
        if isinstance(rows := self.model.features.rows, OwnRows) and (missing := rows.table.missing(space.layers())):
            raise UnmeasuredOp(
                f"{self.table.name} lacks {len(missing)} of the {len(space.layers())} rows that space {space.name} can "
                f"contain, {missing[0]} first. Measure them: mnas-evo profile TARGET --table {self.table.folder} "
                f"--space {space.name} --missing"
            )
        return SpacePredictor(self.model, space)

    @cached_property
    def _spaces(self) -> list[SearchSpace]:
        """The spaces that networks were sampled from, at the sizes measured; none where one is not to be found."""
        sampled = [parse_network(entry.network) for entry in self.table.networks if entry.role == "sampled"]
        names = dict.fromkeys(campaign.space for campaign in self.table.campaigns if campaign.space)
        found = []
        for name in names if sampled else ():
            try:
                space = load_space(name)
            except (SpaceError, OSError):
                return []
            found += [replace(space, frame=frame) for frame in dict.fromkeys(network.frame for network in sampled)]
        return found


class SpacePredictor:
    """A latency predictor over one space's genes, by look-up.

    Raises:
        UnmeasuredOp: a row that the space can contain is missing.
    """

    def __init__(self, model: Model, space: SearchSpace) -> None:
        self._model = model
        self._space = space
        self._sums = space.gene_sums(model.of_layer)

    def predict(self, genes: Genes) -> Prediction:
        """Latencies of genomes (n, g), ms, with intervals."""
        return self._model.predict(self._space.sum_over(genes, self._sums))

    def value(self, genes: Genes) -> Matrix:
        """Latencies of genomes (n, g) alone, ms (n,): several times as fast."""
        return self._model.ms(self._space.sum_over(genes, self._sums if self._model.correction else self._first))

    @cached_property
    def _first(self) -> GeneSums:
        """The first of the sums alone: the additive model's ms."""
        first = np.s_[..., :1]
        blocks = tuple(np.ascontiguousarray(block[first]) for block in self._sums.blocks)
        return GeneSums(self._sums.fixed[:1], blocks, self._sums.heads[first])


def load_predictor(folder: Path) -> LatencyPredictor:
    """A table's predictor as it was fitted; the bare sum where it holds rows and no network to fit on.

    Raises:
        RequestError: none was fitted, or on other measurements than the table now holds.
        DamagedFile: a file cannot be read.
    """
    mend = refit(folder)
    table = read_table(folder)
    path = folder / PREDICTOR
    if not path.exists():
        if any(entry.role == "sampled" for entry in table.networks) or not table.rows:
            raise RequestError(f"{folder} has no predictor yet; {mend}")
        return LatencyPredictor(table, bare_sum(OwnRows(table)), None)
    form = read_predictor_form(folder)
    mend = refit(folder, form.sources if form.rows == "borrowed" else ())
    if form.measurements != measurements_fingerprint(folder):
        raise RequestError(f"{folder} was measured or changed after its predictor was fitted; {mend}")
    rows: Rows | None = OwnRows(table) if form.rows == "own" else None
    if form.rows == "borrowed":
        rows = read_borrowed(folder / "borrowed.csv", table, sources=form.sources)
    features = Features(rows, form.families, form.kinds, form.sizes)
    if any(len(model.weights) != len(features.columns) for model in (form.additive, *(f.model for f in form.folds))):
        raise DamagedFile(f"{path} is damaged: a model does not fit its features; {mend}")
    correction = None
    if form.correction.share > 0:
        try:
            booster = Booster(model_str=read_text(folder / "correction.txt"))
        except DamagedFile:
            raise
        except Exception as error:  # lightgbm raises its own kinds for what it cannot parse
            raise DamagedFile(f"{folder / 'correction.txt'} is no LightGBM model: {error}; {mend}") from error
        if booster.num_feature() != 1 + 2 * len(features.coarse):
            raise DamagedFile(f"{folder / 'correction.txt'} is a model of other features; {mend}")
        correction = Correction(booster, form.correction.share)
    model = Model(features, form.layers, form.additive, correction, form.folds, form.reach)
    return LatencyPredictor(table, model, form)


def bare_sum(rows: Rows) -> Model:
    """The sum of rows as they are, with no interval."""
    features = Features(rows, (), (), ())
    weights = np.zeros(len(features.columns))
    weights[features.groups["rows"]] = 1 / len(rows.sources)
    additive = Additive(overhead_ms=0.0, weights=tuple(weights.tolist()), own=(), least_ms=0.0)
    return Model(features, (), additive, None, (), Reach(columns=(), covariance=((0.0,),)))


def predictor_fingerprint(folder: Path) -> str:
    """SHA-256 of all that a table's predictions depend on."""
    return table_fingerprint(folder, fitted=[name for name in FITTED_FILES if (folder / name).exists()])

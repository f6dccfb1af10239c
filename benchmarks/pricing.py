"""Pricing the paper's space from genes, with and without correction and intervals, against summing rows."""

from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np
from ratio import compare

from mnas_evo.latency.additive import design_of
from mnas_evo.latency.correction import Correction, boost, tree_features
from mnas_evo.latency.features import features_of
from mnas_evo.latency.model import Model, fit_model
from mnas_evo.latency.predictor import SpacePredictor
from mnas_evo.space.graph import Layer
from mnas_evo.space.lowering import lower
from mnas_evo.space.space import Genes, SearchSpace
from mnas_evo.space.space_file import load_space

VECTORISED = 100_000
ONE_BY_ONE = 300
NETWORKS = 300


@dataclass(frozen=True)
class InventedRows:
    """A time of each layer, that of a device of so many multiply-adds and elements a millisecond."""

    @property
    def sources(self) -> tuple[str, ...]:
        """One."""
        return ("rows",)

    def times_ms(self, layer: Layer) -> tuple[float, ...]:
        """ms."""
        channels, height, width = layer.out_shape
        return (0.01 + layer.macs / 5e7 + channels * height * width / 1e7,)


def fitted(space: SearchSpace, rows: InventedRows) -> tuple[Model, Model]:
    """A predictor of 300 networks without and with a correction of 100 trees."""
    rng = np.random.default_rng(0)
    graphs = [lower(network) for network in space.networks(space.sample(NETWORKS, rng=rng))]
    design = design_of(graphs, features_of(graphs, rows))
    ms = design.vectors[:, 0] * (0.9 + 0.05 * rng.random(NETWORKS))
    plain = replace(fit_model(design, ms, seed=0)[0], correction=None)
    inputs = tree_features(design.total_ms(plain.additive), design.vectors[:, design.features.coarse])
    return plain, replace(plain, correction=Correction(boost(inputs, np.log(ms / design.vectors[:, 0]), seed=0), 1.0))


def main() -> None:
    space, rows = load_space("paper"), InventedRows()
    genes = space.sample(VECTORISED, rng=np.random.default_rng(1))
    known = {layer: rows.times_ms(layer)[0] for layer in space.layers()}
    plain, corrected = (SpacePredictor(model, space) for model in fitted(space, rows))

    def one_by_one() -> int:
        for row in genes[:ONE_BY_ONE]:
            sum(known[layer] for layer in lower(space.network(space.decode(row))).layers)
        return ONE_BY_ONE

    def vectorised(price: Callable[[Genes], object]) -> Callable[[], int]:
        def work() -> int:
            price(genes)
            return len(genes)

        return work

    ways: dict[str, Callable[[Genes], object]] = {
        "calibrated sum of rows": plain.value,
        "with 100 trees": corrected.value,
        "sum, with intervals": plain.predict,
        "with 100 trees and intervals": corrected.predict,
    }
    for title, price in ways.items():
        compare(f"{title}, genes against objects", fast=vectorised(price), slow=one_by_one, unit="architectures")


if __name__ == "__main__":
    main()

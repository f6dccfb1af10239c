"""What the predictor knows of a network: sums of per-layer numbers, so that genes price as fast as a look-up."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from mnas_evo.latency.table import Table
from mnas_evo.space.graph import Graph, Layer
from mnas_evo.space.space import Genes, SearchSpace

VERSION = 1
_CROSSING_PARTS = ("ms_se", "ms_add", "ms_pool", "ms_call")
CROSSING = len(_CROSSING_PARTS)  # parts of the sum that cut across families
COUNTS = ("macs", "params", "elements", "ops", "layers")

Matrix = NDArray[np.float64]


def family(layer: Layer) -> str:
    """The family a row is calibrated with: `conv`, `mbconv_e3`, ..., `edge` for what is neither block op."""
    spec = layer.spec
    if spec.op == "mbconv":
        return f"mbconv_e{spec.expansion}"
    return "conv" if spec.op == "conv" and spec.kernel > 1 else "edge"


@dataclass(frozen=True)
class Features:
    """Additive features of networks over one table: sum of rows, its parts by family and by SE and skip, and counts.

    Columns: `sum`, one `ms_FAMILY` a family, `ms_se`, `ms_add`, `ms_pool`, `ms_call`, then COUNTS. All are sums over
    layers. `ms_call` is the table's median row a layer: what every row pays for being run alone, and a network once.
    """

    table: Table
    families: tuple[str, ...]

    @property
    def columns(self) -> tuple[str, ...]:
        """Names of the columns."""
        parts = (*(f"ms_{name}" for name in self.families), *_CROSSING_PARTS)
        return ("sum", *parts, *COUNTS)

    @cached_property
    def _median_row_ms(self) -> float:
        return float(np.median([row.ms for row in self.table.rows.values()]))

    @property
    def parts(self) -> slice:
        """The columns that are parts of the sum, ms."""
        return slice(1, 1 + len(self.families) + CROSSING)

    def of_layer(self, layer: Layer) -> Matrix:
        """One layer's vector (k,).

        Raises:
            UnmeasuredOp: its row is missing.
        """
        return self._vector(layer, self.table.row_ms(layer))

    def of_graphs(self, graphs: Sequence[Graph]) -> Matrix:
        """Vectors of networks, (n, k).

        Raises:
            UnmeasuredOp: a row is missing.
        """
        empty = np.zeros((0, len(self.columns)))
        rows = [np.sum([self.of_layer(layer) for layer in graph.layers], axis=0) for graph in graphs]
        return np.array(rows) if rows else empty

    def _vector(self, layer: Layer, ms: float) -> Matrix:
        own = family(layer)
        parts = [ms * (own == name) for name in self.families]
        parts += [ms * (layer.spec.se_ratio > 0), ms * (layer.spec.skip == "add"), ms * (layer.spec.skip == "pool")]
        parts.append(self._median_row_ms)
        elements = sum(c * h * w for c, h, w in layer.values)
        counts = [layer.macs, layer.params, elements, len(layer.ops), 1]
        return np.array([ms, *parts, *counts], dtype=np.float64)


class SpaceFeatures:
    """The same features for a space's genes, vectorised.

    Raises:
        UnmeasuredOp: the table lacks a row that the space can contain.
    """

    def __init__(self, features: Features, space: SearchSpace) -> None:
        self._space = space
        self._sums = space.gene_sums(features.of_layer)

    def of_genes(self, genes: Genes) -> Matrix:
        """Vectors of genomes, (n, k)."""
        return self._space.sum_over(genes, self._sums)

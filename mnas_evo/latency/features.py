"""What the predictor knows of a network: sums of per-layer numbers, so that genes price as fast as a look-up.

The columns stand in groups, which the additive model shrinks each by itself: sums of rows, their parts by family, what
the lowered graph says of the whole network, and the same by size of image. The lowered graph is all that is known where
nothing was measured, and carries over to every layer alike; rows know more, but of one layer each.
"""

from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from mnas_evo.latency.rows import Rows
from mnas_evo.space.graph import Graph, Layer, Op, Shape

VERSION = 2
GROUPS = ("rows", "parts", "graph", "sizes")

Matrix = NDArray[np.float64]


@dataclass(frozen=True)
class Features:
    """Additive features of networks: see the module. All are sums over layers.

    `kinds` are the statistics of the graph that occur in the networks fitted on, `sizes` the heights and widths there.
    `rows` is None where no sum of rows is known.
    """

    rows: Rows | None
    families: tuple[str, ...]
    kinds: tuple[str, ...]
    sizes: tuple[str, ...]

    @cached_property
    def columns(self) -> tuple[str, ...]:
        """Names of the columns, group by group."""
        return tuple(name for names in self._named.values() for name in names)

    @cached_property
    def groups(self) -> dict[str, slice]:
        """Where the columns of each of GROUPS stand; groups may be empty."""
        found, start = {}, 0
        for group, names in self._named.items():
            found[group] = slice(start, start + len(names))
            start += len(names)
        return found

    @cached_property
    def coarse(self) -> NDArray[np.int64]:
        """Columns that trees look at: all but the statistics by size, of which multiply-adds and traffic stay."""
        wanted = [not self._is_fine(name) for name in self.columns]
        return np.flatnonzero(wanted)

    def of_layer(self, layer: Layer) -> Matrix:
        """One layer's vector (k,).

        Raises:
            UnmeasuredOp: its row is missing.
        """
        found = dict.fromkeys(self.columns, 0.0)
        if self.rows is not None:
            times = self.rows.times_ms(layer)
            found |= {f"sum {name}": ms for name, ms in zip(self.rows.sources, times, strict=True)}
            mean = sum(times) / len(times)
            found |= {part: mean for part in _parts(layer) if part in found}
        counted = statistics(layer)
        found |= {kind: counted[kind] for kind in self.kinds if kind in counted}
        at = _size(layer)
        found |= {f"{kind}@{at}": value for kind, value in counted.items() if f"{kind}@{at}" in found}
        return np.array([found[name] for name in self.columns])

    def of_graphs(self, graphs: Sequence[Graph]) -> Matrix:
        """Vectors of networks, (n, k).

        Raises:
            UnmeasuredOp: a row is missing.
        """
        known: dict[Layer, Matrix] = {}
        out = np.zeros((len(graphs), len(self.columns)))
        for i, graph in enumerate(graphs):
            for layer in graph.layers:
                if layer not in known:
                    known[layer] = self.of_layer(layer)
                out[i] += known[layer]
        return out

    @cached_property
    def _named(self) -> dict[str, tuple[str, ...]]:
        sums: tuple[str, ...] = ()
        parts: tuple[str, ...] = ()
        if self.rows is not None:
            sums = tuple(f"sum {name}" for name in self.rows.sources)
            parts = (*(f"ms {name}" for name in self.families), *_CROSSING)
        by_size = tuple(f"{kind}@{size}" for size in self.sizes for kind in self.kinds)
        return dict(zip(GROUPS, (sums, parts, self.kinds, by_size), strict=True))

    def _is_fine(self, name: str) -> bool:
        kind, _, size = name.partition("@")
        return bool(size) and kind not in ("macs", "traffic")


def features_of(graphs: Iterable[Graph], rows: Rows | None) -> Features:
    """The features that networks of such graphs have."""
    return features_of_layers({layer for graph in graphs for layer in graph.layers}, rows)


def features_of_layers(layers: Collection[Layer], rows: Rows | None) -> Features:
    """The features that networks of these layers have."""
    return Features(
        rows,
        tuple(sorted({family(layer) for layer in layers})),
        tuple(sorted({kind for layer in layers for kind in statistics(layer)})),
        tuple(sorted({_size(layer) for layer in layers})),
    )


def family(layer: Layer) -> str:
    """The family of a layer: `conv`, `mbconv_e3`, ..., `edge` for what is neither block op."""
    spec = layer.spec
    if spec.op == "mbconv":
        return f"mbconv_e{spec.expansion}"
    return "conv" if spec.op == "conv" and spec.kernel > 1 else "edge"


# What cuts across families: shares of the sum of rows.
_CROSSING = ("ms se", "ms add", "ms pool")


def _parts(layer: Layer) -> list[str]:
    spec = layer.spec
    cross = [f"ms {name}" for name, there in (("se", spec.se_ratio > 0), (spec.skip, bool(spec.skip))) if there]
    return [f"ms {family(layer)}", *cross]


def _size(layer: Layer) -> str:
    _, height, width = layer.in_shape
    return f"{height}x{width}"


def statistics(layer: Layer) -> dict[str, float]:
    """What the lowered graph says of a layer's work, by kind: multiply-adds, elements moved, weights, counts.

    Activations count as part of what they follow, as runtimes fuse them.
    """
    found: dict[str, float] = {"macs": layer.macs, "layers": 1}
    for op in layer.ops:
        _count_op(found, op, layer.values)
    if layer.spec.se_ratio:
        found["se_layers"] = 1
    if layer.spec.skip:
        found[f"{layer.spec.skip}_layers"] = 1
    return found


def _count_op(found: dict[str, float], op: Op, values: Sequence[Shape]) -> None:
    def add(kind: str, amount: float) -> None:
        found[kind] = found.get(kind, 0) + amount

    moved = sum(_elements(values[i]) for i in op.inputs) + _elements(op.out_shape)
    if op.kind in ("conv", "linear"):
        pointwise = op.kernel <= 1
        if op.groups > 1:
            add(f"depthwise_k{op.kernel}_macs", op.macs)
        elif not pointwise:
            add(f"conv_k{op.kernel}_macs", op.macs)
        elif _elements(op.out_shape) == op.out_shape[0]:
            add("vector_weights", op.params)  # on one pixel: squeeze, excite, classifier
        else:
            add("pointwise_macs", op.macs)
        add("weights", op.params)
        add("traffic", moved)
    elif op.kind in ("global_pool", "mul", "sigmoid"):
        add("gate_traffic", moved)
    elif op.kind in ("add", "avg_pool"):
        add(f"{op.kind}_traffic", moved)


def _elements(shape: Shape) -> int:
    channels, height, width = shape
    return channels * height * width

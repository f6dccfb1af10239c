"""A new device from few measurements: what other devices' tables say of each layer, rescaled to this one."""

from collections.abc import Sequence

import numpy as np

from mnas_evo.errors import NotationError, RequestError, UnmeasuredOp
from mnas_evo.latency.predictor import LatencyPredictor
from mnas_evo.latency.rows import BorrowedRows, OwnRows
from mnas_evo.latency.table import MeasuredNetwork, Table, parse_row_key
from mnas_evo.space.graph import Graph, Layer, parse_key
from mnas_evo.space.lowering import lower, lower_layer
from mnas_evo.space.notation import parse_network

_FEWEST_IN_COMMON = 5


def borrow(table: Table, networks: Sequence[MeasuredNetwork], sources: Sequence[LatencyPredictor]) -> BorrowedRows:
    """The layers of other tables, by their predictors, at the level of this table.

    The level is that of the rows that both have, or where those are too few, of these networks: the median ratio. It is
    one number for all layers, which a fit finds anew.

    Raises:
        RequestError: tables of one name, this table itself, or one that cannot price these networks.
    """
    names = [source.table.name for source in sources]
    if len({table.name, *names}) <= len(names):
        raise RequestError(
            f"{table.name} borrows from tables of different and other names than its own, not {', '.join(names)}"
        )
    return BorrowedRows(table, {source.table.name: _rescaled(table, networks, source) for source in sources})


def _rescaled(table: Table, networks: Sequence[MeasuredNetwork], source: LatencyPredictor) -> dict[str, float]:
    graphs = [lower(parse_network(entry.network)) for entry in networks]
    layers = _layers(source, graphs)
    both = [
        (table.rows[own].ms, source.table.rows[other].ms)
        for layer in layers
        if (own := table.row_key(layer)) in table.rows and (other := source.table.row_key(layer)) in source.table.rows
    ]
    if len(both) >= _FEWEST_IN_COMMON and isinstance(source.model.features.rows, OwnRows):
        # Rows that were run alone go with rows that were run alone.
        level = float(np.median([own / other for own, other in both]))
        return {table.row_key(layer): _written(level * source.table.row_ms(layer)) for layer in layers}
    try:
        said = source.predict_graphs(graphs).value
    except UnmeasuredOp as error:
        raise RequestError(f"table {source.table.name} cannot price the networks measured here: {error}") from error
    level = float(np.median([entry.time.ms for entry in networks] / said))
    return {table.row_key(layer): _written(level * _price_ms(source, layer)) for layer in layers}


def _price_ms(source: LatencyPredictor, layer: Layer) -> float:
    """What a layer adds by a predictor; a network's fixed cost goes to its classifier, of which each has one."""
    fixed = source.model.additive.overhead_ms if layer.spec.op == "classifier" else 0.0
    return float(source.model.of_layer(layer)[0]) + fixed


def _layers(source: LatencyPredictor, graphs: Sequence[Graph]) -> list[Layer]:
    """The layers that a predictor has rows of; where it has none, those of its networks and of these graphs."""
    rows = source.model.features.rows
    if rows is None:
        known = [lower_layer(parse_key(key)) for key in source.model.layers]
        return list(dict.fromkeys([*known, *(layer for graph in graphs for layer in graph.layers)]))
    borrowed = rows.borrowed.values() if isinstance(rows, BorrowedRows) else ()
    found = []
    for key in dict.fromkeys([*source.table.rows, *(key for prices in borrowed for key in prices)]):
        try:
            found.append(lower_layer(parse_row_key(key)[0]))
        except NotationError:
            continue
    return found


def _written(ms: float) -> float:
    """A time as it is written to the file and used."""
    return float(f"{ms:.6g}")

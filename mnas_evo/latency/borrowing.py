"""A new device from few measurements: what other devices' tables say of each layer, rescaled to this one."""

from collections.abc import Sequence

import numpy as np

from mnas_evo.errors import NotationError, RequestError, UnmeasuredOp
from mnas_evo.latency.predictor import LatencyPredictor
from mnas_evo.latency.rows import BorrowedRows
from mnas_evo.latency.table import MeasuredNetwork, Table, parse_row_key
from mnas_evo.space.graph import Layer, parse_key
from mnas_evo.space.lowering import lower, lower_layer
from mnas_evo.space.notation import parse_network

_FEWEST_IN_COMMON = 5


def borrow(table: Table, networks: Sequence[MeasuredNetwork], sources: Sequence[LatencyPredictor]) -> BorrowedRows:
    """The layers of other tables, by their predictors, at the level of this table.

    The level is that of the rows that both have, or where those are too few, of these networks: the median ratio.

    Raises:
        RequestError: tables of one name, or one that knows too little of these networks.
    """
    names = [source.table.name for source in sources]
    if len(set(names)) < len(names):
        raise RequestError(f"tables to borrow from have different names, not {', '.join(names)}")
    return BorrowedRows(table, {source.table.name: _rescaled(table, networks, source) for source in sources})


def _rescaled(table: Table, networks: Sequence[MeasuredNetwork], source: LatencyPredictor) -> dict[str, float]:
    layers = {table.row_key(layer): layer for layer in _layers(source)}
    ours = [(table.rows[key].ms, layers[key]) for key in table.rows if key in layers]
    alone = [
        (ms, source.table.rows[key].ms)
        for ms, layer in ours
        if (key := source.table.row_key(layer)) in source.table.rows
    ]
    if len(alone) >= _FEWEST_IN_COMMON:
        # Rows that were run alone go with rows that were run alone.
        level = float(np.median([ms / other for ms, other in alone]))
        rows = source.table.rows
        return {
            key: level * rows[theirs].ms
            for key, layer in layers.items()
            if (theirs := source.table.row_key(layer)) in rows
        }
    try:
        said = source.predict_graphs([lower(parse_network(entry.network)) for entry in networks]).value
    except UnmeasuredOp as error:
        raise RequestError(f"table {source.table.name} cannot price the networks measured here: {error}") from error
    level = float(np.median([entry.time.ms for entry in networks] / said))
    priced = {key: float(source.model.of_layer(layer)[0]) for key, layer in layers.items()}
    return {key: level * ms for key, ms in priced.items() if ms > 0}


def _layers(source: LatencyPredictor) -> list[Layer]:
    """The layers that a table has rows of, or where it has none, those of its networks."""
    found = []
    for key in source.table.rows:
        try:
            found.append(lower_layer(parse_row_key(key)[0]))
        except NotationError:
            continue
    return found or [lower_layer(parse_key(key)) for key in source.model.layers]

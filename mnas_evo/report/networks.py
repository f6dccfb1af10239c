"""The networks that a page speaks of, each written once, block by block: card.js draws them where one is pointed at.

Thousands of architectures share a few thousand blocks, so that a network is a list of numbers of blocks.
"""

from collections.abc import Iterable, Iterator, Mapping
from functools import cache
from typing import Any

from mnas_evo.errors import MnasEvoError, UnmeasuredOp
from mnas_evo.latency.predictor import LatencyPredictor
from mnas_evo.report.words import blocks_of
from mnas_evo.space.graph import Graph, Layer
from mnas_evo.space.lowering import lower
from mnas_evo.space.notation import parse_network

BlockTimes = Mapping[str, tuple[float, ...]]
"""ms of each block of a network, by the network's string; last what belongs to none: a call's fixed cost, or what
lifts a prediction to the least that there is."""


class Networks:
    """Numbers the networks of a page in the order in which its figures name them."""

    def __init__(self, predictor: LatencyPredictor | None) -> None:
        self._predictor = predictor
        self._numbers: dict[str, int] = {}

    def number(self, network: str) -> int:
        """The number under which card.js finds a network."""
        return self._numbers.setdefault(network, len(self._numbers))

    def packed(self) -> dict[str, Any]:
        """Blocks as [string, kind, words], networks as [numbers of blocks, microseconds of each or null]."""
        times = block_times(self._predictor, self._numbers) if self._predictor else {}
        blocks: dict[tuple[str, str, str], int] = {}
        networks = []
        for network in self._numbers:
            numbers = [blocks.setdefault(block, len(blocks)) for block in blocks_of(network)]
            known = times.get(network)
            networks.append([numbers, None if known is None else [_microseconds(ms) for ms in known]])
        return {"blocks": list(blocks), "networks": networks}


def block_times(predictor: LatencyPredictor, networks: Iterable[str]) -> BlockTimes:
    """ms by block of every network that can be read and priced: stem, blocks, head with classifier, then the rest."""
    graphs = dict(_priceable(predictor, networks))
    found = predictor.by_place(list(graphs.values()))
    blocks = (len(blocks_of(network)) - 2 for network in graphs)
    return {
        network: _in_order(places, blocks=count) for network, places, count in zip(graphs, found, blocks, strict=True)
    }


def _priceable(predictor: LatencyPredictor, networks: Iterable[str]) -> Iterator[tuple[str, Graph]]:
    @cache
    def is_known(layer: Layer) -> bool:
        try:
            predictor.model.of_layer(layer)
        except UnmeasuredOp:
            return False
        return True

    for network in networks:
        try:
            graph = lower(parse_network(network, check_inputs=False))
        except MnasEvoError:
            continue
        if all(map(is_known, graph.layers)):
            yield network, graph


def _in_order(places: Mapping[str, float], *, blocks: int) -> tuple[float, ...]:
    """Times in the order in which the blocks are told; a block of no layer takes none."""
    shares = [places.get(str(number), 0.0) for number in range(1, blocks + 1)]
    ends = places["head"] + places["classifier"]
    return (places["stem"], *shares, ends, places.get("overhead", 0.0) + places.get("least", 0.0))


def _microseconds(ms: float) -> float:
    """Three digits: more would be noise, and bytes."""
    return float(f"{1000 * ms:.3g}")

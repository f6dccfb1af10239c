"""Spaces small enough to walk through, and what plain code says of their genomes."""

from dataclasses import replace
from functools import lru_cache
from itertools import product

import numpy as np
import pytest
from strategies import TINY

from mnas_evo.space.architecture import Architecture, Block
from mnas_evo.space.choices import GENES
from mnas_evo.space.lowering import lower
from mnas_evo.space.space import Genes, SearchSpace

# Every block keeps the size and may keep the channels: here what comes in decides which genomes are one architecture.
SQUARE = replace(TINY, name="square", blocks=(replace(TINY.blocks[0], channels=32), replace(TINY.blocks[1], stride=1)))
# Blocks that share choices: without a second layer in block 2 no identity adds; r0 has no ratio, kernel or skip.
SHARED_SKIP = replace(
    TINY, name="shared-skip", shared=("skip",), blocks=(replace(TINY.blocks[0], stride=2), TINY.blocks[1])
)
SHARED_OP = replace(
    TINY,
    name="shared-op",
    shared=("op", "kernel"),
    blocks=tuple(replace(block, ops=("r0", "dconv", "dconv_k3"), kernels=(1, 3)) for block in TINY.blocks),
)
SHARED_RATIO = replace(
    TINY,
    name="shared-ratio",
    shared=("se_ratio", "op"),
    blocks=tuple(replace(block, ops=("mbconv_e1", "r0", "dconv")) for block in TINY.blocks),
)
SHARED_FILTERS = replace(SQUARE, name="shared-filters", shared=("filters",))
SHARING = [SHARED_SKIP, SHARED_OP, SHARED_RATIO, SHARED_FILTERS]


small_spaces = pytest.mark.parametrize("space", [TINY, SQUARE, *SHARING], ids=lambda space: space.name)


def every_genome(space: SearchSpace) -> Genes:
    """All genomes of a space, in order: shape (n, g)."""
    return np.array(list(product(*(range(size) for size in space.sizes))), dtype=np.int64)


@lru_cache(maxsize=4)
def one_by_one(space: SearchSpace) -> list[tuple[tuple[int, ...], Architecture]]:
    """Every genome in order with its architecture, as plain code builds it: shared genes first, then each block's."""
    found = []
    for genome in every_genome(space).tolist():
        own, blocks = iter(genome[len(space.shared) :]), list[Block]()
        for choices in space.blocks:
            genes = [genome[space.shared.index(kind)] if kind in space.shared else next(own) for kind in GENES]
            options = [offered[gene] for offered, gene in zip(choices.options, genes, strict=True)]
            channels = blocks[-1].out_channels if blocks else space.frame.stem_channels
            blocks.append(choices.block(channels, *options))
        found.append((tuple(genome), Architecture(tuple(blocks))))
    return found


def walked(near: dict[tuple[int, ...], list[tuple[int, ...]]], start: tuple[int, ...]) -> set[tuple[int, ...]]:
    """What is reached from a start."""
    found, at = {start}, [start]
    while at:
        new = set(near[at.pop()]) - found
        found |= new
        at += new
    return found


def check_rows(space: SearchSpace, genes: Genes) -> None:
    """What a space says of genes is what their lowered networks hold."""
    index = {layer: number for number, layer in enumerate(space.layers())}
    graphs = [lower(network) for network in space.networks(genes)]
    for row, graph in zip(space.layer_indices(genes), graphs, strict=True):
        assert [number for number in row.tolist() if number != -1] == [index[layer] for layer in graph.layers]
    assert space.macs(genes).tolist() == [graph.macs for graph in graphs]
    assert space.params(genes).tolist() == [graph.params for graph in graphs]

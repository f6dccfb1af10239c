"""The paper's space from integer genes, vectorised, against building each network: what a search does most."""

import numpy as np
from ratio import compare

from mnas_evo.space.architecture import Architecture, Network
from mnas_evo.space.choices import GENES
from mnas_evo.space.lowering import lower
from mnas_evo.space.notation import format_network
from mnas_evo.space.space import Genes, SearchSpace
from mnas_evo.space.space_file import load_space

VECTORISED = 100_000
ONE_BY_ONE = 300


def main() -> None:
    space = load_space("paper")
    genes = space.sample(VECTORISED, rng=np.random.default_rng(0))
    index = {layer: number for number, layer in enumerate(space.layers())}

    def counted() -> int:
        space.macs(genes), space.params(genes), space.layer_indices(genes)
        return len(genes)

    def counted_one_by_one() -> int:
        for row in genes[:ONE_BY_ONE]:
            graph = lower(built(space, row))
            graph.macs, graph.params, [index[layer] for layer in graph.layers]
        return ONE_BY_ONE

    compare("multiply-adds, parameters and row indices", fast=counted, slow=counted_one_by_one, unit="architectures")

    def hashed() -> int:
        {row.tobytes() for row in space.canonical(genes)}
        return len(genes)

    def hashed_one_by_one() -> int:
        {built(space, row) for row in genes[:ONE_BY_ONE]}
        return ONE_BY_ONE

    compare("canonical form and hash", fast=hashed, slow=hashed_one_by_one, unit="architectures")

    def decoded() -> int:
        for row in genes[:ONE_BY_ONE]:
            format_network(space.network(space.decode(row)))
        return ONE_BY_ONE

    def built_and_written() -> int:
        for row in genes[:ONE_BY_ONE]:
            format_network(built(space, row))
        return ONE_BY_ONE

    compare("an architecture and its string", fast=decoded, slow=built_and_written, unit="architectures")


def built(space: SearchSpace, genome: Genes) -> Network:
    """The network of a genome as plain code builds it, block by block."""
    blocks, channels = [], space.frame.stem_channels
    for choices, own in zip(space.blocks, genome.reshape(-1, len(GENES)), strict=True):
        options = (kind[option] for kind, option in zip(choices.options, own, strict=True))
        blocks.append(choices.block(channels, *options))
        channels = blocks[-1].out_channels
    return Network(Architecture(tuple(blocks)), space.frame)


if __name__ == "__main__":
    main()

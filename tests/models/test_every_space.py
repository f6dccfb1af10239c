"""Every built-in space: counts from genes are the modules', and onnxruntime computes as torch does.

Both laws are checked on every layer of every space. `make evidence PART=networks` checks many whole networks.
"""

from itertools import product

import numpy as np
import pytest
from support.built_in_spaces import (
    alone,
    check_agreement,
    check_counts,
    check_graph_counts,
    distinct_layers,
    networks_of,
    on_few_pixels,
    resized,
)

from mnas_evo.space.lowering import lower
from mnas_evo.space.space_file import load_space, space_names

NAMES = space_names()
SIZES = (32, 57, 96, 160, 224)

# Counts


@pytest.mark.slow
@pytest.mark.parametrize("name", NAMES)
def test_counts_of_every_layer_are_those_of_its_module(name: str) -> None:
    """Exhaustive: each distinct layer of the space, at its own size, unless an earlier space contains it."""
    for layer in distinct_layers()[name]:
        check_graph_counts(alone(layer))


@pytest.mark.parametrize("name", NAMES)
def test_counts_from_genes_are_the_sums_over_layers(name: str) -> None:
    space = load_space(name)
    layers = set(space.layers())
    genes = space.sample(1000, rng=np.random.default_rng(1))
    for network, params, macs in zip(space.networks(genes), space.params(genes), space.macs(genes), strict=True):
        graph = lower(network)
        assert layers.issuperset(graph.layers)
        assert sum(layer.params for layer in graph.layers) == params
        assert sum(layer.macs for layer in graph.layers) == macs


@pytest.mark.parametrize("name", NAMES)
def test_counts_from_genes_are_those_of_the_module_that_is_built(name: str) -> None:
    check_counts(name, n=12, seed=0)


# Outputs


@pytest.mark.slow
@pytest.mark.parametrize("name", NAMES)
def test_onnxruntime_and_torch_agree_on_every_layer(name: str) -> None:
    """Exhaustive: each distinct layer of the space, but for the number of pixels, unless an earlier space contains it.

    A layer of at least 5 × 5 pixels is run on 5 × 6, a smaller one at its own size. What depends on more pixels:
    torch computes a 1x1 convolution of more than 4,096 otherwise, which test_torch_network.py checks, and so do
    whole networks below.
    """
    earlier = NAMES[: NAMES.index(name)]
    done = {on_few_pixels(layer).spec.key for before in earlier for layer in distinct_layers()[before]}
    for layer in {on_few_pixels(layer): None for layer in distinct_layers()[name]}:
        if layer.spec.key not in done:
            check_agreement(alone(layer))


def pairwise() -> list[tuple[str, int, int]]:
    """Spaces, sizes and image channels, each pair of values of two of them at least once: 35 of 70 cases."""
    cases = product(enumerate(NAMES), enumerate(SIZES))
    return [(name, size, (1, 3)[(i + j) % 2]) for (i, name), (j, size) in cases]


@pytest.mark.parametrize(
    ("name", "size", "channels"),
    [pytest.param(*case, marks=[pytest.mark.slow] if case[1] > 60 else []) for case in pairwise()],
)
def test_onnxruntime_and_torch_agree_on_a_network_of_every_space(name: str, size: int, channels: int) -> None:
    (network,) = networks_of(name, n=1, seed=size)
    check_agreement(resized(network, size=size, channels=channels))


def test_networks_cover_every_pair_of_space_size_and_channels() -> None:
    names, sizes, channels = (set(values) for values in zip(*pairwise(), strict=True))
    for first, second in ((0, 1), (0, 2), (1, 2)):
        options = (names, sizes, channels)
        assert {(case[first], case[second]) for case in pairwise()} == set(product(options[first], options[second]))

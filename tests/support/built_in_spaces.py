"""Checks of the networks and the layers of built-in spaces: counts, and onnxruntime's outputs against torch's."""

from dataclasses import replace
from functools import cache

import numpy as np
import torch
from support.run_networks import as_if_trained, images_for, multiply_adds, outputs, relative_difference
from torch import nn

from mnas_evo.models.torch_network import GraphNetwork, ModuleOptions
from mnas_evo.space.architecture import Network
from mnas_evo.space.graph import Graph, Layer
from mnas_evo.space.lowering import lower, lower_layer
from mnas_evo.space.space_file import load_space, space_names

LARGEST_DIFFERENCE = 1e-4  # of onnxruntime's outputs from torch's, relative to the largest of these


def networks_of(name: str, *, n: int, seed: int) -> list[Network]:
    """Networks drawn from a space, with its own input."""
    space = load_space(name)
    return space.networks(space.sample(n, rng=np.random.default_rng(seed)))


def resized(network: Network, *, size: int, channels: int) -> Graph:
    """A network's graph on square images of another size."""
    return lower(network.with_task(height=size, width=size, channels=channels, classes=network.frame.classes))


@cache
def distinct_layers() -> dict[str, tuple[Layer, ...]]:
    """Layers of every built-in space. A layer is listed in the first space that contains its row key."""
    known = set[str]()
    found = dict[str, tuple[Layer, ...]]()
    for name in space_names():
        layers = {layer.spec.key: layer for layer in load_space(name).layers()}
        found[name] = tuple(layer for key, layer in layers.items() if key not in known)
        known |= set(layers)
    return found


def on_few_pixels(layer: Layer) -> Layer:
    """The layer on 5 × 6 pixels, or on its own where these are fewer or its kernel is larger.

    An odd height and an even width cover both cases of a stride of 2. Where the image is as large as the kernel, some
    place of the kernel lies within it, and larger images only repeat what edges and middle compute.
    """
    if min(layer.spec.height, layer.spec.width) < max(5, layer.spec.kernel):
        return layer
    return lower_layer(replace(layer.spec, height=5, width=6))


def alone(layer: Layer) -> Graph:
    """A graph of one layer."""
    return Graph(layer.in_shape, (layer,), ("row",))


def check_agreement(graph: Graph) -> float:
    """Asserts that onnxruntime computes what torch does, and gives the relative difference."""
    module = as_if_trained(graph, options=ModuleOptions(norm_momentum=1.0)).train()
    outputs(module, images_for(graph, n=8))  # gives norms the statistics of what they see, as training does
    one, other = outputs(module.eval(), images_for(graph))
    assert (one - other).abs().max() > 0.01 * one.abs().max(), "images make no difference, so that nothing would show"
    difference = relative_difference(graph, module)
    assert difference < LARGEST_DIFFERENCE
    return difference


def check_graph_counts(graph: Graph) -> None:
    """Asserts that the module of a graph has the graph's parameters and multiply-adds."""
    with torch.device("meta"):  # shapes without numbers: no weight is drawn and nothing is computed
        module = GraphNetwork(graph).eval()
        images = torch.empty(1, *graph.in_shape)
    assert sum(parameter.numel() for parameter in module.parameters()) == graph.params
    for part in module.modules():  # without norms, which multiply nothing that is counted and take a third of the time
        if isinstance(getattr(part, "norm", None), nn.BatchNorm2d):
            part.register_module("norm", None)
    assert multiply_adds(module, images) == graph.macs


def check_counts(name: str, *, n: int, seed: int) -> None:
    """Asserts that counts from genes are those of the modules of n networks of a space."""
    space = load_space(name)
    genes = space.sample(n, rng=np.random.default_rng(seed))
    for network, params, macs in zip(space.networks(genes), space.params(genes), space.macs(genes), strict=True):
        graph = lower(network)
        assert (graph.params, graph.macs) == (params, macs)
        check_graph_counts(graph)

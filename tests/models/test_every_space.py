"""Every space that comes with mnas_evo: counts from genes are the modules', and onnxruntime computes as torch does."""

import numpy as np
import pytest
import torch
from support.run_networks import as_if_trained, images_for, multiply_adds, outputs, relative_difference, remove_norm
from torch import nn

from mnas_evo.models.torch_network import GraphNetwork, ModuleOptions
from mnas_evo.space.architecture import Network
from mnas_evo.space.lowering import lower
from mnas_evo.space.space_file import load_space, space_names

NAMES = space_names()


def networks_of(name: str, *, n: int, seed: int) -> list[Network]:
    """Networks drawn from a space, with its own input."""
    space = load_space(name)
    return space.networks(space.sample(n, rng=np.random.default_rng(seed)))


def without_norms(module: GraphNetwork) -> None:
    for part in module.modules():
        if isinstance(getattr(part, "norm", None), nn.BatchNorm2d):
            remove_norm(part)


def check_counts(name: str, *, n: int, seed: int) -> None:
    space = load_space(name)
    genes = space.sample(n, rng=np.random.default_rng(seed))
    for network, params, macs in zip(space.networks(genes), space.params(genes), space.macs(genes), strict=True):
        graph = lower(network)
        with torch.device("meta"):  # shapes without numbers: no weight is drawn and nothing is computed
            module = GraphNetwork(graph).eval()
            images = torch.empty(1, *graph.in_shape)
        assert sum(parameter.numel() for parameter in module.parameters()) == params == graph.params
        without_norms(module)  # which multiply nothing that is counted, and take a third of the time
        assert multiply_adds(module, images) == macs == graph.macs


@pytest.mark.parametrize("name", NAMES)
def test_counts_from_genes_are_those_of_the_module_that_is_built(name: str) -> None:
    check_counts(name, n=12, seed=0)


@pytest.mark.slow
@pytest.mark.parametrize("name", NAMES)
def test_counts_from_genes_are_those_of_many_modules(name: str) -> None:
    check_counts(name, n=300, seed=1)


def check_agreement(network: Network, *, size: int, channels: int) -> None:
    graph = lower(network.with_task(height=size, width=size, channels=channels, classes=network.frame.classes))
    module = as_if_trained(graph, options=ModuleOptions(norm_momentum=1.0)).train()
    outputs(module, images_for(graph, n=8))  # gives norms the statistics of what they see, as training does
    one, other = outputs(module.eval(), images_for(graph))
    assert (one - other).abs().max() > 0.01 * one.abs().max(), "images make no difference, so that nothing would show"
    assert relative_difference(graph, module) < 1e-4


@pytest.mark.parametrize(("size", "channels"), [(32, 1), (48, 3)])
@pytest.mark.parametrize("name", NAMES)
def test_onnxruntime_and_torch_agree_on_a_network_of_every_space(name: str, size: int, channels: int) -> None:
    (network,) = networks_of(name, n=1, seed=size)
    check_agreement(network, size=size, channels=channels)


@pytest.mark.slow
@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("size", [32, 57, 96, 160, 224])
@pytest.mark.parametrize("name", NAMES)
def test_onnxruntime_and_torch_agree_on_many_networks(name: str, size: int, channels: int) -> None:
    for network in networks_of(name, n=4, seed=10 * size + channels):
        check_agreement(network, size=size, channels=channels)

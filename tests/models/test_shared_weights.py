"""Shared weights: what a network computes in a supernet it computes when cut out, and it uses no weight but its own."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from strategies import TINY
from torch import Tensor

from mnas_evo.errors import SpaceError
from mnas_evo.models.supernet import Supernet
from mnas_evo.models.torch_network import GraphNetwork, ModuleOptions
from mnas_evo.space.architecture import Frame, Network
from mnas_evo.space.lowering import lower
from mnas_evo.space.space import SearchSpace
from mnas_evo.space.space_file import load_space, space_names

NO_DROPOUT = ModuleOptions(dropout=0.0)


def begun(space: SearchSpace) -> Supernet:
    """Shared weights a little way into training: the classifier's are no longer 0."""
    supernet = Supernet(space, seed=0, options=NO_DROPOUT)
    generator = torch.Generator().manual_seed(2)
    with torch.no_grad():
        for parameter in supernet.parameters():
            parameter.add_(0.1 * torch.randn(parameter.shape, generator=generator))
    return supernet


SHARED = begun(TINY)
SPACES = space_names()


def drawn(space: SearchSpace, *, n: int, seed: int = 0) -> list[Network]:
    return space.networks(space.sample(n, rng=np.random.default_rng(seed)))


def small(name: str) -> SearchSpace:
    """A space as it comes, for images of no more than 64 pixels."""
    space = load_space(name)
    frame = space.frame
    return replace(space, frame=replace(frame, height=min(64, frame.height), width=min(64, frame.width)))


def images_of(frame: Frame, *, n: int = 4) -> Tensor:
    generator = torch.Generator().manual_seed(1)
    return torch.randn(n, frame.channels, frame.height, frame.width, generator=generator)


def relative(one: Tensor, other: Tensor) -> float:
    return float((one - other).abs().max() / other.abs().max())


@torch.no_grad()
def check_cut_out(supernet: Supernet, network: Network) -> None:
    images = images_of(network.frame)
    alone = supernet.cut_out(network)
    said = supernet.train()(images, network)
    assert relative(alone.train()(images), said) <= 1e-5


@given(st.integers(0, 10_000))
@settings(max_examples=25, deadline=None)
def test_a_network_cut_out_computes_what_it_does_in_the_supernet(seed: int) -> None:
    (network,) = drawn(TINY, n=1, seed=seed)
    check_cut_out(SHARED, network)


@pytest.mark.parametrize("name", SPACES)
def test_networks_of_every_space_can_be_cut_out(name: str) -> None:
    space = small(name)
    supernet = begun(space)
    for network in drawn(space, n=3):
        check_cut_out(supernet, network)


def test_every_layer_of_the_papers_space_has_its_slices() -> None:
    space = load_space("paper")
    with torch.device("meta"):
        shapes = {name: tuple(value.shape) for name, value in _named(space).items()}
    # The largest of each: 400 channels = 320 x 1.25 out of 1,200 = 6 x 160 x 1.25, kernels of 5.
    assert shapes["places.7_1.mbconv_project.weight"] == (400, 1200, 1, 1)
    assert shapes["places.7_1.mbconv_depthwise.weight"] == (1200, 1, 5, 5)
    assert shapes["places.7_1.dconv_depthwise.weight"] == (200, 1, 5, 5)
    assert shapes["places.7_1.conv_conv.weight"] == (400, 200, 5, 5)
    assert shapes["places.7_1.mbconv_squeeze.weight"] == (50, 1200, 1, 1)
    assert shapes["places.7_1.skip.weight"] == (400, 200, 1, 1)
    assert shapes["places.stem.conv_conv.weight"] == (32, 3, 3, 3)
    assert shapes["places.classifier.classifier_classifier.weight"] == (1000, 1280)


def _named(space: SearchSpace) -> dict[str, Tensor]:
    return dict(Supernet(space, seed=0).named_parameters())


def test_a_network_moves_no_weight_but_its_own() -> None:
    supernet = begun(TINY)
    smallest, largest = TINY.networks(TINY.canonical(np.array([[1, 0, 0, 2, 0, 0] * 2, [1, 0, 0, 2, 1, 1] * 2])))
    supernet(images_of(TINY.frame), smallest).sum().backward()
    moved = {name: value.grad for name, value in supernet.named_parameters() if value.grad is not None}
    assert {name.split(".")[1] for name in moved} == {"stem", "1_1", "2_1", "head", "classifier"}
    assert {name.split(".")[2].split("_")[0] for name in moved} == {"conv", "dconv", "classifier"}
    project = moved["places.2_1.dconv_project.weight"]  # 24 of 32 outputs
    assert project[:24].abs().sum() > 0 and project[24:].abs().sum() == 0
    before = supernet(images_of(TINY.frame), largest)
    with torch.no_grad():
        supernet.get_parameter("places.2_1.mbconv_expand.weight").mul_(3.0)
        supernet.get_parameter("places.2_1.dconv_project.weight")[24:].add_(1.0)
    assert torch.equal(supernet(images_of(TINY.frame), smallest), _alone(supernet, smallest))
    assert not torch.equal(supernet(images_of(TINY.frame), largest), before)


def _alone(supernet: Supernet, network: Network) -> Tensor:
    module: GraphNetwork = supernet.cut_out(network)
    found: Tensor = module.train()(images_of(network.frame))
    return found


def test_a_smaller_kernel_is_the_middle_of_the_larger() -> None:
    space = load_space("digits")
    supernet = Supernet(space, seed=0)
    one, other = space.networks(np.array([[1, kernel, 0, 0, 0, 0] * 4 for kernel in (0, 1)]))
    small_kernel, large_kernel = (
        supernet.cut_out(network).get_parameter("layers.1.ops.0.conv.weight") for network in (one, other)
    )
    assert small_kernel.shape[2:] == (3, 3) and large_kernel.shape[2:] == (5, 5)
    assert torch.equal(small_kernel, large_kernel[:, :, 1:4, 1:4])


def test_what_is_cut_out_is_a_copy() -> None:
    supernet = begun(TINY)
    (network,) = drawn(TINY, n=1)
    before = supernet(images_of(TINY.frame), network)
    for parameter in supernet.cut_out(network).parameters():
        parameter.data.zero_()
    assert torch.equal(supernet(images_of(TINY.frame), network), before)


def test_weights_are_the_seeds() -> None:
    first, again, other = (_named_of(seed) for seed in (3, 3, 4))
    assert all(torch.equal(first[name], again[name]) for name in first)
    assert not all(torch.equal(first[name], other[name]) for name in first)


def _named_of(seed: int) -> dict[str, Tensor]:
    return dict(Supernet(TINY, seed=seed).named_parameters())


def test_a_network_from_elsewhere_is_refused() -> None:
    (digit,) = drawn(load_space("digits"), n=1)
    with pytest.raises(SpaceError, match="another input"):
        SHARED(images_of(digit.frame), digit)
    (network,) = drawn(TINY, n=1)
    wide = network.architecture.blocks[-1]
    foreign = replace(
        network,
        architecture=replace(network.architecture, blocks=(*network.architecture.blocks[:-1], replace(wide, kernel=7))),
    )
    with pytest.raises(SpaceError, match="block 2"):
        SHARED.cut_out(foreign)


def test_the_layers_of_a_place_are_those_that_networks_have_there() -> None:
    places = TINY.placed_layers()
    seen = {
        (place, layer)
        for network in drawn(TINY, n=3000)
        for graph in [lower(network)]
        for place, layer in zip(graph.places, graph.layers, strict=True)
    }
    assert seen == {(place, layer) for place, layers in places.items() for layer in layers}


def test_all_paths_begin_by_computing_much_the_same() -> None:
    space = load_space("digits")
    supernet = Supernet(space, seed=0, options=NO_DROPOUT)
    images = images_of(space.frame, n=32)
    features = []
    for network in drawn(space, n=8):
        value = images
        with torch.no_grad():
            for layer in list(supernet.cut_out(network).train().layers)[:-2]:
                value = layer(value)
        features.append(value.mean((2, 3))[:, :24])  # the channels that every width has, before the head
    centred = [value - value.mean(0) for value in features]
    alike = [
        float(torch.corrcoef(torch.stack([one.flatten(), other.flatten()]))[0, 1])
        for n, one in enumerate(centred)
        for other in centred[:n]
    ]
    assert np.mean(alike) > 0.08  # .107; of branches with unrelated weights .009


def test_an_untrained_supernet_holds_every_class_alike() -> None:
    logits = Supernet(TINY, seed=0)(images_of(TINY.frame), drawn(TINY, n=1)[0])
    assert float(logits.detach().abs().max()) == 0.0

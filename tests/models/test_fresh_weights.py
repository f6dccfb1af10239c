"""Fresh weights: the authors', or blocks that begin by passing their channels on."""

import math
from typing import get_args

import pytest
import torch
from support.run_networks import conv_of, images_for, ops_of
from torch import nn

from mnas_evo.models.fresh_weights import FirstWeights, dirac, dirac_depthwise, initialise
from mnas_evo.models.torch_network import GraphNetwork
from mnas_evo.space.architecture import Frame
from mnas_evo.space.graph import Op
from mnas_evo.space.lowering import lower
from mnas_evo.space.named import named_network
from mnas_evo.space.notation import parse_network

FIRST = get_args(FirstWeights)
SMALL = lower(
    parse_network("15x17x3/stem8_same/r2_k3_s22_e2_o12_se0.25/r2_k5_o12_conv_pool/r1_k3_s22_e3_o16_pool/head24/5")
)
DEEP = lower(parse_network("12x12x1/stem8_s1/r3_k3_e6_o8_noskip/r3_k3_o8_noskip_conv/r3_k5_e1_o8_noskip/head16/4"))


@pytest.mark.parametrize("first", FIRST)
def test_the_same_seed_gives_the_same_weights_and_another_gives_others(first: FirstWeights) -> None:
    states = []
    for seed in (1, 1, 2):
        module = GraphNetwork(SMALL)
        initialise(module, seed=seed, first=first)
        states.append(module.state_dict())
    assert all(torch.equal(states[0][name], states[1][name]) for name in states[0])
    assert not torch.equal(states[0]["layers.0.ops.0.conv.weight"], states[2]["layers.0.ops.0.conv.weight"])


@pytest.mark.parametrize("first", FIRST)
def test_fresh_weights_leave_torchs_own_generator_alone(first: FirstWeights) -> None:
    module = GraphNetwork(SMALL)
    before = torch.get_rng_state()
    initialise(module, seed=0, first=first)
    assert torch.equal(torch.get_rng_state(), before)


@pytest.mark.parametrize("first", FIRST)
def test_fresh_weights_undo_training(first: FirstWeights) -> None:
    module = GraphNetwork(SMALL)
    initialise(module, seed=0, first=first)
    fresh = {name: tensor.clone() for name, tensor in module.state_dict().items()}
    module.train()
    module(images_for(SMALL))
    with torch.no_grad():
        for parameter in module.parameters():
            parameter.add_(1.0)
    initialise(module, seed=0, first=first)
    assert all(torch.equal(tensor, fresh[name]) for name, tensor in module.state_dict().items())


def deviation(op: Op) -> float:
    """Standard deviation of the authors' code: by outputs, a depthwise kernel having one."""
    return math.sqrt(2 / (op.kernel**2 * op.out_shape[0] / op.groups))


@pytest.mark.parametrize("classes", [1000, 10])
def test_fresh_weights_have_the_authors_deviations_whatever_the_number_of_classes(
    classes: int,
) -> None:
    graph = lower(named_network("mnasnet-a1", task=Frame(height=32, width=32, classes=classes)))
    module = GraphNetwork(graph)
    initialise(module, seed=0)
    for layer, built in zip(graph.layers, module.layers, strict=True):
        for op, one in zip(layer.ops, ops_of(built), strict=True):
            if op.kind == "conv" and (conv := conv_of(one)).weight.numel() > 5_000:
                assert conv.weight.std().item() == pytest.approx(deviation(op), rel=0.05)
                assert conv.bias is None or not conv.bias.any()
    classifier = ops_of(module.layers[-1])[-1]
    assert isinstance(classifier, nn.Linear)
    assert classifier.weight.abs().max().item() == pytest.approx(1 / math.sqrt(1280), rel=0.01)
    assert 1 / math.sqrt(1280) == pytest.approx(1 / math.sqrt(1000), rel=0.15)  # the authors', of 1,000 classes
    assert not classifier.bias.any()


def alike(module: GraphNetwork) -> float:
    """The mean correlation of a channel behind all blocks with the same one before them, over images and places."""
    with torch.no_grad():
        first = value = module.layers[0](images_for(module.graph, n=64))
        for layer in module.layers[1:-2]:
            value = layer(value)
    pairs = zip(first.transpose(0, 1).flatten(1), value.transpose(0, 1).flatten(1), strict=True)
    return float(torch.stack([torch.corrcoef(torch.stack(pair))[0, 1] for pair in pairs]).mean())


def test_with_dirac_a_deep_network_without_skips_begins_by_passing_its_channels_on() -> None:
    he, passing = GraphNetwork(DEEP), GraphNetwork(DEEP)
    initialise(he, seed=0)
    initialise(passing, seed=0, first="dirac")
    assert abs(alike(he)) < 0.1
    assert alike(passing) > 0.4


def test_dirac_changes_no_more_than_the_convolutions_of_blocks() -> None:
    he, passing = GraphNetwork(SMALL), GraphNetwork(SMALL)
    initialise(he, seed=0)
    initialise(passing, seed=0, first="dirac")
    changed = {name for name, value in passing.state_dict().items() if not torch.equal(value, he.state_dict()[name])}
    assert changed == {
        f"layers.{number}.ops.{j}.conv.weight"
        for number, (place, layer) in enumerate(zip(SMALL.places, SMALL.layers, strict=True))
        for j, op in enumerate(layer.ops)
        if place not in ("stem", "head") and op.kind == "conv" and op.norm
    }


def test_an_expansion_and_its_projection_give_back_what_came_in() -> None:
    generator = torch.Generator().manual_seed(0)
    expand, depthwise, project = torch.zeros(12, 6, 1, 1), torch.zeros(12, 1, 3, 3), torch.zeros(6, 12, 1, 1)
    for weight in (expand, project):
        dirac(weight, repeats=True, generator=generator)
    dirac_depthwise(depthwise, generator=generator)
    signs = torch.tensor([1.0, -1.0]).repeat_interleave(6)
    assert torch.equal(expand[:, :, 0, 0].round().diagonal(), torch.ones(6))
    assert torch.equal((expand[torch.arange(12), torch.arange(12) % 6, 0, 0] - signs).abs() < 1, torch.ones(12) > 0)
    assert float((depthwise[:, 0, 1, 1] - 1).abs().max()) < 0.5
    values = torch.randn(6, 1000, generator=generator)
    given_back = project[:, :, 0, 0] @ torch.relu(expand[:, :, 0, 0] @ values)
    assert float(torch.corrcoef(torch.stack([given_back.flatten(), values.flatten()]))[0, 1]) > 0.7

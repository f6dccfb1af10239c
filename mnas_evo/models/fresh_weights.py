"""Weights that training begins with, of a network alone and of those that networks share.

`he` is the authors' code: normal by fan-out (He et al. 2015). With `dirac` every convolution of a block begins by
passing its channels on (after torch's `dirac_`), noise beside: a deep network without skips then learns from its first
steps on, and the branches of a supernet begin alike.
"""

import math
from typing import Literal

import torch
from torch import Tensor, nn

from mnas_evo.models.torch_network import GraphNetwork

FirstWeights = Literal["he", "dirac"]

OUTSIDE_BLOCKS = ("stem", "head", "classifier")
"""Places whose layers have the authors' weights in any case: they change what there is to pass on."""

_NOISE, _DEPTHWISE_NOISE = 0.5, 0.3  # deviations beside a channel passed on as 1


def initialise(network: GraphNetwork, *, seed: int, first: FirstWeights = "he") -> None:
    """Gives a network fresh weights; biases are 0, and batch norms as if they had seen nothing.

    The linear map is uniform by fan-in. The authors' is uniform by classes, within .032 for 1,000 of them, where fan-in
    has .028; but for ten it would reach to .32, and training would begin by taking back what was never learnt.
    """
    generator = torch.Generator().manual_seed(seed)
    for module in network.modules():
        if isinstance(module, nn.Conv2d):
            he_normal(module.weight, depthwise=module.groups > 1, generator=generator)
        elif isinstance(module, nn.Linear):
            bound = 1.0 / math.sqrt(module.in_features)
            nn.init.uniform_(module.weight, -bound, bound, generator=generator)
        elif isinstance(module, nn.BatchNorm2d):
            module.reset_parameters()
            continue
        else:
            continue
        if module.bias is not None:
            nn.init.zeros_(module.bias)
    if first == "dirac":
        _pass_channels_on(network, generator)


def _pass_channels_on(network: GraphNetwork, generator: torch.Generator) -> None:
    graph = network.graph
    for number, (place, layer) in enumerate(zip(graph.places, graph.layers, strict=True)):
        for j, op in enumerate(layer.ops):
            if place in OUTSIDE_BLOCKS or op.kind != "conv" or not op.norm:  # squeeze and excite have no norm
                continue
            weight = network.get_parameter(f"layers.{number}.ops.{j}.conv.weight")
            if op.groups > 1:
                dirac_depthwise(weight, generator=generator)
            else:
                dirac(weight, repeats=layer.spec.expansion > 1, generator=generator)


def he_normal(weight: Tensor, *, depthwise: bool, generator: torch.Generator) -> None:
    """Normal by fan-out, weights (outputs, inputs, k, k); a depthwise kernel counts one output, as in TensorFlow."""
    fan_out = weight[0, 0].numel() * (1 if depthwise else len(weight))
    nn.init.normal_(weight, 0.0, math.sqrt(2.0 / fan_out), generator=generator)


@torch.no_grad()
def dirac(weight: Tensor, *, repeats: bool, generator: torch.Generator) -> None:
    """Passes channels on by weights (outputs, inputs, k, k), as many as there are on both sides.

    With `repeats` the channels beyond those repeat them with alternating signs, so that what a ReLU cuts off one passes
    in another: the expansion of an inverted bottleneck, and its projection.
    """
    outs, ins, kernel, _ = weight.shape
    weight.normal_(0.0, _NOISE / math.sqrt(ins * kernel * kernel), generator=generator)
    narrow = min(outs, ins)
    channels = torch.arange(max(outs, ins) if repeats else narrow, device=weight.device)
    weight[channels % outs, channels % ins, kernel // 2, kernel // 2] += 1.0 - 2.0 * (channels // narrow % 2)


@torch.no_grad()
def dirac_depthwise(weight: Tensor, *, generator: torch.Generator) -> None:
    """Passes every channel on by weights (channels, 1, k, k)."""
    kernel = weight.shape[-1]
    weight.normal_(0.0, _DEPTHWISE_NOISE / kernel, generator=generator)
    weight[:, 0, kernel // 2, kernel // 2] += 1.0

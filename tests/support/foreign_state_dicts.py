"""Names and shapes of three tiny networks' weights, written out as timm, torchvision and efficientnet_lite_pytorch do.

Entries stand in the order in which the networks compute, as in the sources' own state dicts.
"""

from collections.abc import Mapping, Sequence

import torch
from torch import Tensor

from mnas_evo.space.notation import parse_network

Shapes = dict[str, tuple[int, ...]]

# Expansion 1 with squeeze-and-excite, two layers without, one with; torchvision's networks have none at all.
EXCITED = parse_network("8x8x3/stem8/r1_k3_s11_e1_o8_se0.5_noskip/r2_k5_s22_e2_o16/r1_k3_s11_e3_o16_se0.25/head24/5")
PLAIN = parse_network("8x8x3/stem8/r1_k3_s11_e1_o8_noskip/r2_k5_s22_e2_o16/r1_k3_s11_e3_o24/head32/5")


def _weight(name: str, *shape: int) -> Shapes:
    return {f"{name}.weight": shape}


def _biased(name: str, *shape: int) -> Shapes:
    return {f"{name}.weight": shape, f"{name}.bias": shape[:1]}


def _norm(name: str, channels: int) -> Shapes:
    entries = ("weight", "bias", "running_mean", "running_var")
    return {**{f"{name}.{entry}": (channels,) for entry in entries}, f"{name}.num_batches_tracked": ()}


TIMM: Shapes = {
    **_weight("conv_stem", 8, 3, 3, 3),
    **_norm("bn1", 8),
    **_weight("blocks.0.0.conv_dw", 8, 1, 3, 3),
    **_norm("blocks.0.0.bn1", 8),
    **_biased("blocks.0.0.se.conv_reduce", 4, 8, 1, 1),
    **_biased("blocks.0.0.se.conv_expand", 8, 4, 1, 1),
    **_weight("blocks.0.0.conv_pw", 8, 8, 1, 1),
    **_norm("blocks.0.0.bn2", 8),
    **_weight("blocks.1.0.conv_pw", 16, 8, 1, 1),
    **_norm("blocks.1.0.bn1", 16),
    **_weight("blocks.1.0.conv_dw", 16, 1, 5, 5),
    **_norm("blocks.1.0.bn2", 16),
    **_weight("blocks.1.0.conv_pwl", 16, 16, 1, 1),
    **_norm("blocks.1.0.bn3", 16),
    **_weight("blocks.1.1.conv_pw", 32, 16, 1, 1),
    **_norm("blocks.1.1.bn1", 32),
    **_weight("blocks.1.1.conv_dw", 32, 1, 5, 5),
    **_norm("blocks.1.1.bn2", 32),
    **_weight("blocks.1.1.conv_pwl", 16, 32, 1, 1),
    **_norm("blocks.1.1.bn3", 16),
    **_weight("blocks.2.0.conv_pw", 48, 16, 1, 1),
    **_norm("blocks.2.0.bn1", 48),
    **_weight("blocks.2.0.conv_dw", 48, 1, 3, 3),
    **_norm("blocks.2.0.bn2", 48),
    **_biased("blocks.2.0.se.conv_reduce", 4, 48, 1, 1),
    **_biased("blocks.2.0.se.conv_expand", 48, 4, 1, 1),
    **_weight("blocks.2.0.conv_pwl", 16, 48, 1, 1),
    **_norm("blocks.2.0.bn3", 16),
    **_weight("conv_head", 24, 16, 1, 1),
    **_norm("bn2", 24),
    **_biased("classifier", 5, 24),
}

TORCHVISION: Shapes = {
    **_weight("layers.0", 8, 3, 3, 3),
    **_norm("layers.1", 8),
    **_weight("layers.3", 8, 1, 3, 3),
    **_norm("layers.4", 8),
    **_weight("layers.6", 8, 8, 1, 1),
    **_norm("layers.7", 8),
    **_weight("layers.8.0.layers.0", 16, 8, 1, 1),
    **_norm("layers.8.0.layers.1", 16),
    **_weight("layers.8.0.layers.3", 16, 1, 5, 5),
    **_norm("layers.8.0.layers.4", 16),
    **_weight("layers.8.0.layers.6", 16, 16, 1, 1),
    **_norm("layers.8.0.layers.7", 16),
    **_weight("layers.8.1.layers.0", 32, 16, 1, 1),
    **_norm("layers.8.1.layers.1", 32),
    **_weight("layers.8.1.layers.3", 32, 1, 5, 5),
    **_norm("layers.8.1.layers.4", 32),
    **_weight("layers.8.1.layers.6", 16, 32, 1, 1),
    **_norm("layers.8.1.layers.7", 16),
    **_weight("layers.9.0.layers.0", 48, 16, 1, 1),
    **_norm("layers.9.0.layers.1", 48),
    **_weight("layers.9.0.layers.3", 48, 1, 3, 3),
    **_norm("layers.9.0.layers.4", 48),
    **_weight("layers.9.0.layers.6", 24, 48, 1, 1),
    **_norm("layers.9.0.layers.7", 24),
    **_weight("layers.10", 32, 24, 1, 1),
    **_norm("layers.11", 32),
    **_biased("classifier.1", 5, 32),
}

EFFICIENTNET_LITE: Shapes = {
    **_weight("_conv_stem", 8, 3, 3, 3),
    **_norm("_bn0", 8),
    **_weight("_blocks.0._depthwise_conv", 8, 1, 3, 3),
    **_norm("_blocks.0._bn1", 8),
    **_biased("_blocks.0._se_reduce", 4, 8, 1, 1),
    **_biased("_blocks.0._se_expand", 8, 4, 1, 1),
    **_weight("_blocks.0._project_conv", 8, 8, 1, 1),
    **_norm("_blocks.0._bn2", 8),
    **_weight("_blocks.1._expand_conv", 16, 8, 1, 1),
    **_norm("_blocks.1._bn0", 16),
    **_weight("_blocks.1._depthwise_conv", 16, 1, 5, 5),
    **_norm("_blocks.1._bn1", 16),
    **_weight("_blocks.1._project_conv", 16, 16, 1, 1),
    **_norm("_blocks.1._bn2", 16),
    **_weight("_blocks.2._expand_conv", 32, 16, 1, 1),
    **_norm("_blocks.2._bn0", 32),
    **_weight("_blocks.2._depthwise_conv", 32, 1, 5, 5),
    **_norm("_blocks.2._bn1", 32),
    **_weight("_blocks.2._project_conv", 16, 32, 1, 1),
    **_norm("_blocks.2._bn2", 16),
    **_weight("_blocks.3._expand_conv", 48, 16, 1, 1),
    **_norm("_blocks.3._bn0", 48),
    **_weight("_blocks.3._depthwise_conv", 48, 1, 3, 3),
    **_norm("_blocks.3._bn1", 48),
    **_biased("_blocks.3._se_reduce", 4, 48, 1, 1),
    **_biased("_blocks.3._se_expand", 48, 4, 1, 1),
    **_weight("_blocks.3._project_conv", 16, 48, 1, 1),
    **_norm("_blocks.3._bn2", 16),
    **_weight("_conv_head", 24, 16, 1, 1),
    **_norm("_bn1", 24),
    **_biased("_fc", 5, 24),
}

SOURCE_NAMES = {
    "timm": (EXCITED, TIMM),
    "torchvision": (PLAIN, TORCHVISION),
    "efficientnet_lite_pytorch": (EXCITED, EFFICIENTNET_LITE),
}


def numbered(shapes: Mapping[str, Sequence[int]]) -> dict[str, Tensor]:
    """A state dict whose entries are each filled with their own number, from 0: what lands where can be told."""
    return {
        name: torch.full(tuple(shape), number, dtype=_type(name)) for number, (name, shape) in enumerate(shapes.items())
    }


def as_trained(shapes: Mapping[str, Sequence[int]]) -> dict[str, Tensor]:
    """A state dict of random values; variances are small, so that batch norm's eps shows."""
    generator = torch.Generator().manual_seed(0)
    state = {}
    for name, shape in shapes.items():
        values = torch.randn(tuple(shape), generator=generator)
        state[name] = (values.square() / 100 if name.endswith("running_var") else values).to(_type(name))
    return state


def _type(name: str) -> torch.dtype:
    return torch.int64 if name.endswith("num_batches_tracked") else torch.float32

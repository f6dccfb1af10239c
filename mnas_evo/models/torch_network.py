"""Torch modules built from the lowered graph; parameter names follow the graph: `layers.LAYER.ops.OP`."""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from mnas_evo.space.graph import Graph, Layer, Op, Shape


@dataclass(frozen=True, slots=True)
class ModuleOptions:
    """What training adds to a graph. Batch norm's momentum is torch's (the paper's .99 is torch's .01).

    Without `norm_statistics` batch norm keeps no running ones and takes those of each batch, as in a supernet.
    """

    dropout: float = 0.2
    norm_momentum: float = 0.01
    norm_eps: float = 1e-3
    norm_statistics: bool = True


class GraphNetwork(nn.Module):
    """A network as a module: images (n, channels, height, width) to logits (n, classes)."""

    def __init__(self, graph: Graph, *, options: ModuleOptions | None = None) -> None:
        super().__init__()
        self.graph = graph
        self.options = options or ModuleOptions()
        self.layers = nn.ModuleList(LayerModule(layer, self.options) for layer in graph.layers)

    def forward(self, images: Tensor) -> Tensor:
        value = images
        for layer in self.layers:
            value = layer(value)
        return value.flatten(1)


class LayerModule(nn.Module):
    """Runs a layer's ops in order, reading each op's inputs by index."""

    def __init__(self, layer: Layer, options: ModuleOptions) -> None:
        super().__init__()
        self._inputs = [op.inputs for op in layer.ops]
        self._keep_until = _last_uses(layer)
        values = layer.values
        self.ops = nn.ModuleList(_module(op, values[op.inputs[0]], options) for op in layer.ops)

    def forward(self, value: Tensor) -> Tensor:
        values: list[Tensor | None] = [value]
        for j, (op, inputs) in enumerate(zip(self.ops, self._inputs, strict=True)):
            values.append(op(*(values[i] for i in inputs)))
            for i in inputs:
                if self._keep_until[i] == j:
                    values[i] = None
        result = values[-1]
        assert result is not None
        return result


def _last_uses(layer: Layer) -> dict[int, int]:
    return {i: j for j, op in enumerate(layer.ops) for i in op.inputs}


def _module(op: Op, in_shape: Shape, options: ModuleOptions) -> nn.Module:
    if op.kind == "conv":
        return _Convolution(op, in_shape, options)
    if op.kind == "linear":
        return _Linear(in_shape[0], op.out_shape[0])
    if op.kind == "avg_pool":
        return nn.AvgPool2d(op.kernel, op.stride, padding=op.pads[0], count_include_pad=False)
    if op.kind == "dropout":
        return nn.Dropout(options.dropout)
    simple: dict[str, type[nn.Module]] = {
        "relu": nn.ReLU, "relu6": nn.ReLU6, "sigmoid": nn.Sigmoid, "add": _Add, "mul": _Mul,
        "global_pool": _GlobalPool,
    }  # fmt: skip
    return simple[op.kind]()


_FEW_PIXELS = 4096  # of a batch; of more, oneDNN's 1x1 convolution is no slower than a product of matrices


class _Convolution(nn.Module):
    """Convolution with its padding, then batch norm where the graph says so."""

    def __init__(self, op: Op, in_shape: Shape, options: ModuleOptions) -> None:
        super().__init__()
        channels, *size = in_shape
        top, left, bottom, right = op.pads
        even = top == bottom and left == right
        self._extra_pads = None if even else (left, right, top, bottom)
        self._reach = _reach(op, size) if op.kernel > min(size) else None
        self._size = tuple(size)
        self._pointwise = op.kernel == op.stride == op.groups == 1
        self.conv = nn.Conv2d(
            channels,
            op.out_shape[0],
            op.kernel,
            op.stride,
            padding=(top, left) if even else 0,
            groups=op.groups,
            bias=not op.norm,
        )
        self.norm = _norm(op.out_shape[0], options) if op.norm else None

    def forward(self, value: Tensor) -> Tensor:
        value = self._on_processor(value) if value.device.type == "cpu" else self._convolve(value)
        return value if self.norm is None else self.norm(value)

    def _convolve(self, value: Tensor) -> Tensor:
        if self._extra_pads is not None:
            value = F.pad(value, self._extra_pads)
        convolved: Tensor = self.conv(value)
        return convolved

    def _on_processor(self, value: Tensor) -> Tensor:
        """The same, in the ways that take a processor the least time (NOTES.md)."""
        weight, bias = self.conv.weight, self.conv.bias
        learns = self.training and torch.is_grad_enabled()
        if self._reach is not None and learns and value.shape[2:] == self._size:
            # What of the kernel meets padding alone is left out: where the kernel is larger than its image, torch's
            # backward pass of a depthwise convolution falls back to one that takes up to 24 times as long.
            weight = weight[:, :, self._reach.rows, self._reach.columns]
            if any(self._reach.pads):
                value = F.pad(value, self._reach.pads)
            if weight.shape[2:] == value.shape[2:]:
                return _at_one_place(value, weight, bias, groups=self.conv.groups)
            return F.conv2d(value, weight, bias, self.conv.stride, groups=self.conv.groups)
        if self._pointwise and value[:, 0].numel() <= _FEW_PIXELS:
            return F.linear(value.permute(0, 2, 3, 1), weight.flatten(1), bias).permute(0, 3, 1, 2)
        return self._convolve(value)


def _at_one_place(value: Tensor, weight: Tensor, bias: Tensor | None, *, groups: int) -> Tensor:
    """A convolution whose kernel covers its image (n, c, h, w) once, so that (n, outputs, 1, 1) comes of it."""
    if groups == 1:
        rows, matrix = (tensor.permute(0, 2, 3, 1).flatten(1) for tensor in (value, weight))
        return F.linear(rows, matrix, bias)[:, :, None, None]
    total = (value * weight[:, 0]).sum((2, 3), keepdim=True)
    return total if bias is None else total + bias[:, None, None]


@dataclass(frozen=True, slots=True)
class _Reach:
    """The part of a kernel that meets its image at all, and what is then to be padded: left, right, top, bottom."""

    rows: slice
    columns: slice
    pads: tuple[int, int, int, int]


def _reach(op: Op, size: Sequence[int]) -> _Reach:
    """Reach of a convolution on an image of (height, width)."""
    slices, pads = [], []
    for length, out_length, before in zip(size, op.out_shape[1:], op.pads[:2], strict=True):
        last = (out_length - 1) * op.stride  # where the kernel begins at its last place, counted from its first
        start, end = max(0, before - last), min(op.kernel, before + length)
        slices.append(slice(start, end))
        pads.append((before - start, max(0, last + end - before - length)))
    (rows, columns), (vertical, horizontal) = slices, pads
    return _Reach(rows, columns, (*horizontal, *vertical))


def _norm(channels: int, options: ModuleOptions) -> nn.BatchNorm2d:
    return nn.BatchNorm2d(
        channels, eps=options.norm_eps, momentum=options.norm_momentum, track_running_stats=options.norm_statistics
    )


class _Linear(nn.Linear):
    """A linear map over channels of a (n, channels, 1, 1) value."""

    def forward(self, value: Tensor) -> Tensor:
        return super().forward(value.flatten(1))


class _Add(nn.Module):
    def forward(self, a: Tensor, b: Tensor) -> Tensor:
        return a + b


class _Mul(nn.Module):
    def forward(self, a: Tensor, b: Tensor) -> Tensor:
        return a * b


class _GlobalPool(nn.Module):
    def forward(self, value: Tensor) -> Tensor:
        return value.mean((2, 3), keepdim=True)

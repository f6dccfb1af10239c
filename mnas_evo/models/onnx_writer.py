"""ONNX files straight from the lowered graph, in milliseconds: for profiling with random weights, or with trained ones.

Batch norm is folded into its convolution, as every runtime does it; dropout is left out.
"""

from collections.abc import Iterator
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper

from mnas_evo.models.torch_network import GraphNetwork
from mnas_evo.space.graph import Graph, Layer, Op

OPSET = 17
IR_VERSION = 8  # of ONNX 1.12: boards do not have the newest runtime

_PAGE_FLOATS = 4096 // 4


class Weights(Protocol):
    """Where the writer takes a convolution's or linear map's weight and bias from."""

    def tensors(self, layer: int, op: int, *, name: str, shape: tuple[int, ...]) -> tuple[TensorProto, TensorProto]:
        """Weight of `shape` and bias of shape[:1] as initializers `name.weight` and `name.bias`."""
        ...


def onnx_model(graph: Graph, *, weights: Weights, batch: int | str = 1) -> onnx.ModelProto:
    """The graph as an ONNX model: `images` (batch, c, h, w) to `logits` (batch, classes) or a layer's `output`.

    A string as batch leaves it open, under that name.
    """
    nodes: list[onnx.NodeProto] = []
    initializers: list[TensorProto] = []
    value, shape = "images", graph.in_shape
    for number, layer in enumerate(graph.layers):
        for node, tensors in _layer_nodes(layer, number, value=value, weights=weights):
            nodes.append(node)
            initializers.extend(tensors)
        shape = layer.out_shape
        value = nodes[-1].output[0] if layer.ops else value
    flat = nodes[-1].op_type == "Gemm"
    out_name = "logits" if flat else "output"
    nodes[-1].output[0] = out_name
    out_shape = [batch, shape[0]] if flat else [batch, *shape]
    model = helper.make_model(
        helper.make_graph(
            nodes,
            "network",
            [helper.make_tensor_value_info("images", TensorProto.FLOAT, [batch, *graph.in_shape])],
            [helper.make_tensor_value_info(out_name, TensorProto.FLOAT, out_shape)],
            initializers,
        ),
        opset_imports=[helper.make_opsetid("", OPSET)],
        producer_name="mnas_evo",
    )
    model.ir_version = IR_VERSION
    return model


def _layer_nodes(
    layer: Layer, number: int, *, value: str, weights: Weights
) -> Iterator[tuple[onnx.NodeProto, tuple[TensorProto, ...]]]:
    names = [value]
    shapes = layer.values
    for j, op in enumerate(layer.ops):
        inputs = [names[i] for i in op.inputs]
        name = f"l{number}.{j}"
        in_channels = shapes[op.inputs[0]][0]
        if op.kind == "dropout":
            names.append(inputs[0])
            continue
        names.append(name)
        if op.kind == "conv":
            shape = (op.out_shape[0], in_channels // op.groups, op.kernel, op.kernel)
            tensors = weights.tensors(number, j, name=name, shape=shape)
            window: dict[str, Any] = {
                "kernel_shape": [op.kernel] * 2,
                "strides": [op.stride] * 2,
                "pads": list(op.pads),
            }
            inputs += [tensor.name for tensor in tensors]
            yield helper.make_node("Conv", inputs, [name], group=op.groups, **window), tensors
        elif op.kind == "linear":
            tensors = weights.tensors(number, j, name=name, shape=(op.out_shape[0], in_channels))
            yield helper.make_node("Flatten", inputs, [f"{name}.flat"]), ()
            inputs = [f"{name}.flat", *(tensor.name for tensor in tensors)]
            yield helper.make_node("Gemm", inputs, [name], transB=1), tensors
        elif op.kind == "relu6":
            limits = tuple(
                numpy_helper.from_array(np.array(limit, np.float32), f"{name}.{end}")
                for end, limit in (("low", 0), ("high", 6))
            )
            yield helper.make_node("Clip", [*inputs, *(limit.name for limit in limits)], [name]), limits
        else:
            yield _plain_node(op, inputs, name), ()


def _plain_node(op: Op, inputs: list[str], name: str) -> onnx.NodeProto:
    if op.kind == "avg_pool":
        return helper.make_node(
            "AveragePool", inputs, [name], kernel_shape=[op.kernel] * 2, strides=[op.stride] * 2, pads=list(op.pads)
        )
    kinds = {"relu": "Relu", "sigmoid": "Sigmoid", "add": "Add", "mul": "Mul", "global_pool": "GlobalAveragePool"}
    return helper.make_node(kinds[op.kind], inputs, [name])


class SharedWeights:
    """Random weights that all profiling models of a folder cut from one file, so that a device receives them once.

    The file holds a stretch of normal numbers for each power of four of fan-in, with the standard deviation that
    keeps activations of the size they have in a trained network (He et al. 2015): no overflow, no denormal numbers,
    both of which change what a runtime takes.
    """

    FILE = "weights.bin"
    _STRETCHES = 16  # fan-in up to 4^15; unused ones take no room

    def __init__(self, graphs: list[Graph]) -> None:
        longest = [0] * self._STRETCHES
        for layer in {layer for graph in graphs for layer in graph.layers}:
            for op, in_shape in zip(layer.ops, (layer.values[op.inputs[0]] for op in layer.ops), strict=True):
                if op.kind in ("conv", "linear"):
                    fan_in = in_shape[0] // op.groups * max(op.kernel, 1) ** 2
                    stretch = self._stretch(fan_in)
                    longest[stretch] = max(longest[stretch], fan_in * op.out_shape[0], op.out_shape[0])
        # Whole pages: a tensor's place in memory must not depend on what else the folder holds.
        longest = [-(-length // _PAGE_FLOATS) * _PAGE_FLOATS for length in longest]
        self._lengths = longest
        self._starts = np.concatenate([[0], np.cumsum(longest)[:-1]]).astype(int)

    @staticmethod
    def _stretch(fan_in: int) -> int:
        return max(0, (fan_in - 1).bit_length() + 1) // 2

    def write(self, folder: Path, *, rng: np.random.Generator) -> None:
        """Writes weights.bin into a folder, beside which the models must lie."""
        with (folder / self.FILE).open("wb") as file:
            for stretch, length in enumerate(self._lengths):
                values = rng.standard_normal(length, dtype=np.float32)
                file.write((values * np.float32(np.sqrt(2 / 4**stretch))).tobytes())

    def tensors(self, layer: int, op: int, *, name: str, shape: tuple[int, ...]) -> tuple[TensorProto, TensorProto]:
        """A weight and bias that point into weights.bin."""
        del layer, op
        stretch = self._stretch(int(np.prod(shape[1:])))
        return self._cut(f"{name}.weight", shape, stretch), self._cut(f"{name}.bias", shape[:1], stretch)

    def _cut(self, name: str, shape: tuple[int, ...], stretch: int) -> TensorProto:
        tensor = TensorProto(name=name, data_type=TensorProto.FLOAT, dims=shape)
        tensor.data_location = TensorProto.EXTERNAL
        place = {"location": self.FILE, "offset": 4 * int(self._starts[stretch]), "length": 4 * int(np.prod(shape))}
        for key, entry in place.items():
            tensor.external_data.add(key=key, value=str(entry))
        return tensor


class TrainedWeights:
    """A torch network's weights, batch norm folded into the convolution before it."""

    def __init__(self, network: GraphNetwork) -> None:
        self._state = {name: tensor.detach().cpu().double().numpy() for name, tensor in network.state_dict().items()}
        self._eps = {
            name: module.eps for name, module in network.named_modules() if name.endswith(".norm")
        }  # each norm keeps its own

    def tensors(self, layer: int, op: int, *, name: str, shape: tuple[int, ...]) -> tuple[TensorProto, TensorProto]:
        """A weight and bias held in the file itself."""
        weight, bias = self._folded(f"layers.{layer}.ops.{op}")
        if weight.shape != shape:
            raise ValueError(f"weights of {name} have shape {weight.shape}, the graph says {shape}")
        return (
            numpy_helper.from_array(weight.astype(np.float32), f"{name}.weight"),
            numpy_helper.from_array(bias.astype(np.float32), f"{name}.bias"),
        )

    def _folded(self, prefix: str) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        state = self._state
        if f"{prefix}.conv.weight" not in state:
            return state[f"{prefix}.weight"], state[f"{prefix}.bias"]
        weight = state[f"{prefix}.conv.weight"]
        norm = f"{prefix}.norm"
        if norm not in self._eps:
            return weight, state[f"{prefix}.conv.bias"]
        scale = state[f"{norm}.weight"] / np.sqrt(state[f"{norm}.running_var"] + self._eps[norm])
        return weight * scale[:, None, None, None], state[f"{norm}.bias"] - state[f"{norm}.running_mean"] * scale

"""Networks run in tests: with weights as if trained, by torch and by onnxruntime, and their multiply-adds counted."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import onnx
import onnxruntime
import torch
from torch import Tensor, nn
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils.flop_counter import flop_registry

from mnas_evo.models.fresh_weights import initialise
from mnas_evo.models.onnx_writer import TrainedWeights, onnx_model
from mnas_evo.models.torch_network import GraphNetwork, ModuleOptions
from mnas_evo.space.graph import Graph


def session(model: str | bytes) -> onnxruntime.InferenceSession:
    """A session on one thread."""
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    return onnxruntime.InferenceSession(model, options, providers=["CPUExecutionProvider"])


def as_if_trained(graph: Graph, *, options: ModuleOptions | None = None) -> GraphNetwork:
    """A module whose norms have statistics and scales of their own, so that folding them shows."""
    module = GraphNetwork(graph, options=options)
    initialise(module, seed=0)
    generator = torch.Generator().manual_seed(1)
    with torch.no_grad():
        for name, tensor in module.state_dict().items():
            if name.endswith(("running_var", "norm.weight")):
                tensor.uniform_(0.5, 2.0, generator=generator)
            elif name.endswith(("running_mean", "bias")):
                tensor.normal_(0.0, 0.3, generator=generator)
    return module.eval()


def ops_of(layer: nn.Module) -> nn.ModuleList:
    """The modules of a built layer's ops, in their order."""
    ops = layer.ops
    assert isinstance(ops, nn.ModuleList)
    return ops


def conv_of(convolution: nn.Module) -> nn.Conv2d:
    """What a convolution with padding and norm convolves with."""
    conv = convolution.conv
    assert isinstance(conv, nn.Conv2d)
    return conv


def remove_norm(convolution: nn.Module) -> None:
    """Takes a convolution's norm away, where it has one."""
    if convolution.norm is not None:
        convolution.register_module("norm", None)


def images_for(graph: Graph, *, n: int = 2) -> Tensor:
    """Standard normal images of a graph's input shape."""
    return torch.randn(n, *graph.in_shape, generator=torch.Generator().manual_seed(2))


def outputs(module: nn.Module, images: Tensor) -> Tensor:
    """What a module gives, without gradients."""
    with torch.no_grad():
        found: Tensor = module(images)
    return found


def relative_difference(graph: Graph, module: GraphNetwork, *, n: int = 1, batch: int | str = 1) -> float:
    """Largest difference of onnxruntime's outputs from torch's in float64, over the largest of these.

    In float32 torch's own rounding would count too: up to .9e-4 in a deep network, by processor.
    """
    images = images_for(graph, n=n)
    model = onnx_model(graph, weights=TrainedWeights(module), batch=batch)
    expected = outputs(module.double(), images.double()).numpy()
    module.float()  # the same numbers as before; a copy takes longer than the rest for one layer
    onnx.checker.check_model(model, full_check=True)
    (found,) = session(model.SerializeToString()).run(None, {"images": images.numpy()})
    assert found.reshape(n, -1).shape == expected.shape
    return float(np.abs(found.reshape(n, -1) - expected).max() / np.abs(expected).max())


class _CountedFlops(TorchDispatchMode):
    """Sums torch's own formulas over what it runs.

    torch's FlopCounterMode gives the same sum, but also follows modules, which takes five times as long.
    """

    total: int = 0

    def __torch_dispatch__(
        self, func: Any, types: Sequence[type], args: tuple[Any, ...] = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        given = kwargs or {}
        result = func(*args, **given)
        if formula := flop_registry.get(func._overloadpacket):
            self.total += formula(*args, **given, out_val=result)
        return result


def multiply_adds(network: GraphNetwork, images: Tensor) -> int:
    """Multiply-adds of one image, as torch counts what it runs."""
    counted = _CountedFlops()  # type: ignore[no-untyped-call]
    with counted, torch.no_grad():
        network(images[:1])
    return counted.total // 2

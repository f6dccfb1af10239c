"""Networks run in tests: with weights as if trained, by torch and by onnxruntime, and their multiply-adds counted."""

import copy

import numpy as np
import onnx
import onnxruntime
import torch
from torch import Tensor, nn
from torch.utils.flop_counter import FlopCounterMode

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
    expected = outputs(copy.deepcopy(module).double(), images.double()).numpy()
    model = onnx_model(graph, weights=TrainedWeights(module), batch=batch)
    onnx.checker.check_model(model, full_check=True)
    (found,) = session(model.SerializeToString()).run(None, {"images": images.numpy()})
    assert found.reshape(n, -1).shape == expected.shape
    return float(np.abs(found.reshape(n, -1) - expected).max() / np.abs(expected).max())


def multiply_adds(network: GraphNetwork, images: Tensor) -> int:
    """Multiply-adds of one image, as torch counts what it runs."""
    with FlopCounterMode(display=False) as counted:
        network(images[:1])
    return int(counted.get_total_flops()) // 2

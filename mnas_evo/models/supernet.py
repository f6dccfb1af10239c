"""Weights that all networks of a space share, and the modules that run on slices of them.

At each place of a graph the ops of a space are separate branches; inside a branch the kernels are cut from the middle
of the largest, channels (so expansions, too) from the first of the widest, and a block of fewer layers leaves out the
last. A network is run as its own lowered layers on such slices, so what is cut out computes what the supernet does.
"""

from collections.abc import Iterator
from dataclasses import replace

import torch
from torch import Tensor, nn
from torch.func import functional_call

from mnas_evo.errors import SpaceError
from mnas_evo.models.fresh_weights import OUTSIDE_BLOCKS, dirac, dirac_depthwise, he_normal
from mnas_evo.models.torch_network import GraphNetwork, LayerModule, ModuleOptions
from mnas_evo.space.architecture import Network
from mnas_evo.space.graph import Graph, Layer, LayerSpec, Op
from mnas_evo.space.lowering import lower
from mnas_evo.space.space import SearchSpace


class Supernet(nn.Module):
    """All networks of a space in one set of weights; batch norm takes the statistics of each batch.

    Fresh weights are normal by fan-out, then made alike among the branches of a place; the classifier's are 0.
    """

    def __init__(self, space: SearchSpace, *, seed: int, options: ModuleOptions | None = None) -> None:
        super().__init__()
        self.space = space
        self.options = options or ModuleOptions()
        generator = torch.Generator().manual_seed(seed)
        self.places = nn.ModuleDict(
            {_key(place): _shared(layers, generator) for place, layers in space.placed_layers().items()}
        )
        for place, branches in self.places.items():
            assert isinstance(branches, nn.ModuleDict)
            if place not in OUTSIDE_BLOCKS:
                _begin_alike(branches, generator)
        self._batchwise = replace(self.options, norm_statistics=False)
        self._modules_of_layers: dict[Layer, LayerModule] = {}

    def forward(self, images: Tensor, network: Network) -> Tensor:
        """Logits (n, classes) of one network of the space on images (n, channels, height, width).

        Raises:
            SpaceError: the network is not one of the space.
        """
        graph = self._graph(network)
        value = images
        for place, layer in zip(graph.places, graph.layers, strict=True):
            value = functional_call(self._module(layer), self._slices(place, layer), value)
        return value.flatten(1)

    def cut_out(self, network: Network) -> GraphNetwork:
        """A network of its own with copies of its slices; its batch norms have no statistics yet.

        Raises:
            SpaceError: the network is not one of the space.
        """
        graph = self._graph(network)
        with torch.device("meta"):
            module = GraphNetwork(graph, options=self.options)
        state = {
            f"layers.{number}.{name}": value.detach().clone()
            for number, (place, layer) in enumerate(zip(graph.places, graph.layers, strict=True))
            for name, value in self._slices(place, layer).items()
        }
        for name, buffer in module.named_buffers():
            fill = 1.0 if name.endswith("running_var") else 0.0
            state[name] = torch.full(buffer.shape, fill, dtype=buffer.dtype, device=self.device)
        module.load_state_dict(state, assign=True)
        return module

    @property
    def device(self) -> torch.device:
        """Where the weights lie."""
        return next(self.parameters()).device

    def _graph(self, network: Network) -> Graph:
        if network.frame != self.space.frame:
            raise SpaceError(f"a network of another input, stem or head than space {self.space.name}'s")
        self.space.encode(network.architecture)
        return lower(network)

    def _module(self, layer: Layer) -> LayerModule:
        """What runs a layer, without weights of its own."""
        if layer not in self._modules_of_layers:
            with torch.device("meta"):
                self._modules_of_layers[layer] = LayerModule(layer, self._batchwise)
        return self._modules_of_layers[layer].train(self.training)

    def _slices(self, place: str, layer: Layer) -> dict[str, Tensor]:
        """The weights of a layer at its place, by the names they have in its module."""
        found: dict[str, Tensor] = {}
        for number, role in roles(layer):
            shared = self.get_submodule(f"places.{_key(place)}.{role}")
            assert isinstance(shared, SharedWeights)
            for name, value in shared.of(layer, number):
                found[f"ops.{number}.{name}"] = value
        return found


def _key(place: str) -> str:
    return place.replace(".", "_")  # a module's name holds no dot


def roles(layer: Layer) -> Iterator[tuple[int, str]]:
    """The ops of a layer that have weights, by index, each with the branch and the part that it plays there."""
    spec = layer.spec
    weighted = [number for number, op in enumerate(layer.ops) if op.kind in ("conv", "linear")]
    return zip(weighted, _parts(spec), strict=True)


def _parts(spec: LayerSpec) -> list[str]:
    if spec.op == "mbconv":
        branch = "dconv" if spec.expansion == 1 else "mbconv"
        expand = [] if spec.expansion == 1 else ["expand"]
        squeeze = ["squeeze", "excite"] if spec.se_ratio else []
        parts = [*expand, "depthwise", *squeeze, "project"]
    else:
        branch = spec.op
        parts = [spec.op, *(["squeeze", "excite"] if spec.se_ratio else [])]
    projected = spec.skip == "pool" and spec.in_channels != spec.out_channels
    return [*(f"{branch}_{part}" for part in parts), *(["skip"] if projected else [])]


def _shared(layers: list[Layer], generator: torch.Generator) -> nn.ModuleDict:
    """The weights of one place, each as large as the largest of its slices."""
    found: dict[str, list[tuple[Layer, int]]] = {}
    for layer in layers:
        for number, role in roles(layer):
            found.setdefault(role, []).append((layer, number))
    return nn.ModuleDict({role: SharedWeights(uses, generator) for role, uses in sorted(found.items())})


def _begin_alike(branches: nn.ModuleDict, generator: torch.Generator) -> None:
    """Lets every branch of a place begin by passing its channels on: all paths begin by computing much the same.

    Branches of unrelated weights give each block another basis of features on every path, and next to nothing is
    learnt from them for long (NOTES.md).
    """
    for role, shared in branches.items():
        assert isinstance(shared, SharedWeights)
        if role.endswith("depthwise"):
            dirac_depthwise(shared.weight, generator=generator)
        elif not role.endswith(("squeeze", "excite")):
            dirac(shared.weight, repeats=role.startswith("mbconv"), generator=generator)


class SharedWeights(nn.Module):
    """One convolution or linear map at the size of its largest use, with the batch norm or bias that follows it."""

    def __init__(self, uses: list[tuple[Layer, int]], generator: torch.Generator) -> None:
        super().__init__()
        shapes = [_shape(layer, number) for layer, number in uses]
        op = uses[0][0].ops[uses[0][1]]
        outs, ins, kernels = (max(sizes) for sizes in zip(*shapes, strict=True))
        self._linear = op.kind == "linear"
        weight = torch.empty(outs, ins) if self._linear else torch.empty(outs, ins, kernels, kernels)
        if self._linear:
            nn.init.zeros_(weight)  # every class alike: else the first epochs go into taking back what was never learnt
        else:
            he_normal(weight, depthwise=op.groups > 1, generator=generator)
        self.weight = nn.Parameter(weight)
        self.scale = nn.Parameter(torch.ones(outs)) if op.norm else None
        self.shift = nn.Parameter(torch.zeros(outs))

    def of(self, layer: Layer, number: int) -> Iterator[tuple[str, Tensor]]:
        """Slices for one op of a layer, by their names in the op's module."""
        outs, ins, kernel = _shape(layer, number)
        if self._linear:
            yield from (("weight", self.weight[:outs, :ins]), ("bias", self.shift[:outs]))
            return
        edge = (self.weight.shape[2] - kernel) // 2
        yield "conv.weight", self.weight[:outs, :ins, edge : edge + kernel, edge : edge + kernel]
        if self.scale is None:
            yield "conv.bias", self.shift[:outs]
        else:
            yield from (("norm.weight", self.scale[:outs]), ("norm.bias", self.shift[:outs]))


def _shape(layer: Layer, number: int) -> tuple[int, int, int]:
    """(output channels, input channels a group, kernel) of an op of a layer."""
    op: Op = layer.ops[number]
    return op.out_shape[0], layer.values[op.inputs[0]][0] // op.groups, op.kernel

"""Weights trained elsewhere, loaded by an explicit mapping of names: torchvision, timm, efficientnet_lite_pytorch.

Each source names the modules of a network in its own way; what it calls the weight and the norm of every op of a graph
stands here in full. Nothing is matched by order or by shape.
"""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor

from mnas_evo.errors import DamagedFile, OtherWeights, RequestError
from mnas_evo.models.torch_network import GraphNetwork, ModuleOptions
from mnas_evo.space.architecture import Network
from mnas_evo.space.graph import Graph, Layer
from mnas_evo.space.lowering import lower

Modules = Iterator[tuple[str, str]]
"""For every op with weights, in a graph's order: what its convolution or linear map is called, and its norm or ''."""

_IMAGENET = ((0.485 * 255, 0.456 * 255, 0.406 * 255), (0.229 * 255, 0.224 * 255, 0.225 * 255))
_LISTED = 20
_LISTED_SHAPES = 3  # of a network's wrong shapes the first are enough
_NORM_ENTRIES = ("weight", "bias", "running_mean", "running_var", "num_batches_tracked")
# What training scripts wrap a state dict in.
_WRAPPERS = ("state_dict", "model", "state")


@dataclass(frozen=True, slots=True)
class Source:
    """Where weights come from: an entry that tells it, its names, its batch norm's eps, and its normalisation."""

    name: str
    told_by: str
    modules: Callable[[Graph], Modules]
    norm_eps: float
    mean: tuple[float, ...] = _IMAGENET[0]
    deviation: tuple[float, ...] = _IMAGENET[1]


def _own(graph: Graph) -> Modules:
    for (name, norm), _ in _targets(graph):
        yield name, norm


def _timm(graph: Graph) -> Modules:
    yield "conv_stem", "bn1"
    for (block, depth), layer in _block_layers(graph, source="timm"):
        first = 1 if layer.spec.expansion == 1 else 2  # number of the norm after the depthwise convolution
        names = {
            "expand": ("conv_pw", "bn1"),
            "depthwise": ("conv_dw", f"bn{first}"),
            "squeeze": ("se.conv_reduce", ""),
            "excite": ("se.conv_expand", ""),
            "project": ("conv_pw" if layer.spec.expansion == 1 else "conv_pwl", f"bn{first + 1}"),
        }
        yield from _prefixed(f"blocks.{block - 1}.{depth - 1}.", names, layer)
    yield "conv_head", "bn2"
    yield "classifier", ""


def _torchvision(graph: Graph) -> Modules:
    # One flat list: stem, first block (one layer, expansion 1), a module for each further block, head.
    yield "layers.0", "layers.1"
    last = 1
    for (block, depth), layer in _block_layers(graph, source="torchvision"):
        flat = block == 1
        if layer.spec.se_ratio or (layer.spec.expansion == 1) != flat or (flat and depth > 1):
            raise OtherWeights(f"torchvision's MnasNet has no layer like {block}.{depth}, {layer.spec.key}")
        names = {
            "expand": ("0", "1"),
            "depthwise": ("3", "4"),
            "project": ("6", "7"),
        }
        yield from _prefixed("layers." if flat else f"layers.{6 + block}.{depth - 1}.layers.", names, layer)
        last = block
    yield f"layers.{7 + last}", f"layers.{8 + last}"
    yield "classifier.1", ""


def _efficientnet_lite(graph: Graph) -> Modules:
    names = {
        "expand": ("_expand_conv", "_bn0"),
        "depthwise": ("_depthwise_conv", "_bn1"),
        "squeeze": ("_se_reduce", ""),
        "excite": ("_se_expand", ""),
        "project": ("_project_conv", "_bn2"),
    }
    yield "_conv_stem", "_bn0"
    for number, (_, layer) in enumerate(_block_layers(graph, source="efficientnet_lite_pytorch")):
        yield from _prefixed(f"_blocks.{number}.", names, layer)
    yield "_conv_head", "_bn1"
    yield "_fc", ""


# timm's networks whose names begin with tf_ have TensorFlow's eps, 1e-3, under the same names.
SOURCES = (
    Source("mnas_evo", "layers.0.ops.0.conv.weight", _own, 1e-3),
    Source("timm", "conv_stem.weight", _timm, 1e-5),
    Source("torchvision", "layers.0.weight", _torchvision, 1e-5),
    Source("efficientnet_lite_pytorch", "_conv_stem.weight", _efficientnet_lite, 1e-3, (127.0,) * 3, (128.0,) * 3),
)


def read_state(path: Path) -> dict[str, Tensor]:
    """Tensors of a .safetensors file, or of a torch file read with weights_only.

    Raises:
        RequestError: no such file.
        DamagedFile: it cannot be read, or holds something else.
    """
    if not path.is_file():
        raise RequestError(f"{path} is no file; give a state dict of torch or a .safetensors file")
    raw = _read_safetensors(path) if path.suffix == ".safetensors" else read_torch(path)
    for wrapper in _WRAPPERS:
        if isinstance(raw, Mapping) and isinstance(raw.get(wrapper), Mapping):
            raw = raw[wrapper]
    if not isinstance(raw, Mapping) or not all(isinstance(value, Tensor) for value in raw.values()):
        raise DamagedFile(f"{path} is no state dict: names with tensors")
    if odd := [str(name) for name, tensor in raw.items() if not _is_plain(tensor)]:
        raise DamagedFile(f"{path} holds tensors that are no plain numbers: {', '.join(odd[:_LISTED_SHAPES])}")
    return {str(name).removeprefix("module."): tensor for name, tensor in raw.items()}  # DataParallel's prefix


def _is_plain(tensor: Tensor) -> bool:
    """Whether a tensor holds real numbers, densely."""
    return tensor.layout == torch.strided and not (tensor.is_meta or tensor.is_quantized or tensor.is_complex())


def _read_safetensors(path: Path) -> dict[str, Tensor]:
    try:
        found: dict[str, Tensor] = load_file(path)
    except SafetensorError as error:
        raise DamagedFile(f"{path} is no safetensors file: {error}") from error
    return found


def read_torch(path: Path) -> Any:
    """Whatever plain values and tensors a torch file holds, read with weights_only.

    Raises:
        DamagedFile: it is no such file, or holds objects that only a pickle could bring.
    """
    try:
        return torch.load(path, map_location="cpu", weights_only=True)
    except (PermissionError, FileNotFoundError, IsADirectoryError):
        raise
    except Exception as error:  # on a file that is none of torch's the reader raises whatever it stumbles on
        raise DamagedFile(f"{path} is no torch file that can be read safely ({type(error).__name__})") from error


def source_of(state: Mapping[str, Tensor]) -> Source:
    """The source whose names a state dict has.

    Raises:
        OtherWeights: none of those known.
    """
    for source in SOURCES:
        if source.told_by in state:
            return source
    known = ", ".join(source.name for source in SOURCES)
    raise OtherWeights(f"weights named as none of {known} names them; the first is {next(iter(state), 'missing')!r}")


def classes_of(state: Mapping[str, Tensor], network: Network) -> int:
    """How many classes a state dict for the layers of a network tells apart.

    Raises:
        OtherWeights: it has no classifier, or names as no known source does.
    """
    *_, (classifier, _) = source_of(state).modules(lower(network))
    weight = state.get(f"{classifier}.weight")
    if weight is None or not weight.ndim:
        raise OtherWeights(f"the weights have no classifier, {classifier}.weight")
    return len(weight)


def load_network(network: Network, state: Mapping[str, Tensor], *, norm_eps: float | None = None) -> GraphNetwork:
    """A network's module with weights from elsewhere, in evaluation mode; `norm_eps` is the source's unless given.

    Raises:
        OtherWeights: an entry is missing, left over, or of another shape; all of them are named.
    """
    graph, source = lower(network), source_of(state)
    module = GraphNetwork(graph, options=ModuleOptions(norm_eps=source.norm_eps if norm_eps is None else norm_eps))
    wanted = module.state_dict()
    names = {
        f"{ours}.{entry}": f"{theirs}.{entry}"
        for (their_names, (our_names, entries)) in zip(source.modules(graph), _targets(graph), strict=True)
        for theirs, ours, kinds in zip(their_names, our_names, entries, strict=True)
        for entry in kinds
    }
    assert names.keys() == wanted.keys()
    missing = [theirs for theirs in names.values() if theirs not in state]
    extra = sorted(state.keys() - set(names.values()))
    shapes = [
        f"{theirs} {list(state[theirs].shape)} for {list(wanted[ours].shape)}"
        for ours, theirs in names.items()
        if theirs in state and state[theirs].shape != wanted[ours].shape
    ]
    faults = [
        ("missing", missing, _LISTED),
        ("left over", extra, _LISTED),
        ("of another shape", shapes, _LISTED_SHAPES),
    ]
    if missing or extra or shapes:
        said = "; ".join(_listed(*fault) for fault in faults if fault[1])
        raise OtherWeights(f"these weights, named as {source.name} does, are not the network's: {said}")
    module.load_state_dict({ours: state[theirs] for ours, theirs in names.items()})
    return module.eval()


def _listed(what: str, entries: list[str], most: int) -> str:
    more = f" and {len(entries) - most} more" if len(entries) > most else ""
    return f"{len(entries)} {what}: {', '.join(entries[:most])}{more}"


def _targets(graph: Graph) -> Iterator[tuple[tuple[str, str], tuple[tuple[str, ...], tuple[str, ...]]]]:
    """Our names of every op with weights, its weight's and its norm's module, each with the entries it has."""
    for number, layer in enumerate(graph.layers):
        for j, op in enumerate(layer.ops):
            name = f"layers.{number}.ops.{j}"
            if op.kind == "linear":
                yield (name, ""), (("weight", "bias"), ())
            elif op.kind == "conv" and op.norm:
                yield (f"{name}.conv", f"{name}.norm"), (("weight",), _NORM_ENTRIES)
            elif op.kind == "conv":
                yield (f"{name}.conv", ""), (("weight", "bias"), ())


def _block_layers(graph: Graph, *, source: str) -> Iterator[tuple[tuple[int, int], Layer]]:
    """Layers of the blocks with their place (block, layer), both from 1."""
    for place, layer in zip(graph.places[1:-2], graph.layers[1:-2], strict=True):
        if layer.spec.op != "mbconv" or layer.spec.skip == "pool":
            raise OtherWeights(f"{source}'s networks have no layer like {place}, {layer.spec.key}")
        block, depth = place.split(".")
        yield (int(block), int(depth)), layer


def _prefixed(prefix: str, names: Mapping[str, tuple[str, str]], layer: Layer) -> Modules:
    """Names of an inverted bottleneck's convolutions, in order."""
    roles = ["expand"] if layer.spec.expansion != 1 else []
    roles += ["depthwise", *(["squeeze", "excite"] if layer.spec.se_ratio else []), "project"]
    for role in roles:
        name, norm = names[role]
        yield f"{prefix}{name}", f"{prefix}{norm}" if norm else ""

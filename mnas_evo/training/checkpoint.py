"""A trained network in a file: string, classes, normalisation and weights; plain values, read with weights_only."""

import io
from dataclasses import dataclass
from pathlib import Path

import torch

from mnas_evo.errors import DamagedFile, MnasEvoError, OtherFormat, RequestError
from mnas_evo.files import FORMAT, write_bytes
from mnas_evo.models.foreign_weights import load_network, read_state, read_torch, source_of
from mnas_evo.models.fresh_weights import initialise
from mnas_evo.models.torch_network import GraphNetwork, ModuleOptions
from mnas_evo.space.architecture import Network
from mnas_evo.space.lowering import lower
from mnas_evo.space.notation import format_network, parse_network
from mnas_evo.training.normalisation import Normalisation


@dataclass(frozen=True)
class Checkpoint:
    """A trained network with all that is needed to use it."""

    network: Network
    classes: tuple[str, ...]
    data: str
    normalisation: Normalisation
    module: GraphNetwork


def checkpoint_from_weights(network: Network, path: Path, *, norm_eps: float | None = None) -> Checkpoint:
    """A network with weights trained elsewhere; its classes are numbered, for such files do not name them.

    Raises:
        OtherWeights: the weights are not this network's; all that is missing or left over is named.
        RequestError: a checkpoint of our own, which brings its network, classes and normalisation; or images that
            its source had no normalisation for.
        DamagedFile: the file cannot be read.
    """
    state = read_state(path)
    source = source_of(state)
    if source.name == "mnas_evo":
        raise RequestError(
            f"{path} holds weights of this project's own; give the model.pt itself instead of its network"
        )
    if network.frame.channels != len(source.mean):
        raise RequestError(
            f"weights of {source.name} are for images of {len(source.mean)} channels, the network takes "
            f"{network.frame.channels}"
        )
    module = load_network(network, state, norm_eps=norm_eps)
    normalisation = Normalisation(source.mean, source.deviation)
    return Checkpoint(network, _numbered(network), f"weights of {source.name}", normalisation, module)


def untrained(network: Network, *, seed: int) -> Checkpoint:
    """A network with fresh weights, for measuring it elsewhere; it takes images on the scale -1 to 1."""
    module = GraphNetwork(lower(network))
    initialise(module, seed=seed)
    channels = network.frame.channels
    normalisation = Normalisation((127.5,) * channels, (127.5,) * channels)
    return Checkpoint(network, _numbered(network), "none, untrained", normalisation, module.eval())


def _numbered(network: Network) -> tuple[str, ...]:
    return tuple(str(number) for number in range(network.frame.classes))


def save_checkpoint(path: Path, checkpoint: Checkpoint) -> None:
    """Writes a checkpoint whole."""
    content = io.BytesIO()
    torch.save(
        {
            "format": FORMAT,
            "network": format_network(checkpoint.network),
            "classes": list(checkpoint.classes),
            "data": checkpoint.data,
            "mean": list(checkpoint.normalisation.mean),
            "deviation": list(checkpoint.normalisation.deviation),
            "norm_eps": checkpoint.module.options.norm_eps,
            "state": {name: value.cpu().contiguous() for name, value in checkpoint.module.state_dict().items()},
        },
        content,
    )
    write_bytes(path, content.getvalue())


def load_checkpoint(path: Path) -> Checkpoint:
    """Reads a checkpoint.

    Raises:
        DamagedFile: it is not there, is no checkpoint, or its weights do not fit its network.
        OtherFormat: its format number is another.
    """
    if not path.is_file():
        raise DamagedFile(f"{path} is missing; a checkpoint is the model.pt that mnas-evo train leaves")
    raw = read_torch(path)
    if not isinstance(raw, dict) or "format" not in raw:
        raise DamagedFile(f"{path} is no checkpoint of mnas-evo; give the model.pt that mnas-evo train leaves")
    if raw["format"] != FORMAT:
        raise OtherFormat(f"{path} has format {raw['format']!r}; this version reads format {FORMAT}")
    try:
        network = parse_network(raw["network"])
        eps = float(raw["norm_eps"])
        if not 0 <= eps < 1:
            raise ValueError(f"batch norm's eps is {eps}")
        module = GraphNetwork(lower(network), options=ModuleOptions(norm_eps=eps))
        module.load_state_dict(raw["state"])
        normalisation = Normalisation(tuple(raw["mean"]), tuple(raw["deviation"]))
        return Checkpoint(network, tuple(raw["classes"]), str(raw["data"]), normalisation, module.eval())
    except (AttributeError, KeyError, TypeError, ValueError, RuntimeError, MnasEvoError) as error:
        reason = (str(error).splitlines() or [type(error).__name__])[0]
        raise DamagedFile(f"{path} is damaged: {reason}") from error

"""A trained network in a file: string, classes, normalisation and weights; plain values, read with weights_only."""

import io
import pickle
from dataclasses import dataclass
from pathlib import Path

import torch

from mnas_evo.errors import DamagedFile, MnasEvoError, OtherFormat
from mnas_evo.files import FORMAT, write_bytes
from mnas_evo.models.torch_network import GraphNetwork
from mnas_evo.space.architecture import Network
from mnas_evo.space.lowering import lower
from mnas_evo.space.notation import format_network, parse_network
from mnas_evo.training.loop import Normalisation


@dataclass(frozen=True)
class Checkpoint:
    """A trained network with all that is needed to use it."""

    network: Network
    classes: tuple[str, ...]
    data: str
    normalisation: Normalisation
    module: GraphNetwork


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
            "state": checkpoint.module.state_dict(),
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
    try:
        raw = torch.load(path, map_location="cpu", weights_only=True)
    except (RuntimeError, pickle.UnpicklingError, EOFError, ValueError, KeyError) as error:
        raise DamagedFile(f"{path} is no checkpoint of mnas-evo ({type(error).__name__})") from error
    if not isinstance(raw, dict) or "format" not in raw:
        raise DamagedFile(f"{path} is no checkpoint of mnas-evo; give the model.pt that mnas-evo train leaves")
    if raw["format"] != FORMAT:
        raise OtherFormat(f"{path} has format {raw['format']!r}; this version reads format {FORMAT}")
    try:
        network = parse_network(raw["network"])
        module = GraphNetwork(lower(network))
        module.load_state_dict(raw["state"])
        normalisation = Normalisation(tuple(raw["mean"]), tuple(raw["deviation"]))
        return Checkpoint(network, tuple(raw["classes"]), str(raw["data"]), normalisation, module.eval())
    except (KeyError, TypeError, RuntimeError, MnasEvoError) as error:
        reason = (str(error).splitlines() or [type(error).__name__])[0]
        raise DamagedFile(f"{path} is damaged: {reason}") from error

"""Training that begins with weights trained elsewhere: another classifier where classes differ, another stem for grey.

The weights are a checkpoint of ours or a state dict of a source that models/foreign_weights.py knows.
"""

import hashlib
from dataclasses import dataclass, replace
from pathlib import Path

import torch
from torch import Tensor

from mnas_evo.errors import OtherWeights, RequestError
from mnas_evo.models.foreign_weights import classes_of, load_network, read_state, read_torch, source_of
from mnas_evo.models.fresh_weights import initialise
from mnas_evo.models.torch_network import GraphNetwork, ModuleOptions
from mnas_evo.space.architecture import Network
from mnas_evo.space.graph import LayerSpec
from mnas_evo.space.lowering import lower
from mnas_evo.space.notation import format_network
from mnas_evo.training.checkpoint import load_checkpoint
from mnas_evo.training.normalisation import Normalisation


@dataclass(frozen=True, eq=False)
class Pretrained:
    """Weights to begin with: the network they are of, its module, and what its images were normalised by.

    `fingerprint` is the SHA-256 of their file.
    """

    network: Network
    module: GraphNetwork
    normalisation: Normalisation
    source: str
    fingerprint: str

    def normalisation_for(self, network: Network) -> Normalisation:
        """What images of a network that begins with these weights are normalised by."""
        channels = network.frame.channels
        found = self.normalisation
        if len(found.mean) == channels:
            return found
        mean, deviation = (sum(values) / len(values) for values in (found.mean, found.deviation))
        return Normalisation((mean,) * channels, (deviation,) * channels)

    def begin(self, network: Network, *, options: ModuleOptions, seed: int) -> GraphNetwork:
        """A network of the same layers with these weights; a classifier of more or fewer classes has fresh ones.

        Its batch norms keep the eps that the weights were trained with. A stem for one channel gets the sum of those
        for colours, for each of which it sees the grey value; one for three gets a third of the one for grey.

        Raises:
            OtherWeights: its layers are others.
        """
        kept = ModuleOptions(options.dropout, options.norm_momentum, self.module.options.norm_eps)
        if _layers(network) != _layers(self.network):
            raise OtherWeights(
                f"the weights of {self.source} are of {format_network(self.network)}, whose layers are others than "
                f"those of {format_network(network)}"
            )
        begun = GraphNetwork(lower(network), options=kept)
        initialise(begun, seed=seed)
        wanted, known = begun.state_dict(), self.module.state_dict()
        stem, classifier = next(iter(wanted)), f"layers.{len(begun.layers) - 1}."
        same_head = network.frame.classes == self.network.frame.classes
        taken = {name: value for name, value in known.items() if same_head or not name.startswith(classifier)}
        taken[stem] = self._stem(known[stem], channels=network.frame.channels)
        begun.load_state_dict(wanted | taken)
        return begun

    def _stem(self, weight: Tensor, *, channels: int) -> Tensor:
        """The stem's weights (out, in, k, k) for another number of channels."""
        given = weight.shape[1]
        if given == channels:
            return weight
        if channels == 1:
            deviation = torch.tensor(self.normalisation.deviation)[None, :, None, None]
            return (weight * (deviation.mean() / deviation)).sum(1, keepdim=True)
        if given == 1:
            return weight.expand(-1, channels, -1, -1) / channels
        raise OtherWeights(f"a stem for {given} channels cannot begin one for {channels}; give images of {given} or 1")


def fingerprint_of(path: Path) -> str:
    """SHA-256 of a file of weights.

    Raises:
        RequestError: no such file.
    """
    if not path.is_file():
        raise RequestError(f"{path} is no file; give a model.pt, a state dict of torch or a .safetensors file")
    return hashlib.sha256(path.read_bytes()).hexdigest()


def _is_own(path: Path) -> bool:
    """Whether a file is a checkpoint of ours, whatever it is called."""
    raw = None if path.suffix == ".safetensors" else read_torch(path)
    return isinstance(raw, dict) and "format" in raw


def _layers(network: Network) -> list[LayerSpec]:
    """What the layers compute, whatever the size and channels of the images and the number of classes."""
    first, *others = (replace(layer.spec, height=1, width=1) for layer in lower(network).layers)
    return [replace(first, in_channels=1), *others[:-1], replace(others[-1], out_channels=1)]


def pretrained(path: Path, network: Network, *, norm_eps: float | None = None) -> Pretrained:
    """Weights from a file: a model.pt of ours, or a state dict of another source for the network's own layers.

    `norm_eps` is batch norm's in a state dict, where it is not its source's.

    Raises:
        OtherWeights: the weights are not those of the network's layers; all that is missing or left over is named.
        RequestError: no such file, or an eps for a checkpoint, which brings its own.
        DamagedFile: it cannot be read.
    """
    digest = fingerprint_of(path)
    if _is_own(path):
        if norm_eps is not None:
            raise RequestError("--norm-eps is for a state dict; a checkpoint brings its own")
        own = load_checkpoint(path)
        return Pretrained(own.network, own.module, own.normalisation, path.name, digest)
    state = read_state(path)
    source, frame = source_of(state), network.frame
    theirs = network.with_task(
        height=frame.height, width=frame.width, channels=len(source.mean), classes=classes_of(state, network)
    )
    module = load_network(theirs, state, norm_eps=norm_eps)
    return Pretrained(theirs, module, Normalisation(source.mean, source.deviation), source.name, digest)

"""Ranking by how quickly a network learns once it is cut out of a supernet: what some steps of training take, each.

Weights that were trained together fit one network better than another by what else they were trained for, and the
losses of a training that begins with them tell that first. Shrunk, with fresh weights added (Ash & Adams 2020, On
warm-starting neural network training), they still spare a network its beginnings; how far it comes from there in some
twenty steps says most of what an epoch of training from fresh weights does (benchmarks/README.md, NOTES.md).
"""

import time
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

import numpy as np
import torch

from mnas_evo.accuracy.contract import Evaluation, Score, speed
from mnas_evo.accuracy.learning import learning_loss
from mnas_evo.accuracy.supernet import cut_out, unchanged_supernet, weights_fingerprint
from mnas_evo.accuracy.supernet_speed import SupernetSpeed, supernet_speed
from mnas_evo.data.datasets import search_data
from mnas_evo.data.images import Images
from mnas_evo.errors import RunChanged
from mnas_evo.files import fingerprint
from mnas_evo.models.fresh_weights import FirstWeights, initialise
from mnas_evo.models.torch_network import GraphNetwork, ModuleOptions
from mnas_evo.space.architecture import Network
from mnas_evo.training.normalisation import Normalisation
from mnas_evo.training.recipe import Recipe

STEPS = 24
"""Of the numbers of steps that were tried; 16 and 32 rank about as well (NOTES.md)."""

KEPT = 0.4
"""The share of the shared weights that a network begins with; the rest is fresh."""

_WARMUP = 0.4  # of the steps: the optimiser knows nothing yet of the weights' gradients
_SEED = 0  # of images and their order: the same for all networks, so that they differ by nothing else


@dataclass(frozen=True)
class CutOutSpeed:
    """100 exp(-loss), loss being the mean of two: of a network's own steps, and of what the supernet's tell of it.

    The network is cut out and trained alone for `steps` steps of the supernet's recipe (rounded up to whole steps an
    epoch, where images are too few for one epoch of them), from weights that are the supernet's by a share of `KEPT`.
    All networks see the same images. `weights` and `losses` are fingerprints of what the folder held.
    """

    folder: Path
    weights: str
    losses: str
    steps: int
    fingerprint: str

    @classmethod
    def of(cls, folder: Path, *, steps: int) -> "CutOutSpeed":
        """The source that a trained supernet is.

        Raises:
            RequestError: none was trained to the end there, or by a version that kept no losses.
            DamagedFile: a file of it cannot be read.
            RunChanged: its images are no longer those that it was trained on.
        """
        weights = weights_fingerprint(folder)
        form, losses = unchanged_supernet(folder.resolve(), weights).form, supernet_speed(folder).fingerprint
        learnt = _recipe(form.recipe, epochs=1).model_dump_json()
        mark = fingerprint("cut out", weights, losses, learnt, str(KEPT), str(steps))
        return cls(folder.resolve(), weights, losses, steps, mark)

    @property
    def gpu_share(self) -> float:
        """A GPU of its own, as a proxy training."""
        return 1.0

    @property
    def source(self) -> str:
        """What its figures are called in an archive."""
        return f"supernet:{self.folder.name},score={Score.SPEED},steps={self.steps}"

    def evaluate(self, network: Network, *, seed: int) -> Evaluation:
        """The speed, as the top-1 of an evaluation; the fresh weights are the seed's.

        Raises:
            TrainingFailed: the network is not one of the supernet's space, or its loss left the numbers.
            RunChanged: the supernet is another than that of the fingerprint.
        """
        began = time.perf_counter()
        cut = cut_out(self.folder, self.weights, network)
        trained = unchanged_supernet(self.folder, self.weights)
        data = search_data(trained.form.data, size=(network.frame.height, network.frame.width))
        images, epochs = _images(data.train, batch=trained.form.recipe.batch, steps=self.steps)
        recipe = _recipe(trained.form.recipe, epochs=epochs)
        begun = _Shrunk(cut, trained.normalisation, recipe.first_weights, seed)
        own = learning_loss(network, images, recipe=recipe, seed=_SEED, weights=begun)
        genes = trained.supernet.space.encode(network.architecture)[None]
        told = float(_told(self.folder, self.losses).losses(genes).value[0])
        return Evaluation(float(speed((own + told) / 2)), self.source, time.perf_counter() - began)


def _recipe(recipe: Recipe, *, epochs: int) -> Recipe:
    """A supernet's recipe as a network cut out goes on by it."""
    return recipe.model_copy(update={"epochs": epochs, "schedule": "constant", "warmup_epochs": _WARMUP * epochs})


def _images(training: Images, *, batch: int, steps: int) -> tuple[Images, int]:
    """Images, and the epochs of them, that make so many steps."""
    epochs = -(-steps // max(1, len(training) // batch))
    drawn = np.random.default_rng(_SEED).permutation(len(training))
    return training.rows(drawn[: -(-steps // epochs) * batch]), epochs


@lru_cache(maxsize=1)
def _told(folder: Path, expected: str) -> SupernetSpeed:
    """What the steps of a supernet tell; read once in each process."""
    found = supernet_speed(folder)
    if found.fingerprint != expected:
        raise RunChanged(f"the supernet in {folder} has changed since; run the command again")
    return found


@dataclass(frozen=True)
class _Shrunk:
    """Weights of a network cut out, by a share of `KEPT`, and fresh ones, a seed's."""

    cut: GraphNetwork
    normalisation: Normalisation
    first: FirstWeights
    seed: int

    def normalisation_for(self, network: Network) -> Normalisation:
        """The supernet's."""
        return self.normalisation

    def begin(self, network: Network, *, options: ModuleOptions, seed: int) -> GraphNetwork:
        """The network; the seed of its training has no part in it."""
        begun = GraphNetwork(self.cut.graph, options=options)
        initialise(begun, seed=self.seed, first=self.first)
        with torch.no_grad():
            for fresh, shared in zip(begun.parameters(), self.cut.parameters(), strict=True):
                fresh.lerp_(shared, KEPT)
        return begun

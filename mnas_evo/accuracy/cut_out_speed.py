"""Ranking by how quickly a network learns once it is cut out of a supernet: some steps, a second or two each.

Weights that were trained together fit one network better than another by what else they were trained for, and the
losses of a training that begins with them tell that first. Shrunk, with fresh weights added (Ash & Adams 2020, On
warm-starting neural network training), they still spare a network its beginnings; how far it comes from there in some
twenty steps says as much of it as an epoch of training from fresh weights (NOTES.md).
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
from mnas_evo.files import fingerprint
from mnas_evo.models.fresh_weights import FirstWeights, initialise
from mnas_evo.models.torch_network import GraphNetwork, ModuleOptions
from mnas_evo.space.architecture import Network
from mnas_evo.training.normalisation import Normalisation

KEPT = 0.3
"""How much of the shared weights a network begins with; the rest is fresh."""

_WARMUP = 0.4  # of the steps: the optimiser knows nothing yet of the weights' gradients


@dataclass(frozen=True)
class CutOutSpeed:
    """100 exp(-loss), loss being the mean of two: of a network's own steps, and of what the supernet's tell of it.

    The network is cut out and trained alone for `steps` steps of the supernet's recipe, from weights `KEPT` of which
    are the supernet's.
    """

    folder: Path
    weights: str
    steps: int
    fingerprint: str

    @classmethod
    def of(cls, folder: Path, *, steps: int) -> "CutOutSpeed":
        """The source that a trained supernet is.

        Raises:
            RequestError: none was trained to the end there, or by a version that kept no losses.
            DamagedFile: a file of it cannot be read.
        """
        weights, told = weights_fingerprint(folder), supernet_speed(folder)
        return cls(
            folder.resolve(), weights, steps, fingerprint("cut out", weights, told.fingerprint, str(KEPT), str(steps))
        )

    @property
    def gpu_share(self) -> float:
        """A GPU of its own: a training that finds memory short runs in smaller parts, which round differently."""
        return 1.0

    @property
    def source(self) -> str:
        """What its figures are called in an archive."""
        return f"supernet:{self.folder.name},score={Score.SPEED},steps={self.steps}"

    def evaluate(self, network: Network, *, seed: int) -> Evaluation:
        """The speed, as the top-1 of an evaluation; images, their order and the fresh weights are the seed's.

        Raises:
            TrainingFailed: the network is not one of the supernet's space, or its loss left the numbers.
        """
        began = time.perf_counter()
        cut = cut_out(self.folder, self.weights, network)
        trained = unchanged_supernet(self.folder, self.weights)
        data = search_data(trained.form.data, size=(network.frame.height, network.frame.width))
        recipe = trained.form.recipe.model_copy(
            update={"epochs": 1, "schedule": "constant", "warmup_epochs": _WARMUP}  # the one epoch are these steps
        )
        drawn = np.random.default_rng(seed).permutation(len(data.train))
        images = data.train.rows(np.resize(drawn, self.steps * recipe.batch))
        weights = _Shrunk(cut, trained.normalisation, first=recipe.first_weights)
        own = learning_loss(network, images, recipe=recipe, seed=seed, weights=weights)
        genes = trained.supernet.space.encode(network.architecture)[None]
        told = float(_told(self.folder, self.weights).losses(genes).value[0])
        return Evaluation(float(speed((own + told) / 2)), self.source, time.perf_counter() - began)


@lru_cache(maxsize=1)
def _told(folder: Path, weights: str) -> SupernetSpeed:
    """What the steps tell of the supernet whose weights these are; read once in each process."""
    return supernet_speed(folder)


@dataclass(frozen=True)
class _Shrunk:
    """Weights of a network cut out, of which `KEPT` is left among fresh ones."""

    cut: GraphNetwork
    normalisation: Normalisation
    first: FirstWeights

    def normalisation_for(self, network: Network) -> Normalisation:
        """The supernet's."""
        return self.normalisation

    def begin(self, network: Network, *, options: ModuleOptions, seed: int) -> GraphNetwork:
        """The network; its fresh weights are the seed's."""
        begun = GraphNetwork(self.cut.graph, options=options)
        initialise(begun, seed=seed, first=self.first)
        with torch.no_grad():
            for fresh, shared in zip(begun.parameters(), self.cut.parameters(), strict=True):
                fresh.lerp_(shared, KEPT)
        return begun

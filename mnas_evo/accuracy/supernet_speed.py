"""Ranking by how quickly the networks of a supernet learnt, from the losses of its own training.

Shared weights that are trained to their end treat all networks alike, and rank none (NOTES.md). While they learn, the
losses of a step tell which choices are quick to learn from; so the speed of training, which ranks networks that are
trained alone (Ru et al. 2021, Speedy performance estimation for neural architecture search), is read off a training of
all at once: each network was trained for a step or never, but each of its choices in thousands.
"""

import hashlib
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from sklearn.linear_model import BayesianRidge
from threadpoolctl import threadpool_limits

from mnas_evo.accuracy.contract import NORMAL_90, Score, speed
from mnas_evo.accuracy.paths import SIZES, read_paths
from mnas_evo.accuracy.supernet_training import PATHS_FILE, read_supernet
from mnas_evo.errors import RequestError
from mnas_evo.files import fingerprint
from mnas_evo.latency.contract import Matrix, Prediction
from mnas_evo.space.space import Genes, SearchSpace


@dataclass(frozen=True)
class SupernetSpeed:
    """100 exp(-loss), loss being the mean training loss of a network in a supernet as its choices tell.

    `mean_loss` is that of all networks trained, whose mean features are `middle` (k,); the model tells from features
    less these how much another differs.
    """

    folder: Path
    fingerprint: str
    space: SearchSpace
    model: BayesianRidge
    middle: Matrix
    mean_loss: float

    @property
    def source(self) -> str:
        """What its figures are called in an archive."""
        return f"supernet:{self.folder.name},score={Score.SPEED}"

    def predict(self, genes: Genes) -> Prediction:
        """Speeds of genomes (n, g); intervals are of what is known of the mean, not of one step's loss."""
        losses = self.losses(genes)
        return Prediction(speed(losses.value), speed(losses.high), np.minimum(speed(losses.low), 100))

    def losses(self, genes: Genes) -> Prediction:
        """Mean training losses of genomes (n, g), of which `predict` says the speeds."""
        if len(genes) == 0:
            return Prediction(*(np.zeros(0),) * 3)
        apart, deviation = self.model.predict(_features(self.space, genes) - self.middle, return_std=True)
        unsure = NORMAL_90 * np.sqrt(np.maximum(deviation**2 - 1 / self.model.alpha_, 0))
        loss = self.mean_loss + apart
        return Prediction(loss, loss - unsure, loss + unsure)


def supernet_speed(folder: Path) -> SupernetSpeed:
    """Fits how the choices of a network go with its losses, in the steps of a supernet's training.

    Losses and features count by how they differ from the mean of their step, whose networks saw the same images with
    weights as far trained.

    Raises:
        RequestError: none was trained to the end there, or by a version that kept no losses.
        DamagedFile: a file of it cannot be read.
    """
    form, space = read_supernet(folder)
    if not (folder / PATHS_FILE).is_file():
        raise RequestError(f"{folder} was trained when losses were not kept; train it again for score={Score.SPEED}")
    paths = read_paths(folder / PATHS_FILE)
    steps, each, genes = paths.genes.shape
    vectors = _features(space, paths.genes.reshape(-1, genes))
    losses = paths.losses.astype(np.float64)
    with threadpool_limits(1):
        model = BayesianRidge(fit_intercept=False).fit(
            _apart(vectors.reshape(steps, each, -1)).reshape(steps * each, -1), _apart(losses).ravel()
        )
    kept = hashlib.sha256((folder / PATHS_FILE).read_bytes()).hexdigest()
    mark = fingerprint("supernet", Score.SPEED, form.model_dump_json(), kept)
    return SupernetSpeed(folder.resolve(), mark, space, model, vectors.mean(axis=0), float(losses.mean()))


def _features(space: SearchSpace, genes: Genes) -> Matrix:
    """The options of genomes (n, g), one-hot, each as often as there are layers that have it: (n, k).

    What a loss adds up over are layers; what a block's width and number of layers do to others counts once a block.
    """
    genes = space.canonical(genes)
    depths = _depths(space, genes)
    columns = []
    for choice, (kind, options), block in zip(genes.T, space.gene_options, space.gene_blocks.tolist(), strict=True):
        layers = depths.sum(axis=1) if block == 0 else depths[:, block - 1]
        columns.append(np.eye(len(options))[choice] * (1 if kind in SIZES else layers[:, None]))
    return np.hstack(columns)


def _depths(space: SearchSpace, genes: Genes) -> NDArray[np.int64]:
    """Layers of each block, (n, blocks); what it would have, of one that has none."""
    chosen = {
        block: choice
        for choice, (kind, _), block in zip(genes.T, space.gene_options, space.gene_blocks.tolist(), strict=True)
        if kind == "layers"
    }
    of_options = [np.maximum(1, block.layers + np.array(block.layer_changes)) for block in space.blocks]
    shared = chosen.get(0)
    return np.stack([of[chosen.get(b, shared)] for b, of in enumerate(of_options, start=1)], axis=1)


def _apart(values: Matrix) -> Matrix:
    """Less the mean of each step: (steps, paths, ...)."""
    apart: Matrix = values - values.mean(axis=1, keepdims=True)
    return apart

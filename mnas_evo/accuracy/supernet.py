"""Accuracy from a supernet: a network is cut out, its batch statistics estimated anew, and tested, without training."""

import hashlib
import time
from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.optim.swa_utils import update_bn

from mnas_evo.accuracy.contract import Evaluation
from mnas_evo.accuracy.supernet_training import TrainedSupernet, load_supernet, read_supernet
from mnas_evo.data.datasets import Images, search_data, search_split
from mnas_evo.errors import RunChanged, SpaceError, TrainingFailed
from mnas_evo.files import fingerprint, read_text
from mnas_evo.models.torch_network import GraphNetwork
from mnas_evo.space.architecture import Network
from mnas_evo.training.memory import keep_compiled_convolutions
from mnas_evo.training.places import one_thread, pick_device

STATISTICS_IMAGES = 2_000
"""Training images that batch statistics are estimated on."""
_BATCH = 250


@dataclass(frozen=True)
class SupernetAccuracy:
    """Top-1 on the search-validation images of a supernet's data; the same for every seed."""

    folder: Path
    fingerprint: str

    @classmethod
    def of(cls, folder: Path) -> "SupernetAccuracy":
        """The source that a trained supernet is.

        Raises:
            RequestError: none was trained to the end there.
            DamagedFile: a file of it cannot be read.
            RunChanged: its images are no longer those that it was trained on.
        """
        weights = weights_fingerprint(folder)
        unchanged_supernet(folder.resolve(), weights)
        return cls(folder.resolve(), weights)

    @property
    def gpu_share(self) -> float:
        """A quarter of a GPU: it holds one supernet and some batches, and waits for neither to be trained."""
        return 0.25

    @property
    def source(self) -> str:
        """What its figures are called in an archive."""
        return f"supernet:{self.folder.name}"

    def evaluate(self, network: Network, *, seed: int) -> Evaluation:
        """Top-1 with the shared weights.

        Raises:
            TrainingFailed: the network is not one of the supernet's space.
        """
        began = time.perf_counter()
        top1 = _ready(self.folder, self.fingerprint).top1(cut_out(self.folder, self.fingerprint, network))
        return Evaluation(top1, self.source, time.perf_counter() - began)


def weights_fingerprint(folder: Path) -> str:
    """The weights of a supernet, and what they are normalised by and tested on.

    Raises:
        RequestError: none was trained to the end there.
        DamagedFile: a file of it cannot be read.
    """
    read_supernet(folder)
    weights = hashlib.sha256((folder / "supernet.pt").read_bytes()).hexdigest()
    return fingerprint("supernet", weights, read_text(folder / "supernet.json"))


@lru_cache(maxsize=1)
def unchanged_supernet(folder: Path, expected: str) -> TrainedSupernet:
    """The supernet in a folder, on the CPU; read once in each process.

    Raises:
        RunChanged: its weights are others than those of the fingerprint, or its images than those of its training.
        DamagedFile: a file of it cannot be read.
    """
    if weights_fingerprint(folder) != expected:
        raise RunChanged(f"the supernet in {folder} has changed since; run the command again")
    keep_compiled_convolutions()
    trained = load_supernet(folder)
    if search_split(trained.form.data).fingerprint != trained.form.split.fingerprint:
        raise RunChanged(f"{trained.form.data} has other images than when {folder} was trained; train it again")
    return trained


def cut_out(folder: Path, expected: str, network: Network) -> GraphNetwork:
    """A network out of the supernet in a folder, on the CPU.

    Raises:
        TrainingFailed: the network is not one of its space.
        RunChanged: its weights are others than those of the fingerprint.
    """
    try:
        return unchanged_supernet(folder, expected).supernet.cut_out(network)
    except SpaceError as error:
        raise TrainingFailed(f"the supernet in {folder} does not hold it: {error}") from error


@dataclass(frozen=True)
class _Ready:
    """What networks of a supernet are tested on: images, normalised, on the device that this process evaluates on."""

    place: torch.device
    statistics: tuple[Tensor, ...]
    tests: tuple[tuple[Tensor, Tensor], ...]

    def top1(self, module: GraphNetwork) -> float:
        """Top-1, percent, of a network cut out, once its batch norms have statistics of their own."""
        module.to(self.place, memory_format=torch.channels_last)  # type: ignore[call-overload]
        with one_thread(), torch.no_grad():
            update_bn(self.statistics, module)
            module.eval()
            right = [int((module(images).argmax(1) == labels).sum()) for images, labels in self.tests]
        return 100 * sum(right) / sum(len(labels) for _, labels in self.tests)


@lru_cache(maxsize=1)
def _ready(folder: Path, expected: str) -> _Ready:
    trained = unchanged_supernet(folder, expected)
    frame = trained.supernet.space.frame
    data = search_data(trained.form.data, size=(frame.height, frame.width))
    place = torch.device(pick_device())

    def batches(images: Images, rows: NDArray[np.int64]) -> Iterator[tuple[Tensor, Tensor]]:
        for some in np.array_split(rows, -(-len(rows) // _BATCH)):
            pixels = torch.from_numpy(images.pixels(some)).to(place, memory_format=torch.channels_last)
            yield trained.normalisation.apply(pixels), torch.from_numpy(images.labels[some]).to(place)

    drawn = np.random.default_rng(0).permutation(len(data.train))[:STATISTICS_IMAGES]
    statistics = tuple(images for images, _ in batches(data.train, drawn))
    tests = tuple(batches(data.validation, np.arange(len(data.validation))))
    return _Ready(place, statistics, tests)

"""The two kinds of accuracy source: one is dear and evaluates a network at a time, one is cheap and predicts."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Protocol, runtime_checkable

import numpy as np

from mnas_evo.latency.contract import Matrix, Predictor
from mnas_evo.space.architecture import Network

NORMAL_90 = 1.645
"""Half the width of a 90 % interval, in standard deviations of a normal distribution."""


class Score(StrEnum):
    """What a source that trains judges networks by.

    top1: on validation images, at the end. speed: 100 exp(-loss), loss being the mean over all training steps (Ru et
    al. 2021, Speedy performance estimation for neural architecture search), a network's own, a supernet's of which it
    is a part, or both: for ranking alone, it is no top-1.
    """

    TOP1 = "top1"
    SPEED = "speed"


def speed(loss: float | Matrix) -> Matrix:
    """The speed, percent, that mean losses of training tell."""
    return np.asarray(100 * np.exp(-np.asarray(loss)))


def is_speed(accuracy: str) -> bool:
    """Whether an accuracy source, by its specification or its name, gives speeds in the place of top-1."""
    return f",score={Score.SPEED}" in accuracy


@dataclass(frozen=True, slots=True)
class Evaluation:
    """Top-1 of one network, percent, where it came from, and what it cost."""

    top1: float
    source: str
    seconds: float


@runtime_checkable
class Evaluator(Protocol):
    """Dear: one network at a time, in any process. Picklable between our own processes."""

    @property
    def fingerprint(self) -> str:
        """What results depend on, hashed."""
        ...

    def evaluate(self, network: Network, *, seed: int) -> Evaluation:
        """Top-1 of a network; the same for the same seed.

        Raises:
            TrainingFailed: this network gives no result; others may.
        """
        ...


@runtime_checkable
class UsesGpu(Protocol):
    """An evaluator that computes on a GPU where there is one."""

    @property
    def gpu_share(self) -> float:
        """How much of a GPU one evaluation takes, 0 to 1."""
        ...


@runtime_checkable
class NeedsResources(Protocol):
    """An evaluator that only some nodes of a cluster can run."""

    @property
    def resources(self) -> Mapping[str, float]:
        """What a node must have to spare for one evaluation, such as {"device:pixel": 1}, by the cluster's names."""
        ...


Evaluate = Callable[[Sequence[tuple[Network, int]]], Iterator[tuple[int, Evaluation | str]]]
"""Evaluates (network, seed) tasks and gives (task number, result) as each ends; why there is none, as text."""


class Surrogate(Predictor, Protocol):
    """Cheap: predicts top-1, percent, of genomes of the space it was made for."""

    @property
    def fingerprint(self) -> str:
        """What predictions depend on, hashed."""
        ...

    @property
    def source(self) -> str:
        """What its figures are called in an archive."""
        ...

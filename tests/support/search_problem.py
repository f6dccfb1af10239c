"""A small problem for search tests: the digits space, accuracy and latency that are sums over genes, known exactly."""

import itertools
import time
from dataclasses import dataclass, replace

import numpy as np

from mnas_evo.accuracy.contract import Evaluation
from mnas_evo.errors import TrainingFailed
from mnas_evo.latency.contract import Prediction
from mnas_evo.search.objectives import Problem, Source
from mnas_evo.space.architecture import Network
from mnas_evo.space.lowering import lower
from mnas_evo.space.space import Genes, SearchSpace
from mnas_evo.space.space_file import load_space, parse_space

SPACE = load_space("digits")
# Smaller than a batch: what searchers do when a space runs out.
SMALLEST = parse_space(
    """
format = 1
name = "tiny"
input = [8, 8, 1]
classes = 2
stem = { channels = 8, stride = 2 }
head = 8
[choices]
op = ["conv", "dconv"]
kernel = [3]
se_ratio = [0.0]
skip = ["identity", "none"]
filters = [1.0]
layers = [0, 1]
[[blocks]]
channels = 8
layers = 1
stride = 2
""",
    source="smallest",
)


class ByMacs:
    """A latency that grows with multiply-adds."""

    def __init__(self, space: SearchSpace) -> None:
        self._space = space
        self._sums = space.gene_sums(lambda layer: np.array([float(layer.macs)]))

    def predict(self, genes: Genes) -> Prediction:
        ms = self._space.sum_over(genes, self._sums)[:, 0] / 1e6
        return Prediction(ms, 0.9 * ms, 1.1 * ms)


@dataclass(frozen=True)
class ByParams:
    """An accuracy that grows with parameters, a little noisy by seed; fails for a share of networks."""

    fails: float = 0.0
    fingerprint: str = "by params"
    pause_seconds: float = 0.0

    def evaluate(self, network: Network, *, seed: int) -> Evaluation:
        time.sleep(self.pause_seconds)
        if np.random.default_rng(seed).random() < self.fails:
            raise TrainingFailed("the loss became nan in epoch 1")
        noise = np.random.default_rng(seed + 1).normal()
        return Evaluation(100 - 4000 / (lower(network).params / 100 + 50) + 0.1 * noise, "by params", 0.5)


def problem(*, fails: float = 0.0, limits: dict[str, float] | None = None, space: SearchSpace = SPACE) -> Problem:
    cheap = {"latency_ms": Source(ByMacs(space), "by macs")}
    return Problem(space, ("top1", "latency_ms"), limits or {}, cheap, ByParams(fails))


class Killed(BaseException):
    """Stands for the moment a process is killed: nothing may catch it."""


def dying(target: Problem, at: int) -> Problem:
    """The problem, whose evaluator kills the process at its at-th evaluation."""
    source = target.dear
    assert isinstance(source, ByParams)
    counter = itertools.count()

    class Dies(ByParams):
        def evaluate(self, network: Network, *, seed: int) -> Evaluation:
            if next(counter) == at:
                raise Killed
            return super().evaluate(network, seed=seed)

    return replace(target, dear=Dies(source.fails))

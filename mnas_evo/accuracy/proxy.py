"""Accuracy by proxy training: each network trained alone for a few epochs (Tan et al. 2019, section 5).

What it is judged by is its top-1 at the end, or the speed at which it learnt, which ranks after one epoch better than
size does (benchmarks/README.md).
"""

import time
from collections.abc import Sequence
from dataclasses import dataclass

from mnas_evo.accuracy.contract import Evaluation, Score, speed
from mnas_evo.accuracy.learning import learning_loss
from mnas_evo.data.datasets import refuse_validation_on_test, search_data, search_split
from mnas_evo.files import fingerprint
from mnas_evo.space.architecture import Network
from mnas_evo.training.loop import Epoch, train
from mnas_evo.training.places import Place, pick_device
from mnas_evo.training.recipe import Recipe
from mnas_evo.training.task import check_fits


@dataclass(frozen=True)
class ProxyTraining:
    """Trains on the search's training images, reports a score in percent, and never sees a test image.

    Its top-1 is the mean of the last two epochs': one epoch's is noisier by what the last few steps did.
    """

    data: str
    recipe: Recipe
    split_seed: int = 0
    score: Score = Score.TOP1

    def __post_init__(self) -> None:
        """Raises RequestError where test images would validate."""
        refuse_validation_on_test(self.data)

    @property
    def fingerprint(self) -> str:
        """Data set, which of its images train and which validate, and every hyper-parameter."""
        split = search_split(self.data, seed=self.split_seed)
        return fingerprint("proxy", self.score, self.data, split.fingerprint, self.recipe.model_dump_json())

    @property
    def gpu_share(self) -> float:
        """A GPU of its own: a training that finds memory short runs in smaller parts, which round differently."""
        return 1.0

    @property
    def source(self) -> str:
        """What its figures are called in an archive."""
        score = "" if self.score is Score.TOP1 else f",score={self.score}"
        return f"proxy:{self.data},epochs={self.recipe.epochs},recipe={self.recipe.name}{score}"

    def evaluate(self, network: Network, *, seed: int) -> Evaluation:
        """The score of the recipe's epochs, as the top-1 of an evaluation."""
        began = time.perf_counter()
        data = search_data(self.data, seed=self.split_seed, size=(network.frame.height, network.frame.width))
        check_fits(network, data)
        if self.score is Score.SPEED:
            score = float(speed(learning_loss(network, data.train, recipe=self.recipe, seed=seed)))
        else:
            images = data.train, data.validation
            trained = train(network, data=images, recipe=self.recipe, seed=seed, place=Place(pick_device()))
            score = _last_top1(trained.epochs)
        return Evaluation(score, self.source, time.perf_counter() - began)


def _last_top1(epochs: Sequence[Epoch]) -> float:
    last = [epoch.top1 for epoch in epochs[-2:]]
    return sum(last) / len(last)

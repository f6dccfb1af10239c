"""Accuracy by proxy training: each network trained alone for a few epochs (Tan et al. 2019, section 5)."""

import time
from dataclasses import dataclass

from mnas_evo.accuracy.contract import Evaluation
from mnas_evo.data.datasets import refuse_validation_on_test, search_data, search_split
from mnas_evo.files import fingerprint
from mnas_evo.space.architecture import Network
from mnas_evo.training.loop import train
from mnas_evo.training.places import Place, pick_device
from mnas_evo.training.recipe import Recipe
from mnas_evo.training.task import check_fits


@dataclass(frozen=True)
class ProxyTraining:
    """Trains on the search's training images, reports top-1 on its validation images, and never sees a test image.

    The score is the mean of the last two epochs' top-1: one epoch's is noisier by what the last few steps did.
    """

    data: str
    recipe: Recipe
    split_seed: int = 0

    def __post_init__(self) -> None:
        """Raises RequestError where test images would validate."""
        refuse_validation_on_test(self.data)

    @property
    def fingerprint(self) -> str:
        """Data set, which of its images train and which validate, and every hyper-parameter."""
        split = search_split(self.data, seed=self.split_seed)
        return fingerprint("proxy", self.data, split.fingerprint, self.recipe.model_dump_json())

    @property
    def gpu_share(self) -> float:
        """A GPU of its own: a training that finds memory short runs in smaller parts, which round differently."""
        return 1.0

    @property
    def source(self) -> str:
        """What its figures are called in an archive."""
        return f"proxy:{self.data},epochs={self.recipe.epochs},recipe={self.recipe.name}"

    def evaluate(self, network: Network, *, seed: int) -> Evaluation:
        """Top-1 after the recipe's epochs."""
        began = time.perf_counter()
        data = search_data(self.data, seed=self.split_seed, size=(network.frame.height, network.frame.width))
        check_fits(network, data)
        images = data.train, data.validation
        trained = train(network, data=images, recipe=self.recipe, seed=seed, place=Place(pick_device()))
        last = [epoch.top1 for epoch in trained.epochs[-2:]]
        return Evaluation(sum(last) / len(last), self.source, time.perf_counter() - began)

"""How quickly a network learns: the mean loss of its training steps.

It ranks networks by less training than their top-1 takes (Ru et al. 2021, Speedy performance estimation for neural
architecture search); benchmarks/README.md says how well.
"""

import numpy as np

from mnas_evo.data.images import Images
from mnas_evo.space.architecture import Network
from mnas_evo.training.loop import Beginning, train
from mnas_evo.training.places import Place, pick_device
from mnas_evo.training.recipe import Recipe

_FEWEST = 2  # images to validate on, where all that counts is the training


def learning_loss(
    network: Network, images: Images, *, recipe: Recipe, seed: int, weights: Beginning | None = None
) -> float:
    """The mean loss over all steps of a recipe's training on some images, on a GPU where there is one.

    Raises:
        TrainingFailed: the loss left the numbers, or memory is short even for 2 images.
    """
    data = images, images.rows(np.arange(_FEWEST))
    trained = train(network, data=data, recipe=recipe, seed=seed, weights=weights, place=Place(pick_device()))
    return sum(epoch.train_loss for epoch in trained.epochs) / len(trained.epochs)

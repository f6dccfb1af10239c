"""What training and validation are fed with: batches of a data set, augmented and normalised as a recipe says."""

import torch
from torch import Tensor

from mnas_evo.data.images import Images
from mnas_evo.errors import TrainingFailed
from mnas_evo.training.augmentation import Augmentation
from mnas_evo.training.batches import ALONE, Batches, Shard, Shuffled
from mnas_evo.training.normalisation import Normalisation
from mnas_evo.training.pixels import pixels_on
from mnas_evo.training.recipe import Recipe

Piece = tuple[Tensor, Tensor, float]
"""Images, labels, and their share of the batch that they are a piece of."""


class Feed:
    """Batches of (training, validation) images on the training device. An epoch's randomness is that of (seed, epoch).

    A batch is trained on in at most `parts` pieces, for which gradients are to be added up, each loss times its share.
    """

    def __init__(
        self,
        data: tuple[Images, Images],
        recipe: Recipe,
        *,
        seed: int,
        device: str = "cpu",
        parts: int = 1,
        normalisation: Normalisation | None = None,
    ) -> None:
        """The normalisation is the training images' own unless given.

        Raises:
            TrainingFailed: pieces would have fewer than 2 images, which batch norm needs.
        """
        if recipe.batch // parts < 2:
            raise TrainingFailed("out of memory even with 2 images at a time; take a smaller network or resolution")
        training, validation = data
        self.normalisation = normalisation or Normalisation.of(training)
        self._training, self._validation = pixels_on(device, training), pixels_on(device, validation)
        self._augmentation = Augmentation(recipe, shape=training.shape)
        self._batch, self._parts = recipe.batch, parts
        self._seed = seed

    def steps(self, shard: Shard = ALONE) -> int:
        """Batches of training an epoch, in each process."""
        return len(self.training(0, shard))

    @property
    def validation_images(self) -> int:
        """How many images there are to validate on."""
        return len(self._validation)

    def epoch_seed(self, epoch: int) -> int:
        """The seed of all that is random in an epoch, counted from 0."""
        return self._seed * 100_003 + epoch

    def training(self, epoch: int, shard: Shard = ALONE) -> Batches:
        """An epoch's batches, shuffled and augmented: (images (n, c, h, w), labels (n,))."""
        shuffled = Shuffled(self.epoch_seed(epoch), self._augmentation)
        return Batches(self._training, batch=self._batch, shuffled=shuffled, shard=shard)

    def validation(self, shard: Shard = ALONE) -> Batches:
        """The validation images in order, as they are."""
        return Batches(self._validation, batch=4 * self._batch // self._parts, shard=shard)

    def normalised(self, images: Tensor) -> Tensor:
        """A batch's images as a network takes them: float32, channels last."""
        return self.normalisation.apply(images).contiguous(memory_format=torch.channels_last)

    def pieces(self, images: Tensor, labels: Tensor) -> list[Piece]:
        """A batch in its pieces, of 2 images at least and as even as can be."""
        count = min(self._parts, len(labels) // 2)
        if count <= 1:
            return [(images, labels, 1.0)]
        pieces = zip(images.tensor_split(count), labels.tensor_split(count), strict=True)
        return [(part, known, len(known) / len(labels)) for part, known in pieces]

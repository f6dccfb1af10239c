"""Batches of images in memory, shuffled and augmented by a generator of their own: any epoch can be drawn again."""

from collections.abc import Iterator

import torch
import torch.nn.functional as F
from torch import Tensor

from mnas_evo.data.datasets import ImageSet


class Batches:
    """One pass over an image set: (images uint8 (n, c, h, w), labels (n,)) a batch.

    With a seed it shuffles, moves and mirrors; a last batch of one image is left out then, for batch norm needs two.
    """

    def __init__(
        self, images: ImageSet, *, batch: int, seed: int | None = None, shift_pixels: int = 0, flip: bool = False
    ) -> None:
        self._images = torch.from_numpy(images.images)
        self._labels = torch.from_numpy(images.labels)
        self._batch = batch
        self._seed = seed
        self._shift_pixels = shift_pixels
        self._flip = flip

    def __len__(self) -> int:
        count, rest = divmod(len(self._labels), self._batch)
        return count + (rest > (0 if self._seed is None else 1))

    def __iter__(self) -> Iterator[tuple[Tensor, Tensor]]:
        if self._seed is None:
            for start in range(0, len(self._labels), self._batch):
                yield self._images[start : start + self._batch], self._labels[start : start + self._batch]
            return
        generator = torch.Generator().manual_seed(self._seed)
        order = torch.randperm(len(self._labels), generator=generator)
        for number in range(len(self)):
            rows = order[number * self._batch : (number + 1) * self._batch]
            yield self._augmented(self._images[rows], generator), self._labels[rows]

    def _augmented(self, images: Tensor, generator: torch.Generator) -> Tensor:
        if self._shift_pixels:
            images = _shifted(images, self._shift_pixels, generator)
        if self._flip:
            mirrored = torch.rand(len(images), generator=generator) < 0.5
            images = torch.where(mirrored[:, None, None, None], images.flip(3), images)
        return images


def _shifted(images: Tensor, pixels: int, generator: torch.Generator) -> Tensor:
    """Each image moved by its own -pixels..pixels down and right, zeros coming in."""
    n, _, height, width = images.shape
    padded = F.pad(images, (pixels, pixels, pixels, pixels))
    offsets = torch.randint(0, 2 * pixels + 1, (2, n, 1), generator=generator)
    rows = (torch.arange(height) + offsets[0])[:, :, None]
    columns = (torch.arange(width) + offsets[1])[:, None, :]
    return padded.permute(0, 2, 3, 1)[torch.arange(n)[:, None, None], rows, columns].permute(0, 3, 1, 2)

"""Batches of an image set, shuffled and augmented by a generator of their own: any epoch can be drawn again."""

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import islice

import torch
from torch import Tensor

from mnas_evo.training.augmentation import Augmentation
from mnas_evo.training.pixels import Pixels


@dataclass(frozen=True, slots=True)
class Shuffled:
    """A pass in a random order with images changed at random, both the seed's."""

    seed: int
    augmentation: Augmentation


class Batches:
    """One pass over an image set: (images (n, c, h, w), labels (n,)) a batch, in order or shuffled.

    Shuffled, a last batch of one image is left out, for batch norm needs two.
    """

    def __init__(self, pixels: Pixels, *, batch: int, shuffled: Shuffled | None = None) -> None:
        self._pixels = pixels
        self._batch = batch
        self._shuffled = shuffled

    def __len__(self) -> int:
        count, rest = divmod(len(self._pixels), self._batch)
        return count + (rest > (0 if self._shuffled is None else 1))

    def __iter__(self) -> Iterator[tuple[Tensor, Tensor]]:
        if self._shuffled is None:
            yield from self._pixels.of(self._rows(torch.arange(len(self._pixels))))
            return
        generator = torch.Generator().manual_seed(self._shuffled.seed)
        order = torch.randperm(len(self._pixels), generator=generator)
        for images, labels in self._pixels.of(self._rows(order)):
            yield self._shuffled.augmentation(images, generator=generator), labels

    def _rows(self, order: Tensor) -> list[Tensor]:
        return [order[number * self._batch : (number + 1) * self._batch] for number in range(len(self))]


class Turns:
    """Batches some at a time, drawn as they are used: what a loop does around each turn then falls on several."""

    def __init__(self, batches: Batches, *, size: int) -> None:
        self._batches = batches
        self._size = size

    def __len__(self) -> int:
        return -(-len(self._batches) // self._size)

    def __iter__(self) -> Iterator[Iterator[tuple[Tensor, Tensor]]]:
        batches = iter(self._batches)
        for _ in range(len(self)):
            yield islice(batches, self._size)

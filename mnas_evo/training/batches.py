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


@dataclass(frozen=True, slots=True)
class Shard:
    """One of several processes, which share out the images among them."""

    rank: int = 0
    processes: int = 1

    def seed(self, seed: int) -> int:
        """A process's own of a seed that all have; the first one's is the seed itself."""
        return seed + 1_000_003 * self.rank


ALONE = Shard()


class Batches:
    """One pass over an image set: (images (n, c, h, w), labels (n,)) a batch, in order or shuffled.

    Shuffled, a last batch of one image is left out, for batch norm needs two; and all processes have as many batches.
    """

    def __init__(self, pixels: Pixels, *, batch: int, shuffled: Shuffled | None = None, shard: Shard = ALONE) -> None:
        self._pixels = pixels
        self._batch = batch
        self._shuffled = shuffled
        self._shard = shard

    def __len__(self) -> int:
        rank, processes = self._shard.rank, self._shard.processes
        images = len(self._pixels) // processes
        if self._shuffled is None:
            images += rank < len(self._pixels) % processes
        count, rest = divmod(images, self._batch)
        return count + (rest > (0 if self._shuffled is None else 1))

    def __iter__(self) -> Iterator[tuple[Tensor, Tensor]]:
        if self._shuffled is None:
            yield from self._pixels.of(self._rows(torch.arange(len(self._pixels))))
            return
        generator = torch.Generator().manual_seed(self._shuffled.seed)
        order = torch.randperm(len(self._pixels), generator=generator)
        order = order[: len(order) // self._shard.processes * self._shard.processes]
        if self._shard.rank:
            generator.manual_seed(self._shard.seed(self._shuffled.seed))
        for images, labels in self._pixels.of(self._rows(order)):
            yield self._shuffled.augmentation(images, generator=generator), labels

    def _rows(self, order: Tensor) -> list[Tensor]:
        order = order[self._shard.rank :: self._shard.processes]
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

"""Where the pixels of a batch come from: a tensor on the training device, or a source that is read ahead of need."""

from collections import deque
from collections.abc import Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Protocol

import torch
from torch import Tensor

from mnas_evo.data.images import Images, ImageSet

_AHEAD = 4  # batches: a slow read is made up for by three quick ones


class Pixels(Protocol):
    """Images of a set and their labels, by rows."""

    def __len__(self) -> int:
        """How many images there are."""
        ...

    def of(self, rows: Sequence[Tensor]) -> Iterator[tuple[Tensor, Tensor]]:
        """For each of several int64 (n,): images uint8 (n, c, h, w) and labels (n,), on the device."""
        ...


def pixels_on(device: str, images: Images) -> Pixels:
    """The pixels of an image set for a device: one tensor on it where the set is in memory, else read ahead."""
    return Resident(images, device=device) if isinstance(images, ImageSet) else ReadAhead(images, device=device)


class Resident:
    """An image set as one tensor on the device."""

    def __init__(self, images: ImageSet, *, device: str) -> None:
        self._images = torch.from_numpy(images.images).to(device)
        self._labels = torch.from_numpy(images.labels).to(device)

    def __len__(self) -> int:
        return len(self._labels)

    def of(self, rows: Sequence[Tensor]) -> Iterator[tuple[Tensor, Tensor]]:
        """Each batch as it is asked for."""
        for wanted in rows:
            here = wanted.to(self._labels.device)
            yield self._images[here], self._labels[here]


class ReadAhead:
    """An image set that is read batch by batch, in order, by a thread that keeps some batches ahead."""

    def __init__(self, images: Images, *, device: str) -> None:
        self._images = images
        self._labels = torch.from_numpy(images.labels).to(device)

    def __len__(self) -> int:
        return len(self._images)

    def of(self, rows: Sequence[Tensor]) -> Iterator[tuple[Tensor, Tensor]]:
        """Each batch as it was asked for; the thread ends with the iteration, also with one that is broken off."""
        waiting: deque[Future[tuple[Tensor, Tensor]]] = deque()
        reader = ThreadPoolExecutor(1, thread_name_prefix="read-ahead")
        try:
            for wanted in rows:
                waiting.append(reader.submit(self._read, wanted))
                if len(waiting) > _AHEAD:
                    yield waiting.popleft().result()
            while waiting:
                yield waiting.popleft().result()
        finally:
            reader.shutdown(cancel_futures=True)

    def _read(self, rows: Tensor) -> tuple[Tensor, Tensor]:
        device = self._labels.device
        return torch.from_numpy(self._images.pixels(rows.numpy())).to(device), self._labels[rows.to(device)]

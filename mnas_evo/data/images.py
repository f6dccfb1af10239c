"""What training and evaluation read: labelled images, in memory or decoded when they are asked for."""

from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray


class Images(Protocol):
    """Labelled images of one shape."""

    @property
    def labels(self) -> NDArray[np.int64]:
        """Class of each image, (n,)."""

    @property
    def shape(self) -> tuple[int, int, int]:
        """Channels, height and width of every image."""

    def __len__(self) -> int:
        """Number of images."""

    def pixels(self, rows: NDArray[np.int64]) -> NDArray[np.uint8]:
        """Some of the images, (len(rows), channels, height, width).

        Raises:
            DamagedFile: an image cannot be decoded; only images that are decoded on access come so far.
        """

    def rows(self, rows: NDArray[np.int64]) -> "Images":
        """Some of the images with their labels."""


@dataclass(frozen=True, slots=True)
class ImageSet:
    """Images in memory as uint8 (n, channels, height, width) with labels as int64 (n,)."""

    images: NDArray[np.uint8]
    labels: NDArray[np.int64]

    @property
    def shape(self) -> tuple[int, int, int]:
        """Channels, height and width of every image."""
        _, channels, height, width = self.images.shape
        return channels, height, width

    def __len__(self) -> int:
        return len(self.labels)

    def pixels(self, rows: NDArray[np.int64]) -> NDArray[np.uint8]:
        """Some of the images, (len(rows), channels, height, width)."""
        return self.images[rows]

    def rows(self, rows: NDArray[np.int64]) -> "ImageSet":
        """Some of the images with their labels."""
        return ImageSet(self.images[rows], self.labels[rows])

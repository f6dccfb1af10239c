"""Image data sets by name, and their seeded splits. What a search gets holds no test image, by construction."""

from dataclasses import dataclass
from functools import lru_cache

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from sklearn.datasets import load_digits
from sklearn.model_selection import train_test_split

from mnas_evo.errors import UnknownData

NAMES = ("digits",)
_TEST_SHARE = 0.2
_VALIDATION_SHARE = 0.25
_TEST_SEED = 0  # the test split is the data set's own: no seed of a search or a training moves it


@dataclass(frozen=True, slots=True)
class ImageSet:
    """Images as uint8 (n, channels, height, width) with labels as int64 (n,)."""

    images: NDArray[np.uint8]
    labels: NDArray[np.int64]

    def __len__(self) -> int:
        return len(self.labels)

    def rows(self, rows: NDArray[np.int64]) -> "ImageSet":
        """Some of the images."""
        return ImageSet(self.images[rows], self.labels[rows])


@dataclass(frozen=True, slots=True)
class SearchData:
    """What a search may see: training and validation images, and what the classes are called."""

    name: str
    classes: tuple[str, ...]
    train: ImageSet
    validation: ImageSet


def search_data(name: str, *, seed: int = 0) -> SearchData:
    """Training and validation images of a data set; the split between them is the seed's.

    Raises:
        UnknownData: no such data set.
    """
    classes, everything = _load(name)
    learn, _ = _test_split(everything)
    train, validation = train_test_split(
        learn, test_size=_VALIDATION_SHARE, random_state=seed, stratify=everything.labels[learn]
    )
    return SearchData(name, classes, everything.rows(np.sort(train)), everything.rows(np.sort(validation)))


def test_data(name: str) -> ImageSet:
    """Test images of a data set, which only final evaluation reads.

    Raises:
        UnknownData: no such data set.
    """
    _, everything = _load(name)
    return everything.rows(_test_split(everything)[1])


def _test_split(everything: ImageSet) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    learn, test = train_test_split(
        np.arange(len(everything)), test_size=_TEST_SHARE, random_state=_TEST_SEED, stratify=everything.labels
    )
    return np.sort(learn), np.sort(test)


@lru_cache(maxsize=2)  # a proxy search reads the same set for every network
def _load(name: str) -> tuple[tuple[str, ...], ImageSet]:
    if name != "digits":
        raise UnknownData(f"no data set {name!r} here; known are {', '.join(NAMES)}")
    return _digits()


def _digits() -> tuple[tuple[str, ...], ImageSet]:
    """1,797 scans of handwritten digits (Alpaydin and Kaynak 1998, in scikit-learn), enlarged from 8x8 to 32x32."""
    found = load_digits()
    small = torch.from_numpy(found.images.astype(np.float32))[:, None] * (255 / 16)
    large = F.interpolate(small, size=(32, 32), mode="bilinear", align_corners=False)
    images = large.round().clamp(0, 255).to(torch.uint8).numpy()
    return tuple(str(digit) for digit in range(10)), ImageSet(images, found.target.astype(np.int64))

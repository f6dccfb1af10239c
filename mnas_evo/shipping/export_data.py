"""The images of an export: few to calibrate on, some to judge on, and the test images, which are only reported."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from mnas_evo.data.datasets import fewer, search_data, search_split, test_data
from mnas_evo.data.images import Images
from mnas_evo.errors import RequestError
from mnas_evo.shipping.class_matching import Matched, match_data
from mnas_evo.training.checkpoint import Checkpoint
from mnas_evo.training.metrics import check_images

CALIBRATION_IMAGES = 512
_VALIDATION_MOST = 2_000  # each trial of what stays in float reads them all


@dataclass(frozen=True, slots=True)
class Labelled:
    """Images with their labels as the network's classes, (n,)."""

    images: Images
    labels: NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class JudgingData:
    """Training images that calibrate, and validation images that judge."""

    calibration: Images
    validation: Labelled


def read_test(checkpoint: Checkpoint, data: str) -> tuple[Labelled, str]:
    """Test images of a data set, and what must be known of how its classes were matched.

    Raises:
        UnknownData: no such data set.
        RequestError: images or classes that do not fit the network.
        DamagedFile: images that cannot be read.
    """
    matched = match_data(checkpoint, data)
    found = _labelled(checkpoint, test_data(data, size=_size(checkpoint)), matched)
    return found, matched.said


def read_judging(checkpoint: Checkpoint, data: str, *, calibration: int | None, seed: int) -> JudgingData:
    """Calibration images (None: 512, or all where there are fewer) and at most 2,000 validation images, by a seed.

    The split is that of a training with this seed; no test image is in either.

    Raises:
        RequestError: more calibration images than there are, or images or classes that do not fit the network.
        UnknownData, DamagedFile: as `read_test`.
    """
    matched = match_data(checkpoint, data)
    there = search_split(data, seed=seed).train
    count = min(CALIBRATION_IMAGES, there) if calibration is None else calibration
    if not 1 <= count <= there:
        raise RequestError(
            f"--calibration {count}: {data} has {there:,} training images; give 1 to {there}, some hundreds are enough"
        )
    # Fewer, so that no other training image is decoded.
    found = search_data(fewer(data, count), seed=seed, size=_size(checkpoint))
    calibrates = _labelled(checkpoint, found.train, matched).images
    return JudgingData(calibrates, _labelled(checkpoint, _some(found.validation, seed=seed), matched))


def _some(images: Images, *, seed: int) -> Images:
    if len(images) <= _VALIDATION_MOST:
        return images
    rows = np.random.default_rng(seed).choice(len(images), _VALIDATION_MOST, replace=False)
    return images.rows(np.sort(rows))


def _labelled(checkpoint: Checkpoint, images: Images, matched: Matched) -> Labelled:
    found = Labelled(images, matched.labels(images.labels))
    check_images(checkpoint, images, found.labels)
    return found


def _size(checkpoint: Checkpoint) -> tuple[int, int]:
    return checkpoint.network.frame.height, checkpoint.network.frame.width

"""Normalisation: mean and deviation of the pixels themselves, and of a sample of many."""

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from mnas_evo.data.datasets import ImageSet
from mnas_evo.training.normalisation import SAMPLE, Normalisation


def image_set(n: int, channels: int = 2, side: int = 3) -> ImageSet:
    images = np.random.default_rng(n).integers(0, 256, size=(n, channels, side, side), dtype=np.uint8)
    return ImageSet(images, np.zeros(n, dtype=np.int64))


@given(n=st.integers(1, 600), channels=st.integers(1, 3))
def test_it_is_the_mean_and_deviation_of_each_channel(n: int, channels: int) -> None:
    images = image_set(n, channels)
    pixels = images.images.astype(np.float64)
    found = Normalisation.of(images)
    assert found.mean == pytest.approx(pixels.mean((0, 2, 3)))
    assert found.deviation == pytest.approx(pixels.std((0, 2, 3), ddof=1))


def test_normalised_images_have_mean_0_and_deviation_1_whether_whole_numbers_or_not() -> None:
    images = image_set(50)
    pixels = torch.from_numpy(images.images)
    found = Normalisation.of(images).apply(pixels)
    assert found.dtype == torch.float32
    assert torch.allclose(found.mean((0, 2, 3)), torch.zeros(2), atol=1e-5)
    assert torch.allclose(found.std((0, 2, 3)), torch.ones(2), atol=1e-5)
    assert torch.equal(Normalisation.of(images).apply(pixels.float()), found)


def test_a_channel_of_one_value_is_not_divided_by_zero() -> None:
    images = ImageSet(np.full((4, 1, 2, 2), 9, dtype=np.uint8), np.zeros(4, dtype=np.int64))
    assert (Normalisation.of(images).apply(torch.from_numpy(images.images)) == 0).all()


def test_of_many_images_it_reads_a_sample_evenly_spaced_from_the_first_to_the_last() -> None:
    images = np.zeros((2 * SAMPLE - 1, 1, 1, 1), dtype=np.uint8)
    images[::2] = 200
    assert Normalisation.of(ImageSet(images, np.zeros(len(images), dtype=np.int64))).mean == (200.0,)

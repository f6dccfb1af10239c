"""Batches: every image once, moved but not changed, the same for a seed."""

import numpy as np
import torch

from mnas_evo.data.datasets import ImageSet
from mnas_evo.training.batches import Batches


def image_set(n: int = 23) -> ImageSet:
    images = np.random.default_rng(0).integers(1, 256, size=(n, 2, 6, 5), dtype=np.uint8)
    return ImageSet(images, np.arange(n))


def test_a_pass_holds_every_image_once_in_an_order_of_the_seed() -> None:
    labels = [torch.cat([labels for _, labels in Batches(image_set(), batch=8, seed=seed)]) for seed in (1, 1, 2)]
    assert sorted(labels[0].tolist()) == list(range(23))
    assert labels[0].tolist() == labels[1].tolist() != labels[2].tolist()


def test_a_last_batch_of_one_is_left_out_of_training_and_kept_in_validation() -> None:
    assert len(list(Batches(image_set(17), batch=8, seed=0))) == len(Batches(image_set(17), batch=8, seed=0)) == 2
    assert sum(len(labels) for _, labels in Batches(image_set(17), batch=8)) == 17


def test_shifting_moves_each_image_whole_and_fills_with_zeros() -> None:
    given = image_set()
    for images, labels in Batches(given, batch=8, seed=3, shift_pixels=2):
        for image, label in zip(images.numpy(), labels.tolist(), strict=True):
            original = np.pad(given.images[label], ((0, 0), (2, 2), (2, 2)))
            windows = [original[:, y : y + 6, x : x + 5] for y in range(5) for x in range(5)]
            assert any(np.array_equal(image, window) for window in windows)


def test_mirroring_gives_the_image_or_its_mirror_and_both_occur() -> None:
    given, seen = image_set(), set()
    for images, labels in Batches(given, batch=8, seed=3, flip=True):
        for image, label in zip(images.numpy(), labels.tolist(), strict=True):
            same, mirrored = (np.array_equal(image, g) for g in (given.images[label], given.images[label][:, :, ::-1]))
            assert same or mirrored
            seen.add(same)
    assert seen == {True, False}

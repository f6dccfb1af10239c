"""Batches: every image once, the same for a seed, in memory or read ahead of need."""

import threading
import time
from collections.abc import Iterator
from itertools import chain

import numpy as np
import pytest
import torch
from support.streams import Streamed

from mnas_evo.data.datasets import ImageSet
from mnas_evo.training.augmentation import Augmentation
from mnas_evo.training.batches import Batches, Shard, Shuffled, Turns
from mnas_evo.training.pixels import ReadAhead, Resident, pixels_on
from mnas_evo.training.recipe import Recipe, load_recipe

PLAIN = load_recipe("quick").model_copy(update={"shift_pixels": 0})
CHANGED = PLAIN.model_copy(update={"shift_pixels": 2, "flip": True, "erase": 0.5})
SHAPE = (2, 6, 5)


def image_set(n: int = 23) -> ImageSet:
    images = np.random.default_rng(0).integers(1, 256, size=(n, *SHAPE), dtype=np.uint8)
    return ImageSet(images, np.arange(n))


def shuffled(n: int = 23, *, seed: int, recipe: Recipe = PLAIN) -> Batches:
    augmentation = Augmentation(recipe, shape=SHAPE)
    return Batches(Resident(image_set(n), device="cpu"), batch=8, shuffled=Shuffled(seed, augmentation))


def test_a_pass_holds_every_image_once_in_an_order_of_the_seed() -> None:
    labels = [torch.cat([labels for _, labels in shuffled(seed=seed)]) for seed in (1, 1, 2)]
    assert sorted(labels[0].tolist()) == list(range(23))
    assert labels[0].tolist() == labels[1].tolist() != labels[2].tolist()


def test_a_pass_in_order_gives_the_images_as_they_are() -> None:
    given = image_set()
    batches = list(Batches(Resident(given, device="cpu"), batch=8))
    assert torch.equal(torch.cat([images for images, _ in batches]), torch.from_numpy(given.images))
    assert torch.cat([labels for _, labels in batches]).tolist() == list(range(23))


def test_a_last_batch_of_one_is_left_out_of_training_and_kept_in_validation() -> None:
    assert [len(labels) for _, labels in shuffled(17, seed=0)] == [8, 8]
    assert len(shuffled(17, seed=0)) == 2
    assert [len(labels) for _, labels in Batches(Resident(image_set(17), device="cpu"), batch=8)] == [8, 8, 1]


def test_images_in_memory_are_one_tensor_and_others_are_read_ahead() -> None:
    assert isinstance(pixels_on("cpu", image_set()), Resident)
    assert isinstance(pixels_on("cpu", Streamed(image_set())), ReadAhead)


@pytest.mark.parametrize("n", [3, 23, 200])
def test_images_read_ahead_come_as_those_in_memory_do(n: int) -> None:
    augmentation = Augmentation(CHANGED, shape=SHAPE)
    passes = [
        list(Batches(pixels_on("cpu", images), batch=8, shuffled=Shuffled(5, augmentation)))
        for images in (image_set(n), Streamed(image_set(n)))
    ]
    assert len(passes[0]) == len(passes[1]) > 0
    for (images, labels), (same_images, same_labels) in zip(*passes, strict=True):
        assert torch.equal(images, same_images) and torch.equal(labels, same_labels)


def first_of(batches: Iterator[tuple[torch.Tensor, torch.Tensor]]) -> list[int]:
    _, labels = next(batches)
    return [int(label) for label in labels]


def test_reading_runs_some_batches_ahead_in_a_thread_that_ends_with_the_pass() -> None:
    streamed = Streamed(image_set(200))
    running = iter(Batches(pixels_on("cpu", streamed), batch=8))
    assert first_of(running) == list(range(8))
    deadline = time.monotonic() + 30
    while len(streamed.asked) < 5 and time.monotonic() < deadline:
        time.sleep(0.001)
    (reader,) = streamed.readers
    assert reader is not threading.current_thread()
    running.close()  # type: ignore[attr-defined]
    assert not reader.is_alive()
    assert len(streamed.asked) == 5  # of 25: the first, and 4 ahead; a pass that is broken off does not read on
    assert streamed.asked == [list(range(start, start + 8)) for start in range(0, 8 * len(streamed.asked), 8)]


def test_an_image_that_cannot_be_read_is_an_error_at_its_batch() -> None:
    batches = iter(Batches(pixels_on("cpu", Streamed(image_set(), breaks_at=20)), batch=8))
    assert [first_of(batches)[0] for _ in range(2)] == [0, 8]
    with pytest.raises(OSError, match="the disk is gone"):
        next(batches)


@pytest.mark.parametrize("size", [1, 2, 3, 99])
def test_turns_hold_every_batch_in_order_and_draw_each_when_it_is_used(size: int) -> None:
    turns = Turns(Batches(Resident(image_set(23), device="cpu"), batch=4), size=size)
    given = [[labels.tolist() for _, labels in turn] for turn in turns]
    assert len(given) == len(turns)
    assert max(map(len, given)) == min(size, 6)
    assert list(chain(*chain(*given))) == list(range(23))
    streamed = Streamed(image_set(200))
    first = next(iter(Turns(Batches(pixels_on("cpu", streamed), batch=8), size=20)))
    assert streamed.asked == []
    assert first_of(first) == list(range(8))


@pytest.mark.parametrize("processes", [2, 3])
def test_processes_share_out_a_shuffled_pass_in_equal_parts_with_changes_of_their_own(processes: int) -> None:
    augmentation = Augmentation(CHANGED, shape=SHAPE)
    given = Resident(image_set(23), device="cpu")
    passes = [
        Batches(given, batch=4, shuffled=Shuffled(5, augmentation), shard=Shard(rank, processes))
        for rank in range(processes)
    ]
    found = [list(one) for one in passes]
    labels = [torch.cat([known for _, known in batches]).tolist() for batches in found]
    assert {len(one) for one in passes} == {len(batches) for batches in found} == {-(-(23 // processes) // 4)}
    assert sum(map(len, labels)) == len({label for known in labels for label in known}) == 23 // processes * processes


def test_the_first_of_one_process_draws_what_a_process_alone_draws() -> None:
    augmentation = Augmentation(CHANGED, shape=SHAPE)
    given = Resident(image_set(), device="cpu")
    alone = Batches(given, batch=4, shuffled=Shuffled(5, augmentation))
    first = Batches(given, batch=4, shuffled=Shuffled(5, augmentation), shard=Shard(0, 1))
    assert all(torch.equal(a, b) for (a, _), (b, _) in zip(alone, first, strict=True))


def test_processes_validate_every_image_once() -> None:
    given = Resident(image_set(23), device="cpu")
    found = [
        label
        for rank in range(3)
        for _, labels in Batches(given, batch=4, shard=Shard(rank, 3))
        for label in labels.tolist()
    ]
    assert sorted(found) == list(range(23))
    assert [len(Batches(given, batch=4, shard=Shard(rank, 3))) for rank in range(3)] == [2, 2, 2]

"""The feed: batches of an epoch are the seed's, and a batch's pieces make it up."""

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from mnas_evo.data.datasets import ImageSet
from mnas_evo.errors import TrainingFailed
from mnas_evo.training.feed import Feed
from mnas_evo.training.recipe import load_recipe

RECIPE = load_recipe("quick").model_copy(update={"batch": 16, "flip": True, "erase": 0.3})


def image_set(n: int) -> ImageSet:
    rng = np.random.default_rng(n)
    return ImageSet(rng.integers(0, 256, size=(n, 3, 8, 8), dtype=np.uint8), rng.integers(0, 4, size=n))


def feed(*, seed: int = 0, parts: int = 1, batch: int = 16) -> Feed:
    data = image_set(60), image_set(100)
    return Feed(data, RECIPE.model_copy(update={"batch": batch}), seed=seed, parts=parts)


def epoch_of(given: Feed, epoch: int) -> tuple[torch.Tensor, torch.Tensor]:
    images, labels = zip(*given.training(epoch), strict=True)
    return torch.cat(images), torch.cat(labels)


def test_an_epoch_is_the_same_for_its_seed_and_number_whatever_was_drawn_before() -> None:
    one, again = feed(), feed()
    for epoch in (0, 1):
        epoch_of(again, epoch)
    images, labels = epoch_of(one, 2)
    same_images, same_labels = epoch_of(again, 2)
    assert torch.equal(images, same_images) and torch.equal(labels, same_labels)
    for other, _ in (epoch_of(one, 1), epoch_of(feed(seed=1), 2)):
        assert not torch.equal(images, other)


def test_an_epochs_batches_are_the_same_however_many_parts_they_run_in() -> None:
    whole, in_parts = feed(), feed(parts=8)
    assert whole.steps() == in_parts.steps() == len(list(whole.training(0))) == 4
    assert torch.equal(epoch_of(whole, 0)[0], epoch_of(in_parts, 0)[0])


def test_validation_images_are_those_given_in_order_and_smaller_batches_hold_them_too() -> None:
    for each in (feed(), feed(parts=8)):
        images, labels = zip(*each.validation(), strict=True)
        assert torch.equal(torch.cat(images), torch.from_numpy(image_set(100).images))
        assert torch.cat(labels).tolist() == image_set(100).labels.tolist()
        assert each.validation_images == 100
    assert len(feed(parts=8).validation()) == 8 * len(feed().validation()) - 3  # 64 a batch, and 8


def test_normalised_images_are_on_the_scale_of_the_training_images() -> None:
    given = feed()
    pixels = torch.from_numpy(image_set(60).images)
    assert torch.equal(given.normalised(pixels), given.normalisation.apply(pixels))
    assert given.normalised(pixels).is_contiguous(memory_format=torch.channels_last)
    assert abs(float(given.normalised(pixels).mean())) < 1e-5


@given(doublings=st.integers(0, 6), batch=st.integers(2, 130), last=st.integers(2, 130))
def test_pieces_make_up_their_batch_and_none_has_fewer_than_two_images(doublings: int, batch: int, last: int) -> None:
    parts = 2**doublings
    if batch // parts < 2:
        with pytest.raises(TrainingFailed, match="out of memory"):
            feed(parts=parts, batch=batch)
        return
    count = min(batch, last)
    images, labels = torch.arange(count)[:, None], torch.arange(count)
    pieces = feed(parts=parts, batch=batch).pieces(images, labels)
    assert torch.equal(torch.cat([piece for piece, _, _ in pieces]), images)
    assert torch.equal(torch.cat([piece for _, piece, _ in pieces]), labels)
    sizes = [len(piece) for piece, _, _ in pieces]
    assert [len(piece) for _, piece, _ in pieces] == sizes
    assert [share for _, _, share in pieces] == pytest.approx([size / count for size in sizes])
    assert min(sizes) >= 2 and max(sizes) <= -(-batch // parts) + (count < 2 * parts)

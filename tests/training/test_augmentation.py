"""Augmentation: what is moved and mirrored keeps its pixels, all of it is the generator's, and off is off."""

import numpy as np
import pytest
import torch
from torch import Tensor

from mnas_evo.training.augmentation import Augmentation
from mnas_evo.training.recipe import load_recipe

QUICK = load_recipe("quick")
EVERYTHING = {"shift_pixels": 2, "flip": True, "crop_area": 0.5, "color_jitter": 0.3, "erase": 0.5}


def images(n: int = 40, channels: int = 3, height: int = 6, width: int = 5) -> Tensor:
    generator = torch.Generator().manual_seed(1)
    return torch.randint(1, 256, (n, channels, height, width), generator=generator, dtype=torch.uint8)


def changed(given: Tensor, *, seed: int = 3, **fields: float) -> Tensor:
    recipe = QUICK.model_copy(update={"shift_pixels": 0, **fields})
    _, *shape = given.shape
    augmentation = Augmentation(recipe, shape=(shape[0], shape[1], shape[2]))
    return augmentation(given, generator=torch.Generator().manual_seed(seed))


def test_without_augmentation_images_are_those_given() -> None:
    assert torch.equal(changed(images()), images())


def test_shifting_moves_each_image_whole_and_fills_with_zeros() -> None:
    seen = set()
    for image, original in zip(changed(images(200), shift_pixels=2).numpy(), images(200).numpy(), strict=True):
        padded = np.pad(original, ((0, 0), (2, 2), (2, 2)))
        places = [(y, x) for y in range(5) for x in range(5) if np.array_equal(image, padded[:, y : y + 6, x : x + 5])]
        assert image.dtype == np.uint8 and len(places) == 1
        seen.update(places)
    assert len(seen) == 25  # every way occurs


def test_mirroring_gives_the_image_or_its_mirror_and_both_occur() -> None:
    seen = []
    for image, original in zip(changed(images(), flip=1).numpy(), images().numpy(), strict=True):
        same, mirrored = np.array_equal(image, original), np.array_equal(image, original[:, :, ::-1])
        assert image.dtype == np.uint8 and same != mirrored
        seen.append(same)
    assert 10 < sum(seen) < 30


def test_a_resized_crop_enlarges_a_part_of_at_least_the_area_asked_for() -> None:
    ramp = torch.arange(64, dtype=torch.uint8).expand(50, 1, 64, 64)  # a pixel's value is its column
    found = changed(ramp, crop_area=0.25)
    assert found.shape == ramp.shape and found.dtype == torch.float32
    columns = found[:, 0].amax((1, 2)) - found[:, 0].amin((1, 2)) + 1
    assert (columns >= 64 * 0.25**0.5 * 0.75**0.5 - 1).all()  # the narrowest: a quarter of the area, 3 wide to 4 high
    assert (columns <= 64.001).all() and columns.min() < 40


def test_jitter_changes_each_image_by_its_own_factors_within_the_scale() -> None:
    grey = torch.full((50, 3, 4, 4), 100, dtype=torch.uint8)
    found = changed(grey, color_jitter=0.2)
    levels = found.mean((1, 2, 3))
    assert (found.std((2, 3)) < 1e-3).all()  # contrast and saturation leave one grey as it is
    assert (levels > 79.9).all() and (levels < 120.1).all() and levels.std() > 5
    assert changed(images(), color_jitter=0.9).min() >= 0 and changed(images(), color_jitter=0.9).max() <= 255


@pytest.mark.parametrize("channels", [1, 3, 4])
def test_jitter_takes_images_of_any_number_of_channels(channels: int) -> None:
    given = images(channels=channels)
    found = changed(given, color_jitter=0.2)
    assert found.shape == given.shape and not torch.equal(found, given.float())


def test_erasing_blackens_a_rectangle_in_the_share_of_images_asked_for() -> None:
    found = changed(images(200, height=16, width=16), erase=0.25)
    black = (found == 0).all(1)  # no pixel was black
    hit = black.flatten(1).any(1)
    assert 30 < hit.sum() < 70
    for mask in black[hit]:
        rows, columns = mask.any(1), mask.any(0)
        assert torch.equal(mask, rows[:, None] & columns[None])
    assert torch.allclose(found[~hit], images(200, height=16, width=16)[~hit].float(), atol=1e-3)


def test_the_generator_draws_everything_and_no_other_is_moved() -> None:
    torch.manual_seed(7)
    before = torch.random.get_rng_state()
    one, again, other = (changed(images(), seed=seed, **EVERYTHING) for seed in (1, 1, 2))
    assert torch.equal(torch.random.get_rng_state(), before)
    torch.manual_seed(8)
    assert torch.equal(one, again) and torch.equal(one, changed(images(), seed=1, **EVERYTHING))
    assert not torch.equal(one, other)


@pytest.mark.parametrize("field", EVERYTHING)
def test_a_generator_that_has_moved_on_draws_anew(field: str) -> None:
    recipe = QUICK.model_copy(update={"shift_pixels": 0, field: EVERYTHING[field]})
    augmentation = Augmentation(recipe, shape=(3, 6, 5))
    generator = torch.Generator().manual_seed(0)
    assert not torch.equal(augmentation(images(), generator=generator), augmentation(images(), generator=generator))

"""Random changes to the images of a batch, by kornia, on the device the images are on; a generator draws them all."""

from collections.abc import Callable

import torch
import torch.nn.functional as F
from kornia.augmentation import ColorJitter, RandomErasing, RandomResizedCrop
from kornia.geometry.transform import crop_by_indices, hflip
from torch import Tensor

from mnas_evo.training.recipe import Recipe


class Augmentation:
    """A recipe's augmentation of images of one shape (c, h, w).

    Moves and mirrors are copies of pixels and stay uint8: kornia's RandomCrop takes floats and three times as long.
    """

    def __init__(self, recipe: Recipe, *, shape: tuple[int, int, int]) -> None:
        channels, height, width = shape
        self._shift_pixels, self._flip = recipe.shift_pixels, recipe.flip
        self._changes: list[Callable[[Tensor], Tensor]] = []
        if recipe.crop_area < 1:
            scale = (recipe.crop_area, 1.0)
            self._changes.append(RandomResizedCrop((height, width), scale=scale, cropping_mode="resample"))
        if recipe.color_jitter > 0:
            saturation = recipe.color_jitter if channels == 3 else 0.0
            self._changes.append(ColorJitter(recipe.color_jitter, recipe.color_jitter, saturation, 0.0))
        if recipe.erase > 0:
            self._changes.append(RandomErasing(p=recipe.erase))

    def __call__(self, images: Tensor, *, generator: torch.Generator) -> Tensor:
        """Images uint8 (n, c, h, w) changed: uint8 still, or float32 on the scale 0 to 255."""
        if self._shift_pixels:
            images = _shifted(images, self._shift_pixels, generator)
        if self._flip:
            mirrored = (torch.rand(len(images), generator=generator) < 0.5).to(images.device)
            images = torch.where(mirrored[:, None, None, None], hflip(images), images)
        if not self._changes:
            return images
        seed = int(torch.randint(2**62, (), generator=generator))
        with torch.random.fork_rng(devices=[]):  # kornia draws from the CPU's global generator, and from it alone
            torch.default_generator.manual_seed(seed)
            images = images / 255
            for change in self._changes:
                images = change(images)
        return images * 255


def _shifted(images: Tensor, pixels: int, generator: torch.Generator) -> Tensor:
    """Each image moved by its own -pixels..pixels down and right, zeros coming in."""
    n, _, height, width = images.shape
    padded = F.pad(images, (pixels, pixels, pixels, pixels))
    corners = torch.tensor([[0, 0], [width - 1, 0], [width - 1, height - 1], [0, height - 1]])
    offsets = torch.randint(0, 2 * pixels + 1, (n, 1, 2), generator=generator)
    return crop_by_indices(padded, corners + offsets, (height, width))

"""Image folders made for tests, whose classes differ in colour."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from PIL import Image


def write_colours(folder: Path, names: Sequence[str]) -> str:
    """An image folder of small noisy images and its DATA string; of class k there are 2 + k test images."""
    rng = np.random.default_rng(0)
    for split in ("train", "test"):
        for place, name in enumerate(names):
            (folder / split / name).mkdir(parents=True)
            for number in range(12 if split == "train" else 2 + place):
                pixels = rng.integers(0, 60, (8, 8, 3), np.uint8)
                pixels[..., place % 3] += 150
                Image.fromarray(pixels).save(folder / split / name / f"{number}.png")
    return f"imagefolder:{folder}"

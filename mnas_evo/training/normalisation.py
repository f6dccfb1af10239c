"""Mean and deviation of a data set's channels: what a network's input is scaled by, in training and ever after."""

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from mnas_evo.data.images import Images

SAMPLE = 20_000
_CHUNK = 256
_LEAST_DEVIATION = 1e-3  # a channel of one value is no reason to divide by 0


@dataclass(frozen=True, slots=True)
class Normalisation:
    """Mean and deviation of each channel of the training images, on the scale 0 to 255."""

    mean: tuple[float, ...]
    deviation: tuple[float, ...]

    @classmethod
    def of(cls, images: Images) -> "Normalisation":
        """The normalisation of an image set, from at most 20,000 images evenly spaced in it."""
        rows = np.linspace(0, len(images) - 1, min(len(images), SAMPLE)).round().astype(np.int64)
        channels = images.shape[0]
        counts = torch.zeros(channels, 256, dtype=torch.int64)  # of each value: exact, whatever the chunks
        for start in range(0, len(rows), _CHUNK):
            pixels = torch.from_numpy(images.pixels(rows[start : start + _CHUNK]))
            for channel in range(channels):
                counts[channel] += torch.bincount(pixels[:, channel].flatten(), minlength=256)
        values = torch.arange(256, dtype=torch.float64)
        total = counts.sum(1)
        mean = (counts * values).sum(1) / total
        variance = (counts * (values - mean[:, None]) ** 2).sum(1) / (total - 1).clamp_min(1)
        return cls(tuple(mean.tolist()), tuple(variance.sqrt().clamp_min(_LEAST_DEVIATION).tolist()))

    def apply(self, images: Tensor) -> Tensor:
        """Images (n, c, h, w), uint8 or float on the scale 0 to 255, as normalised float32."""
        mean = torch.tensor(self.mean, dtype=torch.float32, device=images.device)[:, None, None]
        deviation = torch.tensor(self.deviation, dtype=torch.float32, device=images.device)[:, None, None]
        return (images.float() - mean) / deviation

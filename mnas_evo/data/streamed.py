"""Images decoded when they are asked for, for sets that are too large to be kept decoded."""

from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from mnas_evo.data.decoding import Form, decode
from mnas_evo.data.parts import Part


@dataclass(frozen=True, eq=False)
class StreamedImages:
    """Some images of a split; each access decodes anew, in a few threads."""

    part: Part
    chosen: NDArray[np.int64]
    form: Form

    @cached_property
    def labels(self) -> NDArray[np.int64]:
        """Class of each image, (n,)."""
        return self.part.labels[self.chosen]

    @property
    def shape(self) -> tuple[int, int, int]:
        """Channels, height and width of every image."""
        return self.form.shape

    def __len__(self) -> int:
        return len(self.chosen)

    def pixels(self, rows: NDArray[np.int64]) -> NDArray[np.uint8]:
        """Some of the images, (len(rows), channels, height, width).

        Raises:
            DamagedFile: one of them cannot be decoded.
            RequestError: one has another size, where no size was given.
        """
        return decode(self.part, self.chosen[rows], self.form)

    def rows(self, rows: NDArray[np.int64]) -> "StreamedImages":
        """Some of the images with their labels."""
        return StreamedImages(self.part, self.chosen[rows], self.form)

"""Images that are read when asked for, as those of large data sets are."""

import threading
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from mnas_evo.data.images import ImageSet


@dataclass
class Streamed:
    """Remembers who read which rows, and fails at one where it is told to."""

    behind: ImageSet
    breaks_at: int = -1
    asked: list[list[int]] = field(default_factory=list)
    readers: set[threading.Thread] = field(default_factory=set)

    @property
    def labels(self) -> NDArray[np.int64]:
        return self.behind.labels

    @property
    def shape(self) -> tuple[int, int, int]:
        return self.behind.shape

    def __len__(self) -> int:
        return len(self.behind)

    def pixels(self, rows: NDArray[np.int64]) -> NDArray[np.uint8]:
        self.asked.append(rows.tolist())
        self.readers.add(threading.current_thread())
        if self.breaks_at in rows:
            raise OSError("the disk is gone")
        return self.behind.images[rows]

    def rows(self, rows: NDArray[np.int64]) -> "Streamed":
        return Streamed(self.behind.rows(rows))

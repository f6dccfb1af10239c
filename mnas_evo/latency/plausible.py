"""Whether times can be in ms at all: each beside what its size makes of the others."""

from collections.abc import Iterable, Sequence

import numpy as np
from numpy.typing import NDArray

from mnas_evo.errors import DamagedFile
from mnas_evo.space.graph import Layer

FEWEST = 20
_NEAREST = 21  # itself among them
# The next unit lies a factor of 1,000 away; no row of the tables seen so far lies more than 5 beside its size.
MOST_BESIDE = 100.0


def size(layers: Iterable[Layer]) -> int:
    """What a time grows with: multiply-adds, parameters and elements."""
    return sum(layer.macs + layer.params + sum(c * h * w for c, h, w in layer.values) for layer in layers)


def refuse_other_units(times: Sequence[tuple[str, int, float]]) -> None:
    """Refuses the first of (where it stands, size, ms) that hardly is in ms; fewer than 20 tell nothing.

    Raises:
        DamagedFile: it is more than 100 times, or less than a 100th, of what its size suggests.
    """
    if len(times) < FEWEST:
        return
    beside = beside_size(np.array([size for _, size, _ in times], float), np.array([ms for *_, ms in times]))
    for (where, _, ms), ratio in zip(times, beside, strict=True):
        if not 1 / MOST_BESIDE <= ratio <= MOST_BESIDE:
            far = f"{ratio:,.0f} times" if ratio > 1 else f"1/{1 / ratio:,.0f} of"
            unit = "microseconds" if ratio > 1 else "seconds"
            raise DamagedFile(f"{where}: {ms:g} ms is {far} what its size suggests beside the others; is it in {unit}?")


def beside_size(sizes: NDArray[np.float64], ms: NDArray[np.float64]) -> NDArray[np.float64]:
    """How many times above or below what those nearest in size allow each time lies, (n,); the median of 20 of them.

    Between two, any time is allowed that grows with size, at most in proportion to it: from a fixed cost alone, as of
    calls of a runtime, to a rate alone. Sizes far apart, as of 32 and 224 pixels, thus ask for no common law.
    """
    order = np.argsort(sizes, kind="stable")
    x, y = np.log(sizes[order]), np.log(ms[order])
    window = min(_NEAREST, len(x))
    first = np.clip(np.arange(len(x)) - window // 2, 0, len(x) - window)
    near = first[:, None] + np.arange(window)
    larger, longer = x[:, None] - x[near], y[:, None] - y[near]
    beyond = longer - np.clip(longer, np.minimum(larger, 0), np.maximum(larger, 0))
    found = np.empty(len(x))
    found[order] = np.exp(np.median(beyond, axis=1))
    return found

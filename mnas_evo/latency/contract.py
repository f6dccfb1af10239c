"""What is cheap and vectorised: a predictor of some quantity of architectures."""

from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from mnas_evo.space.space import Genes

Matrix = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Prediction:
    """Values with a 90 % interval: three arrays (n,)."""

    value: Matrix
    low: Matrix
    high: Matrix


class Predictor(Protocol):
    """What is cheap and vectorised: a value for each genome of the space it was made for."""

    def predict(self, genes: Genes) -> Prediction:
        """Values and intervals of genomes (n, g)."""
        ...

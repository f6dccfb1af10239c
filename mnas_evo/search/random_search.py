"""Random search: the baseline that every other has to beat."""

from collections.abc import Sequence
from typing import Annotated

import numpy as np
from pydantic import Field

from mnas_evo.files import Part
from mnas_evo.search.contract import Outcome
from mnas_evo.space.space import Genes, SearchSpace

_TRIES = 100


class RandomSettings(Part):
    """`batch`: genomes at a time, which changes nothing of the search."""

    batch: Annotated[int, Field(ge=1)] = 20


class RandomSearch:
    """Genomes drawn uniformly, none twice."""

    def __init__(self, space: SearchSpace, *, seed: int, batch: int = 20) -> None:
        self._space = space
        self._rng = np.random.default_rng(seed)
        self._batch = batch
        self._seen: set[int] = set()

    def ask(self) -> Genes:
        """A batch of genomes not asked before; fewer when the space runs out."""
        found: list[Genes] = []
        for _ in range(_TRIES):
            for row in self._space.sample(self._batch, rng=self._rng):
                key = hash(row.tobytes())
                if key not in self._seen:
                    self._seen.add(key)
                    found.append(row)
                    if len(found) == self._batch:
                        return np.array(found)
        return np.array(found, dtype=np.int64).reshape(-1, len(self._space.sizes))

    def tell(self, genes: Genes, outcomes: Sequence[Outcome]) -> None:
        """Learns nothing."""

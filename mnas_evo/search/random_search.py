"""Random search: the baseline that every other has to beat."""

from collections.abc import Sequence

import numpy as np

from mnas_evo.search.contract import Outcome
from mnas_evo.space.space import Genes, SearchSpace

_TRIES = 100


class RandomSearch:
    """Genomes drawn uniformly, none twice."""

    def __init__(self, space: SearchSpace, *, seed: int, batch: int = 20) -> None:
        self._space = space
        self._rng = np.random.default_rng(seed)
        self._batch = batch
        self._seen: set[bytes] = set()

    def ask(self) -> Genes:
        """A batch of genomes not asked before; fewer when the space runs out."""
        found: list[Genes] = []
        for _ in range(_TRIES):
            for row in self._space.sample(self._batch, rng=self._rng):
                if row.tobytes() not in self._seen:
                    self._seen.add(row.tobytes())
                    found.append(row)
                    if len(found) == self._batch:
                        return np.array(found)
        return np.array(found, dtype=np.int64).reshape(-1, len(self._space.sizes))

    def tell(self, genes: Genes, outcomes: Sequence[Outcome]) -> None:
        """Learns nothing."""

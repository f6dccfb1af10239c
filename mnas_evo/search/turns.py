"""Several searchers as one: each asks for a batch in its turn, and hears of its own alone."""

from collections.abc import Mapping, Sequence

import numpy as np

from mnas_evo.search.contract import Outcome, Searcher, Telling
from mnas_evo.space.space import Genes


class TakingTurns:
    """The searchers' batches in turn; one that has nothing left is passed over."""

    def __init__(self, searchers: Sequence[Searcher]) -> None:
        self._waiting = list(enumerate(searchers, start=1))

    def ask(self) -> Genes:
        """The next searcher's batch; empty when none has any."""
        genes = np.empty((0, 0), dtype=np.int64)
        while self._waiting:
            genes = self._waiting[0][1].ask()
            if len(genes):
                break
            del self._waiting[0]
        return genes

    def tell(self, genes: Genes, outcomes: Sequence[Outcome]) -> None:
        """Outcomes of the searcher that asked last, whose turn ends."""
        self._waiting[0][1].tell(genes, outcomes)
        self._waiting.append(self._waiting.pop(0))

    def facts(self) -> Mapping[str, float]:
        """Of the searcher that was told last, its number after each name."""
        if not self._waiting:
            return {}
        number, last = self._waiting[-1]
        found = last.facts() if isinstance(last, Telling) else {}
        return {f"{name}, target {number}": value for name, value in found.items()}


def taking_turns(searchers: Sequence[Searcher]) -> Searcher:
    """One searcher as it is, several taking turns."""
    return searchers[0] if len(searchers) == 1 else TakingTurns(searchers)

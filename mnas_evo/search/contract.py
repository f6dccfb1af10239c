"""What a searcher is: it asks for batches of genomes and is told what came of them. Deterministic in (seed, tells)."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal, Protocol, runtime_checkable

from mnas_evo.space.space import Genes


@dataclass(frozen=True, slots=True)
class Outcome:
    """What came of one architecture.

    `values`: its objectives, all to be minimised; a violation has them too where they were paid for. `violation`: by
    what share limits were missed. `failure`: it gave no result.
    """

    kind: Literal["values", "violation", "failure"]
    values: tuple[float, ...] = ()
    violation: float = 0.0


class Searcher(Protocol):
    """Chooses what to evaluate next."""

    def ask(self) -> Genes:
        """A batch of canonical genomes, shape (n, g), of a size that is the searcher's own; none left: n is 0."""
        ...

    def tell(self, genes: Genes, outcomes: Sequence[Outcome]) -> None:
        """Outcomes of the whole batch that was asked last, in its order."""
        ...


@runtime_checkable
class Telling(Protocol):
    """A searcher that has something to say about itself: kept with every batch, for people and plots."""

    def facts(self) -> Mapping[str, float]:
        """Figures by their names, with their units, as they stand after the last tell."""
        ...

"""What a searcher is: it asks for batches of genomes and is told what came of them. Deterministic in (seed, tells)."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, Protocol

from mnas_evo.space.space import Genes


@dataclass(frozen=True, slots=True)
class Outcome:
    """What came of one architecture.

    `values`: its objectives, all to be minimised. `violation`: by what share limits were missed, and no value was
    paid for. `failure`: it gave no result.
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

"""What a search optimises: quantities of an architecture, which of them are objectives, and the limits on them."""

import math
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from mnas_evo.accuracy.contract import Evaluator
from mnas_evo.errors import Infeasible, RequestError
from mnas_evo.latency.contract import Prediction, Predictor
from mnas_evo.search.archive import Value
from mnas_evo.search.contract import Outcome
from mnas_evo.space.space import Genes, SearchSpace

# Names on the command line -> quantities, which carry their unit.
QUANTITIES = {"top1": "top1", "latency": "latency_ms", "params": "params", "macs": "macs"}
MAXIMISED = ("top1",)

_PROBES = 20_000
_DESCENTS = 50


@dataclass(frozen=True)
class Source:
    """A cheap quantity: what predicts it, and what its numbers are called in an archive."""

    predictor: Predictor
    name: str


@dataclass(frozen=True)
class Problem:
    """A space with its objectives, limits (at most, for top1 at least), cheap sources, and the dear source of top-1."""

    space: SearchSpace
    objectives: tuple[str, ...]
    limits: Mapping[str, float]
    cheap: Mapping[str, Source]
    dear: Evaluator | None

    def cheap_values(self, genes: Genes) -> list[dict[str, Value]]:
        """Every cheap quantity of each genome (n, g)."""
        found: list[dict[str, Value]] = [{} for _ in genes]
        for quantity, source in self.cheap.items():
            said = source.predictor.predict(genes)
            for i, values in enumerate(found):
                value, low, high = float(said.value[i]), float(said.low[i]), float(said.high[i])
                # An exact count has no interval, and an endless one says nothing.
                known = low < value < high and np.isfinite(high)
                values[quantity] = Value(value, source.name, *((low, high) if known else ()))
        return found

    def violation(self, values: Mapping[str, Value]) -> float:
        """Sum of the shares by which limits are missed; a quantity not known yet misses none."""
        total = 0.0
        for quantity, limit in self.limits.items():
            if quantity in values:
                over = values[quantity].value - limit
                total += max(0.0, -over if quantity in MAXIMISED else over) / max(abs(limit), 1e-12)
        return total

    def outcome(self, values: Mapping[str, Value]) -> Outcome:
        """What the searcher is told of an architecture whose quantities are all known."""
        if (violation := self.violation(values)) > 0:
            return Outcome("violation", violation=violation)
        return Outcome("values", tuple(self.minimised({name: value.value for name, value in values.items()})))

    def minimised(self, values: Mapping[str, float]) -> list[float]:
        """The objectives, all to be minimised."""
        return [-values[name] if name in MAXIMISED else values[name] for name in self.objectives]

    def check_feasible(self, *, seed: int) -> None:
        """Looks for an architecture within each limit on a cheap quantity: a large sample, descent from its best.

        Raises:
            Infeasible: none was found; the message gives the nearest value that was.
        """
        for quantity, limit in self.limits.items():
            if quantity not in self.cheap:
                continue
            sign = -1.0 if quantity in MAXIMISED else 1.0
            best = sign * self._nearest(quantity, sign, np.random.default_rng([seed, 2]))
            if sign * best > sign * limit:
                raise Infeasible(
                    f"no architecture of space {self.space.name} has {quantity} within {limit:g}; the nearest found "
                    f"has {best:.4g}. Give a limit of {best:.4g} or looser, or another space"
                )

    def _nearest(self, quantity: str, sign: float, rng: np.random.Generator) -> float:
        """The least of sign × quantity that sampling and one-gene-at-a-time descent find."""
        predictor = self.cheap[quantity].predictor

        def price(genes: Genes) -> NDArray[np.float64]:
            return sign * predictor.predict(genes).value

        genes = self.space.sample(_PROBES, rng=rng)
        values = price(genes)
        best, least = genes[int(values.argmin())], float(values.min())
        for _ in range(_DESCENTS):
            near = self.space.neighbours(best)
            if len(near) == 0 or (values := price(near)).min() >= least:
                break
            best, least = near[int(values.argmin())], float(values.min())
        return least


class Counted:
    """Parameters or multiply-adds of genomes: exact, so the interval is the value."""

    def __init__(self, space: SearchSpace, quantity: str) -> None:
        self._count = {"macs": space.macs, "params": space.params}[quantity]

    def predict(self, genes: Genes) -> Prediction:
        """Counts of genomes (n, g)."""
        count = self._count(genes).astype(np.float64)
        return Prediction(count, count, count)


def parse_objectives(text: str) -> tuple[str, ...]:
    """Quantities of a list such as `top1,latency`.

    Raises:
        RequestError: one is unknown or stands there twice.
    """
    names = [name.strip() for name in text.split(",")]
    if unknown := [name for name in names if name not in QUANTITIES]:
        raise RequestError(f"unknown objective {', '.join(map(repr, unknown))}; known are {', '.join(QUANTITIES)}")
    if len(set(names)) < len(names) or len(names) < 2:
        raise RequestError(f"objectives {text!r}: give at least two different ones, such as top1,latency")
    return tuple(QUANTITIES[name] for name in names)


def parse_limits(texts: list[str]) -> dict[str, float]:
    """Limits of texts such as `latency=80`.

    Raises:
        RequestError: one cannot be read.
    """
    found = {}
    for text in texts:
        name, _, number = text.partition("=")
        try:
            if name not in QUANTITIES or QUANTITIES[name] in found:
                raise ValueError(name)
            value = float(number)
            if not math.isfinite(value):
                raise ValueError(number)
            found[QUANTITIES[name]] = value
        except ValueError:
            known = ", ".join(QUANTITIES)
            raise RequestError(
                f"cannot read limit {text!r}: write each once, as latency=80; known are {known}"
            ) from None
    return found

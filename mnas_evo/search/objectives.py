"""What a search optimises: quantities of an architecture, which of them are objectives, and the limits on them."""

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from mnas_evo.accuracy.contract import Evaluator
from mnas_evo.errors import Infeasible, RequestError
from mnas_evo.latency.contract import Prediction, Predictor
from mnas_evo.search.archive import Value
from mnas_evo.search.contract import Outcome
from mnas_evo.space.architecture import Network
from mnas_evo.space.neighbourhood import neighbours
from mnas_evo.space.space import Genes, SearchSpace

MAXIMISED = ("top1",)
_COUNTED = ("params", "macs")

_PROBES = 20_000
_DESCENTS = 50


@dataclass(frozen=True)
class Source:
    """A cheap quantity: what predicts it, and what its numbers are called in an archive."""

    predictor: Predictor
    name: str


class OnDevice(Protocol):
    """A device in the loop: it measures a batch's networks together."""

    def measure(self, networks: Sequence[Network], *, batch: int) -> list[Value | str]:
        """Latency of each, ms; why there is none, as text. Asked again for a batch, it gives what it measured."""
        ...


@dataclass(frozen=True)
class Problem:
    """A space with its objectives, limits (at most, for top1 at least), cheap sources, and the dear source of top-1.

    With a device in the loop latency_ms is measured, before top-1 is paid for.
    """

    space: SearchSpace
    objectives: tuple[str, ...]
    limits: Mapping[str, float]
    cheap: Mapping[str, Source]
    dear: Evaluator | None
    on_device: OnDevice | None = None

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

    def cheap_arrays(self, genes: Genes) -> dict[str, NDArray[np.float64]]:
        """Every cheap objective and limited quantity of each genome (n, g): (n,) each."""
        needed = {*self.objectives, *self.limits}
        return {name: source.predictor.predict(genes).value for name, source in self.cheap.items() if name in needed}

    def violation(self, values: Mapping[str, Value]) -> float:
        """Sum of the shares by which limits are missed; a quantity not known yet misses none."""
        return float(self.violations({name: np.array([value.value]) for name, value in values.items()}).sum())

    def violations(self, values: Mapping[str, NDArray[np.float64]]) -> NDArray[np.float64]:
        """The same for many architectures: of (n,) values to (n,)."""
        total = np.zeros(len(next(iter(values.values()))) if values else 0)
        for quantity, limit in self.limits.items():
            if quantity in values:
                over = values[quantity] - limit
                total += np.maximum(0.0, -over if quantity in MAXIMISED else over) / max(abs(limit), 1e-12)
        return total

    def outcome(self, values: Mapping[str, Value]) -> Outcome:
        """What the searcher is told of an architecture whose quantities are known, or miss a limit before all are."""
        objectives: tuple[float, ...] = ()
        if all(name in values for name in self.objectives):
            objectives = tuple(self.minimised({name: value.value for name, value in values.items()}))
        if (violation := self.violation(values)) > 0:
            return Outcome("violation", objectives, violation)
        return Outcome("values", objectives)

    def minimised(self, values: Mapping[str, float]) -> list[float]:
        """The objectives, all to be minimised."""
        return [-values[name] if name in MAXIMISED else values[name] for name in self.objectives]

    def check_feasible(self, *, seed: int) -> None:
        """Looks for an architecture within each cheap limit, then within all: a large sample, descent from its best.

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
        self._check_together(np.random.default_rng([seed, 2]))

    def _check_together(self, rng: np.random.Generator) -> None:
        limited = [quantity for quantity in self.limits if quantity in self.cheap]
        if len(limited) < 2:
            return
        nearest = self._descent(lambda genes: self.violations(self.cheap_arrays(genes)), rng)
        known = {name: values[0] for name, values in self.cheap_arrays(nearest[None]).items()}
        if self.violations(self.cheap_arrays(nearest[None]))[0] > 0:
            found = ", ".join(f"{name} {known[name]:.4g} (limit {self.limits[name]:g})" for name in limited)
            raise Infeasible(
                f"each limit can be met, but no architecture of space {self.space.name} was found that meets all; the "
                f"nearest has {found}. Loosen one"
            )

    def _nearest(self, quantity: str, sign: float, rng: np.random.Generator) -> float:
        """The least of sign × quantity that sampling and one-gene-at-a-time descent find."""
        predictor = self.cheap[quantity].predictor

        def price(genes: Genes) -> NDArray[np.float64]:
            return sign * predictor.predict(genes).value

        return float(price(self._descent(price, rng)[None])[0])

    def _descent(self, price: Callable[[Genes], NDArray[np.float64]], rng: np.random.Generator) -> Genes:
        """The genome (g,) of least price that sampling and one-gene-at-a-time descent find."""
        genes = self.space.sample(_PROBES, rng=rng)
        values = price(genes)
        best: Genes = genes[int(values.argmin())]
        least = float(values.min())
        for _ in range(_DESCENTS):
            near = neighbours(self.space, best)
            if len(near) == 0 or (values := price(near)).min() >= least:
                break
            best, least = near[int(values.argmin())], float(values.min())
        return best


class Counted:
    """Parameters or multiply-adds of genomes: exact, so the interval is the value."""

    def __init__(self, space: SearchSpace, quantity: str) -> None:
        self._count = {"macs": space.macs, "params": space.params}[quantity]

    def predict(self, genes: Genes) -> Prediction:
        """Counts of genomes (n, g)."""
        count = self._count(genes).astype(np.float64)
        return Prediction(count, count, count)


def is_latency(quantity: str) -> bool:
    """Whether a quantity is the latency of some device."""
    return quantity.split(":")[0] == "latency_ms"


def latency_quantities(devices: Sequence[str]) -> dict[str, str]:
    """What each device's latency is called in an archive: latency_ms, and of several latency_ms:NAME."""
    return {name: "latency_ms" if len(devices) == 1 else f"latency_ms:{name}" for name in devices}


def parse_objectives(text: str, *, devices: Sequence[str]) -> tuple[str, ...]:
    """Quantities of a list such as `top1,latency`, where `latency` is that of every device.

    Raises:
        RequestError: one is unknown, stands there twice, or is a latency and there is no device.
    """
    names = [name.strip() for name in text.split(",")]
    found = [quantity for name in names for quantity in _quantities(name, devices)]
    if len(set(found)) < len(found) or len(found) < 2:
        raise RequestError(f"objectives {text!r}: give at least two different ones, such as top1,latency")
    return tuple(found)


def parse_limits(texts: Sequence[str], *, devices: Sequence[str]) -> dict[str, float]:
    """Limits of texts such as `latency=80`, which holds for every device.

    Raises:
        RequestError: one cannot be read.
    """
    found: dict[str, float] = {}
    for text in texts:
        name, _, number = text.partition("=")
        try:
            value = float(number)
        except ValueError:
            value = math.nan
        if not math.isfinite(value):
            raise RequestError(f"cannot read limit {text!r}: write it as latency=80")
        for quantity in _quantities(name.strip(), devices):
            if quantity in found:
                raise RequestError(f"limit {text!r}: there is another on {quantity}; write each once")
            found[quantity] = value
    return found


def _quantities(name: str, devices: Sequence[str]) -> list[str]:
    """The quantities that a name on the command line stands for."""
    if name in (*MAXIMISED, *_COUNTED):
        return [name]
    latencies = latency_quantities(devices)
    if name == "latency" and not devices:
        raise RequestError("latency is an objective or a limit: give --table or --latency, or leave it out")
    if name == "latency":
        return list(latencies.values())
    kind, _, device = name.partition(":")
    if kind == "latency" and device in latencies:
        return [latencies[device]]
    known = [*MAXIMISED, "latency", *(f"latency:{device}" for device in devices if len(devices) > 1), *_COUNTED]
    raise RequestError(f"unknown objective or limit {name!r}; known are {', '.join(known)}")

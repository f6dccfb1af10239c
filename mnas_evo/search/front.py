"""Fronts: which architectures nothing dominates, how much they cover, and measurements joined to predictions."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from pymoo.indicators.hv import Hypervolume
from pymoo.util.nds.non_dominated_sorting import NonDominatedSorting

from mnas_evo.search.archive import Archive, Tell, Value
from mnas_evo.search.objectives import MAXIMISED, is_latency

Matrix = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Candidate:
    """An evaluated architecture with what is known of it. Its latency is the measured one where there is one."""

    tell: Tell
    top1: float | None
    latency_ms: float | None
    predicted_ms: float | None
    measured_ms: float | None

    @property
    def network(self) -> str:
        """Full canonical string."""
        return self.tell.network

    @property
    def prediction(self) -> Value | None:
        """What its latency was predicted to be, with the interval; None where the search itself measured it."""
        said = self.tell.values.get("latency_ms")
        return None if said is None or _is_measured(said) else said

    def quantity(self, name: str) -> float:
        """A quantity, measured where it was measured."""
        if name == "latency_ms" and self.latency_ms is not None:
            return self.latency_ms
        return self.tell.values[name].value


def candidates(archive: Archive) -> list[Candidate]:
    """Every architecture that was evaluated to an end within the limits, in the order it was asked."""
    measured = archive.measurements("latency_ms")
    found = []
    for tell in archive.tells():
        if tell.kind != "values" or tell.repeat or tell.violation > 0:
            continue
        said = tell.values.get("latency_ms")
        in_search = said is not None and _is_measured(said)
        told = said.value if said is not None else None
        predicted, on_device = (None, told) if in_search else (told, None)
        if tell.network in measured:  # again, and for longer
            on_device = measured[tell.network].value
        top1 = tell.values["top1"].value if "top1" in tell.values else None
        latency = on_device if on_device is not None else predicted
        found.append(Candidate(tell, top1, latency, predicted, on_device))
    return found


def _is_measured(latency: Value) -> bool:
    return latency.source.startswith("measured")


def front(found: Sequence[Candidate], objectives: Sequence[str]) -> list[Candidate]:
    """The candidates that no other dominates, fastest first (on the first of several devices); where latency
    is no objective, by the last one.

    Once some were measured they alone count: what a prediction promises never pushes out what a device has shown.
    """
    if "latency_ms" in objectives:
        found = [candidate for candidate in found if candidate.measured_ms is not None] or found
    if not found:
        return []
    rows = non_dominated(minimised(found, objectives))
    first = next(filter(is_latency, objectives), objectives[-1])
    return sorted((found[i] for i in rows), key=lambda c: c.quantity(first))


def minimised(found: Sequence[Candidate], objectives: Sequence[str]) -> Matrix:
    """Objectives of candidates, all to be minimised: (n, m)."""
    return _signed([[c.quantity(name) for name in objectives] for c in found], objectives)


def _told(found: Sequence[Candidate], objectives: Sequence[str]) -> Matrix:
    return _signed([[c.tell.values[name].value for name in objectives] for c in found], objectives)


def _signed(values: list[list[float]], objectives: Sequence[str]) -> Matrix:
    signs = np.array([-1.0 if name in MAXIMISED else 1.0 for name in objectives])
    return np.asarray(signs * np.array(values, dtype=np.float64).reshape(-1, len(objectives)))


def non_dominated(values: Matrix) -> NDArray[np.int64]:
    """Rows of (n, m) minimised objectives that no other row dominates; of equal rows the first."""
    if not len(values):
        return np.zeros(0, dtype=np.int64)  # pymoo before 0.6.2 fails on no rows
    _, first = np.unique(values, axis=0, return_index=True)
    first = np.sort(first)
    return np.asarray(first[NonDominatedSorting().do(values[first], only_non_dominated_front=True)], dtype=np.int64)


def hypervolume(values: Matrix, reference: Matrix) -> float:
    """Hypervolume of (n, m) minimised objectives within a reference point (m,); what lies beyond it counts nothing."""
    inside = values[(values < reference).all(axis=1)]
    return float(Hypervolume(ref_point=reference)(inside)) if len(inside) else 0.0


def reference_point(found: Sequence[Candidate], objectives: Sequence[str]) -> Matrix:
    """The worst value of each objective in the first batch, as it was told: the same for all the run, (m,)."""
    first = [c for c in found if c.tell.batch == found[0].tell.batch]
    return np.asarray(_told(first, objectives).max(axis=0))


def hypervolume_curve(found: Sequence[Candidate], objectives: Sequence[str]) -> Matrix:
    """Hypervolume after each evaluation, of what was told: (n,). What was measured later changes nothing of it."""
    values, reference = _told(found, objectives), reference_point(found, objectives)
    kept = np.empty((0, values.shape[1]))
    curve = []
    for row in values:
        kept = np.vstack([kept, row])
        kept = kept[non_dominated(kept)]
        curve.append(hypervolume(kept, reference))
    return np.array(curve)

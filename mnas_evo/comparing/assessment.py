"""The runs of one comparison, read, and what they are all measured against: front, reference points, limits."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from mnas_evo.comparing.forms import Point, Reference
from mnas_evo.comparing.runs import Plan
from mnas_evo.comparing.statistics import Matrix, hypervolumes
from mnas_evo.comparing.traces import Trace
from mnas_evo.search.front import hypervolume, non_dominated
from mnas_evo.search.objectives import MAXIMISED
from mnas_evo.search.reward import RewardSettings, rewards

_QUANTILES = (0.25, 0.5, 0.75)  # of the front's costs: limits at which top-1 is told
_POINTS = 200  # of a curve with two objectives, where they cost nothing
_FEW_POINTS = 50


@dataclass(frozen=True)
class Assessment:
    """What all figures are made from. Matrices are of minimised objectives, (n, m)."""

    plan: Plan
    traces: Mapping[str, Sequence[Trace]]
    known: Matrix | None
    sides: Mapping[str, float]
    given_at: tuple[float, ...]

    @property
    def objectives(self) -> tuple[str, ...]:
        """Names, in the matrices' order."""
        return self.plan.prepared.problem.objectives

    @cached_property
    def signs(self) -> Matrix:
        """-1 where an objective is maximised, (m,)."""
        return np.array([-1.0 if name in MAXIMISED else 1.0 for name in self.objectives])

    @cached_property
    def evaluated(self) -> Matrix:
        """All that any run evaluated to an end within the limits."""
        values = np.concatenate([trace.values for traces in self.traces.values() for trace in traces])
        return np.asarray(values[~np.isnan(values).any(axis=1)])

    @cached_property
    def front(self) -> Matrix:
        """The true front where it is known, else that of all runs together."""
        values = self.evaluated if self.known is None else self.known
        return np.asarray(values[non_dominated(values)])

    @cached_property
    def whole(self) -> Matrix:
        """The worst of each objective, (m,); one unit beyond where an objective is the same everywhere."""
        values = self.evaluated if self.known is None else self.known
        worst = values.max(axis=0)
        return np.asarray(np.where(worst > values.min(axis=0), worst, worst + 1))

    @cached_property
    def box(self) -> Matrix:
        """The box's corner, (m,): the sides given, the median of all that was evaluated in the others."""
        corner = np.median(self.evaluated, axis=0)
        for name, side in self.sides.items():
            at = self.objectives.index(name)
            corner[at] = self.signs[at] * side
        return np.asarray(corner)

    @property
    def cost(self) -> str:
        """What stands on the x axis: latency where it is an objective."""
        y = self.score
        return "latency_ms" if "latency_ms" in self.objectives else next(o for o in self.objectives if o != y)

    @property
    def score(self) -> str:
        """What stands on the y axis: top-1 where it is an objective."""
        return "top1" if "top1" in self.objectives else self.objectives[0]

    @cached_property
    def at(self) -> tuple[float, ...]:
        """Limits on the cost at which top-1 is told."""
        if "top1" not in self.objectives:
            return ()
        costs = self.front[:, self.objectives.index(self.cost)]
        return self.given_at or tuple(dict.fromkeys(float(f"{c:.4g}") for c in np.quantile(costs, _QUANTILES)))

    @cached_property
    def after(self) -> list[int]:
        """Numbers of evaluations at which curves have points."""
        budget = self.plan.runs[0].request.evaluations
        points = _POINTS if len(self.objectives) == 2 else _FEW_POINTS
        return sorted({round(number) for number in np.linspace(1, budget, points)})

    @cached_property
    def curves(self) -> tuple[dict[str, Matrix], dict[str, Matrix]]:
        """Hypervolumes of each algorithm by seed, (seeds, points): within the whole, within the box."""
        whole, box = (
            {
                name: np.array([hypervolumes(trace.values, point, after=self.after) for trace in traces])
                for name, traces in self.traces.items()
            }
            for point in (self.whole, self.box)
        )
        return whole, box

    def reference(self, point: Matrix) -> Reference:
        """A reference point as it is told."""
        told = dict(zip(self.objectives, (self.signs * point).tolist(), strict=True))
        return Reference(point=told, hypervolume=hypervolume(self.front, point))

    def xy(self, values: Matrix) -> tuple[Point, ...]:
        """Rows as (cost, score) points, as they are read, by cost."""
        x, y = self.objectives.index(self.cost), self.objectives.index(self.score)
        return tuple(sorted((float(row[x]), float(row[y])) for row in self.signs * values))


def percent(values: Matrix, of: float) -> Matrix:
    """Hypervolumes in percent of the front's; NaN where it has none."""
    return np.asarray(100 * values / of if of > 0 else np.full(values.shape, np.nan))


def targets(found: Assessment, settings: RewardSettings, *, seed: int) -> tuple[float, ...]:
    """Targets of a reward as the run of a seed has them."""
    return tuple(reward.target for reward in rewards(found.plan.prepared.problem, settings, seed=seed))

"""One number for accuracy and cost: what scalarising searchers maximise, for one target or several."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Annotated, Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from mnas_evo.errors import RequestError
from mnas_evo.files import Part
from mnas_evo.search.contract import Outcome
from mnas_evo.search.objectives import Problem
from mnas_evo.search.settings import Several

Kind = Literal["soft", "hard", "absolute"]

_SOFT, _HARD = -0.07, -1.0  # exponents w (Tan et al. 2019, section 3)
_ABSOLUTE = -0.10  # weight b (Bender et al. 2020, TuNAS, section 3.2)
_SAMPLE = 2_000  # architectures that targets not given are quantiles of
_SPREAD = (0.1, 0.9)  # quantiles between which several targets lie


class RewardSettings(Part):
    """What a scalarising searcher is asked to maximise.

    `target`: one or more costs, in the unit of the cost objective; with none there are `targets` of them, spread over
    what the space's networks cost. Of several each takes its turn, with a searcher of its own; take a hard or an
    absolute reward then, for a target only scales the soft one: all would look for the same network.
    """

    reward: Kind = "soft"
    target: Several[Annotated[float, Field(gt=0, allow_inf_nan=False)]] = ()
    targets: Annotated[int, Field(ge=1, le=100)] = 1


@dataclass(frozen=True, slots=True)
class Reward:
    """Reward of accuracy a, a fraction, and cost c with target T: a * (c/T)^w, or a + b * |c/T - 1|.

    Soft: w = -.07; hard: w = -1 above the target, 0 below (Tan et al. 2019, section 3). Absolute: b = -.10 (TuNAS,
    Bender et al. 2020). What failed, or missed a limit before its accuracy was known, has reward 0, by the absolute -1.
    """

    kind: Kind
    target: float
    top1_at: int
    cost_at: int

    def of(self, outcomes: Sequence[Outcome]) -> NDArray[np.float64]:
        """Reward of each outcome, (n,)."""
        return np.array([self._one(outcome) for outcome in outcomes], dtype=np.float64)

    def _one(self, outcome: Outcome) -> float:
        if not outcome.values:
            return -1.0 if self.kind == "absolute" else 0.0
        accuracy = -outcome.values[self.top1_at] / 100
        ratio = outcome.values[self.cost_at] / self.target
        if self.kind == "absolute":
            return accuracy + _ABSOLUTE * abs(ratio - 1)
        if self.kind == "hard":
            return accuracy * math.pow(max(ratio, 1.0), _HARD)
        return accuracy * math.pow(ratio, _SOFT)


def rewards(problem: Problem, settings: RewardSettings, *, seed: int) -> list[Reward]:
    """The reward of every target that is asked for.

    Raises:
        RequestError: the objectives are not top1 and one cost, or a target is needed and cannot be found.
    """
    if len(problem.objectives) != 2 or "top1" not in problem.objectives:
        raise RequestError(
            f"a reward weighs top1 against one cost, not {', '.join(problem.objectives)}; give two objectives such as "
            "top1,latency, or an algorithm that needs no reward: surrogate-nsga2, nsga2, random"
        )
    top1_at = problem.objectives.index("top1")
    cost = problem.objectives[1 - top1_at]
    targets = settings.target or _targets(problem, cost, settings.targets, seed=seed)
    return [Reward(settings.reward, float(target), top1_at, 1 - top1_at) for target in targets]


def _targets(problem: Problem, cost: str, count: int, *, seed: int) -> list[float]:
    """A limit on the cost where one target is asked for; else quantiles of what the space's networks cost."""
    if count == 1 and cost in problem.limits:
        return [problem.limits[cost]]
    if cost not in problem.cheap:
        raise RequestError(f"{cost} is measured, so its range is not known: give a target (--target-ms)")
    genes = problem.space.sample(_SAMPLE, rng=np.random.default_rng([seed, 3]))
    costs = problem.cheap[cost].predictor.predict(genes).value
    shares = [0.5] if count == 1 else np.linspace(*_SPREAD, count).tolist()
    return [float(value) for value in np.quantile(costs, shares)]

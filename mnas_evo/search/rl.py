"""Reinforcement learning as in the MnasNet paper: a controller samples architectures and learns from their reward."""

from collections.abc import Mapping, Sequence
from dataclasses import fields, replace
from typing import Annotated, Literal

import numpy as np
from pydantic import Field

from mnas_evo.search.contract import Outcome, Searcher
from mnas_evo.search.controller import Controller, Decided, Ppo
from mnas_evo.search.objectives import Problem
from mnas_evo.search.reward import Reward, RewardSettings, rewards
from mnas_evo.search.turns import taking_turns
from mnas_evo.space.space import Genes, SearchSpace

# On the 28 decisions of mbconv-e146, 1,000 evaluations, rewards normalised: with an entropy weight of .1 or less a
# single controller collapsed after 350 to 565 of them, with .3 it learnt slowly.
_TUNED = Ppo(minibatch=10, learning_rate=1e-2, entropy_weight=0.15, normalised=True)
_SETTINGS = {"paper": Ppo(), "tuned": _TUNED}
_COLLAPSED = 0.01  # share of the uniform policy's entropy below which hardly anything new is sampled


class RlSettings(RewardSettings):
    """`setting`: the paper's, or `tuned`, which found more by our measurements. `minibatch`: architectures that are
    learnt from at a time, `normalised`: by rewards less their mean, over their deviation; see `Ppo`. What is not given
    is the setting's."""

    setting: Literal["paper", "tuned"] = "paper"
    minibatch: Annotated[int, Field(ge=1)] | None = None
    learning_rate: Annotated[float, Field(gt=0, allow_inf_nan=False)] | None = None
    entropy_weight: Annotated[float, Field(ge=0, allow_inf_nan=False)] | None = None
    clip: Annotated[float, Field(gt=0, lt=1)] | None = None
    epochs: Annotated[int, Field(ge=1)] | None = None
    baseline_decay: Annotated[float, Field(ge=0, lt=1)] | None = None
    normalised: bool | None = None

    @property
    def ppo(self) -> Ppo:
        """How its controllers learn."""
        given = {one.name: getattr(self, one.name) for one in fields(Ppo)}
        return replace(_SETTINGS[self.setting], **{name: value for name, value in given.items() if value is not None})


class Rl:
    """Asks for what its controller samples, and lets it learn from the reward (Tan et al. 2019, section 4.2).

    Genes of one option are no decisions. What is asked for is canonical; what the controller learns from are the
    decisions it took. It may sample an architecture again, and again learns from it.
    """

    def __init__(self, space: SearchSpace, settings: RlSettings, reward: Reward, *, seed: Sequence[int]) -> None:
        self._space = space
        free = np.flatnonzero(space.sizes > 1)
        self._free = free if len(free) else np.array([0])  # of a single architecture: a decision with one option
        self._sizes = space.sizes[self._free].tolist()
        self._reward = reward
        self._controller = Controller(self._sizes, settings.ppo, seed=seed)
        self._decided: Decided | None = None
        self._seen: set[bytes] = set()
        self._facts: dict[str, float] = {}

    def ask(self) -> Genes:
        """A minibatch, repeats included."""
        self._decided = self._controller.sample()
        choices = self._decided.choices.numpy()
        genes = np.zeros((len(choices), len(self._space.sizes)), dtype=np.int64)
        genes[:, self._free] = choices
        return self._space.canonical(genes)

    def tell(self, genes: Genes, outcomes: Sequence[Outcome]) -> None:
        """The controller learns from the rewards of the minibatch."""
        assert self._decided is not None, "tell comes after ask"
        found = self._reward.of(outcomes)
        self._controller.learn(self._decided, found)
        keys = {row.tobytes() for row in genes}
        entropy = float(self._decided.entropies.sum(dim=1).mean()) / max(float(np.log(self._sizes).sum()), 1e-12)
        assert self._controller.baseline is not None
        self._facts = {
            "entropy, share of uniform": entropy,
            "collapsed, entropy below 1 % of uniform": float(entropy < _COLLAPSED),
            "new architectures, share of minibatch": len(keys - self._seen) / len(genes),
            "mean reward": float(found.mean()),
            "baseline": self._controller.baseline,
        }
        self._seen |= keys

    def facts(self) -> Mapping[str, float]:
        """Of the last minibatch and the policy that sampled it; once collapsed, it never finds anything else."""
        return self._facts


def rl(problem: Problem, settings: RlSettings, *, seed: int) -> Searcher:
    """A controller for every target, taking turns.

    Raises:
        RequestError: the objectives are not top1 and one cost.
    """
    return taking_turns(
        [
            Rl(problem.space, settings, reward, seed=(seed, number))
            for number, reward in enumerate(rewards(problem, settings, seed=seed))
        ]
    )

"""Rewards as the papers give them, and the targets that are taken where none is given."""

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError
from support.search_problem import SPACE, problem

from mnas_evo.errors import RequestError
from mnas_evo.search.contract import Outcome
from mnas_evo.search.objectives import Counted, Source
from mnas_evo.search.reward import Kind, Reward, RewardSettings, rewards

KINDS: tuple[Kind, ...] = ("soft", "hard", "absolute")
SAMPLE = SPACE.sample(5_000, rng=np.random.default_rng(9))
LATENCIES = problem().cheap_arrays(SAMPLE)["latency_ms"]


def reward(kind: Kind, top1: float, ms: float, *, target: float = 80.0) -> float:
    (found,) = Reward(kind, target, top1_at=0, cost_at=1).of([Outcome("values", (-top1, ms))])
    return float(found)


@pytest.mark.parametrize(
    ("kind", "ms", "expected"),
    [
        # Tan et al. 2019, figure 3: accuracy .5, target 80 ms, soft w = -.07, hard w = 0 within and -1 beyond.
        ("soft", 80, 0.5),
        ("soft", 160, 0.5 * 2**-0.07),
        ("soft", 40, 0.5 * 2**0.07),
        ("hard", 80, 0.5),
        ("hard", 160, 0.25),
        ("hard", 40, 0.5),
        # Bender et al. 2020, section 3.2: b = -.10 on both sides.
        ("absolute", 80, 0.5),
        ("absolute", 160, 0.4),
        ("absolute", 40, 0.45),
    ],
)
def test_a_reward_is_what_its_paper_says(kind: Kind, ms: float, expected: float) -> None:
    assert reward(kind, 50.0, ms) == pytest.approx(expected, rel=1e-12)


def test_by_the_papers_own_rule_twice_the_latency_is_worth_five_percent_of_accuracy() -> None:
    assert reward("soft", 50.0 * 1.05, 160.0) == pytest.approx(reward("soft", 50.0, 80.0), rel=0.001)


@given(st.sampled_from(KINDS), st.floats(0, 100), st.floats(0.1, 1e3))
def test_at_the_target_the_reward_is_the_accuracy(kind: Kind, top1: float, target: float) -> None:
    assert reward(kind, top1, target, target=target) == pytest.approx(top1 / 100)


@given(st.sampled_from(KINDS), st.floats(1, 99), st.floats(1, 500), st.floats(1.001, 3))
def test_more_accuracy_is_more_reward_and_beyond_the_target_more_cost_is_less(
    kind: Kind, top1: float, ms: float, times: float
) -> None:
    assert reward(kind, top1 + 1, ms) > reward(kind, top1, ms)
    assert reward(kind, top1, 80 * times**2) < reward(kind, top1, 80 * times)


@pytest.mark.parametrize("kind", KINDS)
def test_what_failed_or_missed_a_limit_early_has_none_and_what_missed_one_on_accuracy_has_its_own(kind: Kind) -> None:
    found = Reward(kind, 80.0, top1_at=1, cost_at=0).of(
        [
            Outcome("failure"),
            Outcome("violation", violation=0.5),
            Outcome("violation", (80.0, -50.0), violation=0.5),
            Outcome("values", (80.0, -50.0)),
        ]
    )
    none = -1.0 if kind == "absolute" else 0.0  # below that of any network that is merely slow
    assert found.tolist() == [none, none, 0.5, 0.5]
    assert Reward(kind, 80.0, 0, 1).of([]).shape == (0,)


def targets(settings: RewardSettings, *, limits: dict[str, float] | None = None, seed: int = 0) -> list[float]:
    return [one.target for one in rewards(problem(limits=limits), settings, seed=seed)]


def share_within(target: float) -> float:
    """Of the space's architectures."""
    return float((target >= LATENCIES).mean())


def test_the_target_is_the_limit_where_there_is_one() -> None:
    assert targets(RewardSettings(), limits={"latency_ms": 1.5}) == [1.5]


def test_without_a_limit_it_is_the_median_of_the_space() -> None:
    (target,) = targets(RewardSettings())
    assert abs(share_within(target) - 0.5) < 0.05
    assert targets(RewardSettings(), limits={"top1": 50.0}) == [target]
    assert targets(RewardSettings()) == [target] != targets(RewardSettings(), seed=1)


@pytest.mark.parametrize("limits", [None, {"latency_ms": 1.5}], ids=["no limit", "limit"])
def test_several_targets_ascend_within_what_the_space_costs(limits: dict[str, float] | None) -> None:
    found = targets(RewardSettings(targets=5), limits=limits)
    shares = [share_within(target) for target in found]
    assert np.allclose(shares, [0.1, 0.3, 0.5, 0.7, 0.9], atol=0.05)
    assert sorted(set(found)) == found


def test_targets_that_are_given_stand_in_their_order_whatever_else_is_said() -> None:
    settings = RewardSettings(reward="hard", target=(3.0, 1.0), targets=7)
    assert rewards(problem(limits={"latency_ms": 2.0}), settings, seed=0) == [
        Reward("hard", 3.0, 0, 1),
        Reward("hard", 1.0, 0, 1),
    ]


def test_objectives_stand_in_any_order_and_the_cost_may_be_any() -> None:
    cheap = {"params": Source(Counted(SPACE, "params"), "counted")}
    (found,) = rewards(replace(problem(), objectives=("params", "top1"), cheap=cheap), RewardSettings(), seed=0)
    assert (found.top1_at, found.cost_at) == (1, 0)
    assert found.target == pytest.approx(np.median(SPACE.params(SAMPLE)), rel=0.1)


@pytest.mark.parametrize("objectives", [("top1", "latency_ms", "params"), ("latency_ms", "params")])
def test_what_cannot_be_weighed_is_refused_with_what_to_give(objectives: tuple[str, ...]) -> None:
    with pytest.raises(RequestError, match=f"not {', '.join(objectives)}; give two .*top1,latency.*nsga2") as error:
        rewards(replace(problem(), objectives=objectives), RewardSettings(), seed=0)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize("settings", [RewardSettings(), RewardSettings(targets=3)])
def test_a_measured_latency_needs_a_target_since_its_range_is_not_known(settings: RewardSettings) -> None:
    measured = replace(problem(), cheap={})
    with pytest.raises(RequestError, match=r"latency_ms is measured.*--target-ms"):
        rewards(measured, settings, seed=0)
    assert rewards(measured, RewardSettings(target=(2.0,)), seed=0) == [Reward("soft", 2.0, 0, 1)]
    limited = replace(measured, limits={"latency_ms": 2.0})
    assert rewards(limited, RewardSettings(), seed=0) == [Reward("soft", 2.0, 0, 1)]


@pytest.mark.parametrize("target", [0.0, -1.0, float("inf"), float("nan")])
def test_a_target_is_positive_and_finite(target: float) -> None:
    with pytest.raises(ValidationError):
        RewardSettings(target=(target,))

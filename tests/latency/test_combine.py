"""From visits to one time an item, on synthetic timers whose truth is known."""

from collections.abc import Callable
from dataclasses import replace
from functools import cache

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mnas_evo.latency.combine import (
    Combined,
    Correction,
    _exposure,
    combine,
    reference_level,
    reference_series,
    visit_ms,
)
from mnas_evo.latency.runs import Run

ITEMS = tuple(f"item{i}" for i in range(40))
TRUTH_MS = dict(zip(ITEMS, np.geomspace(0.2, 20.0, len(ITEMS)), strict=True))
REFERENCE_MS = 3.0

Timer = Callable[[float, np.random.Generator], np.ndarray]
"""Times in ms of one visit to something whose true time is given, at a moment of its own."""


def quiet(ms: float, rng: np.random.Generator) -> np.ndarray:
    """Noise of .2 %, that only adds."""
    return ms * (1 + 0.002 * rng.exponential(size=20))


def bursts(ms: float, rng: np.random.Generator) -> np.ndarray:
    """Every fourth visit falls into somebody else's work and takes 5 to 60 % longer, whole."""
    return quiet(ms, rng) * (rng.uniform(1.05, 1.6) if rng.random() < 0.25 else 1.0)


def heavy_tails(ms: float, rng: np.random.Generator) -> np.ndarray:
    """Half of all runs are interrupted, some for many times their own length; the first ones are cold."""
    times = ms * (1 + 0.3 * rng.pareto(1.1, size=20) * (rng.random(20) < 0.5)) * (1 + 0.01 * rng.exponential(size=20))
    times[:3] *= [5.0, 1.5, 1.2]
    return times


@cache  # its list is not to be changed
def measured(
    timer: Timer,
    *,
    passes: int = 8,
    drift: Callable[[float], float] = lambda moment: 1.0,
    exposed: Callable[[str], float] = lambda item: 1.0,
    reference_noise: float = 0.0,
    seed: int = 0,
) -> list[tuple[int, Run]]:
    """A campaign's runs: shuffled passes, the reference every five visits; `drift` of the moment, 0 to 1."""
    rng = np.random.default_rng(seed)
    runs = []
    for number in range(passes):
        order = ["reference"]
        for i, item in enumerate(rng.permutation(ITEMS)):
            order += [str(item)] + ["reference"] * (i % 5 == 4)
        for slot, item in enumerate(order):
            level = drift((number + slot / len(order)) / passes)
            if item == "reference":
                times = timer(REFERENCE_MS * level * (1 + reference_noise * rng.standard_normal()), rng)
            else:
                times = timer(TRUTH_MS[item] * level ** exposed(item), rng)
            times_ns = tuple(int(1e6 * ms) for ms in times)
            runs.append((number, Run(slot, item, times_ns, sum(times_ns), {})))
    return runs


def error_percent(ms: np.ndarray) -> float:
    """Mean error of times in the order of ITEMS."""
    return float(100 * np.mean(np.abs(ms / np.array([TRUTH_MS[item] for item in ITEMS]) - 1)))


def one_visit_error_percent(runs: list[tuple[int, Run]]) -> float:
    """Mean error of the median of one visit, over all passes."""
    return float(
        np.mean(
            [
                100 * abs(np.median(run.times_ns) / 1e6 / TRUTH_MS[run.item] - 1)
                for _, run in runs
                if run.item in TRUTH_MS
            ]
        )
    )


def combined(runs: list[tuple[int, Run]]) -> Combined:
    """All items together."""
    return combine(runs, ITEMS, reference="reference")


def swing(moment: float) -> float:
    """A clock that goes up and down by 15 % in the course of a campaign."""
    return float(1 + 0.15 * np.sin(9 * moment))


def normal(ms: float, rng: np.random.Generator) -> np.ndarray:
    """Visits that differ by 1 % either way, runs by .2 %."""
    return quiet(ms * (1 + 0.01 * rng.standard_normal()), rng)


def quantised(ms: float, rng: np.random.Generator) -> np.ndarray:
    """A clock with steps of 5 microseconds."""
    return np.maximum(np.round(quiet(ms, rng) / 0.005), 1) * 0.005


def step(moment: float) -> float:
    """A clock that falls by a fifth in the middle of a campaign, and stays there."""
    return 1.25 if moment > 0.5 else 1.0


# Truth


@pytest.mark.parametrize("timer", [bursts, heavy_tails])
@pytest.mark.parametrize("seed", range(5))
def test_several_visits_are_far_nearer_to_the_truth_than_the_median_of_one(timer: Timer, seed: int) -> None:
    runs = measured(timer, seed=seed)
    assert error_percent(combined(runs).ms) < 1.5
    assert error_percent(combined(runs).ms) < one_visit_error_percent(runs) / 4


@pytest.mark.parametrize("seed", range(5))
def test_drift_that_the_reference_sees_is_divided_out(seed: int) -> None:
    runs = measured(quiet, drift=swing, seed=seed)
    found = combined(runs)
    middle = reference_level(reference_series(runs, reference="reference")) / REFERENCE_MS
    assert found.exposure == pytest.approx(1.0, abs=0.02)
    assert error_percent(found.ms / middle) < 0.5
    assert one_visit_error_percent(runs) > 5
    assert found.noise_percent < found.uncorrected_noise_percent / 4


@pytest.mark.parametrize("seed", range(5))
def test_drift_that_the_items_do_not_feel_is_left_alone(seed: int) -> None:
    found = combined(measured(quiet, drift=swing, exposed=lambda item: 0.0, seed=seed))
    assert found.exposure == 0.0
    assert error_percent(found.ms) < 0.5


def test_items_half_exposed_to_drift_are_half_corrected() -> None:
    found = combined(measured(quiet, drift=swing, exposed=lambda item: 0.5))
    assert found.exposure == pytest.approx(0.5, abs=0.02)


def large_feel_it(item: str) -> float:
    """Contention for memory: what is large is moved, what is small is not."""
    return 1.0 if TRUTH_MS[item] > 2.0 else 0.0


@pytest.mark.parametrize("seed", range(5))
def test_each_item_is_corrected_by_its_own_exposure(seed: int) -> None:
    found = combined(measured(quiet, passes=12, drift=swing, exposed=large_feel_it, seed=seed))
    assert found.exposure == pytest.approx(0.5, abs=0.02)
    assert found.noise_percent < found.uncorrected_noise_percent / 50


@pytest.mark.parametrize("seed", range(5))
def test_a_reference_that_is_noisy_itself_still_shows_a_slow_drift(seed: int) -> None:
    found = combined(measured(quiet, drift=slow, reference_noise=0.03, passes=8, seed=seed))
    assert found.noise_percent < found.uncorrected_noise_percent / 2


def slow(moment: float) -> float:
    """A machine that gets slower by 30 % from beginning to end."""
    return 1 + 0.3 * moment


def test_a_reference_noisier_than_the_items_corrects_nothing() -> None:
    found = combined(measured(quiet, reference_noise=0.1))
    assert found.exposure == 0.0
    assert found.noise_percent == found.uncorrected_noise_percent


@pytest.mark.parametrize("seed", range(5))
def test_a_step_of_the_clock_is_no_step_of_the_times(seed: int) -> None:
    runs = measured(bursts, drift=step, passes=10, seed=seed)
    found = combined(runs)
    ratio = found.ms / np.array([TRUTH_MS[item] for item in ITEMS])
    assert 100 * np.mean(np.abs(ratio / np.median(ratio) - 1)) < 2
    assert one_visit_error_percent(runs) > 6


@pytest.mark.parametrize("seed", range(5))
def test_a_coarse_clock_costs_no_more_than_its_step(seed: int) -> None:
    truth_ms = np.array([TRUTH_MS[item] for item in ITEMS])
    assert (np.abs(combined(measured(quantised, seed=seed)).ms - truth_ms) < 0.005 / 2 + 0.005 * truth_ms).all()


@pytest.mark.parametrize("timer", [bursts, heavy_tails])
@pytest.mark.parametrize("seed", range(3))
def test_it_is_nearer_to_the_truth_than_plain_means_of_the_same_runs(timer: Timer, seed: int) -> None:
    runs = measured(timer, seed=seed)
    plain = np.array([np.mean([np.mean(run.times_ns) for _, run in runs if run.item == item]) / 1e6 for item in ITEMS])
    assert error_percent(combined(runs).ms) < error_percent(plain) / 4


# Intervals


@cache
def long_run_ms(timer: Timer) -> np.ndarray:
    """What ever more passes come to."""
    return combined(measured(timer, passes=400, seed=99)).ms


@pytest.mark.parametrize("passes", [5, 8, 16])
@pytest.mark.parametrize("timer", [normal, heavy_tails, bursts], ids=["normal", "heavy_tails", "bursts"])
def test_intervals_cover_what_ever_more_passes_come_to(timer: Timer, passes: int) -> None:
    long_run = long_run_ms(timer)
    covered = []
    for seed in range(8):
        found = combined(measured(timer, passes=passes, seed=seed))
        covered.append(np.abs(found.ms / long_run - 1) * 100 <= found.interval_percent)
    assert 0.9 <= np.mean(covered) <= 0.99


def test_more_passes_give_narrower_intervals() -> None:
    widths = [np.median(combined(measured(normal, passes=passes)).interval_percent) for passes in (4, 8, 16, 32)]
    assert widths == sorted(widths, reverse=True)
    assert widths[0] > 1.7 * widths[-1]


def test_an_item_noisier_than_the_others_has_a_wider_interval() -> None:
    rng = np.random.default_rng(0)
    runs = []
    for p, run in measured(normal, passes=12):
        factor = 1 + 0.1 * rng.standard_normal() if run.item == ITEMS[5] else 1.0
        runs.append((p, replace(run, times_ns=tuple(int(t * factor) for t in run.times_ns))))
    widths = combined(runs).interval_percent
    assert widths.argmax() == 5
    assert widths[5] > 2 * np.median(widths)


def test_two_visits_tell_no_interval() -> None:
    assert np.isinf(combined(measured(quiet, passes=2)).interval_percent).all()


# Warm-up


@pytest.mark.parametrize("cold", [0, 1, 4])
def test_the_warm_up_is_found_in_the_runs(cold: int) -> None:
    runs = [
        (p, replace(run, times_ns=tuple(t * 2 if i < cold else t for i, t in enumerate(run.times_ns))))
        for p, run in measured(quiet)
    ]
    assert combined(runs).warm_up == cold
    assert error_percent(combined(runs).ms) < 0.3


def test_a_short_visit_keeps_three_runs_whatever_the_warm_up() -> None:
    assert visit_ms((9_000_000, 5_000_000, 4_000_000, 4_000_000), warm_up=10) == 4.0


# Noise


def campaigns(timer: Timer, *, n: int = 20) -> tuple[float, float]:
    """Mean deviation of a campaign's times from the mean of many campaigns, and the noise they tell, percent."""
    found = [combined(measured(timer, seed=seed)) for seed in range(n)]
    times = np.array([one.ms for one in found])
    deviation = 100 * np.mean(np.abs(times / times.mean(axis=0) - 1))
    return float(deviation), float(np.mean([one.noise_percent for one in found]))


@pytest.mark.parametrize("timer", [quiet, heavy_tails])
def test_the_noise_told_is_the_deviation_of_a_campaign(timer: Timer) -> None:
    deviation, told = campaigns(timer)
    assert told == pytest.approx(deviation, rel=0.25)


def test_the_noise_told_of_visits_in_bursts_is_no_less_than_it_is() -> None:
    deviation, told = campaigns(bursts)
    assert deviation < told < 3 * deviation


def test_more_passes_leave_less_noise() -> None:
    noise = [
        np.mean([combined(measured(bursts, passes=passes, seed=seed)).noise_percent for seed in range(5)])
        for passes in (4, 8, 16)
    ]
    assert noise[0] > noise[1] > noise[2]


def test_noise_is_not_known_from_fewer_than_four_passes() -> None:
    found = combined(measured(quiet, passes=3))
    assert np.isnan(found.noise_percent)
    assert np.isfinite(found.ms).all()


# Laws


@given(st.randoms(use_true_random=False))
@settings(max_examples=10)
def test_the_order_of_the_runs_does_not_matter(random: object) -> None:
    runs = measured(bursts, passes=4, drift=swing)
    shuffled = list(runs)
    random.shuffle(shuffled)  # type: ignore[attr-defined]
    one, other = combined(runs), combined(shuffled)
    assert np.array_equal(one.ms, other.ms)
    assert np.array_equal(one.spread_percent, other.spread_percent)
    assert (one.noise_percent, one.exposure) == (other.noise_percent, other.exposure)


@given(st.integers(2, 1000))
@settings(max_examples=10)
def test_times_scale_with_the_clock_and_percentages_do_not(factor: int) -> None:
    runs = measured(bursts, passes=4, drift=swing)
    slower = [(p, replace(run, times_ns=tuple(factor * t for t in run.times_ns))) for p, run in runs]
    one, other = combined(runs), combined(slower)
    assert other.ms == pytest.approx(factor * one.ms)
    assert other.spread_percent == pytest.approx(one.spread_percent)
    assert other.noise_percent == pytest.approx(one.noise_percent)


@given(st.lists(st.integers(1, 10**9), min_size=1, max_size=30))
def test_a_visits_time_lies_in_the_lower_half_of_its_runs(times_ns: list[int]) -> None:
    assert min(times_ns) <= visit_ms(times_ns) * 1e6 * (1 + 1e-12)
    assert visit_ms(times_ns) * 1e6 <= np.median(times_ns) * (1 + 1e-12)


def test_items_of_other_kinds_change_nothing() -> None:
    runs = measured(bursts, passes=4)
    some = combine(runs, ITEMS[:7], reference="reference")
    assert np.array_equal(some.ms, combined(runs).ms[:7])


# Gaps


def test_an_item_without_times_is_told_by_its_number_of_visits() -> None:
    runs = [
        (p, replace(run, times_ns=(), refusal="no such op") if run.item == ITEMS[3] else run)
        for p, run in measured(quiet, passes=4)
    ]
    found = combined(runs)
    assert list(found.visits) == [4] * 3 + [0] + [4] * 36
    assert np.isnan(found.ms[3])
    assert np.isfinite(np.delete(found.ms, 3)).all()
    assert np.isfinite(found.noise_percent)


def test_an_unfinished_last_pass_counts_where_it_went() -> None:
    runs = [(p, run) for p, run in measured(quiet, passes=5) if p < 4 or run.slot < 10]
    found = combined(runs)
    assert set(found.visits) == {4, 5}
    assert error_percent(found.ms) < 0.5


def test_no_items_give_empty_arrays_and_unknown_noise() -> None:
    found = combine(measured(quiet, passes=4), (), reference="reference")
    assert found.ms.shape == found.spread_percent.shape == found.visits.shape == (0,)
    assert np.isnan(found.noise_percent)


def test_without_a_reference_nothing_is_divided_out() -> None:
    runs = [(p, run) for p, run in measured(quiet, passes=4) if run.item != "reference"]
    found = combined(runs)
    assert found.exposure == 0.0
    assert found.noise_percent == found.uncorrected_noise_percent
    assert error_percent(found.ms) < 0.5


@given(st.integers(0, 1000))
@settings(max_examples=10)
def test_a_reference_that_never_changes_corrects_nothing(seed: int) -> None:
    runs = [
        (p, replace(run, times_ns=(3_000_000,)) if run.item == "reference" else run)
        for p, run in measured(bursts, passes=4, seed=seed)
    ]
    assert combined(runs).exposure == 0.0


def test_the_reference_series_is_in_order_and_leaves_refusals_out() -> None:
    runs = [
        (1, Run(4, "reference", (2_000_000,), 1, {})),
        (0, Run(9, "reference", (), 0, {}, refusal="out of memory")),
        (0, Run(2, "reference", (3_000_000,), 1, {})),
        (0, Run(3, "item0", (5_000_000,), 1, {})),
    ]
    assert reference_series(runs, reference="reference") == [(0, 2, 3.0), (1, 4, 2.0)]


def test_items_that_differ_by_noise_alone_share_an_exposure() -> None:
    rng = np.random.default_rng(0)
    drift = np.exp(0.01 * rng.standard_normal((200, 16)))
    times = drift**0.5 * np.exp(0.05 * rng.standard_normal(drift.shape))
    logs, levels = (np.log(values) - np.log(values).mean(axis=1, keepdims=True) for values in (times, drift))
    slopes = (logs * levels).sum(axis=1) / (levels**2).sum(axis=1)
    exposures = _exposure(times, drift, Correction(window=1, exposure=None))
    assert slopes.std() > 1 and exposures.std() < 0.1 * slopes.std()

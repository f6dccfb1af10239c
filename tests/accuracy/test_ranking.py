"""How a source ranks: laws of the correlations and their intervals, parts, ties, and what the verdict says."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mnas_evo.accuracy.ranking import FEWEST, SOURCE, RankCheck, correlations, rank_check
from mnas_evo.errors import RequestError
from mnas_evo.latency.scoring import rank_correlations

N = 60
RNG = np.random.default_rng(0)
KNOWN = 90 + 3 * RNG.standard_normal(N)
NOISE = RNG.standard_normal(N)
BLIND = RNG.standard_normal(N)


def check(predicted: np.ndarray, known: np.ndarray = KNOWN, **beside: np.ndarray) -> RankCheck:
    return rank_check(predicted, known, beside=beside or {"params": BLIND[: len(known)]})


def tied(n: int, *, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Predictions and knowledge of few values."""
    rng = np.random.default_rng(seed)
    return rng.integers(0, 5, n).astype(float), rng.integers(0, 7, n).astype(float)


@settings(deadline=None)
@given(st.integers(2, 30), st.integers(0, 10_000))
def test_correlations_of_a_resample_are_those_of_its_networks_written_out(n: int, seed: int) -> None:
    predicted, known = tied(n, seed=seed)
    times = np.random.default_rng(seed).multinomial(n, np.full(n, 1 / n), size=4).astype(float)
    kendall, spearman = correlations(predicted, known, times=times)
    for i, counts in enumerate(times):
        drawn = np.repeat(np.arange(n), counts.astype(int))
        assert (kendall[i], spearman[i]) == pytest.approx(rank_correlations(predicted[drawn], known[drawn]))


def test_more_networks_than_are_counted_at_once_change_nothing() -> None:
    predicted, known = tied(2500, seed=3)
    kendall, spearman = correlations(predicted, known, times=np.ones((1, 2500)))
    assert (kendall[0], spearman[0]) == pytest.approx(rank_correlations(predicted, known))


def test_a_perfect_source_ranks_at_1_and_a_reversed_one_at_minus_1() -> None:
    for predicted, value in ((KNOWN, 1.0), (-KNOWN, -1.0)):
        for part in check(predicted).parts.values():
            ranks = part.ranks[SOURCE]
            for estimate in (ranks.kendall, ranks.spearman):
                assert (estimate.value, estimate.low, estimate.high) == pytest.approx((value, value, value))


@settings(deadline=None, max_examples=20)
@given(st.integers(0, 10_000), st.sampled_from([np.exp, np.cbrt, lambda x: 7 * x - 3]))
def test_a_monotone_transform_changes_nothing(seed: int, transform) -> None:  # type: ignore[no-untyped-def]
    predicted, known = tied(24, seed=seed)
    assert check(transform(predicted), known) == check(predicted, known)


@settings(deadline=None, max_examples=30)
@given(st.integers(0, 10_000), st.floats(0.3, 5.0))
def test_an_interval_holds_its_estimate(seed: int, noise: float) -> None:
    rng = np.random.default_rng(seed)
    known = rng.standard_normal(40)
    ranks = check(known + noise * rng.standard_normal(40), known).parts["all"].ranks[SOURCE]
    for estimate in (ranks.kendall, ranks.spearman):
        assert -1 <= estimate.low < estimate.value < estimate.high <= 1


def test_nine_intervals_in_ten_hold_the_correlation_of_all_there_are() -> None:
    rng = np.random.default_rng(5)
    held = 0
    for _ in range(100):
        both = rng.multivariate_normal([0, 0], [[1, 0.8], [0.8, 1]], size=60)
        kendall = check(both[:, 0], both[:, 1]).parts["all"].ranks[SOURCE].kendall
        held += kendall.low <= 2 / np.pi * np.arcsin(0.8) <= kendall.high  # Kendall's of normal pairs
    assert 82 <= held <= 97


def test_more_networks_have_a_narrower_interval() -> None:
    few, many = (check((KNOWN + NOISE)[:n], KNOWN[:n]).parts["all"].ranks[SOURCE].kendall for n in (15, 60))
    assert many.high - many.low < few.high - few.low


def test_the_same_seed_says_the_same_and_another_seed_another_interval() -> None:
    said = [rank_check(KNOWN + NOISE, KNOWN, beside={}, seed=seed).parts["all"].ranks for seed in (0, 0, 1)]
    assert said[0] == said[1] != said[2]
    assert said[0][SOURCE].kendall.value == said[2][SOURCE].kendall.value


def test_parts_are_the_better_ones_by_what_is_known_with_all_that_are_as_good_as_the_last() -> None:
    parts = check(NOISE).parts
    assert {name: part.networks for name, part in parts.items()} == {"all": 60, "better half": 30, "best quarter": 15}
    best = np.sort(KNOWN)[-15] <= KNOWN
    expected = rank_correlations(NOISE[best], KNOWN[best])
    ranks = parts["best quarter"].ranks[SOURCE]
    assert (ranks.kendall.value, ranks.spearman.value) == pytest.approx(expected)
    known = np.repeat([90.0, 91.0, 92.0], [20, 30, 10])
    assert check(NOISE, known).parts["better half"].networks == 40


def test_a_part_of_too_few_or_of_equals_says_so_and_has_no_figures() -> None:
    parts = check(NOISE[:20], KNOWN[:20]).parts
    assert parts["better half"].ranks and not parts["best quarter"].ranks
    assert "too few" in parts["best quarter"].reason
    alike = np.where(np.arange(60) < 30, 95.0, np.arange(60))
    assert "all have a top-1 of 95 %" in check(NOISE, np.minimum(alike, 95.0)).parts["best quarter"].reason


def test_the_paired_gain_is_surer_than_two_intervals_apart() -> None:
    shared = KNOWN + 2 * NOISE
    found = rank_check(shared + 0.1 * BLIND, KNOWN, beside={"params": shared - 0.5 * BLIND})
    gain = found.gains["params"]
    ranks = found.parts["all"].ranks
    assert gain.value == pytest.approx(ranks[SOURCE].kendall.value - ranks["params"].kendall.value)
    apart = ranks[SOURCE].kendall.high - ranks["params"].kendall.low
    assert gain.low < gain.value < gain.high < apart / 2


def test_best_found_counts_the_best_ten_among_fifteen() -> None:
    order = np.argsort(-KNOWN)
    predicted = -np.arange(N, dtype=float)
    predicted[order[:10]] = [100] * 7 + [-1000] * 3  # seven of the best ten on top, three at the end
    found = check(predicted, params=KNOWN)
    assert found.best_found == {SOURCE: 7.0, "params": 10.0}
    assert found.best_by_chance == 2.5
    assert check(NOISE[:19], KNOWN[:19]).best_found is None


def test_ties_at_the_last_place_are_shared() -> None:
    found = check(np.zeros(N), params=np.where(np.sort(KNOWN)[-30] <= KNOWN, 1.0, 0.0))
    assert found.best_found == pytest.approx({SOURCE: 2.5, "params": 5.0})


def test_a_source_that_says_the_same_of_all_ranks_nothing() -> None:
    found = check(np.full(N, 90.0))
    ranks = found.parts["all"].ranks[SOURCE]
    assert found.constant and "ranks nothing" in found.verdict
    assert (ranks.kendall.low, ranks.kendall.value, ranks.spearman.high) == (0, 0, 0)


@pytest.mark.parametrize(
    ("params", "macs", "words"),
    [
        (BLIND, -BLIND, "ranks better than parameters and multiply-adds beyond the bootstrap's error"),
        (BLIND, KNOWN + NOISE, "better than parameters beyond the bootstrap's error, but not than multiply-adds"),
        (KNOWN + NOISE, KNOWN - NOISE, "does not rank better than parameters and multiply-adds"),
        (BLIND, KNOWN, "ranks worse than multiply-adds beyond the bootstrap's error"),
    ],
)
def test_the_verdict_names_what_the_source_beats_and_what_it_does_not(
    params: np.ndarray, macs: np.ndarray, words: str
) -> None:
    verdict = check(KNOWN + NOISE * BLIND, params=params, macs=macs).verdict
    assert words in verdict and "only" not in verdict


def test_few_networks_are_said_in_the_verdict_and_fewer_are_refused() -> None:
    assert "of only 10 networks" in check(NOISE[:FEWEST], KNOWN[:FEWEST]).verdict
    with pytest.raises(RequestError, match=r"9 networks of known top-1 are too few"):
        check(NOISE[: FEWEST - 1], KNOWN[: FEWEST - 1])


def test_networks_that_are_all_as_good_are_refused() -> None:
    with pytest.raises(RequestError, match=r"all 60 networks have a top-1 of 90 %"):
        check(NOISE, np.full(N, 90.0))

"""Random architectures within limits: uniform where they can be, near where they cannot."""

from dataclasses import replace

import numpy as np
import pytest
from support.search_problem import SMALLEST, SPACE, problem

from mnas_evo.search.objectives import Counted, Problem, Source
from mnas_evo.search.within_limits import random_within_limits
from mnas_evo.space.space import Genes

SAMPLE = SPACE.sample(5_000, rng=np.random.default_rng(9))
LATENCIES = problem().cheap_arrays(SAMPLE)["latency_ms"]


def drawn(target: Problem, count: int = 20, *, without: Genes = SAMPLE[:0], seed: int = 0) -> Genes:
    """What is given when all but some genomes are new."""
    old = {row.tobytes() for row in without}

    def new(genes: Genes) -> Genes:
        return genes[[i for i, row in enumerate(genes) if row.tobytes() not in old]]

    return random_within_limits(target, count, is_new=new, rng=np.random.default_rng(seed))


def check_canonical_and_distinct(target: Problem, genes: Genes) -> None:
    assert genes.dtype == np.int64
    assert np.array_equal(target.space.canonical(genes), genes)
    assert len(np.unique(genes, axis=0)) == len(genes)


def test_without_limits_they_are_uniform_and_distinct() -> None:
    genes = np.concatenate([drawn(problem(), 400, seed=seed) for seed in range(5)])
    check_canonical_and_distinct(problem(), drawn(problem(), 400))
    found = problem().cheap_arrays(genes)["latency_ms"]
    assert found.shape == (2_000,)
    for share in (0.1, 0.5, 0.9):
        assert abs((found <= np.quantile(LATENCIES, share)).mean() - share) < 0.03


def test_a_limit_that_leaves_many_gives_uniform_ones_of_those_within() -> None:
    limit = float(np.quantile(LATENCIES, 0.5))
    target = problem(limits={"latency_ms": limit})
    found = target.cheap_arrays(np.concatenate([drawn(target, 100, seed=seed) for seed in range(10)]))["latency_ms"]
    assert (found <= limit).all()
    assert abs((found <= np.quantile(LATENCIES, 0.25)).mean() - 0.5) < 0.06


@pytest.mark.parametrize("share", [0.01, 0.0002])
def test_a_limit_that_leaves_few_is_met(share: float) -> None:
    target = problem(limits={"latency_ms": float(np.quantile(LATENCIES, share))})
    genes = drawn(target)
    check_canonical_and_distinct(target, genes)
    assert len(genes) == 20
    assert not target.violations(target.cheap_arrays(genes)).any()


def test_limits_from_above_and_below_are_met_together() -> None:
    cheap = {**problem().cheap, "top1": Source(Counted(SPACE, "params"), "as if")}  # top1 is at least its limit
    most = {"latency_ms": float(np.quantile(LATENCIES, 0.05)), "top1": float(np.quantile(SPACE.params(SAMPLE), 0.3))}
    target = replace(problem(limits=most), cheap=cheap)
    genes = drawn(target)
    assert len(genes) == 20
    assert (target.cheap_arrays(genes)["latency_ms"] <= most["latency_ms"]).all()
    assert (SPACE.params(genes) >= most["top1"]).all()


def test_an_impossible_limit_gives_the_nearest_there_are() -> None:
    target = problem(limits={"latency_ms": 1e-6})
    genes = drawn(target)
    check_canonical_and_distinct(target, genes)
    found = target.cheap_arrays(genes)["latency_ms"]
    assert len(found) == 20 and (np.diff(found) >= 0).all()  # what misses least comes first
    assert found.max() < LATENCIES.min()


def test_limits_on_what_is_not_cheap_leave_out_nothing() -> None:
    assert np.array_equal(drawn(problem(limits={"top1": 99.0})), drawn(problem()))
    counted = {"params": Source(Counted(SPACE, "params"), "counted")}
    measured = replace(problem(limits={"latency_ms": 1.0}), cheap=counted)
    assert np.array_equal(drawn(measured), drawn(problem()))


@pytest.mark.parametrize("limits", [{}, {"latency_ms": float(np.quantile(LATENCIES, 0.01))}], ids=["free", "tight"])
def test_what_is_not_new_is_never_given(limits: dict[str, float]) -> None:
    target = problem(limits=limits)
    first = drawn(target)
    second = drawn(target, without=first)
    assert len(second) == 20
    check_canonical_and_distinct(target, np.concatenate([first, second]))


def test_a_space_that_runs_out_gives_the_rest_and_then_nothing() -> None:
    target = problem(space=SMALLEST)
    everything = SMALLEST.all_genes()
    rest = drawn(target, without=everything[1:])
    assert np.array_equal(rest, everything[:1])
    assert drawn(target, without=everything).shape == (0, len(SMALLEST.sizes))
    assert len(drawn(target)) == SMALLEST.architectures
    limited = problem(space=SMALLEST, limits={"latency_ms": 1e-6})
    assert drawn(limited, without=everything).shape == (0, len(SMALLEST.sizes))


def test_the_same_seed_gives_the_same() -> None:
    target = problem(limits={"latency_ms": float(np.quantile(LATENCIES, 0.001))})
    assert np.array_equal(drawn(target, seed=3), drawn(target, seed=3))
    assert not np.array_equal(drawn(target, seed=3), drawn(target, seed=4))

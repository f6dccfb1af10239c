"""NSGA-II and III: named networks to start from, many objectives, and limits before objectives."""

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest
from pymoo.algorithms.moo.nsga3 import NSGA3
from support.search_problem import SMALLEST, SPACE, problem

from mnas_evo.errors import NotationError, RequestError
from mnas_evo.search.contract import Outcome
from mnas_evo.search.front import Matrix, hypervolume
from mnas_evo.search.nsga2 import Nsga2, Nsga2Settings, nearest_genomes, nsga2
from mnas_evo.space.named import named_network
from mnas_evo.space.neighbourhood import nearest
from mnas_evo.space.space import Genes, SearchSpace
from mnas_evo.space.space_file import load_space

PAPER = load_space("paper")
PUBLISHED = ("mnasnet-a1", "mnasnet-b1", "mobilenet-v2")

CORNERS = SPACE.sample(3, rng=np.random.default_rng(99))


def three(genes: Genes) -> Matrix:
    """Three objectives that fight each other: the shares of genes that are not those of three corners."""
    shares: Matrix = (genes[:, None] != CORNERS[None]).mean(axis=2)
    return shares


def driven(
    searcher: Nsga2,
    generations: int,
    objectives: Callable[[Genes], Matrix],
    missed: Callable[[Genes], Matrix] = lambda genes: np.zeros(len(genes)),
) -> list[Genes]:
    """What is asked in so many generations, when objectives, and the shares by which limits are missed, are these."""
    found = []
    for _ in range(generations):
        genes = searcher.ask()
        found.append(genes)
        searcher.tell(genes, told(objectives(genes), missed(genes)))
    return found


def told(rows: Matrix, over: Matrix) -> list[Outcome]:
    return [
        Outcome("values", tuple(row)) if miss <= 0 else Outcome("violation", violation=float(miss))
        for row, miss in zip(rows.tolist(), over, strict=True)
    ]


@pytest.mark.parametrize("count", [3, 4])
def test_with_three_objectives_or_more_what_is_asked_is_canonical_and_never_twice(count: int) -> None:
    def objectives(genes: Genes) -> Matrix:
        return np.column_stack([three(genes), genes[:, 2::6].mean(axis=1)])[:, :count]

    first, again, other = (
        np.concatenate(driven(Nsga2(SPACE, objectives=count, seed=seed), 6, objectives)) for seed in (3, 3, 4)
    )
    assert first.dtype == np.int64 and len(first) == 120
    assert np.array_equal(SPACE.canonical(first), first)
    assert len(np.unique(first, axis=0)) == len(first)
    assert np.array_equal(first, again) and not np.array_equal(first, other)


def test_with_three_objectives_it_is_nsga3_and_comes_nearer_to_the_corners_and_covers_more_than_random_search() -> None:
    reference = np.ones(3)
    for seed in range(4):
        searcher = Nsga2(SPACE, objectives=3, seed=seed)
        assert isinstance(searcher._algorithm, NSGA3)
        found = three(np.concatenate(driven(searcher, 20, three)))
        drawn = three(SPACE.sample(400, rng=np.random.default_rng(seed)))
        assert found.min(axis=0).sum() < drawn.min(axis=0).sum()
        assert hypervolume(found, reference) > 1.2 * hypervolume(drawn, reference)


@pytest.mark.parametrize("population", [3, 20, 50])
def test_any_population_is_asked_in_generations_of_its_size(population: int) -> None:
    searcher = Nsga2(SPACE, objectives=3, seed=0, population=population)
    asked = driven(searcher, 3, three)
    assert [len(genes) for genes in asked] == [population] * 3


@pytest.mark.parametrize("objectives", [2, 3])
def test_constant_objectives_end_nothing(objectives: int) -> None:
    searcher = Nsga2(SPACE, objectives=objectives, seed=0, population=12)
    asked = np.concatenate(driven(searcher, 8, lambda genes: np.ones((len(genes), objectives))))
    assert len(np.unique(asked, axis=0)) == 96


@pytest.mark.parametrize("constant", [0, 1, 2])
def test_one_constant_objective_of_three_leaves_a_search_of_the_others(constant: int) -> None:
    others = [at for at in range(3) if at != constant]

    def flat(genes: Genes) -> Matrix:
        rows = three(genes)
        rows[:, constant] = 0.5
        return rows

    found = three(np.concatenate(driven(Nsga2(SPACE, objectives=3, seed=0), 15, flat)))[:, others]
    drawn = three(SPACE.sample(300, rng=np.random.default_rng(0)))[:, others]
    assert hypervolume(found, np.ones(2)) > 1.1 * hypervolume(drawn, np.ones(2))


@pytest.mark.parametrize("objectives", [2, 3])
def test_when_everything_fails_or_misses_it_goes_on_with_new_ones(objectives: int) -> None:
    searcher = Nsga2(SPACE, objectives=objectives, seed=0, population=12)
    asked = []
    for outcome in (Outcome("failure"), Outcome("violation", violation=0.5), Outcome("failure")):
        asked.append(searcher.ask())
        searcher.tell(asked[-1], [outcome] * 12)
    assert len(np.unique(np.concatenate([*asked, searcher.ask()]), axis=0)) == 48


@pytest.mark.parametrize("objectives", [2, 3])
def test_the_feasible_go_before_the_infeasible_and_those_that_miss_less_before_others(objectives: int) -> None:
    macs = SPACE.macs(SPACE.sample(5_000, rng=np.random.default_rng(0)))
    limit = float(np.quantile(macs, 0.01))

    def missed(genes: Genes) -> Matrix:
        return np.maximum(0.0, SPACE.macs(genes) / limit - 1)

    asked = driven(
        Nsga2(SPACE, objectives=objectives, seed=0),
        20,
        lambda genes: np.column_stack([-SPACE.params(genes), SPACE.macs(genes), genes.mean(axis=1)])[:, :objectives],
        missed,
    )
    misses = [np.median(missed(genes)) for genes in asked]
    assert misses[0] > misses[4] > misses[8]
    assert np.mean([(missed(genes) == 0).mean() for genes in asked[-5:]]) > 0.25  # of random ones one in a hundred


def test_an_infeasible_one_is_never_kept_for_its_objectives() -> None:
    searcher = Nsga2(SPACE, objectives=2, seed=0, population=6)
    first = searcher.ask()
    searcher.tell(first, told(np.arange(12.0).reshape(6, 2), np.zeros(6)))
    second = searcher.ask()
    searcher.tell(second, [Outcome("violation", (-1e6, -1e6), 0.01)] * 6)
    assert sorted(searcher._algorithm.pop.get("X").astype(int).tolist()) == sorted(first.tolist())


def test_of_the_infeasible_those_that_miss_least_are_kept_and_what_failed_is_the_last() -> None:
    searcher = Nsga2(SPACE, objectives=2, seed=0, population=6)
    first = searcher.ask()
    searcher.tell(first, told(np.zeros((6, 2)), np.array([0.9, 0.1, 0.8, 0.2, 0.7, 0.3])))
    second = searcher.ask()
    searcher.tell(second, [Outcome("failure")] * 3 + told(np.zeros((3, 2)), np.array([0.4, 0.6, 0.5])))
    kept = np.concatenate([first[[1, 3, 5]], second[[3, 5, 4]]])
    assert sorted(searcher._algorithm.pop.get("X").astype(int).tolist()) == sorted(kept.tolist())


# Networks to start from


def test_named_networks_stand_first_in_the_first_generation_as_their_nearest_genomes() -> None:
    searcher = nsga2(problem(space=PAPER), Nsga2Settings(population=8, start=PUBLISHED), seed=0)
    first = searcher.ask()
    closest = [nearest(PAPER, named_network(name).architecture) for name in PUBLISHED]
    assert np.array_equal(first[:3], closest)
    assert len(np.unique(first, axis=0)) == 8


def test_a_network_named_twice_stands_once_and_more_than_a_generation_holds_are_cut() -> None:
    twice = nsga2(problem(space=PAPER), Nsga2Settings(population=4, start=("mnasnet-a1", "mnasnet-a1")), seed=0).ask()
    assert len(np.unique(twice, axis=0)) == 4
    cut = nsga2(problem(space=PAPER), Nsga2Settings(population=2, start=PUBLISHED), seed=0).ask()
    assert np.array_equal(cut, nearest_genomes(PAPER, PUBLISHED[:2]))


def test_a_population_smaller_than_three_objectives_is_refused() -> None:
    target = replace(problem(), objectives=("top1", "latency_ms", "params"))
    with pytest.raises(RequestError, match="3 objectives need a population of at least 3, not 2"):
        nsga2(target, Nsga2Settings(population=2), seed=0)


def test_without_networks_there_are_no_nearest_genomes() -> None:
    assert nearest_genomes(PAPER, []).shape == (0, len(PAPER.sizes))


@pytest.mark.parametrize("space", [SPACE, SMALLEST], ids=lambda space: space.name)
def test_a_network_of_another_number_of_blocks_is_refused(space: SearchSpace) -> None:
    with pytest.raises(
        RequestError,
        match=f"cannot start from mnasnet-a1: space {space.name} has {len(space.blocks)} blocks, the architecture 7",
    ):
        nsga2(problem(space=space), Nsga2Settings(start=("mnasnet-a1",)), seed=0)


def test_an_unknown_network_is_answered_with_the_known_ones() -> None:
    with pytest.raises(NotationError, match=r"'mnasnet-a4'.*mnasnet-a1, mnasnet-b1"):
        nsga2(problem(space=PAPER), Nsga2Settings(start=("mnasnet-a4",)), seed=0)

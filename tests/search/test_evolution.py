"""Regularized evolution: who dies, who is born, and how several targets take turns."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pytest
from support.search_problem import SMALLEST, SPACE, problem

from mnas_evo.search.contract import Outcome, Telling
from mnas_evo.search.evolution import Evolution, EvolutionSettings, evolution
from mnas_evo.search.reward import Reward
from mnas_evo.search.turns import TakingTurns, taking_turns
from mnas_evo.space.neighbourhood import neighbours
from mnas_evo.space.space import Genes

REWARD = Reward("soft", 1.0, top1_at=0, cost_at=1)


def made(seed: int = 0, **settings: Any) -> Evolution:
    return Evolution(SPACE, EvolutionSettings(**settings), REWARD, rng=np.random.default_rng(seed))


def worth(rewards: Sequence[float]) -> list[Outcome]:
    """Outcomes of these rewards: at the target, accuracy is reward."""
    return [Outcome("values", (-100.0 * reward, 1.0)) for reward in rewards]


def one_choice_apart(parent: Genes, child: Genes) -> bool:
    return any(np.array_equal(child, near) for near in neighbours(SPACE, parent))


def test_a_child_differs_from_the_best_of_the_sample_by_one_choice() -> None:
    searcher = made(population=8, sample=8, batch=8)
    parents = searcher.ask()
    searcher.tell(parents, worth([0.1, 0.2, 0.3, 0.9, 0.4, 0.5, 0.6, 0.7]))
    children = searcher.ask()
    assert len(children) == 8
    assert all(one_choice_apart(parents[3], child) for child in children)


def test_a_sample_of_one_makes_any_of_the_living_a_parent() -> None:
    searcher = made(population=4, sample=1, batch=12)
    searcher.tell(first := searcher.ask(), worth(np.linspace(0, 1, 12).tolist()))
    children = searcher.ask()
    alive = first[-4:]
    parents = [{i for i, parent in enumerate(alive) if one_choice_apart(parent, child)} for child in children]
    assert all(parents) and set.union(*parents) == {0, 1, 2, 3}


def test_the_oldest_die_whatever_their_reward() -> None:
    searcher = made(population=4, sample=4, batch=4)
    best = searcher.ask()
    searcher.tell(best, worth([0.99, 0.98, 0.97, 0.96]))
    children = searcher.ask()
    assert all(one_choice_apart(best[0], child) for child in children)
    searcher.tell(children, worth([0.01, 0.02, 0.03, 0.04]))
    assert all(one_choice_apart(children[3], child) for child in searcher.ask())


def test_the_young_live_on_for_as_many_as_the_population_holds() -> None:
    searcher = made(population=6, sample=6, batch=4)
    searcher.tell(first := searcher.ask(), worth([0.1, 0.1, 0.1, 0.9]))
    searcher.tell(searcher.ask(), worth([0.2, 0.2, 0.2, 0.2]))  # the population was not full: random ones
    assert all(one_choice_apart(first[3], child) for child in searcher.ask())


def test_failures_live_with_reward_0_and_are_no_parents_beside_others() -> None:
    searcher = made(population=4, sample=4, batch=4)
    parents = searcher.ask()
    searcher.tell(parents, [Outcome("failure"), *worth([0.1]), Outcome("failure"), Outcome("violation", violation=1)])
    assert all(one_choice_apart(parents[1], child) for child in searcher.ask())


def test_it_never_asks_twice_even_with_one_best_parent() -> None:
    searcher = made(population=2, sample=2, batch=20)
    asked = []
    for _ in range(6):
        asked.append(searcher.ask())
        searcher.tell(asked[-1], worth([0.5] * len(asked[-1])))
    everything = np.concatenate(asked)
    assert len(np.unique(everything, axis=0)) == len(everything)


def test_several_targets_have_a_searcher_each_and_take_turns() -> None:
    settings: dict[str, Any] = {"population": 4, "sample": 4, "batch": 4}
    both = evolution(problem(), EvolutionSettings(target=(0.5, 2.0), **settings), seed=7)
    alone = evolution(problem(), EvolutionSettings(target=(0.5,), **settings), seed=7)
    assert isinstance(both, TakingTurns) and isinstance(alone, Evolution)
    asked, of_first = [], []
    for turn in range(6):
        asked.append(both.ask())
        both.tell(asked[-1], worth([0.1, 0.2, 0.3, 0.4]))
        if turn % 2 == 0:
            of_first.append(alone.ask())
            alone.tell(of_first[-1], worth([0.1, 0.2, 0.3, 0.4]))
    assert all(np.array_equal(a, b) for a, b in zip(asked[::2], of_first, strict=True))
    assert not np.array_equal(asked[0], asked[1])


def test_a_space_smaller_than_the_population_is_asked_whole_by_every_target_in_its_turn() -> None:
    searcher = evolution(problem(space=SMALLEST), EvolutionSettings(target=(0.5, 2.0), batch=3), seed=0)
    asked = []
    while len(genes := searcher.ask()):
        asked.append(genes)
        searcher.tell(genes, worth([0.5] * len(genes)))
    _, times = np.unique(np.concatenate(asked), axis=0, return_counts=True)
    assert times.tolist() == [2] * SMALLEST.architectures


# Taking turns, of any searchers


class Counting:
    """Asks for so many batches of one genome that holds its number, and says how many it was told."""

    def __init__(self, number: int, batches: int) -> None:
        self.number, self.left, self.told = number, batches, list[int]()

    def ask(self) -> Genes:
        return np.full((min(self.left, 1), 3), self.number, dtype=np.int64)

    def tell(self, genes: Genes, outcomes: Sequence[Outcome]) -> None:
        self.left -= 1
        self.told += genes[:, 0].tolist()


class Saying(Counting):
    def facts(self) -> Mapping[str, float]:
        return {"told": float(len(self.told))}


def order(searcher: TakingTurns) -> list[int]:
    found = []
    while len(genes := searcher.ask()):
        found.append(int(genes[0, 0]))
        searcher.tell(genes, worth([0.5]))
    return found


def test_a_searcher_with_nothing_left_is_passed_over() -> None:
    searchers = [Counting(1, 2), Counting(2, 0), Counting(3, 4), Counting(4, 1)]
    turns = TakingTurns(searchers)
    assert order(turns) == [1, 3, 4, 1, 3, 3, 3]
    assert [set(one.told) - {one.number} for one in searchers] == [set()] * 4  # each hears of its own alone
    assert len(turns.ask()) == 0
    assert turns.facts() == {}


def test_facts_are_of_the_searcher_told_last_and_name_its_target() -> None:
    turns = TakingTurns([Saying(1, 3), Counting(2, 2), Saying(3, 1)])
    assert isinstance(turns, Telling)
    said = []
    while len(genes := turns.ask()):
        turns.tell(genes, worth([0.5]))
        said.append(dict(turns.facts()))
    assert said == [
        {"told, target 1": 1.0},
        {},
        {"told, target 3": 1.0},
        {"told, target 1": 2.0},
        {},
        {"told, target 1": 3.0},
    ]


def test_one_searcher_is_taken_as_it_is() -> None:
    only = Counting(1, 1)
    assert taking_turns([only]) is only


@pytest.mark.parametrize("settings", [{"population": 1}, {"sample": 0}, {"batch": 0}])
def test_settings_that_leave_nothing_to_choose_from_are_refused(settings: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match="greater than or equal"):
        EvolutionSettings(**settings)

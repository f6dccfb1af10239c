"""What every searcher promises. Joining costs a line in SEARCHERS."""

import numpy as np
import pytest
from support.search_problem import SMALLEST, SPACE, problem

from mnas_evo.search.algorithms import parse_algorithm
from mnas_evo.search.contract import Outcome, Searcher
from mnas_evo.space.space import Genes, SearchSpace

NEVER_TWICE = (
    "nsga2:population=12",
    "surrogate-nsga2:first=12:batch=12:population=12:generations=2",
    "random:batch=12",
    "evolution:population=24:batch=12",
)
SEARCHERS = (
    *NEVER_TWICE,
    "evolution:population=24:batch=12:targets=2",
    "rl:minibatch=12",
    "rl:setting=tuned:targets=2",
)


def made(name: str, space: SearchSpace, seed: int) -> Searcher:
    return parse_algorithm(name).searcher(problem(space=space), seed=seed)


def outcomes(genes: Genes) -> list[Outcome]:
    """Two objectives that fight each other; every seventh fails, and every eleventh breaks a limit."""
    found = []
    for row in genes:
        total = int(row.sum())
        if total % 7 == 0:
            found.append(Outcome("failure"))
        elif total % 11 == 0:
            found.append(Outcome("violation", violation=0.5))
        else:
            found.append(Outcome("values", (-float(total), 1000 + float((row**2).sum() - 9 * total))))
    return found


def batches(searcher: Searcher, count: int) -> list[Genes]:
    found = []
    for _ in range(count):
        genes = searcher.ask()
        found.append(genes)
        searcher.tell(genes, outcomes(genes))
    return found


@pytest.mark.parametrize("name", SEARCHERS)
def test_it_is_the_same_for_the_same_seed_and_tells_and_another_for_another(name: str) -> None:
    first, again, other = (batches(made(name, SPACE, seed), 5) for seed in (3, 3, 4))
    assert all(np.array_equal(a, b) for a, b in zip(first, again, strict=True))
    assert not all(np.array_equal(a, b) for a, b in zip(first, other, strict=True))


@pytest.mark.parametrize("name", NEVER_TWICE)
def test_it_asks_for_integer_genomes_in_canonical_form_and_none_twice(name: str) -> None:
    asked = np.concatenate(batches(made(name, SPACE, 1), 6))
    assert asked.dtype == np.int64
    assert np.array_equal(SPACE.canonical(asked), asked)
    assert len(np.unique(asked, axis=0)) == len(asked) == 72


@pytest.mark.parametrize("name", NEVER_TWICE)
def test_a_space_smaller_than_its_batch_is_asked_whole_and_then_nothing(name: str) -> None:
    space = SMALLEST
    searcher = made(name, space, 0)
    asked: list[Genes] = []
    for _ in range(20):
        genes = searcher.ask()
        if len(genes) == 0:
            break
        asked.append(genes)
        searcher.tell(genes, [Outcome("values", (-float(row.sum()), 1 + float(row.sum()))) for row in genes])
    else:
        pytest.fail("the searcher never ended")
    assert len(np.unique(np.concatenate(asked), axis=0)) == space.architectures


def test_nsga2_covers_more_than_random_search_for_the_same_evaluations() -> None:
    from mnas_evo.search.front import hypervolume

    target = problem()
    covered: dict[str, list[float]] = {"nsga2": [], "random": []}
    for seed in range(3):
        for name in covered:
            searcher, values = made(name, SPACE, seed), []
            for _ in range(15):
                genes = searcher.ask()
                cheap = target.cheap_values(genes)
                macs = np.array([known["latency_ms"].value for known in cheap])
                size = genes[:, 2::6].sum(axis=1) + genes[:, 4::6].sum(axis=1) + genes[:, 0::6].sum(axis=1)
                rows = np.column_stack([-size.astype(float), macs])
                values.append(rows)
                searcher.tell(genes, [Outcome("values", tuple(row)) for row in rows])
            covered[name].append(hypervolume(np.concatenate(values), np.array([0.0, 12.0])))
    assert min(covered["nsga2"]) > max(covered["random"])

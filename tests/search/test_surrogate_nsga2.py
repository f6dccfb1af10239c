"""NSGA-II on predictions: what it learns from, what it asks for, and what it does where there is nothing to learn."""

import numpy as np
import pytest
from support.search_problem import SPACE, problem

from mnas_evo.search.algorithms import parse_algorithm
from mnas_evo.search.contract import Outcome
from mnas_evo.search.front import hypervolume
from mnas_evo.search.objectives import Problem
from mnas_evo.search.predicted import PredictedProblem
from mnas_evo.search.surrogate_nsga2 import SurrogateNsga2
from mnas_evo.space.lowering import lower
from mnas_evo.space.named import named_network
from mnas_evo.space.space import Genes

QUICK = "surrogate-nsga2:first=30:batch=10:population=24:generations=6"


def made(target: Problem, text: str = QUICK, seed: int = 0) -> SurrogateNsga2:
    searcher = parse_algorithm(text).searcher(target, seed=seed)
    assert isinstance(searcher, SurrogateNsga2)
    return searcher


def values_of(target: Problem, genes: Genes) -> np.ndarray:
    """Top-1 that grows with parameters, against latency; both minimised."""
    top1 = 100 - 4000 / (target.space.params(genes) / 100 + 50)
    return np.column_stack([-top1, target.cheap_arrays(genes)["latency_ms"]])


def told(target: Problem, searcher: SurrogateNsga2, evaluations: int) -> np.ndarray:
    """The objectives of all that was asked until the budget."""
    found: list[np.ndarray] = []
    while sum(map(len, found)) < evaluations:
        genes = searcher.ask()
        rows = values_of(target, genes)
        searcher.tell(genes, [Outcome("values", tuple(row)) for row in rows.tolist()])
        found.append(rows)
    return np.concatenate(found)[:evaluations]


def test_it_covers_more_than_nsga2_and_random_search_for_the_same_evaluations() -> None:
    target, reference = problem(), np.array([0.0, 12.0])
    covered = hypervolume(told(target, made(target), 80), reference)
    for other in ("nsga2", "random"):
        searcher = parse_algorithm(other).searcher(target, seed=0)
        asked = np.concatenate([told(target, searcher, 80)])  # type: ignore[arg-type]
        assert covered > hypervolume(asked, reference)


def test_its_models_rank_what_they_have_not_seen_and_it_says_how_well() -> None:
    target = problem()
    genes = SPACE.sample(120, rng=np.random.default_rng(0))
    predicted = PredictedProblem(target, seed=0)
    predicted.learn(genes[:80], values_of(target, genes[:80]))
    said, missed = predicted.of(genes[80:])
    known = values_of(target, genes[80:])
    assert np.corrcoef(said[:, 0], known[:, 0])[0, 1] > 0.9
    assert np.array_equal(said[:, 1], known[:, 1])  # cheap: as it is
    assert not missed.any()
    (kendall,) = predicted.facts().values()
    assert 0.7 < kendall <= 1


def test_optimism_moves_only_what_is_learned() -> None:
    target = problem()
    genes = SPACE.sample(60, rng=np.random.default_rng(1))
    predicted = PredictedProblem(target, seed=0)
    predicted.learn(genes, values_of(target, genes))
    plain, hopeful = predicted.of(genes)[0], predicted.of(genes, optimism=1.0)[0]
    assert (hopeful[:, 0] <= plain[:, 0]).all() and (hopeful[:, 0] < plain[:, 0]).any()
    assert np.array_equal(hopeful[:, 1], plain[:, 1])


def test_what_a_cheap_limit_rules_out_is_not_asked() -> None:
    sample = problem().cheap_arrays(SPACE.sample(5_000, rng=np.random.default_rng(3)))["latency_ms"]
    target = problem(limits={"latency_ms": float(np.quantile(sample, 0.01))})
    searcher = made(target)
    rows = told(target, searcher, 60)
    assert (rows[:, 1] <= target.limits["latency_ms"]).all()


def test_what_misses_a_limit_on_accuracy_is_learned_from_and_then_avoided() -> None:
    target = problem(limits={"top1": 90.0})
    searcher = made(target)
    shares = []
    for _ in range(8):
        genes = searcher.ask()
        rows = values_of(target, genes)
        within = rows[:, 0] <= -90
        outcomes = [
            Outcome("values" if fine else "violation", tuple(row), 0.0 if fine else (row[0] + 90) / 90)
            for row, fine in zip(rows.tolist(), within, strict=True)
        ]
        searcher.tell(genes, outcomes)
        shares.append(float(within.mean()))
    assert np.mean(shares[-4:]) > max(0.8, float(np.mean(shares[:3])))


@pytest.mark.parametrize(
    "outcome",
    [
        Outcome("failure"),
        Outcome("values", (-50.0, 1.0)),
        Outcome("values", (float("nan"), 1.0)),
        Outcome("violation", violation=0.3),
    ],
    ids=["all fail", "all alike", "no number", "all miss"],
)
def test_where_there_is_nothing_to_learn_it_goes_on_with_new_architectures(outcome: Outcome) -> None:
    searcher = made(problem())
    asked = []
    for _ in range(6):
        genes = searcher.ask()
        asked.append(genes)
        searcher.tell(genes, [outcome] * len(genes))
    assert len(np.unique(np.concatenate(asked), axis=0)) == 60


def test_the_nearest_genomes_of_named_networks_are_asked_first() -> None:
    from mnas_evo.space.space_file import load_space

    space = load_space("paper")
    searcher = made(problem(space=space), f"{QUICK}:start=mnasnet-a1+mobilenet-v2")
    first = space.networks(searcher.ask()[:2])
    for network, name in zip(first, ("mnasnet-a1", "mobilenet-v2"), strict=True):
        macs = lower(named_network(name)).macs
        assert abs(lower(network).macs / macs - 1) < 0.4
        published = named_network(name).architecture.blocks
        assert [b.kernel for b in network.architecture.blocks] == [b.kernel for b in published]

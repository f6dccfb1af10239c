"""Driving: budgets, resume, limits, failures; a killed search ends as an uninterrupted one."""

import itertools
import re
from pathlib import Path

import numpy as np
import pytest
from support.search_problem import SMALLEST, SPACE, ByParams, Killed, dying, problem

from mnas_evo.accuracy.evaluating import network_seed
from mnas_evo.errors import Infeasible, MnasEvoError, RunChanged
from mnas_evo.search.archive import Archive, Measurement, Tell
from mnas_evo.search.drive import drive
from mnas_evo.search.front import candidates, front
from mnas_evo.search.nsga2 import Nsga2
from mnas_evo.search.objectives import Problem
from mnas_evo.search.random_search import RandomSearch
from mnas_evo.search.run import check_found


def searched(path: Path, target: Problem, *, seed: int = 0, evaluations: int = 30) -> list[Tell]:
    with Archive(path, create=True) as archive:
        drive(
            Nsga2(target.space, objectives=2, seed=seed, population=8),
            target,
            archive,
            evaluations=evaluations,
            seed=seed,
            progress=lambda done, text: None,
        )
        return archive.tells()


def test_the_budget_counts_distinct_evaluations_and_is_spent_exactly(tmp_path: Path) -> None:
    tells = searched(tmp_path / "a", problem(), evaluations=30)
    assert len({tell.network for tell in tells}) == len(tells) == 30
    assert max(tell.batch for tell in tells) >= 3


@pytest.mark.parametrize("at", [0, 1, 7, 8, 19, 29])
def test_a_search_killed_at_any_evaluation_ends_as_an_uninterrupted_one(tmp_path: Path, at: int) -> None:
    target = problem(fails=0.1)
    whole = searched(tmp_path / "whole", target)
    with pytest.raises(Killed):
        searched(tmp_path / "cut", dying(target, at))
    with Archive(tmp_path / "cut") as archive:
        kept = archive.tells()
        assert len(kept) == at
        # Measured in between, as a user may: no searcher hears of it.
        archive.add_measurements([Measurement(tell.network, "latency_ms", 9.9, "measured") for tell in kept])
    assert searched(tmp_path / "cut", target) == whole


def test_going_on_with_a_larger_budget_is_the_search_of_that_budget(tmp_path: Path) -> None:
    searched(tmp_path / "a", problem(), evaluations=11)
    assert searched(tmp_path / "a", problem(), evaluations=30) == searched(tmp_path / "b", problem(), evaluations=30)


def test_a_replay_that_asks_for_something_else_is_refused(tmp_path: Path) -> None:
    searched(tmp_path / "a", problem(), seed=0, evaluations=10)
    with pytest.raises(RunChanged, match="batch 0, slot 0"):
        searched(tmp_path / "a", problem(), seed=1, evaluations=20)


def test_failures_are_kept_with_their_reason_and_the_search_goes_on(tmp_path: Path) -> None:
    tells = searched(tmp_path / "a", problem(fails=0.3), evaluations=40)
    failed = [tell for tell in tells if tell.kind == "failure"]
    assert 4 <= len(failed) <= 24
    assert all("nan" in tell.message for tell in failed)


def test_what_breaks_a_limit_on_latency_is_told_but_not_paid_for(tmp_path: Path) -> None:
    tells = searched(tmp_path / "a", problem(limits={"latency_ms": 0.6}), evaluations=12)
    broken = [tell for tell in tells if tell.kind == "violation"]
    assert broken and all(tell.violation > 0 and tell.seconds == 0 for tell in broken)
    paid = [tell for tell in tells if tell.kind == "values"]
    assert len(paid) == 12 and all(tell.values["latency_ms"].value <= 0.6 for tell in paid)


def test_what_breaks_a_limit_on_accuracy_is_paid_for_and_kept_off_the_front(tmp_path: Path) -> None:
    searched(tmp_path / "a", problem(limits={"top1": 90.0}), evaluations=30)
    with Archive(tmp_path / "a") as archive:
        assert any(tell.values["top1"].value < 90 for tell in archive.tells())
        assert all(candidate.top1 is not None and candidate.top1 >= 90 for candidate in candidates(archive))


def test_an_impossible_limit_names_the_nearest_feasible_value() -> None:
    target = problem(limits={"latency_ms": 0.001})
    with pytest.raises(Infeasible, match="nearest found has") as caught:
        target.check_feasible(seed=0)
    found = re.search(r"nearest found has ([0-9.]+[0-9])", str(caught.value))
    assert found is not None
    nearest = float(found[1])
    sample = SPACE.sample(20_000, rng=np.random.default_rng(9))
    assert nearest <= min(values["latency_ms"].value for values in target.cheap_values(sample))
    problem(limits={"latency_ms": nearest * 1.001}).check_feasible(seed=1)


def test_a_space_smaller_than_the_budget_ends_and_says_so(tmp_path: Path) -> None:
    space = SMALLEST
    target = problem(space=space)
    with Archive(tmp_path / "a", create=True) as archive:
        searcher = RandomSearch(space, seed=0)
        ending = drive(searcher, target, archive, evaluations=500, seed=0, progress=lambda done, text: None)
    assert (ending.reason, ending.evaluations) == ("exhausted", space.architectures)


def test_the_front_of_a_search_is_mutually_non_dominated_and_takes_measured_latencies(tmp_path: Path) -> None:
    searched(tmp_path / "a", problem(), evaluations=40)
    with Archive(tmp_path / "a") as archive:
        best = front(candidates(archive), ("top1", "latency_ms"))
        for a, b in itertools.permutations(best, 2):
            assert a.top1 is not None and b.top1 is not None and a.latency_ms is not None and b.latency_ms is not None
            assert not (a.top1 >= b.top1 and a.latency_ms <= b.latency_ms)
        # What was measured alone counts then: predictions neither stay on the front nor push anything off it.
        slow, fine = best[0].network, best[-1].network
        archive.add_measurements([Measurement(slow, "latency_ms", 1000.0, "measured")])
        assert [candidate.network for candidate in front(candidates(archive), ("top1", "latency_ms"))] == [slow]
        archive.add_measurements([Measurement(fine, "latency_ms", 999.0, "measured")])
        assert [candidate.network for candidate in front(candidates(archive), ("top1", "latency_ms"))] == [fine]


def test_a_network_has_the_same_seed_in_every_order() -> None:
    assert network_seed(0, "a") == network_seed(0, "a") != network_seed(1, "a")


def test_a_search_in_which_everything_fails_or_misses_says_so(tmp_path: Path) -> None:
    for name, target, words in (
        ("fails", problem(fails=1.0), "every evaluation failed.*nan"),
        ("misses", problem(limits={"top1": 99.99}), "nearest has top1"),
    ):
        searched(tmp_path / name, target, evaluations=8)
        with Archive(tmp_path / name) as archive, pytest.raises(Infeasible, match=words):
            check_found(archive, target)


def test_what_is_not_the_networks_fault_stops_the_search_and_is_no_result_of_it(tmp_path: Path) -> None:
    class NoMemory(ByParams):
        def evaluate(self, network, *, seed):  # type: ignore[no-untyped-def]
            if seed % 4 == 0:
                raise RuntimeError("cannot allocate memory")
            return super().evaluate(network, seed=seed)

    with pytest.raises(MnasEvoError, match=r"cannot allocate memory.*kept"):
        searched(tmp_path / "a", Problem(**{**vars(problem()), "dear": NoMemory()}))
    with Archive(tmp_path / "a") as archive:
        assert all(tell.kind == "values" for tell in archive.tells())
    assert searched(tmp_path / "a", problem()) == searched(tmp_path / "b", problem())

"""Every searcher, killed at random evaluations, ends as if it had not been, whatever was done in between."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from support.search_problem import SPACE, Killed, dying, problem

from mnas_evo.search.algorithms import parse_algorithm
from mnas_evo.search.archive import Archive, Measurement, Tell
from mnas_evo.search.drive import Ending, drive
from mnas_evo.search.objectives import Problem

EVALUATIONS = 44
# As the command line writes them; small, so that each is past its first phase within the budget.
ALGORITHMS = (
    "surrogate-nsga2:first=16:batch=8:population=16:generations=3",
    "nsga2:population=8",
    "rl:setting=tuned:minibatch=8",
    "rl:minibatch=6:reward=hard:targets=2",
    "evolution:population=12:sample=4:batch=4",
    "random:batch=7",
)


def searched(path: Path, text: str, target: Problem, *, workers: int = 1) -> Ending:
    with Archive(path, create=True) as archive:
        searcher = parse_algorithm(text).searcher(target, seed=5)
        return drive(
            searcher,
            target,
            archive,
            evaluations=EVALUATIONS,
            seed=5,
            workers=workers,
            progress=lambda done, note: None,
        )


def content(path: Path) -> tuple[list[Tell], dict[str, dict[int, float]]]:
    with Archive(path) as archive:
        return archive.tells(), archive.facts()


def measured_again(path: Path) -> None:
    """Re-measures everything, as a user may between a kill and going on."""
    with Archive(path, create=True) as archive:
        tells = archive.tells()
        archive.add_measurements([Measurement(tell.network, "latency_ms", 9.9, "measured") for tell in tells])


def nothing(path: Path) -> None:
    """Leaves all as it is."""


@pytest.mark.parametrize("between", [nothing, measured_again])
@pytest.mark.parametrize("text", ALGORITHMS)
def test_a_search_killed_at_five_random_evaluations_ends_as_an_uninterrupted_one(
    tmp_path: Path, text: str, between: Callable[[Path], None]
) -> None:
    target = problem(fails=0.05, limits={"latency_ms": 1.5})
    ending = searched(tmp_path / "whole", text, target)
    path = tmp_path / "cut"
    moments = np.sort(np.random.default_rng(len(text)).choice(EVALUATIONS - 1, 5, replace=False))
    done = 0
    for moment in moments.tolist():
        with pytest.raises(Killed):
            searched(path, text, dying(target, moment - done))
        done = moment
        between(path)
    assert searched(path, text, target) == ending
    assert content(path) == content(tmp_path / "whole")
    assert ending.evaluations == EVALUATIONS


@pytest.mark.parametrize(
    "text", [ALGORITHMS[0], *(pytest.param(text, marks=pytest.mark.slow) for text in ALGORITHMS[1:])]
)
def test_another_number_of_workers_goes_on_with_the_same_search(tmp_path: Path, text: str) -> None:
    target = problem(fails=0.05)
    searched(tmp_path / "whole", text, target)
    with pytest.raises(Killed):
        searched(tmp_path / "cut", text, dying(target, 21))
    searched(tmp_path / "cut", text, target, workers=2)
    assert content(tmp_path / "cut") == content(tmp_path / "whole")


def test_the_same_search_in_the_same_space_is_one_whatever_came_before_in_the_process(tmp_path: Path) -> None:
    # A replay happens in a process that may have searched before: nothing of it may be left behind.
    searched(tmp_path / "a", ALGORITHMS[0], problem())
    SPACE.sample(10, rng=np.random.default_rng(0))
    searched(tmp_path / "b", ALGORITHMS[0], problem())
    assert content(tmp_path / "a") == content(tmp_path / "b")

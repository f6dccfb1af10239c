"""What goes wrong in a search, under every searcher: it goes on, or ends and says so, and nothing is lost."""

import resource
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pytest
from support.search_problem import SMALLEST, SPACE, ByMacs, ByParams, problem

from mnas_evo.accuracy.contract import Evaluation
from mnas_evo.errors import Infeasible, MnasEvoError
from mnas_evo.latency.contract import Prediction
from mnas_evo.search.algorithms import ALGORITHMS, parse_algorithm
from mnas_evo.search.archive import Archive, Tell
from mnas_evo.search.drive import DRAWS_PER_EVALUATION, Ending, drive
from mnas_evo.search.front import candidates, front, hypervolume_curve
from mnas_evo.search.objectives import Counted, Problem, Source
from mnas_evo.space.architecture import Network
from mnas_evo.space.space import Genes, SearchSpace

QUICK = {"surrogate-nsga2": "surrogate-nsga2:first=16:batch=8:population=16:generations=3"}
TEXTS = [QUICK.get(name, name) for name in ALGORITHMS]


def searched(path: Path, text: str, target: Problem, *, evaluations: int = 60) -> tuple[Ending, list[Tell]]:
    with Archive(path, create=True) as archive:
        searcher = parse_algorithm(text).searcher(target, seed=2)
        ending = drive(searcher, target, archive, evaluations=evaluations, seed=2, progress=lambda done, note: None)
        return ending, archive.tells()


@dataclass(frozen=True)
class Always(ByParams):
    """The same top-1 whatever the network."""

    top1: float = 50.0

    def evaluate(self, network: Network, *, seed: int) -> Evaluation:
        return Evaluation(self.top1, "always", 0.1)


def with_accuracy(source: ByParams) -> Problem:
    return Problem(**{**vars(problem()), "dear": source})


@pytest.mark.parametrize("text", TEXTS)
def test_a_twentieth_of_networks_failing_ends_no_search(tmp_path: Path, text: str) -> None:
    ending, tells = searched(tmp_path / "a", text, problem(fails=0.05))
    failed = [tell for tell in tells if tell.kind == "failure" and not tell.repeat]
    assert (ending.reason, ending.evaluations) == ("budget", 60)
    assert 1 <= len(failed) <= 12 and all("nan" in tell.message for tell in failed)


@pytest.mark.parametrize("text", TEXTS)
def test_a_constant_objective_leaves_a_front_of_one(tmp_path: Path, text: str) -> None:
    ending, tells = searched(tmp_path / "a", text, with_accuracy(Always()))
    assert ending.reason == "budget"
    with Archive(tmp_path / "a") as archive:
        found = candidates(archive)
        (best,) = front(found, ("top1", "latency_ms"))
        assert best.latency_ms == min(tell.values["latency_ms"].value for tell in tells)
        assert hypervolume_curve(found, ("top1", "latency_ms"))[-1] == 0


@pytest.mark.parametrize("text", TEXTS)
def test_what_is_no_number_is_a_failure_of_that_network_and_the_search_goes_on(tmp_path: Path, text: str) -> None:
    ending, tells = searched(tmp_path / "a", text, with_accuracy(Always(top1=float("nan"))), evaluations=24)
    assert (ending.reason, ending.evaluations) == ("budget", 24)
    assert all(tell.kind == "failure" and "nan" in tell.message for tell in tells)


@pytest.mark.parametrize("text", TEXTS)
def test_a_space_smaller_than_the_budget_is_evaluated_whole_and_the_search_ends(tmp_path: Path, text: str) -> None:
    ending, tells = searched(tmp_path / "a", text, problem(space=SMALLEST), evaluations=50)
    assert ending.reason in ("exhausted", "draws")
    assert ending.evaluations == len({tell.network for tell in tells}) == SMALLEST.architectures
    assert len(tells) <= 50 * DRAWS_PER_EVALUATION + 20


@contextmanager
def no_file_may_grow_beyond(size: int) -> Iterator[None]:
    """A write beyond it fails, as on a disk that is full."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


@pytest.mark.parametrize("text", TEXTS)
def test_a_full_disk_ends_the_search_in_one_line_and_once_there_is_room_it_goes_on(tmp_path: Path, text: str) -> None:
    target = problem()
    whole = searched(tmp_path / "whole", text, target)
    with no_file_may_grow_beyond(120_000), pytest.raises(MnasEvoError, match=r"cannot be written.*kept") as caught:
        searched(tmp_path / "cut", text, target)
    assert "\n" not in str(caught.value)
    with Archive(tmp_path / "cut") as archive:
        kept = len(archive.tells())
    assert 0 < kept < 60
    assert searched(tmp_path / "cut", text, target) == whole


class NoNumber:
    """A latency that is no number for every third genome."""

    def predict(self, genes: Genes) -> Prediction:
        ms = np.where(genes.sum(axis=1) % 3 == 0, np.nan, genes.sum(axis=1).astype(float))
        return Prediction(ms, ms, ms)


@pytest.mark.parametrize("text", TEXTS)
def test_a_prediction_that_is_no_number_is_a_failure_of_that_network(tmp_path: Path, text: str) -> None:
    target = replace(problem(), cheap={"latency_ms": Source(NoNumber(), "nobody")})
    if text.startswith(("rl", "evolution")):
        text = f"{text}:target=20"
    ending, tells = searched(tmp_path / "a", text, target, evaluations=40)
    failed = [tell for tell in tells if tell.kind == "failure"]
    assert ending.reason == "budget" and failed and len(failed) < 40
    assert all(tell.message == "latency_ms is nan" and not tell.values for tell in failed)


def test_limits_that_can_be_met_alone_but_not_together_end_at_once_with_the_nearest() -> None:
    sample = problem().cheap_arrays(SPACE.sample(2_000, rng=np.random.default_rng(0)))["latency_ms"]
    few = {"latency_ms": float(np.quantile(sample, 0.02)), "params": 1e9}
    cheap = {**problem().cheap, "params": Source(Counted(SPACE, "params"), "counted")}
    top1 = Source(ByLatency(SPACE), "by latency")
    target = replace(problem(limits={**few, "top1": 90.0}), cheap={**cheap, "top1": top1}, dear=None)
    with pytest.raises(Infeasible, match=r"each limit can be met.*latency_ms .* \(limit .*top1 .* \(limit 90\)"):
        target.check_feasible(seed=0)
    replace(target, limits=few).check_feasible(seed=0)


class ByLatency:
    """A top-1 that only slow networks reach."""

    def __init__(self, space: SearchSpace) -> None:
        self._latency = ByMacs(space)

    def predict(self, genes: Genes) -> Prediction:
        top1 = np.minimum(40 + 10 * self._latency.predict(genes).value, 95)
        return Prediction(top1, top1, top1)

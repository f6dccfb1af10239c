"""Evaluations outside a search: kept as they end, not made again, and refused where another source's would mix in."""

import csv
import os
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
from support.search_problem import SPACE, ByParams

from mnas_evo.accuracy.contract import Evaluation
from mnas_evo.accuracy.evaluating import evaluate_all, evaluate_kept, network_seed, predict_each
from mnas_evo.accuracy.table import read_accuracy_table
from mnas_evo.errors import DamagedFile, InUse, RequestError, RunChanged
from mnas_evo.files import only_writer
from mnas_evo.space.architecture import Network
from mnas_evo.space.named import named_network
from mnas_evo.space.notation import format_network
from mnas_evo.training.places import WORKER

NETWORKS = SPACE.networks(SPACE.sample(8, rng=np.random.default_rng(0)))
STRINGS = [format_network(network) for network in NETWORKS]


@dataclass(frozen=True)
class Watched(ByParams):
    """Tells of every evaluation before it makes it."""

    tell: Callable[[str], None] = lambda name: None

    def evaluate(self, network: Network, *, seed: int) -> Evaluation:
        self.tell(format_network(network))
        return super().evaluate(network, seed=seed)


class Killed(BaseException):
    """Stands for the moment a process is killed: nothing may catch it."""


def kept(path: Path, source: ByParams, networks: list[Network], *, seed: int = 0) -> dict[str, float | str]:
    return evaluate_kept(path, source, networks, seed=seed, workers=1, done=lambda done, of: None)


@pytest.mark.parametrize("at", [0, 1, 5, 7])
def test_a_kill_between_evaluations_loses_none_that_ended(tmp_path: Path, at: int) -> None:
    asked: list[str] = []

    def die(name: str) -> None:
        if len(asked) == at:
            raise Killed
        asked.append(name)

    with pytest.raises(Killed):
        kept(tmp_path / "said.csv", Watched(tell=die), NETWORKS)
    again: list[str] = []
    found = kept(tmp_path / "said.csv", Watched(tell=again.append), NETWORKS)
    assert (asked, again) == (STRINGS[:at], STRINGS[at:])
    assert found == kept(tmp_path / "whole.csv", ByParams(), NETWORKS)


def test_networks_added_later_alone_are_evaluated(tmp_path: Path) -> None:
    asked: list[str] = []
    source = Watched(tell=asked.append)
    first = kept(tmp_path / "said.csv", source, NETWORKS[2:5])
    found = kept(tmp_path / "said.csv", source, NETWORKS)
    assert asked == STRINGS[2:5] + STRINGS[:2] + STRINGS[5:]
    assert list(found) == STRINGS and found.items() >= first.items()
    assert kept(tmp_path / "said.csv", source, NETWORKS[:1]) == {STRINGS[0]: found[STRINGS[0]]}


def test_results_are_those_of_a_search_of_the_same_seed(tmp_path: Path) -> None:
    found = kept(tmp_path / "said.csv", ByParams(), NETWORKS[:1], seed=5)
    expected = ByParams().evaluate(NETWORKS[0], seed=network_seed(5, STRINGS[0])).top1
    assert found == {STRINGS[0]: expected}


def test_a_failure_and_a_top1_that_is_no_number_are_kept_with_the_reason(tmp_path: Path) -> None:
    class NotANumber(ByParams):
        def evaluate(self, network: Network, *, seed: int) -> Evaluation:
            return Evaluation(float("nan"), "by params", 1.0)

    for name, source in (("fails", ByParams(fails=1.0)), ("nan", NotANumber())):
        for _ in range(2):
            said = kept(tmp_path / name, source, NETWORKS[:2])
            assert list(said) == STRINGS[:2]
            assert all(isinstance(reason, str) and "nan" in reason for reason in said.values())
        assert len((tmp_path / name).read_text().splitlines()) == 3


def test_what_another_source_or_seed_said_is_refused_and_left_alone(tmp_path: Path) -> None:
    path = tmp_path / "said.csv"
    kept(path, ByParams(), NETWORKS[:2])
    before = path.read_text()
    for source, seed in ((ByParams(fingerprint="other"), 0), (ByParams(), 1)):
        with pytest.raises(RunChanged, match=r"line 2: .*give another --out"):
            kept(path, source, NETWORKS, seed=seed)
    assert path.read_text() == before


def test_a_damaged_line_is_named(tmp_path: Path) -> None:
    path = tmp_path / "said.csv"
    kept(path, ByParams(), NETWORKS[:2])
    rows = list(csv.reader(path.read_text().splitlines()))
    rows[2][1] = "many"
    with path.open("w") as file:
        csv.writer(file).writerows(rows)
    with pytest.raises(DamagedFile, match=r"line 3: .*many"):
        kept(path, ByParams(), NETWORKS)


def test_two_processes_do_not_add_to_one_file(tmp_path: Path) -> None:
    with only_writer(tmp_path / "said.csv"), pytest.raises(InUse, match=r"adding to.*said\.csv"):
        kept(tmp_path / "said.csv", ByParams(), NETWORKS)
    kept(tmp_path / "said.csv", ByParams(), NETWORKS[:1])


def test_the_number_of_workers_changes_no_result() -> None:
    one, two = (dict(evaluate_all(ByParams(0.3), NETWORKS, seed=0, workers=workers)) for workers in (1, 2))
    assert one == two and len(one) == len(NETWORKS)


def test_no_worker_is_refused() -> None:
    with pytest.raises(RequestError, match="not 0"):
        list(evaluate_all(ByParams(), NETWORKS, seed=0, workers=0))


def test_a_prediction_comes_for_each_network_or_the_reason_why_there_is_none(tmp_path: Path) -> None:
    path = tmp_path / "top1.csv"
    path.write_text(f"architecture,top1\n{STRINGS[0]},91.5\n{STRINGS[1]},92\n")
    other = named_network("mnasnet-b1")
    short = NETWORKS[0].with_task(height=32, width=32, channels=3, classes=10)
    found = predict_each(read_accuracy_table(path, SPACE), [*NETWORKS[:3], other, short], space=SPACE)
    assert [found[name] for name in STRINGS[:2]] == [91.5, 92.0]
    assert "no line for" in str(found[STRINGS[2]])
    assert all("another input" in str(found[format_network(network)]) for network in (other, short))


class Numbered:
    """Says as top-1 which worker it is in; slow enough that each worker gets a task."""

    fingerprint = "numbered"

    def evaluate(self, network: Network, *, seed: int) -> Evaluation:
        """The worker's number."""
        time.sleep(1.0)
        return Evaluation(float(os.environ[WORKER]), "numbered", 1.0)


def test_workers_are_numbered_so_that_each_finds_a_device_of_its_own() -> None:
    networks = [named_network(name) for name in ("mnasnet-a1", "mnasnet-b1", "mobilenet-v2", "mnasnet-small")]
    said = [result for _, result in evaluate_all(Numbered(), networks, seed=0, workers=2)]
    assert {result.top1 for result in said if isinstance(result, Evaluation)} == {0.0, 1.0}

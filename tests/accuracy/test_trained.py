"""Networks trained in full: how their file is read, and how it grows by draws that longer draws begin with."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
from support.search_problem import SMALLEST, SPACE

from mnas_evo.accuracy.contract import Evaluation
from mnas_evo.accuracy.evaluating import network_seed
from mnas_evo.accuracy.proxy import ProxyTraining
from mnas_evo.accuracy.trained import add_trained, draw_networks, read_trained
from mnas_evo.errors import DamagedFile, RequestError, TrainingFailed
from mnas_evo.space.architecture import Network
from mnas_evo.space.notation import format_architecture, format_network
from mnas_evo.training.recipe import load_recipe

NETWORKS = draw_networks(SPACE, 6, seed=0)
STRINGS = [format_network(network) for network in NETWORKS]


@dataclass(frozen=True)
class Told(ProxyTraining):
    """A training that is told its outcome by a function of seed and string, to take no time."""

    outcome: Callable[[int, str], float] = lambda seed, name: seed % 10_000 / 100

    def evaluate(self, network: Network, *, seed: int) -> Evaluation:
        return Evaluation(self.outcome(seed, format_network(network)), self.source, 0.1)


TRAINER = Told("digits", load_recipe("quick"))


class Killed(BaseException):
    """Stands for the moment a process is killed: nothing may catch it."""


def written(path: Path, header: str, *lines: str) -> Path:
    path.write_text("\n".join((header, *lines)) + "\n")
    return path


def add(path: Path, trainer: ProxyTraining = TRAINER, networks: list[Network] = NETWORKS) -> dict[str, str]:
    return add_trained(path, trainer, networks, seed=3, workers=1, done=lambda done, of: None)


def test_lines_of_one_architecture_with_other_seeds_are_averaged(tmp_path: Path) -> None:
    a, b = STRINGS[:2]
    path = written(tmp_path / "t.csv", "architecture,seed,top1,note", f"{a},0,90,", f"{b},0,80,x", f"{a},1,92,")
    found = read_trained(path)
    assert [(one.string, one.top1, one.trainings) for one in found] == [(a, 91.0, 2), (b, 80.0, 1)]
    assert found[0].network == NETWORKS[0]


def test_two_columns_are_enough_and_short_strings_are_of_the_task(tmp_path: Path) -> None:
    path = written(tmp_path / "t.csv", "architecture,top1", f"{format_architecture(NETWORKS[0])},90")
    assert read_trained(path, task=SPACE.frame)[0].string == STRINGS[0]


@pytest.mark.parametrize(
    ("header", "tails", "error", "words"),
    [
        ("top1,seed", ("90,1", "91,1"), DamagedFile, r"line 3: .*twice with seed 1"),
        ("top1", ("90", "91"), DamagedFile, r"line 3: .*twice$"),
        ("top1", ("90", "nan"), DamagedFile, "line 3: top1 nan"),
        ("top1,seed,epochs", ("90,1,5", "91,2,40"), RequestError, "epochs 5 and of epochs 40"),
        ("top1,seed,source", ("90,1,a", "91,2,b"), RequestError, "source a and of source b"),
        ("top1", (), RequestError, "lists no architecture"),
        ("accuracy", ("90",), DamagedFile, "no column top1"),
    ],
)
def test_a_file_that_cannot_be_ranked_by_is_refused_with_the_reason(
    tmp_path: Path, header: str, tails: tuple[str, ...], error: type[Exception], words: str
) -> None:
    path = written(tmp_path / "t.csv", f"architecture,{header}", *(f"{STRINGS[0]},{tail}" for tail in tails))
    with pytest.raises(error, match=words):
        read_trained(path)


@pytest.mark.parametrize("n", [1, 24, 300])
def test_a_longer_draw_begins_as_a_shorter_one(n: int) -> None:
    longer = draw_networks(SPACE, 600, seed=1)
    assert draw_networks(SPACE, n, seed=1) == longer[:n]
    assert len(set(longer)) == 600
    assert draw_networks(SPACE, 24, seed=2) != longer[:24]


def test_a_draw_is_of_the_space_and_uniform_over_its_genomes() -> None:
    genes = np.array([SPACE.encode(network.architecture) for network in draw_networks(SPACE, 1000, seed=4)])
    assert np.array_equal(SPACE.canonical(genes), genes)
    sampled = SPACE.sample(5000, rng=np.random.default_rng(9))
    assert np.allclose(genes.mean(axis=0), sampled.mean(axis=0), atol=0.12)


def test_more_than_a_space_holds_is_refused() -> None:
    everything = draw_networks(SMALLEST, SMALLEST.architectures, seed=0)
    assert len(set(everything)) == SMALLEST.architectures
    with pytest.raises(RequestError, match=rf"are {SMALLEST.architectures} architectures, not"):
        draw_networks(SMALLEST, SMALLEST.architectures + 1, seed=0)


def test_what_is_added_has_its_seed_epochs_and_source(tmp_path: Path) -> None:
    path = tmp_path / "t.csv"
    assert add(path, networks=NETWORKS[:1]) == {}
    header, line = path.read_text().splitlines()
    assert header == "architecture,top1,seed,epochs,source"
    assert line.startswith(f"{STRINGS[0]},") and line.endswith(',3,5,"proxy:digits,epochs=5,recipe=quick"')
    assert [one.string for one in read_trained(path)] == STRINGS[:1]


def test_a_training_has_not_the_luck_of_a_search_of_the_same_seed(tmp_path: Path) -> None:
    seeds: list[int] = []

    def outcome(seed: int, name: str) -> float:
        seeds.append(seed)
        return 50.0

    add(tmp_path / "t.csv", Told("digits", load_recipe("quick"), outcome=outcome))
    assert not {network_seed(3, name) for name in STRINGS} & set(seeds)
    assert len(set(seeds)) == len(STRINGS)


@pytest.mark.parametrize("at", [0, 1, 4])
def test_a_kill_loses_no_more_than_the_network_in_training(tmp_path: Path, at: int) -> None:
    path = tmp_path / "t.csv"
    trained: list[str] = []

    def outcome(seed: int, name: str) -> float:
        if len(trained) == at:
            raise Killed
        trained.append(name)
        return 50.0

    with pytest.raises(Killed):
        add(path, Told("digits", load_recipe("quick"), outcome=outcome))
    assert (len(read_trained(path)) if at else 0) == at
    again: list[str] = []

    def better(seed: int, name: str) -> float:
        again.append(name)
        return 60.0

    add(path, Told("digits", load_recipe("quick"), outcome=better))
    assert again == STRINGS[at:]
    assert [one.string for one in read_trained(path)] == STRINGS


def test_a_training_that_failed_is_said_and_has_no_line(tmp_path: Path) -> None:
    def outcome(seed: int, name: str) -> float:
        if name == STRINGS[1]:
            raise TrainingFailed("the loss became nan in epoch 1")
        return 50.0

    failed = add(tmp_path / "t.csv", Told("digits", load_recipe("quick"), outcome=outcome))
    assert list(failed) == [STRINGS[1]] and "nan" in failed[STRINGS[1]]
    assert [one.string for one in read_trained(tmp_path / "t.csv")] == [STRINGS[0], *STRINGS[2:]]


def test_a_file_of_ones_own_grows_under_the_columns_it_has(tmp_path: Path) -> None:
    path = written(tmp_path / "t.csv", "note,architecture,epochs,top1,seed", f"mine,{STRINGS[1]},5,77,0")
    add(path, networks=NETWORKS[:2])
    before, after = path.read_text().splitlines()[1:]
    assert before == f"mine,{STRINGS[1]},5,77,0"
    assert after.startswith(f",{STRINGS[0]},5,") and after.endswith(",3")


@pytest.mark.parametrize(
    ("header", "tail", "error", "words"),
    [
        ("architecture,top1,seed,epochs", "90,0,6", RequestError, "epochs 5 and of epochs 6"),
        ("architecture,top1,seed", "90,0", DamagedFile, "no column epochs"),
        ("architecture,top1,seed,epochs", "many,0,5", DamagedFile, "line 2: .*many"),
    ],
)
def test_a_file_that_cannot_be_added_to_is_refused_before_anything_is_trained(
    tmp_path: Path, header: str, tail: str, error: type[Exception], words: str
) -> None:
    def outcome(seed: int, name: str) -> float:
        raise AssertionError("trained")

    path = written(tmp_path / "t.csv", header, f"{STRINGS[0]},{tail}")
    before = path.read_text()
    with pytest.raises(error, match=words):
        add(path, Told("digits", load_recipe("quick"), outcome=outcome))
    assert path.read_text() == before

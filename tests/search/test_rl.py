"""The RL searcher: what it asks for, learns and says of itself."""

import hashlib
import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from strategies import TINY
from support.search_problem import SPACE, ByMacs, problem

from mnas_evo.search.algorithms import parse_algorithm
from mnas_evo.search.archive import Archive
from mnas_evo.search.contract import Outcome, Searcher, Telling
from mnas_evo.search.controller import Ppo
from mnas_evo.search.drive import DRAWS_PER_EVALUATION, drive
from mnas_evo.search.rl import RlSettings
from mnas_evo.space.space import Genes
from mnas_evo.space.space_file import parse_space

TINIEST = parse_space(
    """
format = 1
name = "one"
input = [8, 8, 1]
classes = 2
stem = { channels = 8, stride = 2 }
head = 8
[choices]
op = ["conv"]
kernel = [3]
se_ratio = [0.0]
skip = ["none"]
filters = [1.0]
layers = [0]
[[blocks]]
channels = 8
layers = 1
stride = 2
""",
    source="tiniest",
)


def searcher(text: str, *, seed: int = 0) -> Searcher:
    return parse_algorithm(text).searcher(problem(), seed=seed)


def outcomes(genes: Genes) -> list[Outcome]:
    """Top-1 that grows with the genes, against the latency of their multiply-adds."""
    top1 = 40 + 50 * (genes / np.maximum(SPACE.sizes - 1, 1)).mean(axis=1)
    latency = ByMacs(SPACE).predict(genes).value
    return [Outcome("values", (-float(a), float(b))) for a, b in zip(top1, latency, strict=True)]


def asked(found: Searcher, batches: int) -> list[Genes]:
    every = []
    for _ in range(batches):
        every.append(found.ask())
        found.tell(every[-1], outcomes(every[-1]))
    return every


def facts(found: Searcher) -> dict[str, float]:
    assert isinstance(found, Telling)
    return dict(found.facts())


def digest(text: str) -> str:
    """Of what a search asks for; called in a second process too."""
    return hashlib.sha256(np.concatenate(asked(searcher(text, seed=5), 4)).tobytes()).hexdigest()


@pytest.mark.parametrize("setting", ["paper", "tuned"])
def test_what_it_samples_has_clearly_more_reward_than_random_architectures(setting: str) -> None:
    found = searcher(f"rl:setting={setting}:target=0.5")
    asked(found, 1)
    at_random = facts(found)["mean reward"]
    means = []
    for _ in range(40):
        asked(found, 1)
        means.append(facts(found)["mean reward"])
    # A minibatch's mean reward deviates by about .01.
    assert np.mean(means[-5:]) > at_random + 0.05
    assert facts(found)["entropy, share of uniform"] < 0.95


def test_what_it_asks_for_is_canonical_and_repeats_are_its_own_affair() -> None:
    genes = np.concatenate(asked(searcher("rl:minibatch=7"), 3))
    assert genes.shape == (21, len(SPACE.sizes)) and genes.dtype == np.int64
    assert np.array_equal(SPACE.canonical(genes), genes)
    assert (genes[:, SPACE.sizes == 1] == 0).all()


def test_it_asks_for_the_same_in_a_second_process_with_other_threads() -> None:
    text = "rl:target=0.3+0.8:minibatch=8"
    done = subprocess.run(
        [sys.executable, "-c", f"from search.test_rl import digest; print(digest({text!r}))"],
        cwd=Path(__file__).parent.parent,
        env={**os.environ, "PYTHONPATH": ".", "OMP_NUM_THREADS": "2"},
        capture_output=True,
        text=True,
        timeout=600,
    )
    assert done.stdout.strip() == digest(text), done.stderr


def test_several_targets_take_turns_with_a_controller_each() -> None:
    both, alone = searcher("rl:target=0.3+0.8"), searcher("rl:target=0.3")
    batches = []
    for number in (1, 2, 1, 2):
        batches += asked(both, 1)
        assert all(name.endswith(f", target {number}") for name in facts(both))
    first = asked(alone, 2)
    assert np.array_equal(batches[0], first[0]) and np.array_equal(batches[2], first[1])
    assert not np.array_equal(batches[0], batches[1])


def test_a_controller_that_collapses_says_so_and_the_search_ends_by_its_draws(tmp_path: Path) -> None:
    # Learns so fast, and is so little held open, that it soon samples one architecture alone.
    target = problem(space=TINY)
    found = parse_algorithm("rl:learning_rate=0.1:entropy_weight=0:minibatch=4:target=0.05").searcher(target, seed=0)
    with Archive(tmp_path / "a", create=True) as archive:
        ending = drive(found, target, archive, evaluations=40, seed=0, progress=lambda done, text: None)
        kept, told = archive.facts(), archive.tells()
    assert ending.reason == "draws" and ending.evaluations < 40
    assert ending.draws == len(told) == 40 * DRAWS_PER_EVALUATION
    begun, ended = ({name: by_batch[at(by_batch)] for name, by_batch in kept.items()} for at in (min, max))
    assert ended == facts(found)
    assert begun["entropy, share of uniform"] > 0.9
    assert begun["collapsed, entropy below 1 % of uniform"] == 0
    assert begun["new architectures, share of minibatch"] == 1
    assert ended["entropy, share of uniform"] < 0.01
    assert ended["collapsed, entropy below 1 % of uniform"] == 1
    assert ended["new architectures, share of minibatch"] == 0
    assert ended["baseline"] == pytest.approx(ended["mean reward"], abs=0.05)


def test_a_space_of_one_architecture_is_asked_for_it() -> None:
    assert TINIEST.architectures == 1
    found = parse_algorithm("rl:target=1").searcher(problem(space=TINIEST), seed=0)
    genes = found.ask()
    found.tell(genes, [Outcome("values", (-50.0, 1.0))] * len(genes))
    assert len(np.unique(genes, axis=0)) == 1
    assert facts(found)["entropy, share of uniform"] == 0


def test_a_failure_has_reward_0_and_does_no_harm() -> None:
    found = searcher("rl:target=0.5")
    genes = found.ask()
    found.tell(genes, [Outcome("failure")] * len(genes))
    assert facts(found)["mean reward"] == 0
    assert len(found.ask()) == 20


def test_settings_not_given_are_the_papers_or_those_of_the_setting() -> None:
    paper = Ppo(20, 3.5e-4, entropy_weight=1e-5, clip=0.2, epochs=4, baseline_decay=0.95, normalised=False)
    assert RlSettings().ppo == paper
    tuned = RlSettings(setting="tuned").ppo
    assert tuned != paper
    assert RlSettings(setting="tuned", clip=0.3, normalised=False).ppo == replace(tuned, clip=0.3, normalised=False)
    assert parse_algorithm("rl:epochs=2:learning_rate=0.001").text == "rl:learning_rate=0.001:epochs=2"

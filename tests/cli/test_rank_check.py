"""`mnas-evo rank-check`: a source of accuracy judged by networks trained in full, which it may train itself."""

import itertools
import json
from pathlib import Path

import numpy as np
import pytest

from mnas_evo.accuracy.contract import Evaluation
from mnas_evo.accuracy.proxy import ProxyTraining
from mnas_evo.cli.main import run
from mnas_evo.files import write_csv
from mnas_evo.space.architecture import Network
from mnas_evo.space.space_file import load_space

Capture = pytest.CaptureFixture[str]
DIGITS = load_space("digits")
GENES = DIGITS.canonical(DIGITS.sample(60, rng=np.random.default_rng(0)))
# Quick to train: one block of a few channels, on images of half the size.
SPACE_TOML = """
format = 1
name = "quick"
input = [32, 32, 1]
classes = 10
stem = { channels = 8, stride = 2 }
head = 8
[choices]
op = ["conv", "dconv", "mbconv_e2"]
kernel = [3, 5]
se_ratio = [0.0]
skip = ["none"]
filters = [1.0, 2.0]
layers = [0]
[[blocks]]
channels = 8
layers = 1
stride = 2
[[blocks]]
channels = 8
layers = 1
stride = 2
"""
RECIPE_TOML = """
format = 1
name = "once"
optimizer = "adamw"
learning_rate = 0.01
batch = 512
epochs = 1
"""


class Killed(BaseException):
    """Stands for the moment a process is killed: nothing may catch it."""


@pytest.fixture
def trained(tmp_path: Path) -> Path:
    """60 networks whose top-1 grows with their multiply-adds, with noise."""
    top1 = 60 + 5 * np.log(DIGITS.macs(GENES) / 1e5) + np.random.default_rng(1).standard_normal(60)
    return listed(tmp_path / "trained.csv", top1)


def listed(path: Path, top1: np.ndarray, networks: int = 60) -> Path:
    strings = DIGITS.strings(GENES[:networks])
    assert len(set(strings)) == networks
    write_csv(path, ("architecture", "top1"), [(s, f"{t:.3f}") for s, t in zip(strings, top1, strict=False)])
    return path


def judged(path: Path, *more: str) -> list[str]:
    return ["rank-check", "--against", str(path), "--space", "digits", *more]


def quick(folder: Path) -> list[str]:
    """Options that train by a recipe of one epoch, in a space of networks of a few channels."""
    (folder / "quick.toml").write_text(SPACE_TOML)
    (folder / "once.toml").write_text(RECIPE_TOML)
    return ["--space", str(folder / "quick.toml"), "--by", f"proxy:digits,recipe={folder / 'once.toml'}"]


def test_json_has_every_predictor_in_every_part_with_intervals_and_the_verdict(trained: Path, capsys: Capture) -> None:
    noisy = 70 + 10 * np.random.default_rng(2).random(60)
    source = f"table:{listed(trained.with_name('table.csv'), noisy)}"
    assert run(judged(trained, "--accuracy", source, "--json")) == 0
    found = json.loads(capsys.readouterr().out)
    assert (found["accuracy"], found["networks"], found["left_out"], found["fitted_on"]) == (source, 60, [], 0)
    assert {name: part["networks"] for name, part in found["parts"].items()} == {
        "all": 60,
        "better half": 30,
        "best quarter": 15,
    }
    for part in found["parts"].values():
        assert set(part["ranks"]) == {"source", "params", "macs"}
        for ranks in part["ranks"].values():
            for figure in (ranks["kendall"], ranks["spearman"]):
                assert -1 <= figure["low"] <= figure["value"] <= figure["high"] <= 1
    whole = found["parts"]["all"]["ranks"]
    assert whole["macs"]["kendall"]["low"] > 0.5 > whole["source"]["kendall"]["high"]
    gain = found["kendall_gain_over"]["macs"]
    assert gain["value"] == pytest.approx(whole["source"]["kendall"]["value"] - whole["macs"]["kendall"]["value"])
    assert found["best_10_among_15"]["by_chance"] == 2.5 and found["best_10_among_15"]["macs"] >= 6
    assert "ranks worse than" in found["verdict"] and "multiply-adds" in found["verdict"]


def test_it_is_told_in_a_table_too(trained: Path, capsys: Capture) -> None:
    assert run(judged(trained, "--accuracy", f"table:{trained}")) == 0
    out = capsys.readouterr().out
    assert "60 networks trained in full" in out and "best quarter" in out and "by chance 2.5" in out
    assert "Kendall above that of multiply-adds" in out
    assert out.rstrip().endswith("ranks better than parameters and multiply-adds beyond the bootstrap's error")


def test_networks_that_the_source_does_not_know_are_left_out_and_counted(trained: Path, capsys: Capture) -> None:
    source = f"table:{listed(trained.with_name('table.csv'), np.arange(60), networks=40)}"
    lines = trained.read_text() + "32x32x1/stem8/r1_k3_e1_o8/head64/10,80\n"
    trained.write_text(lines)
    assert run(judged(trained, "--accuracy", source, "--json")) == 0
    found = json.loads(capsys.readouterr().out)
    assert found["networks"] == 40 and len(found["left_out"]) == 21
    assert all(one["reason"] for one in found["left_out"])
    assert run(judged(trained, "--accuracy", source)) == 0
    assert "left out: 21 of 61 networks" in capsys.readouterr().out


def test_a_surrogate_fitted_on_what_it_is_judged_by_is_told_apart(trained: Path, capsys: Capture) -> None:
    some = trained.with_name("some.csv")
    some.write_text("\n".join(trained.read_text().splitlines()[:41]) + "\n")
    assert run(judged(trained, "--accuracy", f"surrogate:{some}")) == 0
    assert "40 of these networks are among those" in capsys.readouterr().out


def test_few_networks_are_ranked_with_what_can_be_told(trained: Path, capsys: Capture) -> None:
    listed(trained, np.arange(60.0), networks=12)
    assert run(judged(trained, "--accuracy", f"table:{trained}")) == 0
    out = capsys.readouterr().out
    assert "too few: it takes 8" in out and "too few networks to tell" in out and "of only 12 networks" in out


@pytest.mark.parametrize(
    ("more", "words"),
    [
        (["--accuracy", "table:few.csv"], "9 networks of known top-1 are too few"),
        ([], "give --accuracy, a source to judge, or --add"),
        (["--add", "3"], "--by proxy:DATA"),
        (["--add", "3", "--by", "proxy:digits,score=speed"], "top-1 at the end, not score=speed"),
        (["--add", "3", "--by", "table:few.csv"], "alone, by proxy:DATA[,epochs=60,recipe=RECIPE], not by 'table"),
        (["--accuracy", "table:few.csv", "--out", "o.csv"], "leave it out"),
        (["--accuracy", "guess:few.csv"], "cannot read accuracy source"),
        (["--add", "0"], "--add"),
    ],
)
def test_what_cannot_be_judged_is_refused_in_one_line(
    more: list[str], words: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: Capture
) -> None:
    monkeypatch.chdir(tmp_path)
    listed(tmp_path / "few.csv", np.arange(60.0), networks=9)
    assert run(judged(Path("few.csv"), *more)) == 2
    err = capsys.readouterr().err
    assert words in err and err.count("\n") == 1


@pytest.mark.parametrize("kind", ["table", "surrogate"])
def test_a_source_that_predicts_needs_a_space(kind: str, trained: Path, capsys: Capture) -> None:
    assert run(["rank-check", "--against", str(trained), "--accuracy", f"{kind}:{trained}"]) == 2
    assert "--space" in capsys.readouterr().err


def test_networks_are_trained_then_more_and_a_source_that_evaluates_says_each_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: Capture
) -> None:
    monkeypatch.chdir(tmp_path)
    made: list[tuple[Network, int]] = []
    evaluate = ProxyTraining.evaluate

    def watched(self: ProxyTraining, network: Network, *, seed: int) -> Evaluation:
        made.append((network, seed))
        return evaluate(self, network, seed=seed)

    monkeypatch.setattr(ProxyTraining, "evaluate", watched)
    path = tmp_path / "trained.csv"
    options = quick(tmp_path)
    base = ["rank-check", "--against", str(path)]
    assert run([*base, *options, "--add", "10"]) == 0
    assert "holds 10 networks; next: mnas-evo rank-check --accuracy SPEC" in capsys.readouterr().out
    first = path.read_text()
    judge = [*base, "--accuracy", options[-1]]
    assert run([*judge, "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["networks"] == 10
    assert len(made) == len(set(made)) == 20  # for each another seed: a proxy shares no luck with its judge
    assert run([*judge, *options, "--add", "12", "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert found["added"] == {"drawn": 12, "failed": []} and found["networks"] == 12
    assert len(made) == len(set(made)) == 24
    assert path.read_text().startswith(first) and len(path.read_text().splitlines()) == 13
    (kept,) = tmp_path.glob("trained-proxy-*-0.csv")
    assert len(kept.read_text().splitlines()) == 13


def test_a_check_killed_between_evaluations_goes_on_where_it_was(
    trained: Path, monkeypatch: pytest.MonkeyPatch, capsys: Capture
) -> None:
    made: list[int] = []
    deadline = itertools.count(1)

    def dies(self: ProxyTraining, network: Network, *, seed: int) -> Evaluation:
        if next(deadline) == 8:
            raise Killed
        made.append(seed)
        return Evaluation(seed % 100, self.source, 1.0)

    monkeypatch.setattr(ProxyTraining, "evaluate", dies)
    out = trained.with_name("said.csv")
    arguments = ["rank-check", "--against", str(trained), "--accuracy", "proxy:digits", "--out", str(out), "--json"]
    with pytest.raises(Killed):
        run(arguments)
    assert len(out.read_text().splitlines()) == 8
    assert run(arguments) == 0
    assert len(made) == len(set(made)) == 60
    assert json.loads(capsys.readouterr().out)["networks"] == 60
    assert run([*arguments, "--seed", "1"]) == 2
    assert "give another --out" in capsys.readouterr().err

"""`mnas-evo train`: its options, several trainings, several processes, and what it refuses."""

import json
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from support.run_networks import as_if_trained

from mnas_evo.cli.main import run
from mnas_evo.space.lowering import lower
from mnas_evo.space.notation import parse_network
from mnas_evo.training.checkpoint import Checkpoint, load_checkpoint, save_checkpoint
from mnas_evo.training.normalisation import Normalisation

ARCH = "stem8/r1_k3_s22_e3_o16/head32"
SHORT = ["--data", "digits@200", "--epochs", "1"]
SCRIPT = Path(sys.executable).with_name("mnas-evo")


def training(folder: Path) -> dict[str, object]:
    found: dict[str, object] = json.loads((folder / "training.json").read_text())
    return found


def test_width_and_resolution_shape_the_network_that_is_trained(tmp_path: Path) -> None:
    out = tmp_path / "out"
    assert run(["train", ARCH, *SHORT, "--width", "2", "--resolution", "16", "--out", str(out)]) == 0
    assert training(out)["network"] == "16x16x1/stem16/r1_k3_s22_e3_i16_o32/head32/10"


def test_weights_of_another_task_begin_a_training(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    network = parse_network(f"32x32x3/{ARCH}/7")
    module = as_if_trained(lower(network))
    checkpoint = Checkpoint(network, tuple("abcdefg"), "letters", Normalisation((9.0,) * 3, (9.0,) * 3), module)
    save_checkpoint(tmp_path / "letters.pt", checkpoint)
    begin = ["--weights", str(tmp_path / "letters.pt"), "--recipe", "finetune"]
    assert run(["train", ARCH, *SHORT, *begin, "--out", str(tmp_path / "out")]) == 0
    assert load_checkpoint(tmp_path / "out" / "model.pt").normalisation == Normalisation((9.0,), (9.0,))
    assert training(tmp_path / "out")["weights"]
    capsys.readouterr()
    other = "stem8/r1_k5_s22_e3_o16/head32"
    assert run(["train", other, *SHORT, *begin, "--out", str(tmp_path / "other")]) == 2
    assert "layers are others" in capsys.readouterr().err


def test_several_networks_and_seeds_are_trained_and_the_leader_named(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "out"
    assert run(["train", ARCH, "mnasnet-small", *SHORT, "--seeds", "2", "--out", str(out)]) == 0
    assert {path.parent.name for path in out.glob("*/model.pt")} == {
        "network1-seed0", "network1-seed1", "mnasnet-small-seed0", "mnasnet-small-seed1",
    }  # fmt: skip
    said = capsys.readouterr().out
    assert "leads" in said and "next: mnas-evo evaluate" in said


def test_a_job_with_a_number_of_its_own_trains_alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SLURM_PROCID", "1")
    assert run(["train", ARCH, *SHORT, "--out", str(tmp_path)]) == 0
    assert (tmp_path / "model.pt").exists()


@pytest.mark.parametrize(
    ("given", "said"),
    [
        (["--norm-eps", "0.01"], "--norm-eps is for --weights"),
        (["--workers", "2", "--devices", "2"], "give one of them"),
        (["--workers", "2"], "give several networks or --seeds"),
        (["--weights", "nothing.pth"], "nothing.pth is no file"),
        (["--recipe", "nothing"], "known are cifar10"),
    ],
)
def test_options_that_do_not_go_together_are_refused(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], given: list[str], said: str
) -> None:
    assert run(["train", ARCH, *SHORT, "--out", str(tmp_path / "out"), *given]) == 2
    assert said in capsys.readouterr().err


def test_a_recipe_with_unknown_keys_is_refused_by_each_of_them(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    recipe = tmp_path / "mine.toml"
    recipe.write_text('format = 1\nname = "mine"\noptimizer = "sgd"\nbatch = 8\nepochs = 1\nlr = 1\nema = 0.9\n')
    assert run(["train", ARCH, *SHORT, "--recipe", str(recipe), "--out", str(tmp_path / "out")]) == 2
    said = capsys.readouterr().err
    assert all(word in said for word in ("lr", "ema", "learning_rate"))
    assert not (tmp_path / "out").exists()


def in_two(out: Path, *more: str) -> list[str]:
    asked = ["--data", "digits@400", "--epochs", "2", "--devices", "2", "--out", str(out)]
    return [str(SCRIPT), "train", ARCH, *asked, *more]


def train_in_two(out: Path, *more: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(in_two(out, *more), capture_output=True, text=True, timeout=300)


THAW = """
format = 1
name = "thaw"
optimizer = "sgd"
learning_rate = 0.05
batch = 32
epochs = 2
unfreeze_epochs = 1
weight_average = 0.9
learning_rate_batch = 64
"""


@pytest.fixture(scope="module")
def thawed(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, str]:
    """The folder of a training in two processes whose layers thaw, and what it printed."""
    folder = tmp_path_factory.mktemp("thawed")
    (folder / "thaw.toml").write_text(THAW)
    done = train_in_two(folder / "whole", "--recipe", str(folder / "thaw.toml"))
    assert done.returncode == 0, done.stderr
    return folder, done.stdout


@pytest.mark.slow
@pytest.mark.xdist_group("thawed")
def test_two_processes_train_one_network_and_one_of_them_writes(thawed: tuple[Path, str]) -> None:
    folder, printed = thawed
    assert printed.count("next: mnas-evo evaluate") == 1
    found = training(folder / "whole")
    assert found["processes"] == 2 and len(found["epochs"]) == 2  # type: ignore[arg-type]
    (logs,) = (folder / "whole" / "logs").glob("events*")
    assert logs.stat().st_size > 0


BOTH = """
import os, sys
from pathlib import Path

import numpy as np
import torch

from mnas_evo.data.datasets import search_data
from mnas_evo.space.notation import parse_network
from mnas_evo.training.loop import Trained, train
from mnas_evo.training.places import Place
from mnas_evo.training.recipe import load_recipe

data = search_data("digits@200")
recipe = load_recipe("quick").model_copy(update={"epochs": 1, "weight_average": 0.9, "batch": 16})
network = parse_network("32x32x1/stem8/r1_k3_s22_e3_o16/head32/10")
found = train(network, data=(data.train, data.validation), recipe=recipe, seed=0, place=Place(devices=2))
state = {"top1": torch.tensor(found.epochs[-1].top1), **found.network.state_dict()}
torch.save(state, Path(sys.argv[1]) / f"{os.environ['LOCAL_RANK']}.pt")
"""


@pytest.mark.slow
def test_two_processes_learn_the_same_from_different_images_and_judge_the_same(tmp_path: Path) -> None:
    script = tmp_path / "both.py"
    script.write_text(BOTH)
    done = subprocess.run([sys.executable, str(script), str(tmp_path)], capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr
    one, other = (torch.load(tmp_path / f"{rank}.pt", weights_only=True) for rank in range(2))
    assert all(torch.allclose(one[name], other[name], rtol=1e-5, atol=1e-7) for name in one)


@pytest.mark.slow
def test_two_processes_go_on_with_several_trainings_of_which_some_have_ended(tmp_path: Path) -> None:
    whole = train_in_two(tmp_path / "out", "--seeds", "2")
    assert whole.returncode == 0, whole.stderr
    last = tmp_path / "out" / "network1-seed1"
    before = training(last)["epochs"]
    shutil.rmtree(last)
    again = train_in_two(tmp_path / "out", "--seeds", "2")
    assert again.returncode == 0, again.stderr
    assert training(last)["epochs"] == before


@pytest.mark.slow
@pytest.mark.xdist_group("thawed")
def test_two_processes_go_on_after_a_stop_and_with_layers_that_thaw(thawed: tuple[Path, str], tmp_path: Path) -> None:
    folder, _ = thawed
    recipe = folder / "thaw.toml"
    process = subprocess.Popen(
        in_two(tmp_path / "cut", "--recipe", str(recipe)),
        stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, start_new_session=True,
    )  # fmt: skip
    _kill_once_written(process, tmp_path / "cut" / "last.ckpt")
    done = train_in_two(tmp_path / "cut", "--recipe", str(recipe))
    assert done.returncode == 0, done.stderr
    states = [load_checkpoint(path / "last.pt").module.state_dict() for path in (folder / "whole", tmp_path / "cut")]
    # Gradients are summed over processes in whatever order they come.
    assert all(torch.allclose(states[0][name], states[1][name], rtol=1e-4, atol=1e-6) for name in states[0])


def _kill_once_written(process: "subprocess.Popen[bytes]", path: Path) -> None:
    import os
    import signal
    import time

    end = time.monotonic() + 200
    while not path.exists() and process.poll() is None and time.monotonic() < end:
        time.sleep(0.02)
    assert path.exists()
    os.killpg(process.pid, signal.SIGKILL)
    process.wait()


@pytest.mark.slow
def test_a_compiled_network_trains_as_it_does_uncompiled(tmp_path: Path) -> None:
    if shutil.which("g++") is None:
        pytest.skip("torch.compile needs a C++ compiler on the processor")
    recipe = tmp_path / "compiled.toml"
    text = (
        'format = 1\nname = "plain"\noptimizer = "sgd"\nlearning_rate = 0.05\nbatch = 32\nepochs = 1\ndropout = 0.0\n'
    )
    recipe.write_text(text)
    (tmp_path / "c.toml").write_text(text.replace("plain", "compiled") + "compile = true\n")
    for name, file in (("plain", recipe), ("compiled", tmp_path / "c.toml")):
        command = [str(SCRIPT), "train", ARCH, *SHORT, "--recipe", str(file), "--out", str(tmp_path / name)]
        done = subprocess.run(command, capture_output=True, text=True, timeout=300)
        assert done.returncode == 0, done.stderr
    losses = [training(tmp_path / name)["epochs"][0]["train_loss"] for name in ("plain", "compiled")]  # type: ignore[index]
    assert losses[0] == pytest.approx(losses[1], rel=1e-3)

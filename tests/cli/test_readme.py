"""The README's commands run, in the order they stand there, each going on from what the one before left."""

import re
import subprocess
import venv
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from support.digits_classifier import digits_classifier
from support.documented_commands import README, TUTORIAL, blocks, commands, quick, run_all

from mnas_evo.data import datasets
from mnas_evo.data.decoding import Form, decode
from mnas_evo.data.parts import Encoded, Part
from mnas_evo.shipping.export import Int8Request, export
from mnas_evo.shipping.fp32 import export_onnx
from mnas_evo.space.notation import parse_network
from mnas_evo.training.checkpoint import Checkpoint, untrained

COMMANDS = [arguments for arguments in commands(README) if arguments[0] != "demo"]  # which has tests of its own
(SNIPPET,) = blocks(README, "python")
IMAGE = 7  # of the test digits
LOOKING = ("describe", "spaces", "tables")
RANKING = ("supernet", "rank-check")
TABLE = "amd-epyc-onnxruntime"  # built in, of the space digits


def test_the_readme_shows_the_whole_path() -> None:
    shown = [arguments[0] for arguments in COMMANDS]
    path = ["profile", "fit", "search", "remeasure", "train", "evaluate", "export"]
    assert list(dict.fromkeys(name for name in shown if name in path)) == path


def test_every_command_of_the_readme_is_run_by_a_test() -> None:
    tutorials = [[re.sub(r"#\d+", "#1", word) for word in arguments] for arguments in commands(TUTORIAL)]
    for arguments in COMMANDS:
        plain = [word for word in arguments if word != "--by-block"]  # tests/cli/test_commands.py
        assert plain in tutorials or arguments[0] in LOOKING or arguments in ranking(), arguments


def ranking() -> list[list[str]]:
    """The README's commands on supernets, from the first of them on."""
    first = next(number for number, arguments in enumerate(COMMANDS) if arguments[0] in RANKING)
    return COMMANDS[first:]


def test_the_readmes_commands_that_look_at_something_run(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    run_all([arguments for arguments in COMMANDS if arguments[0] in LOOKING])
    printed = capsys.readouterr().out
    assert all(word in printed for word in ("MBConv6", "fashion-mnist", TABLE))


@pytest.mark.slow
def test_the_readmes_supernet_commands_run_with_small_budgets(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    small = {"my-device": TABLE, "digits": "digits@100"}
    for arguments in ranking():
        pairs = zip(["", *arguments], arguments, strict=False)
        run_all([quick([small.get(word, word) if before != "--space" else word for before, word in pairs])])
    assert (tmp_path / "runs" / "shared" / "archive.sqlite").exists()


def checkpoint_says(checkpoint: Checkpoint) -> str:
    """The class that a checkpoint gives the test image."""
    digit = torch.from_numpy(datasets.test_data("digits").pixels(np.array([IMAGE])))
    with torch.no_grad():
        return checkpoint.classes[int(checkpoint.module(checkpoint.normalisation.apply(digit)).argmax())]


def snippet_says(python: str, model: str, folder: Path) -> str:
    """What the README's snippet prints for a test image, with a file of models/first."""
    (digit,) = datasets.test_data("digits").pixels(np.array([IMAGE]))
    Image.fromarray(digit[0]).save(folder / "image.png")
    done = subprocess.run(
        [python, "-c", SNIPPET.replace("model.onnx", model)], capture_output=True, text=True, timeout=120, cwd=folder
    )
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


@pytest.mark.slow
def test_the_snippet_needs_onnxruntime_numpy_and_pillow_alone(tmp_path: Path) -> None:
    network = parse_network("32x32x1/stem8/r1_k3_s22_e3_o16_se0.25/r1_k5_s22_o24_pool_conv/head128/10")
    checkpoint = digits_classifier(network)
    export(checkpoint, tmp_path / "models" / "first" / "model.onnx", data="digits", int8=Int8Request(), seconds=0.0)
    venv.create(tmp_path / "venv", with_pip=True)
    python = str(tmp_path / "venv" / "bin" / "python")
    pip = [python, "-m", "pip", "--disable-pip-version-check"]
    done = subprocess.run(
        [*pip, "install", "--quiet", "onnxruntime", "numpy", "pillow"], capture_output=True, text=True, timeout=600
    )
    if done.returncode:
        pytest.skip(f"no package index to install from: {done.stderr.strip().splitlines()[-1]}")
    listed = subprocess.run([*pip, "list", "--format=freeze"], capture_output=True, text=True, timeout=60).stdout
    assert not {"torch", "mnas-evo", "onnx"} & {line.partition("==")[0] for line in listed.splitlines()}
    for model in ("model.onnx", "model.int8.onnx"):
        assert snippet_says(python, model, tmp_path) == checkpoint_says(checkpoint)


@pytest.mark.parametrize(
    ("mode", "size"),
    [("L", (32, 32)), ("RGB", (32, 32)), ("RGB", (70, 45)), ("L", (20, 33)), ("RGBA", (64, 40)), ("LA", (40, 64)),
     ("P", (50, 50)), ("1", (48, 32)), ("turned", (40, 30))],
)  # fmt: skip
@pytest.mark.parametrize("channels", [1, 3])
def test_the_snippet_reads_an_image_as_the_project_does(
    mode: str, size: tuple[int, int], channels: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    network = parse_network(f"24x32x{channels}/stem8/r1_k3_s22_e1_o8/head16/3")
    export_onnx(untrained(network, seed=0), tmp_path / "models" / "first" / "model.onnx")
    pixels = np.random.default_rng(0).integers(0, 256, (size[1], size[0], 3), np.uint8)
    image = Image.fromarray(pixels).convert("RGB" if mode == "turned" else mode)
    exif = Image.Exif()
    if mode == "turned":
        exif[0x0112] = 6
    image.save(tmp_path / "image.png", exif=exif)
    names: dict[str, Any] = {}
    exec(compile(SNIPPET, "README.md", "exec"), names)
    file = Encoded(None, str(tmp_path / "image.png"))
    part = Part("made", "test", np.zeros(1, np.int64), None, lambda rows: [file])
    (read,) = decode(part, np.array([0]), Form(channels, 24, 32, resizes=True))
    found = names["pixels"].transpose(2, 0, 1) * 127.5 + 127.5
    assert found.shape == read.shape
    assert np.abs(found - read).max() < 1e-3

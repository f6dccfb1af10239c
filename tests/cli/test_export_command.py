"""`mnas-evo export`: what it writes and says, its JSON, its help, and errors of one line."""

import json
import os
from pathlib import Path

import pytest
from support.image_folders import write_colours
from support.run_networks import as_if_trained

from mnas_evo.cli.main import run
from mnas_evo.shipping.in_turn import time_in_turn
from mnas_evo.space.lowering import lower
from mnas_evo.space.notation import format_network, parse_network
from mnas_evo.training.checkpoint import Checkpoint, save_checkpoint
from mnas_evo.training.normalisation import Normalisation

Capture = pytest.CaptureFixture[str]
NETWORK = parse_network("32x32x1/stem8/r1_k3_s22_e2_o8_se0.25/head16/10")


@pytest.fixture(autouse=True)
def hurried(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(
        "mnas_evo.shipping.export.time_in_turn", lambda ways, *, seconds: time_in_turn(ways, seconds=0.0)
    )


@pytest.fixture
def model(tmp_path: Path) -> Path:
    path = tmp_path / "model.pt"
    module = as_if_trained(lower(NETWORK))
    save_checkpoint(path, Checkpoint(NETWORK, tuple("0123456789"), "digits", Normalisation((75.0,), (90.0,)), module))
    return path


def said(arguments: list[str], capsys: Capture) -> tuple[int, str, str]:
    status = run(["export", *arguments])
    out, err = capsys.readouterr()
    return status, out, err


def test_both_files_are_named_judged_and_written(model: Path, tmp_path: Path, capsys: Capture) -> None:
    out_path = tmp_path / "made" / "one.onnx"
    status, out, err = said([str(model), "--int8", "--data", "digits", "--out", str(out_path)], capsys)
    assert status == 0, err
    for words in (
        f"{out_path}: outputs agree with torch to", f"{tmp_path / 'made' / 'one.int8.onnx'}: calibrated on 512",
        "torch ", "fp32 ", "int8 ", "top1", "360 test images", "int8 is ", "ship one.",
    ):  # fmt: skip
        assert words in out, words
    assert err == "exporting: checked and timed\n"
    assert {path.name for path in out_path.parent.iterdir()} == {"one.onnx", "one.int8.onnx", "one.export.json"}


def test_a_checkpoints_own_data_calibrate_it_where_none_are_given(model: Path, tmp_path: Path, capsys: Capture) -> None:
    arguments = [str(model), "--int8", "--calibration", "20", "--method", "percentile", "--seed", "3", "--json"]
    status, out, _ = said([*arguments, "--out", str(tmp_path / "m.onnx")], capsys)
    document = json.loads(out)
    assert status == 0 and document["data"] == "digits"
    made = document["calibration"]
    assert (made["images"], made["method"], made["seed"]) == (20, "percentile", 3)
    assert document["int8"]["name"] == "m.int8.onnx"


def test_existing_files_are_replaced_whole(model: Path, tmp_path: Path, capsys: Capture) -> None:
    (tmp_path / "m.onnx").write_text("old")
    (tmp_path / "m.export.json").write_text("old")
    assert said([str(model), "--out", str(tmp_path / "m.onnx")], capsys)[0] == 0
    assert (tmp_path / "m.onnx").stat().st_size > 1000
    assert json.loads((tmp_path / "m.export.json").read_text())["format"] == 1
    assert {path.name for path in tmp_path.iterdir()} == {"model.pt", "m.onnx", "m.export.json"}


def test_help_teaches_with_an_example(capsys: Capture) -> None:
    status, out, _ = said(["--help"], capsys)
    text = " ".join(out.split())
    assert status == 0
    assert "mnas-evo export models/one/model.pt --int8 --data fashion-mnist --out models/one/model.onnx" in text
    assert "--calibration" in text and "minmax" in text


BAD: dict[str, tuple[list[str], str]] = {
    "int8 of an untrained network without data": ([format_network(NETWORK), "--int8"], "give --data DATA"),
    "int8 of data of other classes": (["model.pt", "--int8", "--data", "FOLDER"], "3 classes (cat, dog, owl)"),
    "data of other classes": (["model.pt", "--data", "FOLDER"], "3 classes (cat, dog, owl)"),
    "an unknown data set": (["model.pt", "--int8", "--data", "mnist"], "mnist"),
    "more calibration images than there are": (
        ["model.pt", "--int8", "--calibration", "2000"], "--calibration 2000: digits has 1,077 training images",
    ),
    "calibration without int8": (["model.pt", "--calibration", "20"], "--int8; give it too"),
    "an unknown method": (["model.pt", "--int8", "--method", "best"], "--method"),
    "a damaged checkpoint": (["damaged.pt", "--int8", "--data", "digits"], "damaged.pt"),
    "an eps for a checkpoint": (["model.pt", "--norm-eps", "0.1"], "--norm-eps"),
}  # fmt: skip


@pytest.mark.parametrize("case", BAD)
def test_bad_input_is_one_line_that_names_it_and_nothing_is_written(
    case: str, model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: Capture
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "damaged.pt").write_bytes(model.read_bytes()[:3000])
    arguments, named = BAD[case]
    if "FOLDER" in arguments:
        write_colours(tmp_path / "animals", ("cat", "dog", "owl"))
        arguments = [word.replace("FOLDER", "imagefolder:animals") for word in arguments]
    status, out, err = said([*arguments, "--out", "out/m.onnx"], capsys)
    assert (status, out) == (2, "")
    assert err.splitlines()[-1].startswith("mnas-evo: ") and named in err
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("out_path", ["folder", "model.pt/m.onnx", "closed/m.onnx"])
def test_where_nothing_can_be_written_one_line_says_so(
    out_path: str, model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: Capture
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "folder").mkdir()
    (tmp_path / "closed").mkdir(mode=0o500)
    if out_path.startswith("closed") and os.access(tmp_path / "closed", os.W_OK):
        pytest.skip("this user may write everywhere")
    status, out, err = said([str(model), "--out", out_path], capsys)
    assert (status, out) == (2, "")
    assert err.splitlines()[-1].startswith("mnas-evo: ") and out_path.split("/")[0] in err


@pytest.mark.parametrize(
    ("given", "said"),
    [(["--out", "model.pt"], "give --out model.onnx"), (["--out", "model.onnx", "--seed", "3"], "are for --int8")],
)
def test_what_would_write_over_a_checkpoint_or_mean_nothing_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: Capture, given: list[str], said: str
) -> None:
    monkeypatch.chdir(tmp_path)
    module = as_if_trained(lower(NETWORK))
    normalisation = Normalisation((127.0,), (60.0,))
    save_checkpoint(tmp_path / "model.pt", Checkpoint(NETWORK, tuple("0123456789"), "digits", normalisation, module))
    before = (tmp_path / "model.pt").read_bytes()
    assert run(["export", "model.pt", *given]) == 2
    assert said in capsys.readouterr().err
    assert (tmp_path / "model.pt").read_bytes() == before

"""`mnas-evo evaluate`: what it prints, its JSON, weights from elsewhere, and errors of one line."""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file
from support.foreign_state_dicts import SOURCE_NAMES, as_trained
from support.image_folders import write_colours
from support.known_times import item_ms
from support.run_networks import as_if_trained

from mnas_evo.cli.evaluate_command import in_words
from mnas_evo.cli.main import run
from mnas_evo.devices.fake import FakeDevice
from mnas_evo.shipping.evaluation import EvaluationForm
from mnas_evo.shipping.torch_latency import torch_latency
from mnas_evo.space.lowering import lower
from mnas_evo.space.notation import format_network, parse_network
from mnas_evo.training.checkpoint import Checkpoint, save_checkpoint
from mnas_evo.training.metrics import Answers, metrics
from mnas_evo.training.normalisation import Normalisation

Capture = pytest.CaptureFixture[str]
NETWORK = parse_network("32x32x1/stem8/r1_k3_s22_e1_o8/head16/10")
AGREED = ("top1", "top5", "loss", "precision", "recall", "f1", "ece", "latency_ms")


@pytest.fixture(autouse=True)
def fake(monkeypatch: pytest.MonkeyPatch) -> None:
    """Every target is a fake device, and torch is timed for a moment."""

    @contextmanager
    def opened(*_: object, **__: object) -> Iterator[FakeDevice]:
        yield FakeDevice(item_ms)

    monkeypatch.setattr("mnas_evo.devices.target.opened", opened)
    monkeypatch.setattr(
        "mnas_evo.shipping.evaluation.torch_latency", lambda module, *, seconds: torch_latency(module, seconds=0.01)
    )


@pytest.fixture
def model(tmp_path: Path) -> Path:
    path = tmp_path / "model.pt"
    module = as_if_trained(lower(NETWORK))
    save_checkpoint(path, Checkpoint(NETWORK, tuple("0123456789"), "digits", Normalisation((75.0,), (90.0,)), module))
    return path


def said(arguments: list[str], capsys: Capture) -> tuple[int, str, str]:
    status = run(["evaluate", *arguments])
    out, err = capsys.readouterr()
    return status, out, err


def test_it_says_what_was_found_and_what_was_written(model: Path, tmp_path: Path, capsys: Capture) -> None:
    status, out, _ = said([str(model), "--data", "digits", "--out", str(tmp_path / "out")], capsys)
    assert status == 0
    for words in (
        "360 test images of digits", "top1", "95 %:", "top5", "worst F1", "confused", " taken for ", "-confident by",
        "torch eager", "confusion.svg|png", "classes.csv",
    ):  # fmt: skip
        assert words in out, words
    assert (tmp_path / "out" / "confusion.png").stat().st_size > 10_000


def test_json_has_the_agreed_keys_and_each_class(model: Path, tmp_path: Path, capsys: Capture) -> None:
    status, out, _ = said([str(model), "--data", "digits", "--out", str(tmp_path / "out"), "--json"], capsys)
    document = json.loads(out)
    assert status == 0 and all(isinstance(document[key], float) for key in AGREED)
    assert document["class_names"] == list("0123456789")
    assert {"support", "predicted", "precision", "recall", "f1"} == set(document["classes"][0])
    assert document["torch_latency_ms"] > 0


@pytest.mark.parametrize("source", SOURCE_NAMES)
def test_weights_from_elsewhere_are_validated(source: str, tmp_path: Path, capsys: Capture) -> None:
    network, shapes = SOURCE_NAMES[source]
    save_file(as_trained(shapes), tmp_path / "w.safetensors")
    data = write_colours(tmp_path / "data", ("ant", "bee", "cat", "dog", "elk"))
    arguments = [format_network(network), "--weights", str(tmp_path / "w.safetensors"), "--data", data]
    status, out, err = said([*arguments, "--out", str(tmp_path / "out")], capsys)
    assert status == 0, err
    assert f"trained on weights of {source}" in out
    assert "note: the weights number their classes" in err
    assert "top5" not in out  # of five classes


BAD: dict[str, tuple[list[str], str]] = {
    "a name without weights": (["mnasnet-a1", "--data", "digits"], "--weights FILE"),
    "a checkpoint that is not there": (["no.pt", "--data", "digits"], "no.pt is missing"),
    "weights beside a checkpoint": (["model.pt", "--weights", "w.pth", "--data", "digits"], "brings its own weights"),
    "an eps for a checkpoint": (["model.pt", "--norm-eps", "0.1", "--data", "digits"], "--norm-eps"),
    "weights that are not there": (["mnasnet-a1", "--weights", "w.pth", "--data", "digits"], "w.pth"),
    "a damaged checkpoint": (["damaged.pt", "--data", "digits"], "damaged.pt"),
    "what is no checkpoint": (["table.csv", "--data", "digits"], "table.csv is no"),
    "data of other classes": (["model.pt", "--data", "FOLDER"], "has 3 classes (cat, dog, owl), the network 10"),
    "an unknown data set": (["model.pt", "--data", "mnist"], "mnist"),
    "an unknown target": (["model.pt", "--data", "digits", "--on", "pixel"], "pixel"),
}


@pytest.mark.parametrize("case", BAD)
def test_bad_input_is_one_line_that_names_it_and_nothing_is_written(
    case: str, model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: Capture
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "damaged.pt").write_bytes(model.read_bytes()[:3000])
    (tmp_path / "table.csv").write_text("a,b\n")
    arguments, named = BAD[case]
    if "FOLDER" in arguments:
        write_colours(tmp_path / "animals", ("cat", "dog", "owl"))
        arguments = [word.replace("FOLDER", "imagefolder:animals") for word in arguments]
    status, out, err = said([*arguments, "--out", "out"], capsys)
    assert (status, out) == (2, "")
    assert err.splitlines()[-1].startswith("mnas-evo: ") and named in err
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    ("sure", "words"), [(6.0, "over-confident by"), (0.9, "under-confident by"), (2.1, "as sure as it is right")]
)
def test_calibration_is_said_in_words(sure: float, words: str) -> None:
    labels = torch.arange(400) % 4
    predicted = torch.where(torch.arange(400) % 5 > 0, labels, (labels + 1) % 4)  # right in four of five
    found = metrics(Answers.of(sure * 1.2 * torch.nn.functional.one_hot(predicted, 4).float(), labels))
    form = EvaluationForm(
        network="n", data="d", images=400, metrics=found, latency_ms=1.0, latency_spread_percent=1.0, device="x",
        versions={}, class_names=("a\x1b[2J", "b", "c", "d"), classes_said="", trained_on="d",
        torch_latency_ms=1.0, torch_latency_iqr_ms=0.1,
    )  # fmt: skip
    said = in_words(form)
    assert words in said and "\x1b" not in said
    assert "top5" not in said and "worst F1" in said

"""`mnas-evo scale`: its table, its document, its words, and what it refuses in one line."""

import json
from pathlib import Path

import pytest
from strategies import TINY_TOML
from support.known_times import item_ms

from mnas_evo.accuracy.contract import Evaluation
from mnas_evo.accuracy.proxy import ProxyTraining
from mnas_evo.cli.main import run
from mnas_evo.devices.fake import FakeDevice
from mnas_evo.space.architecture import Network
from mnas_evo.space.lowering import lower

Capture = pytest.CaptureFixture[str]
ARCH = "stem16/r1_k3_s22_e3_o24/head32"
TRAINING = ProxyTraining.evaluate
SMALL = ["--widths", "0.5,1", "--resolutions", "16,24"]


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """Trainings that take no time, and a fake device behind every target."""
    monkeypatch.setattr("mnas_evo.devices.target.open_device", lambda *target, **how: FakeDevice(item_ms))
    monkeypatch.setattr(ProxyTraining, "evaluate", by_params)


def by_params(self: ProxyTraining, network: Network, *, seed: int) -> Evaluation:
    return Evaluation(lower(network).params / 1e5, self.source, 0.1)


def command(out: Path, *more: str) -> list[str]:
    return ["scale", ARCH, *SMALL, "--out", str(out), *more]


def test_it_tells_what_is_to_do_then_measures_trains_and_judges(tmp_path: Path, capsys: Capture) -> None:
    arguments = command(tmp_path / "out", "--data", "digits", "--on", "local", "--minutes", "0", "--target-ms", "2.5")
    assert run(arguments) == 0
    out, err = capsys.readouterr()
    assert err.splitlines() == [
        "8 scalings of 2 networks; to do: 8 trainings of 5 epochs on digits, those with small images first",
        "measuring: 8 passes",
        "training: 8 of 8 networks",
    ]
    assert "measured ms" in out and "top-1 %" in out and "Within 2.5 ms the most accurate is" in out
    assert len([line for line in out.splitlines() if line.lstrip().startswith(("network ", "mobilenet-v2 "))]) >= 8
    assert out.rstrip().endswith("report.html") and (tmp_path / "out" / "report.html").is_file()
    before = (tmp_path / "out" / "points.csv").read_bytes()
    assert run(arguments) == 0
    assert "0 trainings of 5 epochs on digits (8 have ended)" in capsys.readouterr().err
    assert (tmp_path / "out" / "points.csv").read_bytes() == before


def test_the_document_has_every_point_with_its_figures(tmp_path: Path, capsys: Capture) -> None:
    more = ("--data", "digits", "--epochs", "2", "--no-beside", "--cross", "--json")
    assert run(command(tmp_path / "out", *more)) == 0
    found = json.loads(capsys.readouterr().out)
    assert [(one["width"], one["resolution"]) for one in found["points"]] == [(1.0, 16), (0.5, 24), (1.0, 24)]
    assert found["cost"] == "macs" and found["latency"] is None and found["training"]["recipe"]["epochs"] == 2
    assert {"ms", "low_ms", "high_ms", "macs", "params", "top1", "on_front", "network"} <= set(found["points"][0])
    assert found["words"][0].startswith("On the front, for nothing with fewer multiply-adds")


def test_without_training_it_tells_sizes_and_latencies_of_networks_as_they_are(tmp_path: Path, capsys: Capture) -> None:
    more = ("--no-train", "--on", "local", "--minutes", "0", "--target-ms", "2.5")
    assert run(command(tmp_path / "out", *more)) == 0
    out, err = capsys.readouterr()
    assert "8 scalings of 2 networks; nothing is trained" in err
    assert "top-1" not in out and "run within 2.5 ms; none of them was trained." in out
    assert "16x16x3/" in (tmp_path / "out" / "networks.txt").read_text()


def test_several_networks_come_from_a_run_a_file_or_by_name(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: Capture
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "tiny.toml").write_text(TINY_TOML)
    search = ["search", "--space", "tiny.toml", "--accuracy", "proxy:digits", "--objectives", "macs,params"]
    assert run([*search, "--algorithm", "random", "--evaluations", "3", "--run", "runs/first"]) == 0
    (tmp_path / "more.txt").write_text("stem8/r1_k3_s22_e3_o16/head16\nstem8/r1_k5_s22_e3_o16/head16\n")
    given = ["scale", "runs/first#1", "more.txt", "mnasnet-small", *SMALL, "--data", "digits", "--out", "out", "--json"]
    capsys.readouterr()
    assert run(given) == 0
    found = json.loads(capsys.readouterr().out)
    assert list(found["networks"]) == ["first#1", "network", "network-2", "mnasnet-small", "mobilenet-v2"]
    assert all(string.startswith("224x224x1/") and string.endswith("/10") for string in found["networks"].values())


def test_it_trains_on_images_brought_to_each_size(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: Capture
) -> None:
    monkeypatch.setattr(ProxyTraining, "evaluate", TRAINING)
    more = ("--data", "digits@60", "--epochs", "1", "--no-beside", "--json")
    assert run(command(tmp_path / "out", *more)) == 0
    assert all(0 <= one["top1"] <= 100 for one in json.loads(capsys.readouterr().out)["points"])


@pytest.mark.parametrize(
    ("more", "said"),
    [
        ((), "give --data, images to train on, or --no-train"),
        (("--no-train", "--on", "local", "--table", "t"), "give one of them"),
        (("--no-train", "--widths", "wide"), "cannot read --widths 'wide': write them as 0.35,0.5"),
        (("--no-train", "--widths", "-1"), "a width multiplier is positive, not -1"),
        (("--no-train", "--resolutions", "96.5"), "cannot read --resolutions '96.5'"),
        (("--no-train", "--resolutions", "0"), "not 0"),
        (("--no-train", "--on", "pixel"), "unknown target 'pixel'"),
        (("--no-train", "--table", "nowhere"), "no table at 'nowhere'"),
        (("--data", "letters"), "letters"),
        (("--data", "digits", "--workers", "0"), "workers is at least 1, not 0"),
        (("--no-train", "--target-ms", "0"), "a positive number of ms, not 0"),
        (("--data", "digits", "--recipe", "none"), "no recipe 'none'"),
    ],
)
def test_what_cannot_be_is_refused_in_one_line_and_leaves_nothing(
    more: tuple[str, ...], said: str, tmp_path: Path, capsys: Capture
) -> None:
    assert run(command(tmp_path / "out", *more)) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith("mnas-evo: ") and said in line
    assert not (tmp_path / "out").exists()


def test_other_data_in_the_same_folder_are_refused(tmp_path: Path, capsys: Capture) -> None:
    assert run(command(tmp_path / "out", "--data", "digits")) == 0
    capsys.readouterr()
    assert run(command(tmp_path / "out", "--data", "digits@60")) == 2
    assert "holds another study: data digits, not digits@60" in capsys.readouterr().err

"""The command line: help that teaches, errors as one line with status 2, JSON that is nothing but JSON."""

import contextlib
import io
import json
import re
import sqlite3
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import typer
from safetensors.torch import save_file
from strategies import TINY, TINY_TOML
from support.foreign_state_dicts import SOURCE_NAMES, as_trained
from support.known_times import item_ms
from support.run_networks import images_for, outputs, session

from mnas_evo.cli.drawing import choices_lines
from mnas_evo.cli.main import app, run
from mnas_evo.devices.fake import FakeDevice
from mnas_evo.devices.profile import ProfileRequest, profile
from mnas_evo.latency.fitting import fit
from mnas_evo.latency.table import read_table
from mnas_evo.models.foreign_weights import load_network
from mnas_evo.models.torch_network import GraphNetwork
from mnas_evo.space.architecture import Frame
from mnas_evo.space.lowering import lower
from mnas_evo.space.named import named_network
from mnas_evo.space.notation import format_network, parse_network
from mnas_evo.space.space_file import load_space, space_names
from mnas_evo.training.checkpoint import untrained

COMMANDS: dict[str, Any] = typer.main.get_command(app).commands  # type: ignore[attr-defined]
Capture = pytest.CaptureFixture[str]


@pytest.fixture(scope="module")
def table(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A fitted table of the digits space, from a device of known truth."""
    folder = tmp_path_factory.mktemp("tables") / "fake"
    request = ProfileRequest(load_space("digits"), networks=20)
    profile(folder, FakeDevice(item_ms), request, target="fake", minutes=0, progress=lambda share, text: None)
    fit(folder)
    return folder


@pytest.fixture(scope="module")
def accuracies(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Accuracies of the first 20 architectures that a random search of the digits space asks for."""
    from mnas_evo.search.random_search import RandomSearch

    space = load_space("digits")
    strings = space.strings(RandomSearch(space, seed=0, batch=20).ask())
    path = tmp_path_factory.mktemp("accuracies") / "top1.csv"
    lines = [f"{string},{80 + 10 * value:.3f}" for string, value in zip(strings, np.linspace(0, 1, 20), strict=True)]
    path.write_text("\n".join(("architecture,top1", *lines)) + "\n")
    return path


def said(arguments: list[str], capsys: Capture) -> tuple[int, str, str]:
    status = run(arguments)
    out, err = capsys.readouterr()
    return status, out, err


@pytest.mark.parametrize("name", COMMANDS)
def test_every_command_teaches_itself(name: str, capsys: Capture) -> None:
    status, out, _ = said([name, "--help"], capsys)
    assert status == 0
    words = re.sub(r"\s+", " ", out)
    assert f"mnas-evo {name}" in words and len(words) > 150
    silent = [p.name for p in COMMANDS[name].params if not getattr(p, "help", None)]
    assert silent == [], "an option or argument that does not say what it is for"


def test_the_program_alone_teaches_its_commands(capsys: Capture) -> None:
    status, out, err = said([], capsys)
    assert (status, err) == (0, "")
    assert all(f"\n  {name} " in out for name in COMMANDS)


def test_every_command_stands_in_the_readme() -> None:
    readme = (Path(__file__).parents[2] / "README.md").read_text(encoding="utf-8")
    assert [name for name in COMMANDS if f"mnas-evo {name}" not in readme] == []


BAD: dict[str, tuple[list[str], str]] = {
    "no such command": (["serch"], "serch"),
    "no argument": (["describe"], "arch"),
    "an unknown name": (["describe", "mnasnet-z9"], "mnasnet-z9"),
    "a block that cannot be read": (["describe", "stem32/r2_k3_z9/head64"], "z9"),
    "an even kernel": (["describe", "stem32/r2_k4_s22_e6_o24/head64"], "4"),
    "a contradicting input": (["describe", "stem32/r2_k3_s22_e6_i24_o24/head64"], "i24"),
    "an unknown target": (["profile", "pixel", "--space", "digits", "--table", "t"], "pixel"),
    "an unknown runtime": (["profile", "local:tvm", "--space", "digits", "--table", "t"], "tvm"),
    "an unknown option of a target": (["profile", "local?cores=2", "--space", "digits", "--table", "t"], "cores"),
    "nothing to measure": (["profile", "local", "--table", "t"], "--space"),
    "an unknown space": (["profile", "local", "--space", "papr", "--table", "t"], "papr"),
    "a batch of nothing": (["profile", "local", "--space", "digits", "--table", "t", "--batch", "0"], "--batch"),
    "half an image": (["profile", "local", "--space", "digits", "--table", "t", "--batch", "1.5"], "--batch"),
    "images without pixels": (
        ["profile", "local", "--space", "digits", "--table", "t", "--resolution", "0"],
        "--resolution",
    ),
    "a resolution in words": (
        ["profile", "local", "--space", "digits", "--table", "t", "--resolution", "24x24"],
        "--resolution",
    ),
    "a time before now": (["profile", "local", "--space", "digits", "--table", "t", "--minutes", "-1"], "--minutes"),
    "a time that is no number": (
        ["profile", "local", "--space", "digits", "--table", "t", "--minutes", "nan"],
        "--minutes",
    ),
    "a precision that is not there": (
        ["profile", "local:openvino?precision=fp16", "--space", "digits", "--table", "t"],
        "not fp16",
    ),
    "a table that is not there": (["fit", "--table", "nowhere"], "nowhere"),
    "a prediction without a table": (["predict", "mnasnet-a1", "--table", "nowhere"], "nowhere"),
    "a search without accuracy": (["search", "--run", "r"], "--accuracy"),
    "a search without its table": (
        ["search", "--space", "digits", "--accuracy", "proxy:digits", "--run", "r"],
        "--table",
    ),
    "an unknown accuracy": (["search", "--accuracy", "guess", "--run", "r", "--objectives", "top1,macs"], "guess"),
    "an unknown objective": (["search", "--accuracy", "proxy:digits", "--run", "r", "--objectives", "top1,ms"], "ms"),
    "an endless limit": (
        ["search", "--accuracy", "proxy:digits", "--run", "r", "--limit", "latency=inf"],
        "latency=inf",
    ),
    "a negative seed": (["search", "--accuracy", "proxy:digits", "--run", "r", "--seed", "-1"], "--seed"),
    "nothing to predict": (["predict", "--table", "amd-epyc-onnxruntime"], "--file"),
    "images of other channels": (
        ["train", "32x32x3/stem8/r1_k3_s22_e3_o16/head16/10", "--data", "digits", "--out", "o"],
        "32x32x3",
    ),
    "a folder of images that is not there": (["train", "mobilenet-v2", "--data", "imagefolder:no", "--out", "o"], "no"),
    "more images than there are": (["train", "mobilenet-v2", "--data", "digits@9999", "--out", "o"], "9999"),
    "a resolution of nothing": (
        ["train", "mobilenet-v2", "--data", "digits", "--resolution", "0", "--out", "o"],
        "--resolution",
    ),
    "a supernet of other data": (["supernet", "--data", "digits", "--space", "paper", "--out", "o"], "1000 classes"),
    "no judge and no judged": (["rank-check", "--against", "trained.csv"], "--add"),
    "judges that are not there": (["rank-check", "--accuracy", "proxy:digits", "--against", "no.csv"], "no.csv"),
    "an unknown algorithm": (["search", "--accuracy", "proxy:digits", "--run", "r", "--algorithm", "magic"], "magic"),
    "a run that is none": (["remeasure", "nowhere"], "nowhere"),
    "no width": (["describe", "mnasnet-a1", "--width", "0"], "0.0"),
    "a negative width": (["describe", "mnasnet-a1", "--width", "-1"], "-1.0"),
    "an endless width": (["describe", "mnasnet-a1", "--width", "inf"], "inf"),
    "a width that is no number": (["describe", "mnasnet-a1", "--width", "nan"], "nan"),
    "a width beyond the notation": (["describe", "mnasnet-a1", "--width", "1e4"], "stem_channels"),
    "a width in words": (["describe", "mnasnet-a1", "--width", "half"], "--width"),
    "a space that is not there": (["spaces", "papr"], "papr"),
    "a space that is a folder": (["spaces", "."], "'.'"),
    "a rank of no run": (["describe", "nowhere#1"], "nowhere"),
    "an unknown data set": (["train", "mobilenet-v2", "--data", "mnist", "--out", "o"], "mnist"),
    "an unknown recipe": (["train", "mobilenet-v2", "--data", "digits", "--recipe", "slow", "--out", "o"], "slow"),
    "a checkpoint that is not there": (["export", "model.pt", "--out", "m.onnx"], "model.pt"),
    "weights for a checkpoint": (["export", "m.pt", "--weights", "w.pth", "--out", "m.onnx"], "m.pt brings its own"),
    "weights that are not there": (["export", "mnasnet-a1", "--weights", "w.pth", "--out", "m.onnx"], "w.pth"),
    "weights that are a folder": (["export", "mnasnet-a1", "--weights", ".", "--out", "m.onnx"], ". is no file"),
    "an eps below zero": (["export", "mnasnet-a1", "--norm-eps", "-1", "--out", "m.onnx"], "--norm-eps"),
    "an eps that is no number": (["export", "mnasnet-a1", "--norm-eps", "nan", "--out", "m.onnx"], "--norm-eps"),
    "a report of nothing": (["report", "nowhere"], "nowhere"),
}


@pytest.mark.parametrize("case", BAD)
def test_bad_input_is_one_line_that_names_the_value_with_status_2(
    case: str, capsys: Capture, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    arguments, value = BAD[case]
    status, out, err = said(arguments, capsys)
    assert status == 2
    assert out == ""
    assert err.startswith("mnas-evo: ") and err.count("\n") == 1
    assert value in err


def damaged_row(folder: Path) -> None:
    lines = (folder / "ops.csv").read_text().splitlines()
    lines[3] = lines[3].replace(lines[3].split(",")[1], "-1", 1)
    (folder / "ops.csv").write_text("\n".join(lines) + "\n")


def cut_device(folder: Path) -> None:
    (folder / "device.json").write_text((folder / "device.json").read_text()[:100])


def newer_format(folder: Path) -> None:
    text = (folder / "device.json").read_text()
    (folder / "device.json").write_text(text.replace('"format": 1', '"format": 2', 1))


def test_where_a_row_is_missing_networks_alone_are_fitted_on_and_it_is_said(
    table: Path, tmp_path: Path, capsys: Capture
) -> None:
    copy = tmp_path / "copy"
    copy.mkdir()
    for path in table.glob("*.*"):
        (copy / path.name).write_bytes(path.read_bytes())
    lines = (copy / "ops.csv").read_text().splitlines()
    (copy / "ops.csv").write_text("\n".join(line for line in lines if not line.startswith("classifier")) + "\n")
    status, out, _ = said(["fit", "--table", str(copy)], capsys)
    assert status == 0
    assert "networks have layers without a row, classifier_" in out and "mnas-evo profile TARGET --missing" in out


@pytest.mark.parametrize(
    ("damage", "word"),
    [(damaged_row, "line 4"), (cut_device, "device.json"), (newer_format, "format 2")],
)
def test_a_damaged_table_is_named_where_it_is_damaged_and_left_alone(
    damage: Callable[[Path], None], word: str, table: Path, tmp_path: Path, capsys: Capture
) -> None:
    copy = tmp_path / "copy"
    copy.mkdir()
    for path in table.glob("*.*"):
        (copy / path.name).write_bytes(path.read_bytes())
    damage(copy)
    before = {path.name: path.read_bytes() for path in copy.iterdir()}
    status, _, err = said(["fit", "--table", str(copy)], capsys)
    assert status == 2 and word in err and err.count("\n") == 1
    assert {path.name: path.read_bytes() for path in copy.iterdir()} == before


def test_json_is_one_document_with_the_agreed_keys(
    table: Path, accuracies: Path, tmp_path: Path, capsys: Capture
) -> None:
    status, out, _ = said(["describe", "mnasnet-a1", "--json"], capsys)
    found = json.loads(out)
    assert status == 0 and found["params"] == 3887038
    assert {"network", "norm_statistics", "macs", "activation_bytes", "layers", "graph"} <= set(found)

    status, out, _ = said(["spaces", "digits", "--json"], capsys)
    (found,) = json.loads(out)
    assert status == 0
    assert {"name", "input", "blocks", "genomes", "architectures", "layers", "macs", "params"} == set(found)

    status, out, _ = said(["fit", "--table", str(table), "--json"], capsys)
    found = json.loads(out)
    assert status == 0 and {"train", "test", "noise_percent", "methods", "chosen"} <= set(found)
    assert set(found["methods"]) == {"macs", "sum", "calibrated", "lightgbm", "combined"}
    assert {"name", "mape", "w1", "w5", "w10", "kendall"} <= set(found["chosen"])

    status, out, _ = said(
        ["predict", "mobilenet-v2", "mnasnet-a1", "--table", str(table), "--by-block", "--json"], capsys
    )
    rows = json.loads(out)
    assert status == 0 and len(rows) == 2
    assert all(row["low_ms"] <= row["ms"] <= row["high_ms"] for row in rows)
    assert all(abs(sum(row["blocks_ms"].values()) / row["ms"] - 1) < 1e-9 for row in rows)

    arguments = ["search", "--space", "digits", "--table", str(table), "--accuracy", f"table:{accuracies}"]
    arguments += ["--algorithm", "random", "--evaluations", "20", "--run", str(tmp_path / "run"), "--json"]
    status, out, _ = said(arguments, capsys)
    found = json.loads(out)
    assert status == 0 and found["evaluations"] == found["distinct"] == 20
    assert found["hypervolume"] > 0 and {"network", "top1", "latency_ms"} <= set(found["front"][0])
    status, again, _ = said(arguments, capsys)
    assert status == 0 and json.loads(again) == found

    status, out, _ = said(["describe", f"{tmp_path / 'run'}#1", "--json"], capsys)
    assert status == 0 and json.loads(out)["network"] == found["front"][0]["network"]
    assert said(["describe", f"{tmp_path / 'run'}#999"], capsys)[0] == 2


def test_a_run_whose_inputs_changed_is_refused_and_keeps_what_it_has(
    table: Path, accuracies: Path, tmp_path: Path, capsys: Capture
) -> None:
    run_folder = tmp_path / "run"
    own = tmp_path / "top1.csv"
    own.write_bytes(accuracies.read_bytes())
    arguments = ["search", "--space", "digits", "--table", str(table), "--accuracy", f"table:{own}"]
    arguments += ["--algorithm", "random", "--run", str(run_folder)]
    assert said([*arguments, "--evaluations", "5"], capsys)[0] == 0
    status, _, err = said([*arguments, "--evaluations", "10", "--seed", "3"], capsys)
    assert status == 2 and "seed 0" in err
    own.write_text(own.read_text().replace("80.000", "81.000"))
    status, _, err = said([*arguments, "--evaluations", "10"], capsys)
    assert status == 2 and "accuracy" in err and "changed" in err
    connection = sqlite3.connect(run_folder / "archive.sqlite")
    assert connection.execute("SELECT count(*) FROM tells").fetchone() == (5,)
    connection.close()


def test_a_damaged_archive_is_one_line_too(tmp_path: Path, table: Path, accuracies: Path, capsys: Capture) -> None:
    arguments = ["search", "--space", "digits", "--table", str(table), "--accuracy", f"table:{accuracies}"]
    arguments += ["--algorithm", "random", "--evaluations", "5", "--run", str(tmp_path / "run")]
    assert said(arguments, capsys)[0] == 0
    for path in (tmp_path / "run").glob("archive.sqlite*"):
        path.unlink()
    (tmp_path / "run" / "archive.sqlite").write_bytes(b"\x00damaged" * 1000)
    for command in (arguments, ["remeasure", str(tmp_path / "run")], ["report", str(tmp_path / "run")]):
        status, _, err = said(command, capsys)
        assert status == 2 and "archive.sqlite" in err and err.count("\n") == 1


def test_an_unmeetable_limit_ends_at_once_with_the_nearest_value(
    table: Path, accuracies: Path, tmp_path: Path, capsys: Capture
) -> None:
    arguments = ["search", "--space", "digits", "--table", str(table), "--accuracy", f"table:{accuracies}"]
    status, _, err = said([*arguments, "--limit", "latency=0.000001", "--run", str(tmp_path / "run")], capsys)
    assert status == 2 and "nearest found" in err
    assert not (tmp_path / "run").exists()


def test_tables_lists_what_lies_here(
    table: Path, capsys: Capture, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "latency_tables").mkdir()
    (tmp_path / "latency_tables" / "mine").symlink_to(table)
    monkeypatch.chdir(tmp_path)
    status, out, _ = said(["tables", "--json"], capsys)
    assert (status == 0 and "mine" in [entry["name"] for entry in json.loads(out)]) or "fake" in out


# Profiling


@pytest.fixture
def tiny(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder to be in, with tiny.toml, the small space."""
    (tmp_path / "tiny.toml").write_text(TINY_TOML)
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.fixture
def fake_device(monkeypatch: pytest.MonkeyPatch) -> Callable[..., None]:
    """Makes every target a fake device."""

    def become(**faults: Any) -> None:
        device = FakeDevice(item_ms, **faults)
        monkeypatch.setattr("mnas_evo.devices.target.open_device", lambda *target, **how: device)

    return become


PROFILE = ["profile", "local", "--space", "tiny.toml", "--table", "t"]


def test_profile_measures_a_space_at_another_resolution(tiny: Path, capsys: Capture) -> None:
    options = ["--resolution", "24", "--minutes", "0", "--networks", "3"]
    status, out, err = said([*PROFILE, *options], capsys)
    assert status == 0
    table = read_table(tiny / "t")
    space = replace(TINY, frame=replace(TINY.frame, height=24, width=24))
    assert table.missing(space.layers()) == []
    assert "conv_k3_i1_o8_s2_24x24_relu_b1_fp32" in table.rows
    assert {entry.network.split("/")[0] for entry in table.networks} == {"24x24x1"}
    assert [entry.role for entry in table.networks].count("sampled") == 3

    announced, done = err.splitlines()
    assert re.match(r"\d+ rows and 6 whole networks: a pass over all takes about [\d.]+ (s|minutes); 4 to ", announced)
    assert announced.endswith("until the noise is low or 0 minutes are spent")
    assert done == "profiling: 4 passes"

    assert out.startswith(f"{table.device.soc}, onnxruntime {table.device.runtime_version}\n")
    told = re.search(r"t: (\d+) rows, 6 networks; 4 passes in \d+ s on the device, (\d+) % of it inside", out)
    assert told is not None, out
    (campaign,) = table.campaigns
    assert int(told[1]) == len(table.rows)
    assert campaign.inside_seconds is not None and campaign.device_seconds is not None
    assert 0 < campaign.inside_seconds < campaign.device_seconds
    assert int(told[2]) == pytest.approx(100 * campaign.inside_seconds / campaign.device_seconds, abs=1)
    assert "noise of rows: " in out and "noise of networks: " in out
    assert out.endswith("next: mnas-evo fit --table t\n")


def test_profile_measures_networks_in_batches_and_keeps_batches_apart(tiny: Path, capsys: Capture) -> None:
    network = "16x16x1/stem8/r1_k3_e2_o8/head16/4"
    arguments = ["profile", "local", "--arch", network, "--table", "t", "--minutes", "0"]
    status, _, err = said([*arguments, "--batch", "2", "--resolution", "8"], capsys)
    assert (status, err) == (0, "profiling: 4 passes\n")
    table = read_table(tiny / "t")
    assert table.device.batch == 2
    assert "conv_k3_i1_o8_s2_8x8_relu_b2_fp32" in table.rows
    assert all("_b2_" in key for key in table.rows)
    before = (tiny / "t" / "ops.csv").read_bytes()
    status, out, err = said(arguments, capsys)
    assert (status, out, err.count("\n")) == (2, "", 1)
    assert "batch 2 against 1" in err and "give another --table" in err
    assert (tiny / "t" / "ops.csv").read_bytes() == before


def test_profile_says_beforehand_what_a_short_time_allows_for_and_missing_does_the_rest(
    tiny: Path, fake_device: Callable[..., None], capsys: Capture
) -> None:
    fake_device()
    status, out, err = said([*PROFILE, "--minutes", "0.07"], capsys)
    first, second, _ = err.splitlines()
    some = read_table(tiny / "t")
    assert status == 0 and "or 0.07 minutes are spent" in first
    assert second.startswith("0.07 minutes allow for ") and second.endswith(" or go on later with --missing")
    assert f"t: {len(some.rows)} rows" in out
    status, out, err = said([*PROFILE, "--missing", "--minutes", "0"], capsys)
    table = read_table(tiny / "t")
    assert status == 0 and len(err.splitlines()) == 2
    assert table.missing(TINY.layers()) == [] != some.missing(TINY.layers())
    status, out, err = said([*PROFILE, "--missing", "--minutes", "0"], capsys)
    assert (status, out) == (0, "fake, fake 1\nt: nothing is missing\n")


def test_profile_says_what_is_unstable_and_what_the_device_refused(
    tiny: Path, fake_device: Callable[..., None], capsys: Capture
) -> None:
    refused = [f"{layer.spec.key}_b1_fp32" for layer in TINY.layers()[5:7]]
    fake_device(drift=lambda visit: 1 + 0.5 * (visit * 0.618034 % 1), refuses=lambda item: item in refused)
    status, out, _ = said([*PROFILE, "--minutes", "0"], capsys)
    (campaign,) = read_table(tiny / "t").campaigns
    assert status == 0 and set(campaign.refused) == set(refused)
    assert f"the device refused 2: {campaign.refused[0]}, {campaign.refused[1]}" in out
    assert len(campaign.unstable) > 10
    assert f"unstable: {len(campaign.unstable)} are known to no better than 3 %" in out
    assert f"The worst: {campaign.unstable[0]}" in out
    assert "unstable (wanted 3 % at most); give it more --minutes or a quieter machine" in out


def test_a_quiet_device_is_not_called_unstable(tiny: Path, fake_device: Callable[..., None], capsys: Capture) -> None:
    fake_device(noise=1e-4)
    status, out, _ = said([*PROFILE, "--minutes", "60"], capsys)
    assert status == 0 and "4 passes" in out
    assert "unstable" not in out and "refused" not in out


def test_what_a_short_profile_names_as_next_can_be_done(
    tiny: Path, fake_device: Callable[..., None], capsys: Capture
) -> None:
    fake_device()
    _, out, _ = said([*PROFILE, "--minutes", "0.06"], capsys)
    for command in re.findall(r"next: mnas-evo (.*)", out):
        assert said(command.split(), capsys)[0] == 0


def test_fewer_networks_than_none_are_refused(tiny: Path, fake_device: Callable[..., None], capsys: Capture) -> None:
    fake_device()
    status, out, err = said([*PROFILE, "--minutes", "0", "--networks", "-1"], capsys)
    assert (status, out) == (2, "") and "--networks" in err


def test_no_more_networks_are_announced_than_are_measured(
    tiny: Path, fake_device: Callable[..., None], capsys: Capture
) -> None:
    fake_device()
    smaller = TINY_TOML.replace('"conv", "dconv", "mbconv_e2"', '"conv"').replace("[0.0, 0.25]", "[0.0]")
    (tiny / "tiny.toml").write_text(smaller)
    _, out, err = said([*PROFILE, "--minutes", "0", "--networks", "100"], capsys)
    told = re.search(r"rows and (\d+) whole networks", err)
    assert told is not None and f" {told[1]} networks; " in out


# Single networks


def test_describe_counts_the_statistics_that_batch_norm_keeps_beside_the_parameters(capsys: Capture) -> None:
    found = json.loads(said(["describe", "mnasnet-a1", "--json"], capsys)[1])
    module = GraphNetwork(lower(named_network("mnasnet-a1", task=Frame(height=32, width=32))))
    kept = [tensor.numel() for name, tensor in module.named_buffers() if name.endswith(("running_mean", "running_var"))]
    assert found["norm_statistics"] == sum(kept) > 10_000


def test_describe_widens_stem_and_blocks_and_leaves_head_and_classes(capsys: Capture) -> None:
    arguments = ["describe", "mnasnet-a1", "--width", "0.5", "--resolution", "96", "--classes", "10", "--json"]
    status, out, _ = said(arguments, capsys)
    found = json.loads(out)
    assert status == 0 and found["network"] == (
        "96x96x3/stem16/r1_k3_s11_e1_i16_o8/r2_k3_s22_e6_i8_o16/r3_k5_s22_e3_i16_o24_se0.25/r4_k3_s22_e6_i24_o40"
        "/r2_k3_s11_e6_i40_o56_se0.25/r3_k5_s22_e6_i56_o80_se0.25/r1_k3_s11_e6_i80_o160/head1280/10"
    )
    assert found["layers"][-1]["out_shape"] == [10, 1, 1]
    assert json.loads(said(["describe", found["network"], "--json"], capsys)[1]) == found


def printed(arguments: list[str], *, encoding: str) -> str:
    """What a command prints where stdout takes this encoding only."""
    stream = io.TextIOWrapper(io.BytesIO(), encoding=encoding)
    with contextlib.redirect_stdout(stream):
        assert run(arguments) == 0
        stream.flush()
    return stream.buffer.getvalue().decode(encoding)


def test_where_stdout_is_not_utf_8_pictures_and_tables_are_plain_ascii() -> None:
    drawn = printed(["describe", "mobilenet-v2"], encoding="ascii")
    assert "############" in drawn
    assert "████████████" in printed(["describe", "mobilenet-v2"], encoding="utf-8")
    assert "digits" in printed(["spaces", "digits"], encoding="ascii")


# Spaces


def test_spaces_lists_every_space_with_its_size(capsys: Capture) -> None:
    status, out, _ = said(["spaces", "--json"], capsys)
    entries = {entry["name"]: entry for entry in json.loads(out)}
    assert status == 0 and list(entries) == space_names()
    for name, entry in entries.items():
        space = load_space(name)
        assert (entry["genomes"], entry["architectures"]) == (space.genomes, space.architectures)
        assert (entry["blocks"], entry["layers"]) == (len(space.blocks), len(space.layers()))
        assert 0 < entry["macs"][0] < entry["macs"][1] and 0 < entry["params"][0] < entry["params"][1]
    assert entries["digits"]["input"] == "32x32x1"
    status, out, _ = said(["spaces"], capsys)
    assert status == 0 and all(name in out for name in entries)


def test_a_space_of_ones_own_is_shown_with_its_blocks(tmp_path: Path, capsys: Capture) -> None:
    path = tmp_path / "my.toml"
    path.write_text(TINY_TOML)
    status, out, _ = said(["spaces", str(path)], capsys)
    assert status == 0 and "5,184" in out and f"{TINY.architectures:,}" in out
    assert out.endswith("\n".join(choices_lines(TINY)) + "\n")


def test_all_faults_of_a_space_are_told_in_one_line(tmp_path: Path, capsys: Capture) -> None:
    path = tmp_path / "my.toml"
    faulty = TINY_TOML.replace("kernel = [3]", "kernel = [4]").replace('"mbconv_e2"', '"mbconv_e0"')
    path.write_text(faulty.replace("stride = 2\n", "stride = 5\n") + 'colour = "red"\n')
    status, out, err = said(["spaces", str(path)], capsys)
    assert (status, out, err.count("\n")) == (2, "", 1)
    for words in ("my.toml", "kernels are odd, not [4]", "choices.op.2", "blocks.1.stride", "blocks.1.colour"):
        assert words in err


# Export


def exported(path: Path, images: np.ndarray) -> tuple[dict[str, Any], np.ndarray]:
    """Metadata of an ONNX file, and its logits."""
    runtime = session(str(path))
    metadata: dict[str, Any] = dict(runtime.get_modelmeta().custom_metadata_map)
    metadata |= {name: json.loads(metadata[name]) for name in ("classes", "mean", "deviation")}
    return metadata, runtime.run(None, {"images": images})[0]


def test_an_architecture_alone_is_exported_untrained_for_any_number_of_images(tmp_path: Path, capsys: Capture) -> None:
    network = parse_network("8x10x1/stem8/r1_k3_s22_e2_o16_se0.25/head16/3")
    status, out, _ = said(["export", format_network(network), "--out", str(tmp_path / "m.onnx")], capsys)
    assert status == 0 and "untrained" in out
    for n in (1, 5):
        images = torch.randn(n, 1, 8, 10, generator=torch.Generator().manual_seed(0))
        metadata, logits = exported(tmp_path / "m.onnx", images.numpy())
        assert logits == pytest.approx(outputs(untrained(network, seed=0).module, images).numpy(), rel=1e-4, abs=1e-5)
    assert (metadata["network"], metadata["data"]) == (format_network(network), "none, untrained")
    assert (metadata["classes"], metadata["mean"], metadata["deviation"]) == (["0", "1", "2"], [127.5], [127.5])


@pytest.mark.parametrize("source", SOURCE_NAMES)
@pytest.mark.parametrize("norm_eps", [None, 0.05])
def test_an_architecture_is_exported_with_weights_from_elsewhere(
    source: str, norm_eps: float | None, tmp_path: Path, capsys: Capture
) -> None:
    network, shapes = SOURCE_NAMES[source]
    save_file(as_trained(shapes), tmp_path / "w.safetensors")
    arguments = ["export", format_network(network), "--weights", str(tmp_path / "w.safetensors")]
    arguments += [] if norm_eps is None else ["--norm-eps", str(norm_eps)]
    status, out, _ = said([*arguments, "--out", str(tmp_path / "m.onnx")], capsys)
    assert status == 0 and f"weights of {source}" in out
    images = images_for(lower(network))
    metadata, logits = exported(tmp_path / "m.onnx", images.numpy())
    expected = outputs(load_network(network, as_trained(shapes), norm_eps=norm_eps), images).numpy()
    assert np.abs(logits - expected).max() < 1e-4 * np.abs(expected).max()
    assert (metadata["network"], metadata["classes"]) == (format_network(network), list("01234"))
    own_scale = source == "efficientnet_lite_pytorch"
    assert metadata["mean"] == pytest.approx([127.0] * 3 if own_scale else [123.675, 116.28, 103.53])
    assert metadata["deviation"] == pytest.approx([128.0] * 3 if own_scale else [58.395, 57.12, 57.375])


def test_weights_that_do_not_fit_are_told_in_one_line_and_nothing_is_written(tmp_path: Path, capsys: Capture) -> None:
    network, shapes = SOURCE_NAMES["timm"]
    torch.save(as_trained(shapes), tmp_path / "w.pth")
    arguments = ["--weights", str(tmp_path / "w.pth"), "--out", str(tmp_path / "m.onnx")]
    status, out, err = said(["export", format_network(network.scaled(2)), *arguments], capsys)
    assert (status, out, err.count("\n")) == (2, "", 1)
    assert "conv_stem.weight [8, 3, 3, 3] for [16, 3, 3, 3]" in err
    (tmp_path / "w.pth").write_bytes(b"no weights")
    status, _, err = said(["export", format_network(network), *arguments], capsys)
    assert status == 2 and "w.pth" in err and err.count("\n") == 1
    assert not (tmp_path / "m.onnx").exists()

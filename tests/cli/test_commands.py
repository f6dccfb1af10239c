"""The command line: help that teaches, errors as one line with status 2, JSON that is nothing but JSON."""

import json
import re
import sqlite3
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import typer
from known_truth import item_ms

from mnas_evo.cli.main import app, run
from mnas_evo.devices.fake import FakeDevice
from mnas_evo.devices.profile import ProfileRequest, profile
from mnas_evo.latency.fitting import fit
from mnas_evo.space.space_file import load_space

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
    "images of another size": (
        ["train", "64x64x1/stem8/r1_k3_s22_e3_o16/head16/10", "--data", "digits", "--out", "o"],
        "64x64x1",
    ),
    "an unknown algorithm": (["search", "--accuracy", "proxy:digits", "--run", "r", "--algorithm", "magic"], "magic"),
    "a run that is none": (["remeasure", "nowhere"], "nowhere"),
    "a rank of no run": (["describe", "nowhere#1"], "nowhere"),
    "an unknown data set": (["train", "mobilenet-v2", "--data", "mnist", "--out", "o"], "mnist"),
    "an unknown recipe": (["train", "mobilenet-v2", "--data", "digits", "--recipe", "slow", "--out", "o"], "slow"),
    "a checkpoint that is not there": (["export", "model.pt", "--out", "m.onnx"], "model.pt"),
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


def missing_row(folder: Path) -> None:
    lines = (folder / "ops.csv").read_text().splitlines()
    (folder / "ops.csv").write_text("\n".join(line for line in lines if not line.startswith("classifier")) + "\n")


def cut_device(folder: Path) -> None:
    (folder / "device.json").write_text((folder / "device.json").read_text()[:100])


def newer_format(folder: Path) -> None:
    text = (folder / "device.json").read_text()
    (folder / "device.json").write_text(text.replace('"format": 1', '"format": 2', 1))


@pytest.mark.parametrize(
    ("damage", "word"),
    [(damaged_row, "line 4"), (missing_row, "classifier"), (cut_device, "device.json"), (newer_format, "format 2")],
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
    assert (
        status == 0 and found["params"] == 3887038 and {"network", "macs", "activation_bytes", "layers"} <= set(found)
    )

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

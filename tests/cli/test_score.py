"""`mnas-evo score`: the predictor on networks that others measured."""

import json
from pathlib import Path

import numpy as np
import pytest

from mnas_evo.cli.main import run
from mnas_evo.files import write_csv
from mnas_evo.space.space_file import load_space

Capture = pytest.CaptureFixture[str]


@pytest.fixture
def measured(tmp_path: Path) -> Path:
    """120 networks of the demo's space, which take a fixed cost and their multiply-adds, with 1 % of noise."""
    rng = np.random.default_rng(0)
    space = load_space("digits")
    genes = space.sample(120, rng=rng)
    ms = (0.05 + space.macs(genes) / 2e7) * (1 + 0.01 * rng.standard_normal(120))
    path = tmp_path / "measured.csv"
    found = dict(zip(space.strings(genes), ms.tolist(), strict=True))
    write_csv(path, ("network", "ms"), [(network, f"{one:.6g}") for network, one in found.items()])
    return path


def arguments(path: Path, *more: str) -> list[str]:
    return ["score", "--networks", str(path), "--space", "digits", *(more or ("--train", "60"))]


def test_json_has_every_method_on_the_networks_held_back(measured: Path, capsys: Capture) -> None:
    assert run([*arguments(measured), "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    networks = len(measured.read_text().splitlines()) - 1
    assert (found["train"], found["test"], found["noise_percent"]) == (60, networks - 60, None)
    assert set(found["methods"]) == {"macs", "sum", "calibrated", "lightgbm", "combined"}
    for figures in (*found["methods"].values(), found["chosen"]):
        assert {"mape", "w1", "w5", "w10", "kendall", "rmse_ms", "spearman"} <= set(figures)
    assert found["chosen"]["name"] in ("calibrated", "combined")
    assert found["methods"]["macs"]["mape"] < 1.5  # these networks are made of them
    assert found["chosen"]["mape"] < 2
    assert 75 <= found["coverage_percent"] <= 100


def test_another_seed_is_another_split_and_the_same_seed_the_same(measured: Path, capsys: Capture) -> None:
    said = []
    for seed in ("0", "0", "1"):
        assert run([*arguments(measured), "--seed", seed, "--json"]) == 0
        said.append(capsys.readouterr().out)
    assert said[0] == said[1] != said[2]


def test_it_is_told_in_a_table_too(measured: Path, capsys: Capture) -> None:
    assert run(arguments(measured)) == 0
    out = capsys.readouterr().out
    assert "fitted on 60 networks" in out and "chosen" in out and "90 % intervals cover" in out


@pytest.mark.parametrize(
    ("more", "word"),
    [
        (("--train", "118"), "not 118"),
        (("--train", "4"), "--train"),
        (("--train", "60", "--seed", "-1"), "--seed"),
    ],
)
def test_what_cannot_be_split_is_refused_in_one_line(
    more: tuple[str, ...], word: str, measured: Path, capsys: Capture
) -> None:
    assert run(arguments(measured, *more)) == 2
    err = capsys.readouterr().err
    assert word in err and err.count("\n") == 1


def test_networks_of_another_space_are_refused_by_number(measured: Path, capsys: Capture) -> None:
    lines = measured.read_text().splitlines()
    measured.write_text("\n".join((*lines, "32x32x1/stem8/r1_k3_e1_o8/head64/10,0.06")) + "\n")
    assert run(arguments(measured)) == 2
    assert f"1 of {len(lines)} networks are not of space digits: 32x32x1/stem8/r1_k3" in capsys.readouterr().err


def test_a_damaged_line_is_named(measured: Path, capsys: Capture) -> None:
    lines = measured.read_text().splitlines()
    lines[7] = lines[7].rsplit(",")[0] + ",nan"
    measured.write_text("\n".join(lines) + "\n")
    assert run(arguments(measured)) == 2
    assert "line 8: ms is nan" in capsys.readouterr().err

"""The command `import`: what it says, what it writes, and errors as one line."""

import json
from pathlib import Path

import pytest

from mnas_evo.cli.main import run
from mnas_evo.latency.table import read_table

Capture = pytest.CaptureFixture[str]
ROWS = "Conv-input:224x224x3-output:112x112x24:\n  count: 5\n  mean: 1.5\n  std: 0.3\n"
SWISH = (
    "expanded_conv-input:14x14x96-output:14x14x96-expand:288-kernel:3-stride:1-idskip:1-se:0-hs:1:\n"
    "  count: 5\n  mean: 1\n  std: 0.1\n"
)


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder to be in, with a table of rows and one of networks."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "rows.yaml").write_text(ROWS + SWISH)
    (tmp_path / "networks.csv").write_text("network,ms\nstem32/r1_k3_s11_e1_o16/head1280,30\n")
    return tmp_path


def test_a_table_of_rows_is_imported_and_what_is_left_out_told(here: Path, capsys: Capture) -> None:
    assert run(["import", "rows.yaml", "--table", "t", "--soc", "Note 10"]) == 0
    out = capsys.readouterr().out
    assert "t: 1 rows, 0 networks, with those of rows.yaml (ofa)\n" in out
    assert "no row expresses them: 1; t/README.md lists all" in out and "h-swish" in out
    assert "next: mnas-evo predict ARCH --table t: the bare sum of rows" in out
    table = read_table(here / "t")
    assert (table.device.soc, list(table.rows)) == ("Note 10", ["conv_k3_i3_o24_s2_224x224_relu_b1_fp32"])


def test_networks_take_input_and_classes_from_the_space(here: Path, capsys: Capture) -> None:
    assert run(["import", "networks.csv", "--table", "t", "--space", "digits"]) == 0
    assert "a fit needs 10 networks, or 5 with another device" in capsys.readouterr().out
    (entry,) = read_table(here / "t").networks
    assert entry.network == "32x32x1/stem32/r1_k3_s11_e1_i32_o16/head1280/10"


def test_json_is_one_document(here: Path, capsys: Capture) -> None:
    assert run(["import", "rows.yaml", "--table", "t", "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    (refused,) = found.pop("refused")
    assert found == {"table": "t", "format": "ofa", "rows": 1, "networks": 0}
    assert refused["line"] == 5 and "h-swish" in refused["reason"]


@pytest.mark.parametrize(
    ("arguments", "value"),
    [
        (["nowhere.yaml", "--table", "t"], "nowhere.yaml"),
        (["rows.yaml"], "--table"),
        (["rows.yaml", "--table", "t", "--format", "tvm"], "tvm"),
        (["rows.yaml", "--table", "t", "--format", "networks"], "no column network, ms"),
        (["rows.yaml", "--table", "t", "--format", "proxylessnas"], "line 5"),
        (["networks.csv", "--table", "t", "--space", "papr"], "papr"),
        (["networks.csv", "--table", "t", "--format", "ofa"], "line 1"),
    ],
)
def test_bad_input_is_one_line_and_makes_no_table(
    arguments: list[str], value: str, here: Path, capsys: Capture
) -> None:
    assert run(["import", *arguments]) == 2
    out, err = capsys.readouterr()
    assert out == "" and err.startswith("mnas-evo: ") and err.count("\n") == 1 and value in err
    assert not (here / "t").exists()


def test_an_imported_table_of_rows_is_priced_by_their_bare_sum(here: Path, capsys: Capture) -> None:
    assert run(["import", "rows.yaml", "--table", "t"]) == 0
    row = "conv_k3_i3_o24_s2_224x224_relu_b1_fp32"
    ops = here / "t" / "ops.csv"
    others = ("conv_k1_i24_o32_s1_112x112_relu_b1_fp32,2,0,1", "classifier_i32_o1000_112x112_b1_fp32,3,0,1")
    block = "mbconv_e1_k3_add_i24_o24_s1_112x112_relu_b1_fp32,4,0,1"
    ops.write_text("\n".join((*ops.read_text().splitlines(), block, *others)) + "\n")
    network = "stem24/r1_k3_e1_o24/head32"
    capsys.readouterr()
    assert run(["predict", network, "--table", "t", "--json", "--by-block"]) == 0
    (found,) = json.loads(capsys.readouterr().out)
    stem = float(ops.read_text().split(row)[1].split(",")[1])
    assert found["ms"] == pytest.approx(stem + 9)
    assert (found["low_ms"], found["high_ms"]) == (None, None)
    assert found["blocks_ms"] == pytest.approx({"stem": stem, "1": 4, "head": 2, "classifier": 3})
    assert "bare sum" in found["notes"][0]
    assert run(["predict", network, "--table", "t"]) == 0
    assert " -  " in capsys.readouterr().out

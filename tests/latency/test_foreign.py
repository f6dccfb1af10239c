"""Foreign tables: what they say becomes rows, what rows cannot say is refused by name, what is damaged by its line."""

import math
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from strategies import TINY
from support.known_times import CAMPAIGN, FACTS, known_table
from support.real_data import real_data

from mnas_evo.errors import DamagedFile, RequestError
from mnas_evo.latency.foreign import Format, Refused, guess_format, import_table
from mnas_evo.latency.table import Measured, Table, read_table, write_table
from mnas_evo.space.architecture import Frame
from mnas_evo.space.lowering import lower
from mnas_evo.space.named import named_network

STEM = "Conv-input:224x224x3-output:112x112x32"
LAYER = "expanded_conv-input:112x112x16-output:56x56x24-expand:3-kernel:5-stride:2-idskip:0"
HIDDEN = "expanded_conv-input:56x56x32-output:56x56x32-expand:96-kernel:3-stride:1-idskip:1-se:0-hs:0"


def written(folder: Path, *entries: str, figures: str = "  count: 4\n  mean: 2.5\n  var: 0.25\n") -> Path:
    path = folder / "foreign.yaml"
    path.write_text("".join(f"{entry}:\n{figures}" for entry in entries))
    return path


def imported(source: Path, format: Format, **how: str) -> tuple[Table, tuple[Refused, ...]]:
    return import_table(source, source.parent / "table", format=format, task=Frame(), **how)  # type: ignore[arg-type]


# Entries


@pytest.mark.parametrize(
    ("entry", "format", "key"),
    [
        (STEM, "proxylessnas", "conv_k3_i3_o32_s2_224x224_relu"),
        ("Conv_1-input:7x7x320-output:7x7x1280", "proxylessnas", "conv_k1_i320_o1280_s1_7x7_relu"),
        ("Logits-input:7x7x1280-output:1000", "proxylessnas", "classifier_i1280_o1000_7x7"),
        (LAYER, "proxylessnas", "mbconv_e3_k5_i16_o24_s2_112x112_relu"),
        (
            LAYER.replace("112x112x16-output:56x56x24", "7x7x96-output:7x7x96").replace("2-idskip:0", "1-idskip:1"),
            "proxylessnas",
            "mbconv_e3_k5_add_i96_o96_s1_7x7_relu",
        ),
        (HIDDEN, "ofa", "mbconv_e3_k3_add_i32_o32_s1_56x56_relu"),
        (HIDDEN.replace("idskip:1", "idskip:0"), "ofa", "mbconv_e3_k3_i32_o32_s1_56x56_relu"),
    ],
)
def test_an_entry_becomes_a_row(entry: str, format: Format, key: str, tmp_path: Path) -> None:
    table, refused = imported(written(tmp_path, entry), format)
    assert table.rows == {f"{key}_b1_fp32": Measured(2.5, 20.0, 4)} and refused == ()
    assert read_table(tmp_path / "table").rows == table.rows


@pytest.mark.parametrize(
    ("entry", "format", "reason"),
    [
        (HIDDEN.replace("hs:0", "hs:1"), "ofa", "h-swish"),
        (HIDDEN.replace("se:0", "se:1"), "ofa", "squeezes"),
        (HIDDEN.replace("expand:96", "expand:100"), "ofa", "100 hidden channels are no multiple of its 32 inputs"),
        ("Conv_2-input:1x1x1152-output:1x1x1536", "ofa", "Conv_2"),
        ("AvgPool2D-input:7x7x1152-output:1x1x1152", "ofa", "AvgPool2D"),
        (LAYER.replace("56x56x24", "57x56x24"), "proxylessnas", "56x56x24"),
        (LAYER.replace("idskip:0", "idskip:1"), "proxylessnas", "skips where the shape changes"),
        ("Conv-input:7x7x3-output:14x14x8", "proxylessnas", "7x7x8"),
    ],
)
def test_what_no_row_expresses_is_refused_by_name(entry: str, format: Format, reason: str, tmp_path: Path) -> None:
    table, (refused,) = imported(written(tmp_path, STEM, entry), format)
    assert len(table.rows) == 1
    assert (refused.key, refused.line) == (entry, 5) and reason in refused.reason
    assert f"`{entry}` (line 5): {refused.reason}" in (tmp_path / "table" / "README.md").read_text()


def test_where_nothing_can_be_imported_the_reason_is_told_and_no_table_made(tmp_path: Path) -> None:
    with pytest.raises(RequestError, match=r"no row that can be imported as ofa: expanded_conv-.*: .*h-swish"):
        imported(written(tmp_path, HIDDEN.replace("hs:0", "hs:1")), "ofa")
    with pytest.raises(RequestError, match=r"no row that can be imported as proxylessnas$"):
        imported(written(tmp_path), "proxylessnas")
    assert not (tmp_path / "table").exists()


@pytest.mark.parametrize(
    ("text", "line"),
    [
        (f"{STEM}:\n  count: 4\n  mean: fast\n  var: 0.25\n", 1),
        (f"{STEM}:\n  count: 4\n  mean: nan\n  var: 0.25\n", 1),
        (f"{STEM}:\n  count: 4\n  mean: -2.5\n  var: 0.25\n", 1),
        (f"{STEM}:\n  count: 4\n  mean: 2.5\n  var: -0.25\n", 1),
        (f"{STEM}:\n  count: 0\n  mean: 2.5\n  var: 0.25\n", 1),
        (f"{STEM}:\n  count: 4\n  mean: 2.5\n", 1),
        (f"{STEM}:\n  mean: 2.5\n  var: 0.25\n", 1),
        (f"{STEM}:\n", 1),
        (f"{STEM}:\n  count: 4\n  mean: 2.5\n  mean: 2.5\n", 4),
        (f"{STEM}:\n  count: 4\n  median: 2.5\n", 3),
        ("  count: 4\n", 1),
        (f"\n{STEM}: !!python/object\n", 2),
        (f"{STEM}:\n  count: 4\n  mean: 2.5\n  var: 0.25\n" * 2, 5),
        ("Conv-input:224x224x3:\n  count: 4\n  mean: 2.5\n  var: 0.25\n", 1),
        ("Conv-input:224x3-output:112x112x32:\n  count: 4\n  mean: 2.5\n  var: 0.25\n", 1),
        ("Conv-input:0x0x3-output:0x0x32:\n  count: 4\n  mean: 2.5\n  var: 0.25\n", 1),
        ("Conv-input:7x7x3-output:32:\n  count: 4\n  mean: 2.5\n  var: 0.25\nx\n", 5),
        (f"{LAYER.replace('stride:2', 'stride:0')}:\n  count: 4\n  mean: 2.5\n  var: 0.25\n", 1),
        (f"{LAYER.replace('-kernel:5', '')}:\n  count: 4\n  mean: 2.5\n  var: 0.25\n", 1),
        (f"{HIDDEN}:\n  count: 4\n  mean: 2.5\n  var: 0.25\n", 1),  # of ofa
    ],
)
def test_a_damaged_entry_is_refused_by_its_line(text: str, line: int, tmp_path: Path) -> None:
    (tmp_path / "foreign.yaml").write_text(text)
    with pytest.raises(DamagedFile, match=rf"foreign\.yaml, line {line}: "):
        imported(tmp_path / "foreign.yaml", "proxylessnas")
    assert not (tmp_path / "table").exists()


@given(st.text("Conv-input:x123\n outpexad_kSE#", max_size=200))
def test_no_text_is_more_than_a_table_or_an_error(tmp_path_factory: pytest.TempPathFactory, text: str) -> None:
    folder = tmp_path_factory.mktemp("any")
    (folder / "foreign.yaml").write_text(text)
    with pytest.raises((DamagedFile, RequestError)):
        import_table(folder / "foreign.yaml", folder / "table", format="ofa", task=Frame())


def test_a_time_in_another_unit_is_refused_by_its_line(tmp_path: Path) -> None:
    entries = [LAYER.replace("16-", f"{16 * i}-") for i in range(1, 25)]
    path = written(tmp_path, *entries)
    imported(path, "proxylessnas")
    lines = path.read_text().splitlines()
    lines[4 * 9 + 2] = "  mean: 2500"
    path.write_text("\n".join(lines))
    with pytest.raises(DamagedFile, match=r"foreign\.yaml, line 37: 2500 ms is .* in microseconds\?"):
        imported(path, "proxylessnas")


# Tables


def test_an_imported_table_says_what_was_told_and_what_was_taken_for_granted(tmp_path: Path) -> None:
    source = written(tmp_path, STEM)
    table, _ = imported(source, "proxylessnas", soc="Snapdragon 821", runtime="tflite 1.9", activation="relu6")
    facts = table.device
    assert (facts.name, facts.soc, facts.runtime, facts.runtime_version) == ("table", "Snapdragon 821", "tflite", "1.9")
    assert (facts.batch, facts.precision, facts.agent) == (1, "fp32", "imported from foreign.yaml (proxylessnas)")
    assert list(table.rows) == ["conv_k3_i3_o32_s2_224x224_relu6_b1_fp32"] and table.campaigns == ()
    said = (tmp_path / "table" / "README.md").read_text()
    assert "relu6" in said and "foreign.yaml" in said


def test_a_second_file_of_the_same_device_is_added_and_the_same_file_again_changes_nothing(tmp_path: Path) -> None:
    rows = written(tmp_path, STEM)
    networks = tmp_path / "networks.csv"
    networks.write_text("network,ms\nstem32/r1_k3_s11_e1_o16/head1280,30\n")
    imported(rows, "proxylessnas")
    table, _ = imported(networks, "networks")
    assert (len(table.rows), len(table.networks)) == (1, 1)
    before = {path.name: path.read_bytes() for path in (tmp_path / "table").iterdir()}
    assert all(f"## Imported from {path.name}\n".encode() in before["README.md"] for path in (rows, networks))
    imported(networks, "networks")
    assert {path.name: path.read_bytes() for path in (tmp_path / "table").iterdir()} == before


def test_a_table_of_another_device_is_left_alone(tmp_path: Path) -> None:
    imported(written(tmp_path, STEM), "proxylessnas")
    before = (tmp_path / "table" / "ops.csv").read_bytes()
    with pytest.raises(RequestError, match=r"soc 'unknown' against 'M1'.*--table"):
        imported(written(tmp_path, LAYER), "proxylessnas", soc="M1")
    assert (tmp_path / "table" / "ops.csv").read_bytes() == before


def test_a_measured_table_that_is_added_to_keeps_its_facts_and_campaigns(tmp_path: Path) -> None:
    facts = FACTS.model_copy(update={"governor": "performance"})
    write_table(tmp_path / "table", Table(tmp_path / "table", facts, (CAMPAIGN,), {}, ()))
    table, _ = imported(written(tmp_path, STEM), "proxylessnas", soc=FACTS.soc, runtime="fake 1")
    assert (table.device, table.campaigns) == (facts, (CAMPAIGN,))


def test_networks_that_do_not_go_with_the_rows_are_refused_before_anything_is_written(tmp_path: Path) -> None:
    known = known_table(TINY, networks=2)
    write_table(tmp_path / "table", known)
    before = (tmp_path / "table" / "networks.csv").read_bytes()
    source = tmp_path / "other.csv"
    source.write_text("network,ms\n" + "".join(f"{e.network},{1000 * e.time.ms}\n" for e in known.networks))
    with pytest.raises(DamagedFile, match=r"networks\.csv does not go with .*ops\.csv"):
        imported(source, "networks", soc=FACTS.soc, runtime="fake 1")
    assert (tmp_path / "table" / "networks.csv").read_bytes() == before


# Formats


@pytest.mark.parametrize(
    ("text", "format"),
    [
        (f"{STEM}:\n  count: 1\n{LAYER}:\n", "proxylessnas"),
        (f"{STEM}:\n  count: 1\n{HIDDEN}:\n", "ofa"),
        ("id,architecture,ms\n", "networks"),
        ("network,latency_us\n", "networks"),
    ],
)
def test_a_format_is_told_by_content(text: str, format: str, tmp_path: Path) -> None:
    (tmp_path / "file").write_text(text)
    assert guess_format(tmp_path / "file") == format


def test_a_file_of_no_known_format_is_answered_with_those_there_are(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("hello\n")
    with pytest.raises(RequestError, match=r"none of proxylessnas, ofa, networks; .*--format"):
        guess_format(tmp_path / "file")


# Published tables


def test_the_published_table_of_the_pixel_1_sums_to_its_known_time_for_mnasnet_b1(tmp_path: Path) -> None:
    source = real_data("pixel1-proxylessnas-table.yaml")
    table, refused = import_table(source, tmp_path / "pixel1", format=guess_format(source), task=Frame())
    assert (len(table.rows), refused) == (72, ())
    layers = lower(named_network("mnasnet-b1")).layers
    assert math.fsum(table.row_ms(layer) for layer in layers) == pytest.approx(82.9, abs=0.05)


def test_the_published_table_of_the_note_10_gives_what_rows_express(tmp_path: Path) -> None:
    source = real_data("note10-ofa-224-table.yaml")
    table, refused = import_table(source, tmp_path / "note10", format=guess_format(source), task=Frame())
    assert (len(table.rows), len(refused)) == (22, 74)
    assert table.rows["mbconv_e1_k3_add_i24_o24_s1_112x112_relu_b1_fp32"].visits > 1
    assert not [entry for entry in refused if "-se:0-hs:0" in entry.key]

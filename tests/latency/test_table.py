"""Tables: what is written is read, damage is told by file and line, and a missing row says how to mend it."""

import json
import tempfile
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from strategies import TINY, networks, tables
from support.known_times import CAMPAIGN, FACTS, change_lines, empty_table, known_table

import mnas_evo
from mnas_evo.errors import DamagedFile, NotationError, OtherFormat, RequestError, UnmeasuredOp
from mnas_evo.latency.table import (
    NETWORKS_HEADER,
    OPS_HEADER,
    Measured,
    MeasuredNetwork,
    Table,
    find_table,
    measurements_fingerprint,
    merge,
    parse_row_key,
    read_table,
    refuse_stock,
    row_key,
    shipped_tables,
    table_fingerprint,
    write_table,
)
from mnas_evo.space.architecture import Network
from mnas_evo.space.lowering import lower
from mnas_evo.space.named import named_network

EMPTY = empty_table()
KEY = "conv_k3_i3_o32_s2_224x224_relu_b1_fp32"
NETWORK = "224x224x3/stem32/r1_k3_s11_e1_i32_o16/head1280/1000"
THIRD = NETWORK.replace("k3", "k7")


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A table of three rows and two networks."""
    rows = {KEY: Measured(1.5, 0.7, 4), "b": Measured(2.5, 0.0, 1), "c": Measured(0.25, 12.0, 9)}
    networks = (
        MeasuredNetwork(NETWORK, "sampled", Measured(30.0, 1.0, 4)),
        MeasuredNetwork(NETWORK.replace("k3", "k5"), "landmark", Measured(40.0, 1.0, 4)),
    )
    write_table(tmp_path / "known", replace(EMPTY, rows=rows, networks=networks))
    return tmp_path / "known"


# There and back


@given(tables(EMPTY))
def test_a_table_is_read_as_it_was_written(table: Table) -> None:
    with tempfile.TemporaryDirectory() as parent:
        folder = Path(parent) / table.name
        write_table(folder, table)
        found = read_table(folder)
    assert (found.name, found.device, found.campaigns) == (table.name, table.device, table.campaigns)
    assert list(found.rows) == sorted(table.rows)
    assert [(entry.network, entry.role) for entry in found.networks] == [
        (entry.network, entry.role) for entry in table.networks
    ]
    pairs = [(found.rows[key], row) for key, row in table.rows.items()]
    pairs += [(one.time, other.time) for one, other in zip(found.networks, table.networks, strict=True)]
    for one, other in pairs:
        assert one.ms == pytest.approx(other.ms, rel=1e-5)
        assert one.spread_percent == pytest.approx(other.spread_percent, rel=1e-2)
        assert one.visits == other.visits


@given(tables(EMPTY))
@settings(max_examples=15)
def test_writing_what_was_read_changes_no_byte(table: Table) -> None:
    with tempfile.TemporaryDirectory() as parent:
        one, other = Path(parent) / "one", Path(parent) / "other"
        write_table(one, table)
        write_table(other, read_table(one))
        for name in ("device.json", "ops.csv", "networks.csv"):
            assert (one / name).read_bytes() == (other / name).read_bytes()
        assert measurements_fingerprint(one) == measurements_fingerprint(other)


def test_a_file_holds_plain_rows_under_a_header(folder: Path) -> None:
    assert (folder / "ops.csv").read_text().splitlines() == [
        "key,ms,spread_percent,visits",
        "b,2.5,0,1",
        "c,0.25,12,9",
        f"{KEY},1.5,0.7,4",
    ]


def test_nothing_else_is_left_beside_the_files(folder: Path) -> None:
    assert sorted(path.name for path in folder.iterdir()) == ["device.json", "networks.csv", "ops.csv"]


# Rows


def test_a_row_is_keyed_by_its_layer_its_batch_and_its_precision() -> None:
    stem = lower(named_network("mnasnet-a1")).layers[0]
    assert row_key(stem, device=FACTS) == KEY
    int8 = FACTS.model_copy(update={"batch": 8, "precision": "int8"})
    assert row_key(stem, device=int8) == KEY.replace("b1_fp32", "b8_int8")


def test_a_missing_row_is_an_error_that_says_how_to_mend_it(folder: Path) -> None:
    table = read_table(folder)
    stem, other = lower(named_network("mnasnet-a1")).layers[:2]
    assert table.row_ms(stem) == 1.5
    with pytest.raises(UnmeasuredOp) as caught:
        table.row_ms(other)
    said = str(caught.value)
    assert f"known has no row for {row_key(other, device=FACTS)}" in said
    assert f"mnas-evo profile TARGET --table {folder} --missing" in said


def test_missing_rows_are_listed_once_each() -> None:
    table = known_table(TINY, networks=1)
    layers = TINY.layers()
    assert table.missing(layers) == []
    kept = dict(list(table.rows.items())[5:])
    lacking = replace(table, rows=kept).missing([*layers, *layers])
    assert lacking == sorted(set(table.rows) - set(kept))


@given(networks(), st.integers(1, 4096), st.sampled_from(["fp32", "bf16", "int8"]))
def test_a_rows_key_tells_layer_batch_and_precision(network: Network, batch: int, precision: str) -> None:
    facts = FACTS.model_copy(update={"batch": batch, "precision": precision})
    for layer in lower(network).layers:
        spec, *rest = parse_row_key(row_key(layer, device=facts))
        assert (spec.key, rest) == (layer.spec.key, [batch, precision])


@pytest.mark.parametrize(
    "key", ["a", "", KEY.replace("_fp32", ""), KEY.replace("_b1", ""), "x_b1_fp32", f"{KEY}_same", f"{KEY}\n"]
)
def test_what_is_no_rows_key_is_named(key: str) -> None:
    with pytest.raises(NotationError, match=r"is no (row|layer)'s key"):
        parse_row_key(key)


# Damage


@pytest.mark.parametrize(
    "line",
    [
        f"{KEY},1.5,0.7,4",  # stands there already
        "d,-1.5,0.7,4",
        "d,0,0.7,4",
        "d,nan,0.7,4",
        "d,inf,0.7,4",
        "d,fast,0.7,4",
        "d,,0.7,4",
        "d,1.5,-0.7,4",
        "d,1.5,nan,4",
        "d,1.5,inf,4",
        "d,1.5,0.7,0",
        "d,1.5,0.7,-4",
        "d,1.5,0.7,4.5",
        "d,1.5,0.7",
        "d,1.5,0.7,4,5",
        "d",
    ],
)
def test_a_row_that_is_no_measurement_is_refused_by_its_line(line: str, folder: Path) -> None:
    change_lines(folder / "ops.csv", lambda lines: [*lines, line])
    with pytest.raises(DamagedFile, match=r"ops\.csv, line 5: "):
        read_table(folder)


@pytest.mark.parametrize(
    ("line", "said"),
    [
        (f"{NETWORK},sampled,30,1,4", "stands there twice"),
        (f"{THIRD},chosen,30,1,4", "role 'chosen'"),
        ("x/y/z,sampled,30,1,4", "'x' is no stem"),
        (f"{THIRD},sampled,-30,1,4", "ms is -30"),
        (f"{THIRD},sampled,0,1,4", "ms is 0"),
        (f"{THIRD},sampled,nan,1,4", "ms is nan"),
        (f"{THIRD},sampled,soon,1,4", "'soon'"),
        (f"{THIRD},sampled,30,-1,4", "spread -1"),
        (f"{THIRD},sampled,30,1,0", "visits 0"),
        (f"{THIRD},sampled,30,1", "5 columns"),
    ],
)
def test_a_network_that_is_no_measurement_is_refused_by_its_line(line: str, said: str, folder: Path) -> None:
    change_lines(folder / "networks.csv", lambda lines: [*lines, line])
    with pytest.raises(DamagedFile, match=rf"networks\.csv, line 4: .*{said}"):
        read_table(folder)


def test_a_line_too_long_to_be_a_row_is_refused_by_its_line(folder: Path) -> None:
    change_lines(folder / "ops.csv", lambda lines: [*lines, "x" * 200_000])
    with pytest.raises(DamagedFile, match=r"ops\.csv, line 5: "):
        read_table(folder)


def test_a_missing_column_is_named(folder: Path) -> None:
    change_lines(folder / "ops.csv", lambda lines: [line.replace("visits", "count") for line in lines])
    with pytest.raises(DamagedFile, match=r"ops\.csv.*no column visits"):
        read_table(folder)


@pytest.mark.parametrize("name", ["device.json", "ops.csv", "networks.csv"])
def test_a_missing_file_is_named(name: str, folder: Path) -> None:
    (folder / name).unlink()
    with pytest.raises(DamagedFile, match=f"{name} is missing"):
        read_table(folder)


@pytest.mark.parametrize("name", ["device.json", "ops.csv", "networks.csv"])
def test_a_file_that_is_no_text_is_named(name: str, folder: Path) -> None:
    (folder / name).write_bytes(b"\xff\xfe\x00\x01")
    with pytest.raises(DamagedFile, match=f"{name} is damaged"):
        read_table(folder)


@pytest.mark.parametrize("name", ["ops.csv", "networks.csv"])
def test_an_empty_file_is_damaged(name: str, folder: Path) -> None:
    (folder / name).write_text("")
    with pytest.raises(DamagedFile, match=f"{name} is damaged"):
        read_table(folder)


@pytest.mark.parametrize(
    ("was", "now", "said"),
    [
        ('"threads": 1', '"threads": "many"', "device.threads"),
        ('"threads": 1', '"thread": 1', "device.threads.*device.thread"),
        ('"passes": 4', '"passes": null', "campaigns.0.passes"),
        ("{", "[", "device.json is damaged"),
    ],
)
def test_a_damaged_device_file_names_every_fault(was: str, now: str, said: str, folder: Path) -> None:
    path = folder / "device.json"
    path.write_text(path.read_text().replace(was, now, 1))
    with pytest.raises(DamagedFile, match=said):
        read_table(folder)


@pytest.mark.parametrize("number", [0, 2, "1", None])
def test_another_format_number_is_refused_with_both(number: object, folder: Path) -> None:
    path = folder / "device.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), "format": number}))
    with pytest.raises(OtherFormat, match=f"format {number!r}; this version reads and writes format 1"):
        read_table(folder)


# Units


def in_other_units(folder: Path, name: str, line: int, factor: float) -> None:
    """Multiplies the time that stands on a line, counted from 1 as errors count."""

    def change(lines: Sequence[str]) -> list[str]:
        cells = lines[line - 1].split(",")
        at = OPS_HEADER.index("ms") if name == "ops.csv" else NETWORKS_HEADER.index("ms")
        cells[at] = str(factor * float(cells[at]))
        return [*lines[: line - 1], ",".join(cells), *lines[line:]]

    change_lines(folder / name, change)


@pytest.mark.parametrize("name", ["ops.csv", "networks.csv"])
@pytest.mark.parametrize(("factor", "unit"), [(1000, "microseconds"), (1e-3, "seconds"), (1e6, "microseconds")])
def test_a_time_in_another_unit_is_refused_by_its_line(name: str, factor: float, unit: str, tmp_path: Path) -> None:
    write_table(tmp_path, known_table(TINY, networks=30))
    read_table(tmp_path)
    in_other_units(tmp_path, name, 7, factor)
    with pytest.raises(DamagedFile, match=rf"{name}, line 7: .*what its size suggests.* in {unit}\?"):
        read_table(tmp_path)


@pytest.mark.parametrize("factor", [1000, 1e-3])
def test_networks_and_rows_in_different_units_are_refused_with_both_files(factor: float, tmp_path: Path) -> None:
    write_table(tmp_path, known_table(TINY, networks=3, bend=lambda network: factor))
    with pytest.raises(DamagedFile, match=r"networks\.csv does not go with .*ops\.csv: .*milliseconds"):
        read_table(tmp_path)


# Merging


def test_a_newer_campaign_replaces_what_both_have_and_keeps_the_rest() -> None:
    one, other, third = Measured(1.0, 0.0, 4), Measured(2.0, 0.0, 4), Measured(3.0, 0.0, 4)
    old = replace(
        EMPTY,
        rows={"a": one, "b": one},
        networks=(MeasuredNetwork("m", "sampled", one), MeasuredNetwork("n", "sampled", one)),
    )
    later = CAMPAIGN.model_copy(update={"id": "later"})
    new = replace(
        EMPTY, campaigns=(later,), rows={"b": other, "c": third}, networks=(MeasuredNetwork("n", "sampled", other),)
    )
    found = merge(old, new)
    assert found.rows == {"a": one, "b": other, "c": third}
    assert {entry.network: entry.time for entry in found.networks} == {"m": one, "n": other}
    assert [campaign.id for campaign in found.campaigns] == [CAMPAIGN.id, "later"]


@given(tables(EMPTY))
def test_merging_a_table_with_itself_or_with_nothing_changes_nothing(table: Table) -> None:
    assert merge(None, table) == table
    assert merge(table, table) == table


def test_tables_of_different_devices_are_not_merged() -> None:
    other = replace(EMPTY, device=FACTS.model_copy(update={"threads": 4, "soc": "M1"}))
    with pytest.raises(RequestError, match=r"soc 'known' against 'M1'; threads 1 against 4.*--table"):
        merge(EMPTY, other)


def test_the_noise_of_a_table_is_its_newest_campaigns_where_known() -> None:
    def table(*noise: float | None) -> Table:
        return replace(
            EMPTY, campaigns=tuple(CAMPAIGN.model_copy(update={"noise_networks_percent": one}) for one in noise)
        )

    assert table(0.4, 0.2, None).noise_percent == 0.2
    assert table(None).noise_percent is None
    assert table().noise_percent is None


# Fingerprints and places


@pytest.mark.parametrize("name", ["ops.csv", "networks.csv"])
def test_a_changed_measurement_changes_the_fingerprint(name: str, folder: Path) -> None:
    (folder / "predictor.json").write_text("{}")
    before = measurements_fingerprint(folder), table_fingerprint(folder, fitted=["predictor.json"])
    change_lines(folder / name, lambda lines: lines[:-1])
    assert measurements_fingerprint(folder) != before[0]
    assert table_fingerprint(folder, fitted=["predictor.json"]) != before[1]


def test_a_changed_fit_changes_the_tables_fingerprint(folder: Path) -> None:
    (folder / "predictor.json").write_text("{}")
    before = table_fingerprint(folder, fitted=["predictor.json"])
    (folder / "predictor.json").write_text("{ }")
    assert table_fingerprint(folder, fitted=["predictor.json"]) != before


def test_a_table_is_found_by_path_and_by_name(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert find_table(folder) == folder
    (folder.parent / "latency_tables").mkdir()
    folder.rename(folder.parent / "latency_tables" / "known")
    monkeypatch.chdir(folder.parent)
    assert find_table("known") == Path("latency_tables/known")


def test_every_shipped_table_is_found_by_its_name_and_can_be_read() -> None:
    for path in shipped_tables():
        assert read_table(find_table(path.name)).rows


def test_an_unknown_table_is_answered_with_how_to_build_one(tmp_path: Path) -> None:
    with pytest.raises(RequestError, match=r"no table at.*nowhere.*mnas-evo profile local --space paper --table"):
        find_table(tmp_path / "nowhere")


def test_what_came_with_the_package_is_not_written(tmp_path: Path) -> None:
    stock = Path(mnas_evo.__file__).parent / "_bundled" / "latency_tables" / "known"
    with pytest.raises(RequestError, match="read-only; give a folder of your own"):
        write_table(stock, EMPTY)
    assert not stock.exists()
    refuse_stock(tmp_path)

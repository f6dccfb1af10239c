"""A CSV of networks that others measured: read whole, or refused by line with the mend."""

from pathlib import Path

import pytest
from strategies import TINY
from support.known_times import known_table

from mnas_evo.errors import DamagedFile
from mnas_evo.latency.measured_networks import read_measured_csv
from mnas_evo.latency.table import Measured, MeasuredNetwork
from mnas_evo.space.architecture import Frame
from mnas_evo.space.named import named_network
from mnas_evo.space.notation import format_architecture, format_network, parse_network

SHORT = "stem32/r1_k3_s11_e1_i32_o16/head1280"


def written(folder: Path, *lines: str) -> Path:
    path = folder / "measured.csv"
    path.write_text("".join(f"{line}\n" for line in lines), encoding="utf-8")
    return path


def test_strings_are_completed_from_the_task_and_names_are_known(tmp_path: Path) -> None:
    path = written(tmp_path, "network,ms", f"{SHORT},1.5", "mnasnet-a1,2", f"64x64x3/{SHORT}/7,3")
    task = Frame(height=32, width=48, channels=1, classes=10)
    assert read_measured_csv(path, task=task) == (
        MeasuredNetwork(f"32x48x1/{SHORT}/10", "sampled", Measured(1.5, 0.0, 1)),
        MeasuredNetwork(format_network(named_network("mnasnet-a1", task=task)), "sampled", Measured(2.0, 0.0, 1)),
        MeasuredNetwork(f"64x64x3/{SHORT}/7", "sampled", Measured(3.0, 0.0, 1)),
    )


def test_columns_may_stand_in_any_order_and_others_are_left_alone(tmp_path: Path) -> None:
    path = written(tmp_path, "\ufeffid,visits,ms,latency_us,spread_percent,architecture", f"7,4,1.5,1500,0.7,{SHORT}")
    (found,) = read_measured_csv(path, task=Frame())
    assert found.time == Measured(1.5, 0.7, 4)


TABLE = known_table(TINY, networks=30)


def test_networks_of_a_table_are_read_as_short_strings(tmp_path: Path) -> None:
    lines = [
        f"{format_architecture(parse_network(e.network))},{e.time.ms},{e.time.spread_percent},4" for e in TABLE.networks
    ]
    path = written(tmp_path, "network,ms,spread_percent,visits", *lines)
    assert read_measured_csv(path, task=TINY.frame) == TABLE.networks


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ("stem32/r1_k4_s11_e1_o16/head64,1", "kernel is odd"),
        ("mnasnet-z9,1", "mnasnet-z9"),
        (",1", "no architecture"),
        (f"{SHORT}/10,nan", "ms is nan"),
        (f"{SHORT}/10,-1", "ms is -1"),
        (f"{SHORT}/10,0", "ms is 0"),
        (f"{SHORT}/10,1.5 ms", "1.5 ms"),
        (f"{SHORT}/10,", "''"),
        (f"{SHORT}/10", "2 columns"),
        (f"224x224x3/{SHORT.replace('_i32', '')}/1000,2", "stands there twice"),
    ],
)
def test_a_bad_line_is_refused_by_its_number(line: str, said: str, tmp_path: Path) -> None:
    path = written(tmp_path, "network,ms", f"{SHORT},1.5", line)
    with pytest.raises(DamagedFile, match=rf"measured\.csv, line 3: .*{said}"):
        read_measured_csv(path, task=Frame())


@pytest.mark.parametrize(("factor", "unit"), [(1000, "microseconds"), (1e-3, "seconds")])
def test_a_time_in_another_unit_is_refused_by_its_line(factor: float, unit: str, tmp_path: Path) -> None:
    times = [entry.time.ms for entry in TABLE.networks]
    times[5] *= factor
    lines = [f"{entry.network},{ms}" for entry, ms in zip(TABLE.networks, times, strict=True)]
    with pytest.raises(DamagedFile, match=rf"measured\.csv, line 7: .* in {unit}\?"):
        read_measured_csv(written(tmp_path, "network,ms", *lines), task=TINY.frame)


@pytest.mark.parametrize(
    ("column", "mend"),
    [
        ("us", "divide them by 1,000 "),
        ("latency_us", "divide them by 1,000 "),
        ("Latency (µs)", "divide them by 1,000 "),
        ("time_ns", "divide them by 1,000,000 "),
        ("seconds", "multiply them by 1,000 "),
        ("s", "multiply them by 1,000 "),
        ("latency_s", "multiply them by 1,000 "),
    ],
)
def test_a_column_in_another_unit_is_refused_by_name_with_the_mend(column: str, mend: str, tmp_path: Path) -> None:
    path = written(tmp_path, f"network,{column}", f"{SHORT},1.5")
    with pytest.raises(DamagedFile, match=f"{mend}and call the column ms") as caught:
        read_measured_csv(path, task=Frame())
    assert repr(column) in str(caught.value)


@pytest.mark.parametrize(
    ("header", "missing"), [("net,ms", "network"), ("network,latency", "ms"), ("a,params", "network, ms"), ("", "")]
)
def test_missing_columns_are_named(header: str, missing: str, tmp_path: Path) -> None:
    with pytest.raises(DamagedFile, match=f"it has no column {missing}"):
        read_measured_csv(written(tmp_path, header, f"{SHORT},1.5"), task=Frame())


def test_a_file_of_no_network_is_refused(tmp_path: Path) -> None:
    with pytest.raises(DamagedFile, match="lists no network"):
        read_measured_csv(written(tmp_path, "network,ms"), task=Frame())

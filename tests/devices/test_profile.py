"""Profiling a fake device whose networks are sums of its rows: the table, and what is asked for again."""

import shutil
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from known_truth import OtherDevice, change_lines, item_ms, network_ms, row_ms
from strategies import TINY

import mnas_evo
from mnas_evo.devices.fake import FakeDevice
from mnas_evo.devices.profile import ProfileRequest, profile
from mnas_evo.errors import DamagedFile, DeviceError, InUse, RequestError
from mnas_evo.latency.fitting import fit
from mnas_evo.latency.runs import RunLog
from mnas_evo.latency.table import CampaignFacts, Table, read_table, row_key
from mnas_evo.space.lowering import lower
from mnas_evo.space.named import LANDMARKS, named_network
from mnas_evo.space.notation import format_network, parse_network

REQUEST = ProfileRequest(TINY, networks=30)
SMALL = ProfileRequest(TINY, networks=5)
ASKED = parse_network("16x16x1/stem8/r1_k3_e2_o8/r2_k7_s22_e3_o32/head16/4")


def run(folder: Path, device: FakeDevice, request: ProfileRequest = REQUEST) -> tuple[Table, CampaignFacts]:
    """Profiles for as few passes as can be."""
    return profile(folder, device, request, target="fake", minutes=0.0, progress=lambda share, text: None)


def steady(**faults: object) -> FakeDevice:
    """A device without noise."""
    return FakeDevice(item_ms, noise=0.0, **faults)  # type: ignore[arg-type]


@pytest.fixture(scope="module")
def profiled(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The small space, profiled on a device with little noise."""
    folder = tmp_path_factory.mktemp("tables") / "fake"
    run(folder, FakeDevice(item_ms, noise=0.002))
    return folder


@pytest.fixture
def own(profiled: Path, tmp_path: Path) -> Path:
    """A copy to change."""
    shutil.copytree(profiled, tmp_path / "fake")
    return tmp_path / "fake"


def visited(folder: Path) -> set[str]:
    """Items that the campaigns whose raw runs are there have visited."""
    return {run.item for path in folder.glob("raw/*/runs.jsonl") for _, run in RunLog(path).read()} - {"reference"}


# The table


def test_the_table_has_every_row_that_the_space_and_the_landmarks_can_need(profiled: Path) -> None:
    table = read_table(profiled)
    landmarks = [lower(named_network(name, task=TINY.frame)) for name in LANDMARKS]
    needed = {*TINY.layers(), *(layer for graph in landmarks for layer in graph.layers)}
    assert set(table.rows) == {row_key(layer, device=table.device) for layer in needed}
    assert table.missing(needed) == []


def test_rows_and_networks_have_their_true_times(profiled: Path) -> None:
    table = read_table(profiled)
    for key, row in table.rows.items():
        assert row.ms == pytest.approx(row_ms(key), rel=0.005)
        assert row.visits == table.campaigns[-1].passes
    for entry in table.networks:
        assert entry.time.ms == pytest.approx(network_ms(parse_network(entry.network)), rel=0.005)


def test_the_landmarks_and_a_sample_of_the_space_are_measured_whole(profiled: Path) -> None:
    table = read_table(profiled)
    roles = {entry.network: entry.role for entry in table.networks}
    landmarks = {format_network(named_network(name, task=TINY.frame)) for name in LANDMARKS}
    assert {network for network, role in roles.items() if role == "landmark"} == landmarks
    sampled = [parse_network(network) for network, role in roles.items() if role == "sampled"]
    assert len(sampled) == 30
    assert all(TINY.contains(network) for network in sampled)


def test_the_sample_is_spread_evenly_over_the_latencies_of_the_space(profiled: Path) -> None:
    found = sorted(
        network_ms(parse_network(entry.network)) for entry in read_table(profiled).networks if entry.role == "sampled"
    )
    space = TINY.networks(TINY.sample(2_000, rng=np.random.default_rng(7)))
    low, high = np.quantile([network_ms(network) for network in space], [0.01, 0.99])
    assert found[0] == pytest.approx(low, rel=0.03)
    assert found[-1] == pytest.approx(high, rel=0.03)
    assert max(np.diff(found)) < 3 * (high - low) / 29


def test_the_table_says_what_it_was_measured_on_and_how(profiled: Path) -> None:
    table = read_table(profiled)
    (campaign,) = table.campaigns
    assert (table.name, table.device) == ("fake", steady().facts())
    assert (campaign.target, campaign.space, campaign.space_fingerprint) == ("fake", "tiny", TINY.fingerprint)
    assert (campaign.reference, campaign.refused) == ("mobilenet-v2", ())
    assert campaign.reference_ms == pytest.approx(item_ms("reference"), rel=0.01)
    assert campaign.noise_rows_percent is not None
    assert campaign.noise_networks_percent == table.noise_percent is not None
    assert f"{len(table.rows)} rows and {len(table.networks)} networks" in (profiled / "README.md").read_text()


def test_raw_runs_are_kept_and_models_are_not(profiled: Path) -> None:
    assert len(list(profiled.glob("raw/*/runs.jsonl"))) == 2
    assert list(profiled.glob("raw/*/models")) == []


def test_what_is_returned_is_what_is_written(own: Path) -> None:
    table, campaign = run(own, FakeDevice(item_ms, noise=0.002))
    written = read_table(own)
    assert campaign == written.campaigns[-1]
    assert set(table.rows) == set(written.rows)
    for key, row in table.rows.items():
        assert row.ms == pytest.approx(written.rows[key].ms, rel=1e-5)


def test_a_profiled_space_can_be_fitted_and_predicts_the_device(own: Path) -> None:
    genes = TINY.sample(200, rng=np.random.default_rng(5))
    truth = np.array([network_ms(network) for network in TINY.networks(genes)])
    found = fit(own).for_space(TINY).predict(genes)
    assert np.mean(np.abs(found.value / truth - 1)) < 0.005


def test_networks_asked_for_are_measured_with_their_rows(tmp_path: Path) -> None:
    table, campaign = run(tmp_path / "fake", steady(), ProfileRequest(None, asked=(ASKED,)))
    assert campaign.space is None
    assert {entry.network for entry in table.networks if entry.role == "asked"} == {format_network(ASKED)}
    assert not [entry for entry in table.networks if entry.role == "sampled"]
    assert table.missing(lower(ASKED).layers) == []


def test_the_same_request_measures_nothing_twice(own: Path) -> None:
    before = read_table(own)
    device = steady()
    run(own, device)
    assert device.visits == 0
    after = read_table(own)
    assert (after.rows, after.networks) == (before.rows, before.networks)
    assert len(after.campaigns) == 1


# What is missing


def test_missing_measures_only_the_rows_that_are_lacking(own: Path) -> None:
    whole = read_table(own)
    lost: list[str] = []
    change_lines(own / "ops.csv", lambda lines: lost.extend(lines[3:8]) or [*lines[:3], *lines[8:]])  # type: ignore[func-returns-value]
    keys = {line.split(",")[0] for line in lost}
    shutil.rmtree(own / "raw")
    table, _ = run(own, steady(), replace(REQUEST, missing=True))
    assert visited(own) == keys
    assert set(table.rows) == set(whole.rows)
    for key in keys:
        assert table.rows[key].ms == pytest.approx(row_ms(key), rel=1e-5)
    for key in set(whole.rows) - keys:
        assert table.rows[key] == whole.rows[key]
    assert [entry.network for entry in table.networks] == [entry.network for entry in whole.networks]
    assert len(table.campaigns) == 2
    assert table.noise_percent == whole.noise_percent


def test_missing_measures_only_the_networks_that_are_lacking(own: Path) -> None:
    shutil.rmtree(own / "raw")
    asked = TINY.networks(TINY.sample(40, rng=np.random.default_rng(11)))
    known = {entry.network for entry in read_table(own).networks}
    lacking = {format_network(network) for network in asked} - known
    assert lacking
    table, _ = run(own, steady(), replace(REQUEST, asked=tuple(asked), missing=True))
    assert visited(own) == lacking
    assert {entry.network for entry in table.networks if entry.role == "asked"} == lacking


def test_a_larger_space_measures_what_the_table_lacks(own: Path) -> None:
    wider = replace(TINY, blocks=(replace(TINY.blocks[0], kernels=(3, 5)), TINY.blocks[1]))
    lacking = set(read_table(own).missing(wider.layers()))
    shutil.rmtree(own / "raw")
    table, _ = run(own, steady(), ProfileRequest(wider, missing=True))
    assert lacking
    assert visited(own) == lacking
    assert table.missing(wider.layers()) == []


def test_where_nothing_is_missing_nothing_is_measured(own: Path) -> None:
    before = {path.name: path.read_bytes() for path in own.iterdir() if path.is_file()}
    device = steady()
    _, campaign = run(own, device, replace(REQUEST, missing=True))
    assert device.visits == 0
    assert campaign is None
    assert {path.name: path.read_bytes() for path in own.iterdir() if path.is_file()} == before


def test_a_refused_row_stays_missing_and_is_told(tmp_path: Path) -> None:
    refused = row_key(TINY.layers()[5], device=steady().facts())
    table, campaign = run(tmp_path / "fake", steady(refuses=lambda item: item == refused), SMALL)
    assert campaign.refused == (refused,)
    assert table.missing(TINY.layers()) == [refused]


# Deaths and neighbours


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, int]:
    """A small profile that nothing disturbed, and its number of visits."""
    folder = tmp_path_factory.mktemp("undisturbed") / "fake"
    device = steady()
    run(folder, device, SMALL)
    return folder, device.visits


@pytest.mark.parametrize("share", [0.0, 0.05, 0.3, 0.999])
def test_a_profile_that_died_ends_as_one_that_did_not(
    share: float, undisturbed: tuple[Path, int], tmp_path: Path
) -> None:
    whole, visits = undisturbed
    folder, first, second = tmp_path / "fake", steady(dies_after=int(share * visits)), steady()
    with pytest.raises(DeviceError):
        run(folder, first, SMALL)
    assert not (folder / "device.json").exists()
    run(folder, second, SMALL)
    assert first.visits + second.visits == visits
    for name in ("ops.csv", "networks.csv"):
        assert (folder / name).read_bytes() == (whole / name).read_bytes()
    for raw in whole.glob("raw/*/runs.jsonl"):
        assert raw.read_bytes() == (folder / raw.relative_to(whole)).read_bytes()


@pytest.fixture
def neighbour(own: Path) -> Iterator[subprocess.Popen[str]]:
    """Another process that is profiling into the table."""
    program = (
        "import sys; from pathlib import Path; from mnas_evo.files import only_process\n"
        "with only_process(Path(sys.argv[1]), doing='profiling into'):\n"
        "    print('holds it', flush=True); sys.stdin.readline()"
    )
    process = subprocess.Popen(
        [sys.executable, "-c", program, str(own)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    with process:
        assert process.stdout is not None
        assert process.stdout.readline() == "holds it\n"
        yield process
        process.kill()


def test_a_table_that_another_process_profiles_into_is_in_use_until_that_ends(
    own: Path, neighbour: subprocess.Popen[str]
) -> None:
    device = steady()
    with pytest.raises(InUse, match=r"another process is profiling into .*fake; wait for it or stop it"):
        run(own, device)
    assert device.visits == 0
    neighbour.kill()  # the lock goes with its process, however that ends
    neighbour.wait(timeout=30)
    run(own, device)


def test_a_table_of_another_device_is_refused_with_the_difference_and_left_alone(own: Path) -> None:
    before = read_table(own)
    device = OtherDevice(item_ms)
    with pytest.raises(
        RequestError, match=r"measured on another device \(soc 'fake' against 'another'\); give another --table"
    ):
        run(own, device)
    assert device.visits == 0
    assert read_table(own) == before


def test_a_damaged_table_is_told_before_anything_is_measured(own: Path) -> None:
    change_lines(own / "ops.csv", lambda lines: [*lines[:4], "conv,fast,0,4", *lines[4:]])
    device = steady()
    with pytest.raises(DamagedFile, match=r"ops\.csv, line 5: "):
        run(own, device)
    assert device.visits == 0


def test_nothing_to_measure_is_told(tmp_path: Path) -> None:
    with pytest.raises(RequestError, match="nothing to measure: give --space or --arch"):
        run(tmp_path / "fake", steady(), ProfileRequest(None))


def test_what_came_with_the_package_is_not_profiled_into() -> None:
    stock = Path(mnas_evo.__file__).parent / "_bundled" / "latency_tables" / "fake"
    with pytest.raises(RequestError, match="read-only; give a folder of your own"):
        run(stock, steady())
    assert not stock.exists()

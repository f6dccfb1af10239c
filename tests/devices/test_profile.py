"""Profiling a fake device whose networks are sums of its rows: the table, and what is asked for again."""

import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import onnx
import pytest
from strategies import TINY
from support.known_times import OtherDevice, change_lines, item_ms, network_ms, row_ms

import mnas_evo
from mnas_evo.devices.campaign import FEWEST_PASSES
from mnas_evo.devices.fake import FakeDevice
from mnas_evo.devices.profile import ProfileRequest, profile
from mnas_evo.devices.target import opened, parse_target
from mnas_evo.errors import DamagedFile, DeviceError, InUse, RequestError
from mnas_evo.latency.fitting import fit
from mnas_evo.latency.runs import Device, Plan, Run, RunLog
from mnas_evo.latency.table import CampaignFacts, Table, read_table, row_key
from mnas_evo.space.graph import Layer
from mnas_evo.space.lowering import lower
from mnas_evo.space.named import LANDMARKS, named_network
from mnas_evo.space.notation import format_network, parse_network

REQUEST = ProfileRequest(TINY, networks=30)
SMALL = ProfileRequest(TINY, networks=5)
ASKED = parse_network("16x16x1/stem8/r1_k3_e2_o8/r2_k7_s22_e3_o32/head16/4")


def run(folder: Path, device: FakeDevice, request: ProfileRequest = REQUEST) -> tuple[Table, CampaignFacts | None]:
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


def test_the_sample_reaches_over_the_latencies_of_the_space(profiled: Path) -> None:
    found = sorted(
        network_ms(parse_network(entry.network)) for entry in read_table(profiled).networks if entry.role == "sampled"
    )
    space = TINY.networks(TINY.sample(2_000, rng=np.random.default_rng(7)))
    low, high = np.quantile([network_ms(network) for network in space], [0.01, 0.99])
    assert found[0] < low + (high - low) / 10
    assert found[-1] > high - (high - low) / 10


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
    assert campaign is not None and campaign.space is None
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
    assert campaign is not None and campaign.refused == (refused,)
    assert table.missing(TINY.layers()) == [refused]


# Short of time

SHORT = 0.06  # minutes, of the .08 that four passes would take


def within(
    folder: Path, device: FakeDevice, request: ProfileRequest = REQUEST, *, minutes: float = SHORT
) -> tuple[Table, list[str]]:
    """Profiles for so long; also what it says."""
    said: list[str] = []
    table, _ = profile(
        folder, device, request, target="fake", minutes=minutes, progress=lambda share, text: None, say=said.append
    )
    return table, said


def number(pattern: str, text: str) -> float:
    """A number in what was said."""
    found = re.search(pattern, text)
    assert found is not None, text
    return float(found[1].replace(",", ""))


@pytest.fixture(scope="module")
def shortened(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, list[str]]:
    """The small space, profiled in too short a time for all of it, and what was said."""
    folder = tmp_path_factory.mktemp("short") / "fake"
    _, said = within(folder, steady())
    return folder, said


def landmark_layers() -> list[Layer]:
    """Layers of the networks that every table has."""
    return [layer for name in LANDMARKS for layer in lower(named_network(name, task=TINY.frame)).layers]


def test_a_short_time_measures_some_rows_and_says_how_many_and_what_to_do(
    shortened: tuple[Path, list[str]], profiled: Path
) -> None:
    folder, (first, second) = shortened
    table, whole = read_table(folder), read_table(profiled)
    assert len(landmark_layers()) // 2 < len(table.rows) < len(whole.rows)
    assert set(table.rows) < set(whole.rows)
    assert number(r"([\d,]+) rows and 33 whole networks", first) == pytest.approx(len(whole.rows), abs=1)
    assert "4 to 40 passes, until the noise is low or 0.06 minutes are spent" in first
    assert number(r"0\.06 minutes allow for ([\d,]+) of the rows: those of whole networks", second) == pytest.approx(
        len(table.rows), abs=1
    )
    assert 0 < number(r"([\d.]+) % of the layers of sampled architectures", second) < 100
    assert number(r"For all give --minutes ([\d.]+), or go on later with --missing", second) > SHORT


def test_as_many_rows_are_told_as_the_table_gets(shortened: tuple[Path, list[str]], profiled: Path) -> None:
    folder, (first, second) = shortened
    assert number(r"([\d,]+) rows and", first) == len(read_table(profiled).rows)
    assert number(r"allow for ([\d,]+) of the rows", second) == len(read_table(folder).rows)


def test_the_share_of_layers_told_is_that_of_the_rows_there_are(shortened: tuple[Path, list[str]]) -> None:
    folder, (_, second) = shortened
    table = read_table(folder)
    graphs = [lower(network) for network in TINY.networks(TINY.sample(2_000, rng=np.random.default_rng(3)))]
    there = [table.row_key(layer) in table.rows for graph in graphs for layer in graph.layers]
    assert number(r"([\d.]+) % of the layers", second) == pytest.approx(100 * np.mean(there), abs=5)


def test_the_landmarks_have_their_rows_however_short_the_time(tmp_path: Path) -> None:
    table, (_, said) = within(tmp_path / "fake", steady(), minutes=1e-6)
    keys = {row_key(layer, device=table.device) for layer in landmark_layers()}
    assert set(table.rows) == keys
    assert "1e-06 minutes allow for" in said


def test_rows_that_are_used_more_come_first(shortened: tuple[Path, list[str]]) -> None:
    table = read_table(shortened[0])
    fixed = [layer for layer in TINY.layers() if layer.spec.op == "classifier" or layer.in_shape[0] == 1]
    assert len(fixed) == 2
    assert table.missing(fixed) == []


@pytest.mark.parametrize("minutes", [0.0, 60.0])
def test_no_time_of_ones_own_and_time_enough_measure_all_rows(minutes: float, profiled: Path, tmp_path: Path) -> None:
    table, said = within(tmp_path / "fake", steady(), minutes=minutes)
    assert set(table.rows) == set(read_table(profiled).rows)
    assert len(said) == 1
    assert f"or {minutes:g} minutes are spent" in said[0]


@pytest.mark.parametrize("networks", [0, 9, 51])
def test_the_minutes_told_for_all_rows_are_enough(networks: int, profiled: Path, tmp_path: Path) -> None:
    request = replace(REQUEST, networks=networks)
    _, (_, said) = within(tmp_path / "short", steady(), request, minutes=0.001)
    table, again = within(tmp_path / "long", steady(), request, minutes=number(r"--minutes ([\d.]+)", said))
    assert len(again) == 1
    assert set(table.rows) == set(read_table(profiled).rows)


def test_what_will_be_done_is_said_after_one_look_and_before_the_rest(tmp_path: Path) -> None:
    device, visits = steady(), []
    profile(
        tmp_path / "fake",
        device,
        REQUEST,
        target="fake",
        minutes=SHORT,
        progress=lambda share, text: None,
        say=lambda text: visits.append(device.visits),
    )
    (raw,) = tmp_path.glob("fake/raw/*-scout/runs.jsonl")
    assert visits == [len(RunLog(raw).read())] * 2
    assert device.visits > 3 * visits[0]


def test_what_was_left_out_is_filled_by_missing(
    shortened: tuple[Path, list[str]], profiled: Path, tmp_path: Path
) -> None:
    own = tmp_path / "fake"
    shutil.copytree(shortened[0], own)
    before = read_table(own)
    shutil.rmtree(own / "raw")
    table, said = within(own, steady(), replace(REQUEST, missing=True), minutes=0.0)
    assert set(table.rows) == set(read_table(own).rows) == set(read_table(profiled).rows)
    assert visited(own) == set(table.rows) - set(before.rows)
    assert [entry.network for entry in table.networks] == [entry.network for entry in before.networks]
    (said_once,) = said
    assert number(r"([\d,]+) rows and 0 whole networks", said_once) == len(table.rows) - len(before.rows)


def test_missing_fills_a_table_in_short_times_one_after_another(
    shortened: tuple[Path, list[str]], profiled: Path, tmp_path: Path
) -> None:
    own = tmp_path / "fake"
    shutil.copytree(shortened[0], own)
    counts = [len(read_table(own).rows)]
    for _ in range(30):
        device = steady()
        table, _ = within(own, device, replace(REQUEST, missing=True), minutes=0.005)
        if device.visits == 0:
            break
        counts.append(len(table.rows))
    assert len(counts) >= 3
    assert counts == sorted(set(counts))
    assert set(table.rows) == set(read_table(profiled).rows)


def test_the_same_short_request_measures_nothing_twice(shortened: tuple[Path, list[str]], tmp_path: Path) -> None:
    shutil.copytree(shortened[0], tmp_path / "fake")
    device = steady()
    table, said = within(tmp_path / "fake", device)
    assert (device.visits, said) == (0, shortened[1])
    assert table.rows.keys() == read_table(shortened[0]).rows.keys()


@pytest.mark.parametrize("share", [0.05, 0.2, 0.3, 0.9])
def test_a_profile_short_of_time_that_died_ends_as_one_that_did_not(
    share: float, shortened: tuple[Path, list[str]], tmp_path: Path
) -> None:
    whole, folder = shortened[0], tmp_path / "fake"
    visits = sum(len(RunLog(raw).read()) for raw in whole.glob("raw/*/runs.jsonl"))
    first, second = steady(dies_after=int(share * visits)), steady()
    with pytest.raises(DeviceError):
        within(folder, first)
    _, said = within(folder, second)
    assert said == shortened[1]
    assert first.visits + second.visits == visits
    for name in ("ops.csv", "networks.csv"):
        assert (folder / name).read_bytes() == (whole / name).read_bytes()


def test_rows_refused_at_first_sight_break_nothing(tmp_path: Path) -> None:
    refused = {row_key(layer, device=steady().facts()) for layer in TINY.layers()[5:25]}
    table, said = within(tmp_path / "fake", steady(refuses=lambda item: item in refused))
    assert table.rows and not set(table.rows) & refused
    assert set(table.campaigns[-1].refused) <= refused
    assert len(said) == 2


@pytest.mark.parametrize("minutes", [0.06, 0.065])
def test_networks_sampled_in_a_short_time_have_their_rows_and_can_be_fitted(minutes: float, tmp_path: Path) -> None:
    table, said = within(tmp_path / "fake", FakeDevice(item_ms, noise=0.002), minutes=minutes)
    assert len(said) == 2
    sampled = [parse_network(entry.network) for entry in table.networks if entry.role == "sampled"]
    assert len(sampled) == 30
    assert all(table.missing(lower(network).layers) == [] for network in sampled)
    fit(tmp_path / "fake")


# Batches


class Watched:
    """The real agent, whose plans are looked at."""

    def __init__(self, device: Device) -> None:
        self._device = device
        self.shapes: dict[str, list[int]] = {}
        self.facts, self.close = device.facts, device.close

    def run(self, plan: Plan) -> Iterator[Run]:
        """Keeps what each item's model takes, beside what it is fed."""
        for visit in plan.visits:
            model = onnx.load(plan.folder / visit.model, load_external_data=False)
            self.shapes[visit.item] = [size.dim_value for size in model.graph.input[0].type.tensor_type.shape.dim]
            assert list(visit.in_shape) == self.shapes[visit.item]
        return self._device.run(plan)


def test_a_batch_stands_in_keys_and_facts_and_goes_through_the_models_at_once(tmp_path: Path) -> None:
    request = ProfileRequest(None, asked=(ASKED,), batch=4)
    with opened(parse_target("local")) as device:
        watched = Watched(device)
        table, campaign = run(tmp_path / "batch", watched, request)  # type: ignore[arg-type]
    assert {shape[0] for shape in watched.shapes.values()} == {4}
    assert watched.shapes[format_network(ASKED)] == [4, 1, 16, 16]
    assert campaign is not None and campaign.refused == ()
    assert table.device.batch == read_table(tmp_path / "batch").device.batch == 4
    assert table.rows and all("_b4_" in key for key in table.rows)
    assert table.missing(lower(ASKED).layers) == []
    assert "batch 4" in (tmp_path / "batch" / "README.md").read_text()
    assert 0 < (campaign.inside_seconds or 0) < campaign.device_seconds
    assert campaign.passes == FEWEST_PASSES


@pytest.mark.parametrize("missing", [False, True])
def test_a_table_of_another_batch_is_refused_and_left_alone(missing: bool, own: Path) -> None:
    before = {path.name: path.read_bytes() for path in own.iterdir() if path.is_file()}
    device = steady()
    with pytest.raises(RequestError, match=r"another device \(batch 1 against 2\); give another --table"):
        run(own, device, replace(REQUEST, batch=2, missing=missing))
    assert device.visits == 0
    assert {path.name: path.read_bytes() for path in own.iterdir() if path.is_file()} == before


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

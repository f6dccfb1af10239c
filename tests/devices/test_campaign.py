"""Campaigns on a fake device: what is visited when, what survives a death, and what is found."""

import errno
import json
import subprocess
import sys
import tempfile
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from support.known_times import OtherDevice, change_lines, item_ms
from support.small_campaign import (
    ITEMS,
    NETWORKS,
    REFERENCE,
    ROWS,
    VISITS_A_PASS,
    campaign,
    log_of,
    measure,
    silent,
    steady,
)

from mnas_evo.devices.campaign import FEWEST_PASSES, MOST_PASSES, REFERENCE_EVERY, Campaign, Outcome
from mnas_evo.devices.fake import FakeDevice
from mnas_evo.devices.target import opened, parse_target
from mnas_evo.errors import DamagedFile, DeviceError, InUse, OtherFormat, RequestError
from mnas_evo.files import only_process
from mnas_evo.latency.runs import DeviceFacts, Run
from mnas_evo.space.lowering import lower


def seconds_of_passes(passes: float) -> float:
    """Time on the steady device that passes take."""
    with tempfile.TemporaryDirectory() as folder:
        measure(Path(folder), steady())
        return passes * sum(run.wall_ns for number, run in log_of(Path(folder)) if number == 0) / 1e9


# What is visited when


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A campaign of four passes that nothing disturbed."""
    folder = tmp_path_factory.mktemp("whole")
    measure(folder, steady())
    return folder


def test_every_pass_visits_every_item_once(whole: Path) -> None:
    log = log_of(whole)
    for number in range(FEWEST_PASSES):
        visited = [run.item for p, run in log if p == number and run.item != "reference"]
        assert sorted(visited) == sorted(item.key for item in ITEMS)
    assert len(log) == FEWEST_PASSES * VISITS_A_PASS


def test_every_pass_has_an_order_of_its_own(whole: Path) -> None:
    log = log_of(whole)
    orders = {tuple(run.item for p, run in log if p == number) for number in range(FEWEST_PASSES)}
    assert len(orders) == FEWEST_PASSES


def test_the_reference_stands_before_between_and_after(whole: Path) -> None:
    for number in range(FEWEST_PASSES):
        slots = {run.slot: run.item for p, run in log_of(whole) if p == number}
        at = [slot for slot, item in sorted(slots.items()) if item == "reference"]
        assert (at[0], at[-1]) == (0, len(slots) - 1)
        assert max(np.diff(at)) <= REFERENCE_EVERY + 1


def test_networks_are_visited_for_longer_than_rows(tmp_path: Path) -> None:
    visits: dict[str, set[int]] = {"row": set(), "network": set()}

    class Watched(FakeDevice):
        def run(self, plan):  # type: ignore[no-untyped-def]
            for visit in plan.visits:
                visits["row" if visit.item in {item.key for item in ROWS} else "network"].add(plan.visit_ns)
                assert (plan.folder / visit.model).is_file()
            return super().run(plan)

    measure(tmp_path, Watched(item_ms))
    assert len(visits["row"]) == len(visits["network"]) == 1
    assert max(visits["row"]) < min(visits["network"])


# What is found


def test_times_come_out_as_they_are_in_spite_of_noise_and_drift(tmp_path: Path) -> None:
    device = FakeDevice(item_ms, noise=0.01, drift=lambda visit: 1 + 0.1 * np.sin(visit / 40))
    outcome = campaign(tmp_path, device).measure(minutes=10.0, progress=silent)
    middle = outcome.reference_ms / item_ms("reference")
    for kind, found in (("row", outcome.rows), ("network", outcome.networks)):
        assert found.items == tuple(item.key for item in ITEMS if item.kind == kind)
        truth = np.array([item_ms(key) for key in found.items])
        assert found.ms / middle == pytest.approx(truth, rel=0.01)
        assert (found.visits == outcome.passes).all()
    assert outcome.refused == ()
    assert outcome.device_seconds == pytest.approx(sum(run.wall_ns for _, run in log_of(tmp_path)) / 1e9)


def test_a_campaign_goes_on_until_the_noise_is_as_wanted(tmp_path: Path) -> None:
    device = FakeDevice(item_ms, noise=0.05)
    outcome = campaign(tmp_path, device).measure(minutes=60.0, wanted_noise_percent=0.25, progress=silent)
    assert FEWEST_PASSES < outcome.passes < MOST_PASSES
    assert max(outcome.rows.noise_percent, outcome.networks.noise_percent) <= 0.25


def test_a_campaign_never_goes_on_for_ever(tmp_path: Path) -> None:
    outcome = measure(tmp_path, steady(), minutes=1e9)
    assert outcome.passes == MOST_PASSES


def test_a_spent_budget_ends_a_campaign_after_its_fewest_passes(tmp_path: Path) -> None:
    assert measure(tmp_path / "none", steady(), minutes=0.0).passes == FEWEST_PASSES
    assert measure(tmp_path / "some", steady(), minutes=seconds_of_passes(5.5) / 60).passes == 6


def test_progress_rises_from_0_to_1(tmp_path: Path) -> None:
    shares: list[float] = []
    campaign(tmp_path, steady()).measure(minutes=0.0, progress=lambda share, text: shares.append(share))
    assert shares == sorted(shares)
    assert all(0 <= share < 1 for share in shares[:-1])
    assert shares[-1] == 1.0


def test_a_campaign_of_rows_alone_says_nothing_of_networks(tmp_path: Path) -> None:
    outcome = campaign(tmp_path, steady(), items=ROWS).measure(minutes=0.0, progress=silent)
    assert len(outcome.rows.ms) == len(ROWS)
    assert outcome.networks.items == ()
    assert np.isnan(outcome.networks.noise_percent)


# What is visited again

ROUGH, ROUGHER = ROWS[3].key, ROWS[9].key


def wobbling(rough: dict[str, float]) -> Callable[[str], float]:
    """True times, but for some items whose visits take up to so much of it longer; the same at every visit of a count.

    One of these is shared by devices that follow one another.
    """
    visits: Counter[str] = Counter()

    def truth_ms(item: str) -> float:
        visits[item] += 1
        return item_ms(item) * (1 + rough.get(item, 0.0) * (visits[item] * 0.618034 % 1))

    return truth_ms


def visited_after_the_fewest(folder: Path) -> set[str]:
    """Items that passes beyond the fewest have visited."""
    return {run.item for number, run in log_of(folder) if number >= FEWEST_PASSES}


@pytest.mark.parametrize("item", [ROUGH, NETWORKS[2].key])
def test_after_the_fewest_passes_only_what_is_not_known_well_is_visited_again(item: str, tmp_path: Path) -> None:
    device = FakeDevice(wobbling({item: 0.5}), noise=0.0)
    outcome = campaign(tmp_path, device).measure(minutes=60.0, wanted_noise_percent=2.0, progress=silent)
    assert visited_after_the_fewest(tmp_path) == {"reference", item}
    for number in range(FEWEST_PASSES, outcome.passes):
        assert [run.item for p, run in log_of(tmp_path) if p == number] == ["reference", item, "reference"]
    found = outcome.rows if item == ROUGH else outcome.networks
    visits = dict(zip(found.items, found.visits, strict=True))
    assert visits.pop(item) == outcome.passes > FEWEST_PASSES
    assert set(visits.values()) == {FEWEST_PASSES}


def test_an_item_is_visited_until_its_interval_is_as_narrow_as_wanted(tmp_path: Path) -> None:
    def passes(folder: Path, interval_percent: float) -> int:
        device = FakeDevice(wobbling({ROUGH: 0.5}), noise=0.0)
        outcome = campaign(folder, device).measure(
            minutes=60.0, wanted_noise_percent=2.0, wanted_interval_percent=interval_percent, progress=silent
        )
        assert outcome.passes == MOST_PASSES or max(outcome.rows.interval_percent) <= interval_percent
        return outcome.passes

    found = [passes(tmp_path / f"{percent}", percent) for percent in (2.0, 4.2, 5.0)]
    assert MOST_PASSES == found[0] > found[1] > found[2] == FEWEST_PASSES


def test_while_the_noise_of_a_kind_is_high_all_its_items_and_no_others_are_visited(tmp_path: Path) -> None:
    device = FakeDevice(wobbling({item.key: 0.3 for item in ROWS}), noise=0.0)
    outcome = campaign(tmp_path, device).measure(
        minutes=seconds_of_passes(6) / 60, wanted_interval_percent=1e9, progress=silent
    )
    assert outcome.passes > FEWEST_PASSES
    assert visited_after_the_fewest(tmp_path) == {"reference", *(item.key for item in ROWS)}


def test_a_quiet_device_needs_the_fewest_passes_whatever_the_time(tmp_path: Path) -> None:
    outcome = campaign(tmp_path, FakeDevice(item_ms, noise=1e-4)).measure(minutes=60.0, progress=silent)
    assert outcome.passes == FEWEST_PASSES
    assert outcome.unstable == ()


def test_what_is_refused_is_not_visited_again_as_if_it_were_noisy(tmp_path: Path) -> None:
    device = FakeDevice(wobbling({ROUGH: 0.5}), noise=0.0, refuses=lambda item: item == ROUGHER)
    campaign(tmp_path / "rough", device).measure(
        minutes=seconds_of_passes(5) / 60, wanted_noise_percent=2.0, progress=silent
    )
    assert visited_after_the_fewest(tmp_path / "rough") == {"reference", ROUGH}
    quiet = steady(refuses=lambda item: item == ROUGHER)
    assert campaign(tmp_path / "quiet", quiet).measure(minutes=60.0, progress=silent).passes == FEWEST_PASSES


def test_what_stayed_unstable_is_told_the_worst_first(tmp_path: Path) -> None:
    rough = {ROUGH: 0.5, ROUGHER: 0.9, NETWORKS[2].key: 0.7}
    outcome = campaign(tmp_path, FakeDevice(wobbling(rough), noise=0.0)).measure(minutes=0.0, progress=silent)
    assert outcome.unstable == (ROUGHER, NETWORKS[2].key, ROUGH)
    widths = {
        item: width
        for found in (outcome.rows, outcome.networks)
        for item, width in zip(found.items, found.interval_percent, strict=True)
    }
    assert {item for item, width in widths.items() if width > 3.0} == set(outcome.unstable)


def test_the_time_inside_the_runtime_is_that_of_the_runs(tmp_path: Path) -> None:
    class Slow(FakeDevice):
        def run(self, plan):  # type: ignore[no-untyped-def]
            for run in super().run(plan):
                yield Run(run.slot, run.item, run.times_ns, 3 * sum(run.times_ns), run.state)

    outcome = measure(tmp_path, Slow(item_ms))
    assert outcome.inside_seconds == pytest.approx(sum(sum(run.times_ns) for _, run in log_of(tmp_path)) / 1e9)
    assert outcome.device_seconds == pytest.approx(3 * outcome.inside_seconds)


# Deaths


@given(st.lists(st.integers(0, FEWEST_PASSES * VISITS_A_PASS), min_size=1, max_size=3))
@example([0])
@example([1])
@example([VISITS_A_PASS - 1])
@example([VISITS_A_PASS])
@example([FEWEST_PASSES * VISITS_A_PASS - 1])
@settings(max_examples=15)
def test_a_campaign_that_died_ends_as_one_that_did_not(whole: Path, deaths: list[int]) -> None:
    with tempfile.TemporaryDirectory() as parent:
        folder = Path(parent)
        visits = 0
        for moment in deaths:
            device = steady(dies_after=moment)
            if visits + moment >= FEWEST_PASSES * VISITS_A_PASS:
                break
            with pytest.raises(DeviceError, match="told to die"):
                measure(folder, device)
            visits += device.visits
        device = steady()
        outcome = measure(folder, device)
        log = log_of(folder)
    assert visits + device.visits == len(log) == FEWEST_PASSES * VISITS_A_PASS
    assert max(Counter((p, run.slot) for p, run in log).values()) == 1
    assert log == log_of(whole)
    assert outcome.rows.ms == pytest.approx([item_ms(item.key) for item in ROWS], rel=1e-5)


@pytest.mark.parametrize("death_in_pass", [4.1, 4.6, 4.9])
def test_a_campaign_that_died_after_its_budget_was_spent_ends_as_one_that_did_not(
    death_in_pass: float, tmp_path: Path
) -> None:
    minutes = seconds_of_passes(4.5) / 60
    undisturbed = measure(tmp_path / "undisturbed", steady(), minutes=minutes)
    with pytest.raises(DeviceError):
        measure(tmp_path / "died", steady(dies_after=int(death_in_pass * VISITS_A_PASS)), minutes=minutes)
    died = measure(tmp_path / "died", steady(), minutes=minutes)
    assert log_of(tmp_path / "died") == log_of(tmp_path / "undisturbed")
    assert (died.passes, died.device_seconds) == (undisturbed.passes, undisturbed.device_seconds)


@pytest.mark.parametrize("cut", [1, 2, 40, 10**9])
def test_a_torn_last_line_costs_that_visit_alone(cut: int, whole: Path, tmp_path: Path) -> None:
    with pytest.raises(DeviceError):
        measure(tmp_path, steady(dies_after=30))
    path = tmp_path / "runs.jsonl"
    content = path.read_bytes()
    last = content[:-1].rfind(b"\n") + 1
    path.write_bytes(content[: max(last, len(content) - cut)])
    device = steady()
    measure(tmp_path, device)
    assert device.visits == FEWEST_PASSES * VISITS_A_PASS - 29
    assert log_of(tmp_path) == log_of(whole)


def test_a_finished_campaign_is_not_measured_again(whole: Path) -> None:
    before = (whole / "runs.jsonl").read_bytes()
    device = steady()
    measure(whole, device)
    assert device.visits == 0
    assert (whole / "runs.jsonl").read_bytes() == before


def test_more_minutes_go_on_where_fewer_ended(tmp_path: Path) -> None:
    measure(tmp_path, steady())
    device = steady()
    assert measure(tmp_path, device, minutes=seconds_of_passes(5.5) / 60).passes == 6
    assert device.visits == 2 * VISITS_A_PASS


def test_a_damaged_line_in_the_middle_is_told_and_nothing_is_measured(tmp_path: Path) -> None:
    with pytest.raises(DeviceError):
        measure(tmp_path, steady(dies_after=30))
    change_lines(tmp_path / "runs.jsonl", lambda lines: [*lines[:11], lines[11][:20], *lines[12:]])
    device = steady()
    with pytest.raises(DamagedFile, match=r"runs\.jsonl, line 12: .*delete that line"):
        measure(tmp_path, device)
    assert device.visits == 0
    change_lines(tmp_path / "runs.jsonl", lambda lines: [*lines[:11], *lines[12:]])
    measure(tmp_path, device)
    assert device.visits == FEWEST_PASSES * VISITS_A_PASS - 29


def focused(folder: Path, truth_ms: Callable[[str], float], **faults: int) -> Outcome:
    """A campaign that visits two items again, then one of them alone, and never comes to know that well."""
    device = FakeDevice(truth_ms, noise=0.0, **faults)  # type: ignore[arg-type]
    return campaign(folder, device).measure(
        minutes=60.0, wanted_noise_percent=2.0, wanted_interval_percent=4.2, progress=silent
    )


@pytest.fixture(scope="module")
def focused_whole(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Such a campaign that nothing disturbed."""
    folder = tmp_path_factory.mktemp("focused")
    outcome = focused(folder, wobbling({ROUGH: 0.5, ROUGHER: 0.9}))
    visits = dict(zip(outcome.rows.items, outcome.rows.visits, strict=True))
    assert FEWEST_PASSES < visits[ROUGH] < visits[ROUGHER] == outcome.passes == MOST_PASSES
    return folder


@pytest.mark.parametrize("moment", ["as focus begins", "in between", "as an item settles", "late"])
def test_a_campaign_that_died_visits_again_what_one_that_did_not_does(
    moment: str, focused_whole: Path, tmp_path: Path
) -> None:
    undisturbed, truth_ms = log_of(focused_whole), wobbling({ROUGH: 0.5, ROUGHER: 0.9})
    visits = {
        "as focus begins": FEWEST_PASSES * VISITS_A_PASS,
        "in between": len(undisturbed) * 2 // 3,
        "as an item settles": max(i for i, (_, run) in enumerate(undisturbed) if run.item == ROUGH) + 1,
        "late": len(undisturbed) - 2,
    }
    with pytest.raises(DeviceError):
        focused(tmp_path, truth_ms, dies_after=visits[moment])
    assert len(log_of(tmp_path)) == visits[moment]
    focused(tmp_path, truth_ms)
    assert log_of(tmp_path) == undisturbed


# Measures into folders, each with files that can grow to so many bytes; says how each ended.
ON_A_FULL_DISK = """
import sys
sys.path.insert(0, sys.argv[1])
import resource
from pathlib import Path
from support.small_campaign import measure, steady
for folder, limit in zip(sys.argv[2::2], sys.argv[3::2]):
    resource.setrlimit(resource.RLIMIT_FSIZE, (int(limit), resource.RLIM_INFINITY))
    try:
        measure(Path(folder), steady())
    except OSError as error:
        print(error.errno, flush=True)
"""
FULL = {  # visits made while there was room, and bytes that the log can still grow by
    "while the models are written": (0, 600),
    "with the first visit": (1, 0),
    "within a line": (30, 150),
    "some lines later": (VISITS_A_PASS, 5_000),
}


@pytest.fixture(scope="module")
def full(tmp_path_factory: pytest.TempPathFactory) -> dict[str, tuple[Path, bytes]]:
    """Campaigns that a full disk ended, each with the log of before."""
    pytest.importorskip("resource")
    found, arguments = {}, []
    for case, (visits, room) in FULL.items():
        folder, before = tmp_path_factory.mktemp("full"), b""
        if visits:
            with pytest.raises(DeviceError):
                measure(folder, steady(dies_after=visits))
            before = (folder / "runs.jsonl").read_bytes()
        found[case] = folder, before
        arguments += [str(folder), str(len(before) + room)]
    tests = Path(__file__).parents[1]
    done = subprocess.run(
        [sys.executable, "-c", ON_A_FULL_DISK, str(tests), *arguments],
        capture_output=True,
        text=True,
        timeout=300,
        check=True,
    )
    assert done.stdout.split() == [str(errno.EFBIG)] * len(FULL)
    return found


@pytest.mark.parametrize("case", FULL)
def test_a_full_disk_ends_a_campaign_and_takes_nothing_that_was_measured(
    case: str, full: dict[str, tuple[Path, bytes]], whole: Path
) -> None:
    folder, before = full[case]
    log = folder / "runs.jsonl"
    content = log.read_bytes() if log.exists() else b""
    assert content.startswith(before)
    assert (whole / "runs.jsonl").read_bytes().startswith(content), "whole lines, and at most a part of the next"
    kept = content.count(b"\n")
    assert len(log_of(folder)) == kept >= FULL[case][0]
    device = steady()
    measure(folder, device)
    assert device.visits == FEWEST_PASSES * VISITS_A_PASS - kept
    assert log.read_bytes() == (whole / "runs.jsonl").read_bytes()


# Refusals


def test_what_a_device_refuses_is_kept_apart_and_asked_once(tmp_path: Path) -> None:
    refused = {ROWS[2].key, NETWORKS[1].key}
    outcome = measure(tmp_path, steady(refuses=lambda item: item in refused))
    asked = Counter(run.item for _, run in log_of(tmp_path))
    assert set(outcome.refused) == refused
    assert [asked[key] for key in refused] == [1, 1]
    for found in (outcome.rows, outcome.networks):
        for key, ms, visits in zip(found.items, found.ms, found.visits, strict=True):
            assert visits == (0 if key in refused else FEWEST_PASSES)
            assert np.isnan(ms) if key in refused else ms == pytest.approx(item_ms(key), rel=1e-5)


def test_a_refused_reference_ends_the_campaign_and_is_asked_again_by_the_next(tmp_path: Path) -> None:
    for _ in range(2):
        with pytest.raises(DeviceError, match="refuses the reference network"):
            measure(tmp_path, steady(refuses=lambda item: item == "reference"))
    outcome = measure(tmp_path, steady())
    assert outcome.reference_ms == pytest.approx(item_ms("reference"))
    assert outcome.refused == ()


# Folders of others


def test_a_folder_of_other_items_is_refused(whole: Path) -> None:
    with pytest.raises(RequestError, match="begun with other items; give another folder"):
        campaign(whole, steady(), items=ITEMS[1:]).measure(minutes=0.0, progress=silent)


def test_a_folder_of_another_device_is_refused_with_the_difference(whole: Path) -> None:
    with pytest.raises(RequestError, match="begun on another device: soc 'fake' against 'another'"):
        measure(whole, OtherDevice(item_ms))


def test_a_folder_of_another_reference_is_refused(whole: Path) -> None:
    other = Campaign(whole, steady(), ITEMS, reference=("another", lower(REFERENCE)))
    with pytest.raises(RequestError, match="begun with other items"):
        other.measure(minutes=0.0, progress=silent)


def test_a_folder_begun_in_another_order_is_refused(whole: Path) -> None:
    with pytest.raises(RequestError, match="seed"):
        campaign(whole, steady(), seed=1).measure(minutes=0.0, progress=silent)


def test_a_folder_that_another_process_measures_into_is_in_use(tmp_path: Path) -> None:
    device = steady()
    with (
        only_process(tmp_path, doing="measuring into"),
        pytest.raises(InUse, match="another process is measuring into"),
    ):
        measure(tmp_path, device)
    assert device.visits == 0
    measure(tmp_path, device)


def test_a_campaign_of_a_newer_format_is_refused(tmp_path: Path) -> None:
    with pytest.raises(DeviceError):
        measure(tmp_path, steady(dies_after=3))
    path = tmp_path / "campaign.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), "format": 2}))
    with pytest.raises(OtherFormat, match="format 2"):
        measure(tmp_path, steady())


def test_the_same_seed_makes_the_same_visits_and_another_does_not(whole: Path, tmp_path: Path) -> None:
    for name, seed in (("same", 0), ("other", 1)):
        campaign(tmp_path / name, steady(), seed=seed).measure(minutes=0.0, progress=silent)
    assert log_of(tmp_path / "same") == log_of(whole)
    assert log_of(tmp_path / "other") != log_of(whole)


def test_a_models_file_is_the_same_whenever_it_is_written(tmp_path: Path) -> None:
    for name in ("one", "other"):
        measure(tmp_path / name, steady())
    one, other = tmp_path / "one" / "models", tmp_path / "other" / "models"
    names = sorted(path.name for path in one.iterdir())
    assert len([name for name in names if name.endswith(".onnx")]) == len(ITEMS) + 1
    assert all((one / name).read_bytes() == (other / name).read_bytes() for name in names)


def test_unfinished_models_are_written_anew(tmp_path: Path) -> None:
    with pytest.raises(DeviceError):
        measure(tmp_path, steady(dies_after=3))
    models = tmp_path / "models"
    written = (models / "3.onnx").read_bytes()
    (models / ".complete").unlink()
    (models / "3.onnx").write_bytes(written[:10])
    measure(tmp_path, steady())
    assert (models / "3.onnx").read_bytes() == written


# Models as graphs, and batches


class ReadsGraphs(FakeDevice):
    """A fake device that builds networks itself."""

    def facts(self) -> DeviceFacts:
        """Facts that ask for graphs."""
        return super().facts().model_copy(update={"reads": "graph"})


def test_a_device_that_reads_graphs_is_given_every_items(tmp_path: Path) -> None:
    visits: dict[str, str] = {}

    class Watched(ReadsGraphs):
        def run(self, plan):  # type: ignore[no-untyped-def]
            visits.update({visit.item: visit.model for visit in plan.visits})
            return super().run(plan)

    measure(tmp_path, Watched(item_ms))
    assert {path.suffix for path in (tmp_path / "models").iterdir()} == {".json", ""}
    for key, graph in [("reference", lower(REFERENCE)), *((item.key, item.graph) for item in ITEMS)]:
        written = json.loads((tmp_path / "models" / visits[key]).read_text())
        assert written == json.loads(json.dumps(graph.to_json()))


def test_torch_measures_rows_and_networks_from_their_graphs_in_batches(tmp_path: Path) -> None:
    with opened(parse_target("local:torch")) as device:
        measuring = Campaign(tmp_path, device, ITEMS, reference=("a tiny network", lower(REFERENCE)), batch=2)
        outcome = measuring.measure(minutes=0.0, fewest_passes=1, progress=silent)
    assert outcome.refused == ()
    assert [*outcome.rows.visits, *outcome.networks.visits] == [1] * len(ITEMS)
    assert 0 < outcome.inside_seconds < outcome.device_seconds


def test_a_campaign_begun_with_another_batch_is_refused(tmp_path: Path) -> None:
    measure(tmp_path, steady())
    other = Campaign(tmp_path, steady(), ITEMS, reference=("a tiny network", lower(REFERENCE)), batch=2)
    with pytest.raises(RequestError, match="begun on another device: batch 1 against 2"):
        other.measure(minutes=0.0, progress=silent)

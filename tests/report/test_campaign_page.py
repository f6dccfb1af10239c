"""What the page says of a device, of its campaigns, and of one that is running or was broken off."""

import json
import os
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from strategies import TINY
from support.known_times import item_ms
from support.page_text import Page, read_page
from support.report_folders import CAMPAIGN_REQUEST, HOUR_S, break_off, measure
from support.sample_job import fake_device

from mnas_evo.devices.campaign import REFERENCE
from mnas_evo.devices.fake import FakeDevice
from mnas_evo.devices.profile import ProfileRequest
from mnas_evo.errors import DamagedFile, DeviceError, OtherFormat, RequestError
from mnas_evo.latency.foreign import import_table
from mnas_evo.latency.runs import Plan, Run
from mnas_evo.latency.table import read_table
from mnas_evo.report.campaign import drift_words, lasting
from mnas_evo.report.page import write_report

HOSTILE = "</script><img src=x onerror=alert(2)>'\"&"


def report(folder: Path) -> Page:
    """The page on a folder, written beside it."""
    return read_page(write_report(folder, folder.parent / "page.html"))


def section_ids(page: Page) -> list[str]:
    return [found["id"] for tag, found in page.elements if tag == "section"]


def logged(raw: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in (raw / "runs.jsonl").read_text(encoding="utf-8").splitlines()]


@pytest.fixture(scope="module")
def visits(tmp_path_factory: pytest.TempPathFactory) -> tuple[int, int]:
    """Visits of an undisturbed profile: those of the first look, and all."""
    folder = tmp_path_factory.mktemp("whole") / "table"
    device = fake_device()
    measure(folder, device)
    (scout,) = folder.glob("raw/*-scout/runs.jsonl")
    return len(scout.read_text().splitlines()), device.visits


# A campaign that has not come to its end


@pytest.mark.parametrize("share", [0.1, 0.5, 0.95])
def test_a_campaign_that_was_broken_off_is_reported_as_far_as_it_came(
    share: float, visits: tuple[int, int], tmp_path: Path
) -> None:
    scout, whole = visits
    raw = break_off(tmp_path / "table", after=scout + int(share * (whole - scout)))
    runs = logged(raw)
    last = max(run["pass"] for run in runs)
    items = {run["item"] for run in runs} - {REFERENCE}
    here = {run["item"] for run in runs if run["pass"] == last} - {REFERENCE}
    planned = len(list((raw / "models").glob("*.onnx"))) - 1
    found = report(tmp_path / "table")
    assert section_ids(found) == ["summary", "campaign"]
    for words in (
        "The campaign broken off",
        "60.0 minutes ago: it was broken off, or its device does not answer.",
        f"In pass {last + 1}, of 4 at least and 40 at most, it has visited {len(here)} of {planned} items.",
        f"{sum('/' not in item for item in items)} rows",
        f"on the device; a pass over all items takes about {lasting(seconds_of_a_pass(runs, planned))}",
        "SoC: fake",
    ):
        assert words.replace("\u00a0", " ") in found.words, words
    assert f"mnas-evo profile TARGET --table {tmp_path / 'table'} --space SPACE" in found.codes
    (reference,) = (t for t in found.figures["figure-campaign-reference"]["data"] if t["name"] == "visit")
    assert len(reference["x"]) == sum(run["item"] == REFERENCE for run in runs)


def seconds_of_a_pass(runs: list[dict[str, object]], planned: int) -> float:
    first = [run for run in runs if run["pass"] == 0]
    visited = len({run["item"] for run in first} - {REFERENCE})
    return sum(float(str(run["wall_ns"])) for run in first) / 1e9 * planned / visited


def test_a_job_folder_shows_the_campaign_of_its_table(visits: tuple[int, int], tmp_path: Path) -> None:
    break_off(tmp_path / "job" / "table", after=visits[1] - 9)
    assert section_ids(report(tmp_path / "job")) == ["summary", "campaign"]


def test_a_first_look_that_was_broken_off_is_called_one(visits: tuple[int, int], tmp_path: Path) -> None:
    break_off(tmp_path / "table", after=visits[0] // 2)
    found = report(tmp_path / "table")
    assert "A first look broken off" in found.words
    assert "In its only pass it has visited" in found.words and "After this look at every row" in found.words


def test_a_campaign_without_a_visit_is_reported(visits: tuple[int, int], tmp_path: Path) -> None:
    raw = break_off(tmp_path / "table", after=visits[0])
    planned = len(list((raw / "models").glob("*.onnx"))) - 1
    found = report(tmp_path / "table")
    assert f"None of {planned} items was visited yet." in found.words
    assert not found.figures


def test_a_first_look_that_ended_alone_is_reported_and_no_more_once_there_is_a_table(tmp_path: Path) -> None:
    measure(tmp_path / "table", fake_device())
    table = tmp_path / "table"
    (scout,) = table.glob("raw/*-scout")
    alone = tmp_path / "alone"
    (alone / "raw").mkdir(parents=True)
    scout.rename(alone / "raw" / scout.name)
    assert "campaign" in section_ids(report(alone))
    assert "campaign" not in section_ids(report(table))


def test_a_last_visit_just_now_means_that_it_is_running(visits: tuple[int, int], tmp_path: Path) -> None:
    raw = break_off(tmp_path / "table", after=visits[1] - 9)
    os.utime(raw / "runs.jsonl")
    found = report(tmp_path / "table")
    assert "The campaign in progress" in found.words and "It is running: it last wrote at" in found.words


def test_a_line_that_is_just_being_written_counts_for_nothing(visits: tuple[int, int], tmp_path: Path) -> None:
    raw = break_off(tmp_path / "table", after=visits[1] - 9)
    an_hour_ago = (time.time() - HOUR_S,) * 2
    os.utime(raw / "runs.jsonl", an_hour_ago)
    before = report(tmp_path / "table").words
    with (raw / "runs.jsonl").open("a", encoding="utf-8") as file:
        file.write('{"pass": 9, "slot"')
    os.utime(raw / "runs.jsonl", an_hour_ago)
    after = report(tmp_path / "table").words
    assert after.partition("Written")[0] == before.partition("Written")[0]


class Watched:
    """A device with somebody who looks at a report after every so many visits."""

    def __init__(self, device: FakeDevice, folder: Path, *, every: int) -> None:
        self._device, self._folder, self._every = device, folder, every
        self.pages: list[str] = []
        self.facts, self.close = device.facts, device.close

    def run(self, plan: Plan) -> Iterator[Run]:
        for run in self._device.run(plan):
            yield run
            if self._device.visits % self._every == 0:
                self.pages.append(report(self._folder).words)


def test_a_report_on_a_running_campaign_changes_and_hinders_nothing(tmp_path: Path) -> None:
    watched = Watched(fake_device(), tmp_path / "seen" / "table", every=150)
    measure(tmp_path / "seen" / "table", watched)
    measure(tmp_path / "alone" / "table", fake_device())
    assert len(watched.pages) > 2
    assert all("in progress" in words for words in watched.pages)
    for path in (tmp_path / "alone").rglob("*"):
        if path.is_file() and path.suffix in (".csv", ".jsonl"):
            assert path.read_bytes() == (tmp_path / "seen" / path.relative_to(tmp_path / "alone")).read_bytes()
    names = [
        {str(path.relative_to(top / "table")) for path in (top / "table").rglob("*")}
        for top in (tmp_path / "alone", tmp_path / "seen")
    ]
    assert names[0] == names[1]


def test_a_campaign_that_went_on_to_its_end_is_no_longer_in_progress(visits: tuple[int, int], tmp_path: Path) -> None:
    break_off(tmp_path / "table", after=visits[1] - 9)
    assert "campaign" in section_ids(report(tmp_path / "table"))
    measure(tmp_path / "table", fake_device())
    found = report(tmp_path / "table")
    assert section_ids(found) == ["summary", "device", "prediction", "rows", "noise"]


def test_a_second_campaign_stands_beside_the_table_of_the_first(tmp_path: Path) -> None:
    table = tmp_path / "table"
    measure(table, fake_device())
    break_off(table, after=500, request=replace(CAMPAIGN_REQUEST, networks=8, seed=3), age_s=0)
    found = report(table)
    assert section_ids(found) == ["summary", "campaign", "device", "prediction", "rows", "noise"]
    assert "all else on this page is of the measurements before it" in found.words
    assert f"mnas-evo profile 'fake?threads=1' --table {table} --space {TINY.name} --seed 3" in found.codes
    assert len(found.ids()) == len(set(found.ids()))


def test_a_campaign_that_is_gone_on_with_for_longer_is_in_progress_again(tmp_path: Path) -> None:
    table = tmp_path / "table"
    measure(table, FakeDevice(item_ms, noise=0.3))
    assert "campaign" not in section_ids(report(table))
    with pytest.raises(DeviceError):
        measure(table, FakeDevice(item_ms, noise=0.3, dies_after=50), minutes=10)
    found = report(table)
    assert "campaign" in section_ids(found)
    assert "In pass 5, of 4 at least and 40 at most, it has visited" in found.words
    assert "goes on until its times are known well or the minutes, which no file records, are spent" in found.words


def test_networks_asked_for_by_name_go_on_with_arch(tmp_path: Path) -> None:
    request = ProfileRequest(None, asked=tuple(TINY.networks(TINY.sizes[None] * 0)), batch=2)
    break_off(tmp_path / "table", after=3, request=request)
    found = report(tmp_path / "table")
    assert f"mnas-evo profile TARGET --table {tmp_path / 'table'} --arch ARCH --batch 2" in found.codes
    assert "Batch: 2 images" in found.words


def test_interval_widths_are_told_from_the_third_pass_on(visits: tuple[int, int], tmp_path: Path) -> None:
    scout, whole = visits
    break_off(tmp_path / "early" / "table", after=scout + (whole - scout) // 3)
    assert "How well the times are known so far" not in report(tmp_path / "early" / "table").words
    break_off(tmp_path / "late" / "table", after=whole - 1)
    rows, networks = report(tmp_path / "late" / "table").table("Kind", "Items")
    assert (rows[0], networks[0]) == ("rows", "networks")
    assert 0 < float(rows[2]) < 5 and 0 <= float(rows[3]) <= 100 and int(networks[1]) == 8


def test_what_was_refused_is_told_with_the_reason_and_no_text_becomes_markup(
    visits: tuple[int, int], tmp_path: Path
) -> None:
    raw = break_off(tmp_path / "table", after=visits[1] - 9)
    lines = (raw / "runs.jsonl").read_text(encoding="utf-8").splitlines()
    clean = report(tmp_path / "table")
    hostile = {"pass": 0, "slot": 999, "item": f"row{HOSTILE}", "times_ns": [], "wall_ns": 0, "state": {}}
    lines.append(json.dumps(hostile | {"refusal": f"why{HOSTILE}"}))
    (raw / "runs.jsonl").write_text("\n".join(lines) + "\n", encoding="utf-8")
    form = json.loads((raw / "campaign.json").read_text())
    form["device"] |= {"name": HOSTILE, "soc": HOSTILE, "os": HOSTILE, "agent": HOSTILE}
    (raw / "campaign.json").write_text(json.dumps(form))
    found = report(tmp_path / "table")
    assert "The device refused 1 item" in found.words
    assert found.table("Item", "Why") == [[f"row{HOSTILE}", f"why{HOSTILE}"]]
    assert len(found.scripts) == len(clean.scripts)
    assert not [tag for tag, _ in found.elements if tag == "img"]


def test_a_damaged_log_and_one_of_a_newer_format_are_named(visits: tuple[int, int], tmp_path: Path) -> None:
    raw = break_off(tmp_path / "table", after=visits[1] - 9)
    log = (raw / "runs.jsonl").read_text(encoding="utf-8")
    (raw / "runs.jsonl").write_text("x\n" + log, encoding="utf-8")
    with pytest.raises(DamagedFile, match=r"runs\.jsonl, line 1"):
        report(tmp_path / "table")
    form = json.loads((raw / "campaign.json").read_text())
    (raw / "campaign.json").write_text(json.dumps(form | {"format": 9}))
    (raw / "runs.jsonl").write_text(log, encoding="utf-8")
    with pytest.raises(OtherFormat, match=r"campaign\.json has format 9"):
        report(tmp_path / "table")


def test_a_folder_with_empty_raw_runs_still_holds_nothing(tmp_path: Path) -> None:
    (tmp_path / "table" / "raw" / "0123456789ab").mkdir(parents=True)
    with pytest.raises(RequestError, match="holds nothing to report on"):
        report(tmp_path / "table")


# The device and the campaigns that ended


def test_every_campaign_has_a_row_with_its_facts(tmp_path: Path) -> None:
    table = tmp_path / "table"
    measure(table, fake_device())
    measure(
        table, FakeDevice(item_ms, refuses=lambda item: item.startswith("mbconv_e3")), replace(CAMPAIGN_REQUEST, seed=7)
    )
    campaigns = read_table(table).campaigns
    found = report(table)
    rows = found.table("Target", "Date")
    assert len(rows) == len(campaigns) == 2
    for cells, campaign in zip(rows, campaigns, strict=True):
        assert cells[:5] == ["fake", campaign.date, TINY.name, str(campaign.seed), str(campaign.passes)]
        assert cells[5] == f"{campaign.device_seconds:,.0f}"
        assert float(cells[9]) == pytest.approx(campaign.reference_ms, rel=1e-3)
        assert cells[10:] == [str(len(campaign.refused)), str(len(campaign.unstable))]
    assert int(rows[1][10]) > 0
    for words in ("SoC: fake", "Runtime: fake 1", "Threads: 1", "Precision: fp32", "Governor: not known"):
        assert words in found.words


def test_a_table_from_elsewhere_has_a_device_and_no_campaign(tmp_path: Path) -> None:
    networks = tmp_path / "networks.csv"
    networks.write_text(f"network,ms\n{TINY.strings(TINY.sizes[None] * 0)[0]},3.5\n", encoding="utf-8")
    table = tmp_path / "table"
    import_table(networks, table, format="networks", soc="Elsewhere", runtime="tflite 2", task=TINY.frame)
    found = report(table)
    assert "No campaign of measurements was made here: the times were imported." in found.words
    assert "SoC: Elsewhere" in found.words and "Runtime: tflite 2" in found.words


def series(off: np.ndarray) -> tuple[tuple[int, int, float], ...]:
    return tuple((0, slot, 5.0 * float(1 + one)) for slot, one in enumerate(off))


def test_noise_alone_is_not_called_drift() -> None:
    said = drift_words(series(0.01 * np.random.default_rng(0).standard_normal(2000)))
    assert "1.0\u00a0%" in said and "hardly any drift" in said


def test_drift_is_told_apart_from_noise() -> None:
    rng = np.random.default_rng(0)
    drift = 0.03 * np.sin(np.arange(2000) / 200)
    said = drift_words(series(drift + 0.005 * rng.standard_normal(2000))).replace("\u00a0", " ")
    assert "scatter by 0.5 %" in said
    told = float(said.split("so that about ")[1].split(" %")[0])
    assert told == pytest.approx(100 * float(np.ptp(np.quantile(drift, [0.05, 0.95]))), rel=0.05)


def test_of_few_visits_no_drift_is_told() -> None:
    assert drift_words(series(np.zeros(20))) == ""


@pytest.mark.parametrize(
    ("seconds", "words"), [(0.04, "0.0 s"), (42.4, "42 s"), (89, "89 s"), (90, "1.5 minutes"), (7200, "2.0 hours")]
)
def test_a_wait_is_told_in_the_unit_that_suits_it(seconds: float, words: str) -> None:
    assert lasting(seconds).replace("\u00a0", " ") == words

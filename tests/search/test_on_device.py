"""The device in the loop: batches measured as the search goes, resumed where they were, and never measured twice."""

import csv
import itertools
import re
from collections import Counter
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pytest
from strategies import TINY, TINY_TOML
from support.known_times import OtherDevice, item_ms
from support.search_problem import SPACE, ByParams, Killed, dying, problem

from mnas_evo.accuracy.contract import Evaluator
from mnas_evo.devices.fake import FakeDevice
from mnas_evo.errors import DeviceError, RequestError, RunChanged, UnknownTarget
from mnas_evo.finalists.refitting import refit
from mnas_evo.finalists.remeasure import remeasure
from mnas_evo.latency.runs import Device, RunLog
from mnas_evo.report.page import write_report
from mnas_evo.search.archive import Archive, Tell, Value
from mnas_evo.search.drive import drive
from mnas_evo.search.front import candidates, front
from mnas_evo.search.nsga2 import Nsga2
from mnas_evo.search.objectives import Problem
from mnas_evo.search.on_device import PASSES, MeasuredOnDevice, latency_target
from mnas_evo.search.run import SearchRequest, archive_path, open_run, search
from mnas_evo.space.notation import format_network

NETWORKS = SPACE.networks(SPACE.sample(6, rng=np.random.default_rng(0)))
NAMES = [format_network(network) for network in NETWORKS]
BATCH = 6


def steady(**faults: object) -> FakeDevice:
    """A device without noise, which measures the same whenever it is asked."""
    return FakeDevice(item_ms, noise=0.0, **faults)  # type: ignore[arg-type]


def loop(folder: Path, device: Device) -> MeasuredOnDevice:
    return MeasuredOnDevice(folder, device, SPACE.frame, seed=0, progress=lambda share, text: None)


def visits(folder: Path) -> Counter[tuple[str, str]]:
    """How often each network was visited, by its batch's folder."""
    logs = {path.parent.name: RunLog(path).read() for path in sorted(folder.glob("*/runs.jsonl"))}
    return Counter((name, run.item) for name, log in logs.items() for _, run in log if run.item != "reference")


def searched(
    folder: Path, device: Device, *, dear: Evaluator | None = None, limits: Mapping[str, float] | None = None
) -> list[Tell]:
    target = Problem(
        SPACE, ("top1", "latency_ms"), limits or {}, {}, dear or ByParams(), loop(folder / "device", device)
    )
    with Archive(folder / "archive", create=True) as archive:
        drive(
            Nsga2(SPACE, objectives=2, seed=0, population=BATCH),
            target,
            archive,
            evaluations=15,
            seed=0,
            progress=lambda done, text: None,
        )
        return archive.tells()


# Measuring a batch


def test_a_batch_is_measured_as_it_is_with_an_interval_and_its_source(tmp_path: Path) -> None:
    found = loop(tmp_path, FakeDevice(item_ms, noise=0.02)).measure(NETWORKS, batch=3)
    for name, value in zip(NAMES, found, strict=True):
        assert isinstance(value, Value)
        assert value.value == pytest.approx(item_ms(name), rel=0.03)
        assert value.source == "measured:fake"
        assert value.low is not None and value.high is not None and value.low < value.value < value.high
    assert set(visits(tmp_path).values()) == {PASSES}


def test_models_written_for_a_batch_are_gone_after_it(tmp_path: Path) -> None:
    loop(tmp_path, steady()).measure(NETWORKS, batch=0)
    assert sorted(path.suffix for path in tmp_path.rglob("*") if path.is_file()) == ["", ".json", ".json", ".jsonl"]


def test_an_ended_batch_is_read_again_and_so_is_a_part_of_it(tmp_path: Path) -> None:
    found = loop(tmp_path, steady()).measure(NETWORKS, batch=0)
    device = steady()
    assert loop(tmp_path, device).measure(NETWORKS, batch=0) == found
    assert loop(tmp_path, device).measure(NETWORKS[2:], batch=0) == found[2:]
    assert device.visits == 0
    loop(tmp_path, device).measure(NETWORKS, batch=1)
    assert device.visits > 0


def test_a_noisy_batch_gets_more_visits_within_its_time(tmp_path: Path) -> None:
    loop(tmp_path, FakeDevice(item_ms, noise=0.5)).measure(NETWORKS, batch=0)
    assert min(visits(tmp_path).values()) > PASSES


@pytest.mark.parametrize("moment", [0, 1, 17, 40])
def test_a_batch_killed_in_the_middle_keeps_what_was_measured(tmp_path: Path, moment: int) -> None:
    whole = loop(tmp_path / "whole", steady()).measure(NETWORKS, batch=0)
    with pytest.raises(DeviceError, match="told to die"):
        loop(tmp_path / "cut", steady(dies_after=moment)).measure(NETWORKS, batch=0)
    assert loop(tmp_path / "cut", steady()).measure(NETWORKS, batch=0) == whole
    assert visits(tmp_path / "cut") == visits(tmp_path / "whole")


def test_what_the_device_refuses_is_a_text_and_the_others_are_measured(tmp_path: Path) -> None:
    for device in (steady(refuses=lambda item: item == NAMES[2]), steady()):
        found = loop(tmp_path, device).measure(NETWORKS, batch=0)
        assert found[2] == "the device refused it: the fake device was told to refuse"
        assert all(isinstance(value, Value) for i, value in enumerate(found) if i != 2)
    everything = loop(tmp_path, steady(refuses=lambda item: item != "reference")).measure(NETWORKS, batch=1)
    assert all(isinstance(value, str) for value in everything)


# In a search


def test_latency_is_measured_before_accuracy_is_paid_for(tmp_path: Path) -> None:
    limit = float(np.median([item_ms(name) for name in NAMES]))
    tells = searched(tmp_path, steady(), limits={"latency_ms": limit})
    broken = [tell for tell in tells if tell.kind == "violation"]
    assert broken and all(tell.values.keys() == {"latency_ms"} for tell in broken)
    paid = [tell for tell in tells if tell.kind == "values" and not tell.repeat]
    assert len(paid) + len(broken) == 15  # what was measured cost the device's time, whatever it showed
    for tell in paid:
        assert tell.values["latency_ms"].value == pytest.approx(item_ms(tell.network)) and "top1" in tell.values


def test_a_refused_network_is_a_failure_and_the_search_goes_on(tmp_path: Path) -> None:
    dropped: set[str] = set()

    def refuses(item: str) -> bool:
        if item != "reference" and len(dropped) < 2:
            dropped.add(item)
        return item in dropped

    tells = searched(tmp_path, steady(refuses=refuses))
    failed = {tell.network for tell in tells if tell.kind == "failure"}
    assert failed == dropped
    assert all("refused" in tell.message for tell in tells if tell.kind == "failure")


@pytest.mark.parametrize("moment", [0, 20, 60, 75])
def test_a_device_that_goes_away_ends_the_search_and_the_same_command_goes_on(tmp_path: Path, moment: int) -> None:
    whole = searched(tmp_path / "whole", steady())
    (tmp_path / "cut").mkdir()
    with pytest.raises(DeviceError, match="told to die"):
        searched(tmp_path / "cut", steady(dies_after=moment))
    with Archive(tmp_path / "cut" / "archive") as archive:
        kept = archive.tells()
    assert kept == whole[: len(kept)]
    assert searched(tmp_path / "cut", steady()) == whole
    assert visits(tmp_path / "cut" / "device") == visits(tmp_path / "whole" / "device")


@pytest.mark.parametrize("at", [0, 3, 8])
def test_a_search_killed_while_accuracy_is_paid_for_measures_nothing_again(tmp_path: Path, at: int) -> None:
    whole = searched(tmp_path / "whole", steady())
    with pytest.raises(Killed):
        searched(tmp_path / "cut", steady(), dear=dying(problem(), at).dear)
    assert searched(tmp_path / "cut", steady()) == whole
    assert visits(tmp_path / "cut" / "device") == visits(tmp_path / "whole" / "device")


# A run folder


@pytest.fixture
def space(tmp_path: Path) -> str:
    (tmp_path / "tiny.toml").write_text(TINY_TOML, encoding="utf-8")
    return str(tmp_path / "tiny.toml")


@pytest.fixture
def accuracies(tmp_path: Path) -> str:
    genomes = np.array(list(itertools.product(*(range(size) for size in TINY.sizes))), dtype=np.int64)
    with (tmp_path / "top1.csv").open("w", encoding="utf-8", newline="") as file:
        csv.writer(file).writerows(
            [("architecture", "top1"), *((name, 50.0) for name in sorted(set(TINY.strings(genomes))))]
        )
    return f"table:{tmp_path / 'top1.csv'}"


def fake_target(monkeypatch: pytest.MonkeyPatch, device: Device) -> None:
    @contextmanager
    def opened(*asked: object, **more: object) -> Iterator[Device]:
        yield device

    monkeypatch.setattr("mnas_evo.search.run.opened", opened)


def request(space: str, accuracy: str = "", **more: object) -> SearchRequest:
    given: dict[str, object] = {
        "space": space,
        "tables": (),
        "accuracy": accuracy,
        "algorithm": "random:batch=4",
        "evaluations": 8,
        "device": "local",
        **more,
    }
    return SearchRequest(**given)  # type: ignore[arg-type]


def run(folder: Path, asked: SearchRequest) -> None:
    search(folder, asked, progress=lambda done, text: None)


def test_a_run_says_what_it_measured_on_and_its_front_and_page_stand_on_that(
    tmp_path: Path, space: str, accuracies: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    fake_target(monkeypatch, FakeDevice(item_ms))
    run(tmp_path / "run", request(space, accuracies))
    form, archive = open_run(tmp_path / "run")
    with archive:
        found = candidates(archive)
    assert form.device == "local:onnxruntime?threads=1&precision=fp32" and form.objectives == ("top1", "latency_ms")
    assert form.pins["device's runtime_version"] == "1"
    for candidate in found:
        assert candidate.predicted_ms is None and candidate.prediction is None
        assert candidate.measured_ms == candidate.latency_ms == candidate.tell.values["latency_ms"].value
    assert front(found, form.objectives)
    again = remeasure(tmp_path / "run", steady(), top=2, minutes=0.0, progress=lambda share, text: None)
    assert again.as_searched and 0 < again.found.error_percent < 3
    assert again.in_words().startswith(
        "2 networks of the front measured (noise 0.00 %): the times of the search were off"
    )
    with pytest.raises(RequestError, match="measured latency as it searched: there is no predictor to fit"):
        refit(tmp_path / "run")
    with pytest.raises(RequestError, match="measured on another device: device's soc was 'fake', not 'another'"):
        remeasure(tmp_path / "run", OtherDevice(item_ms), top=2, minutes=0.0, progress=lambda share, text: None)
    page = write_report(tmp_path / "run", tmp_path / "page.html").read_text(encoding="utf-8")
    words = re.sub(r"<script.*?</script>", "", page, flags=re.DOTALL)
    assert "measured as the search went" in words and "Measured (ms)" in words
    assert "predict" not in words.lower()


def test_a_run_goes_on_with_more_evaluations_but_not_on_another_device(
    tmp_path: Path, space: str, accuracies: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    fake_target(monkeypatch, steady())
    run(tmp_path / "run", request(space, accuracies))
    device = steady()
    fake_target(monkeypatch, device)
    run(tmp_path / "run", request(space, accuracies))
    assert device.visits == 0
    run(tmp_path / "run", request(space, accuracies, evaluations=12))
    assert device.visits > 0
    fake_target(monkeypatch, OtherDevice(item_ms))
    with pytest.raises(RunChanged, match="the device's soc that"):
        run(tmp_path / "run", request(space, accuracies))


def test_limits_on_latency_are_checked_network_by_network(
    tmp_path: Path, space: str, accuracies: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    fake_target(monkeypatch, steady())
    run(tmp_path / "all", request(space, accuracies))
    with Archive(archive_path(tmp_path / "all")) as archive:
        limit = float(np.median([tell.values["latency_ms"].value for tell in archive.tells()]))
    run(tmp_path / "run", request(space, accuracies, limits=(f"latency={limit}",)))
    with Archive(archive_path(tmp_path / "run")) as archive:
        assert any(tell.kind == "violation" for tell in archive.tells())
        assert all(
            candidate.measured_ms is not None and candidate.measured_ms <= limit for candidate in candidates(archive)
        )


def test_no_device_is_started_where_latency_plays_no_part(tmp_path: Path, space: str, accuracies: str) -> None:
    run(tmp_path / "run", request(space, accuracies, objectives="top1,macs", device="ssh://nobody@192.0.2.1"))


def test_requests_that_cannot_be_met_say_what_to_give(tmp_path: Path, space: str, accuracies: str) -> None:
    with pytest.raises(RequestError, match="--table or --latency, not both"):
        run(tmp_path / "run", request(space, accuracies, tables=("one",)))
    with pytest.raises(UnknownTarget, match="toaster"):
        run(tmp_path / "run", request(space, accuracies, device="toaster"))
    with pytest.raises(RequestError, match="--target-ms"):
        run(tmp_path / "run", request(space, accuracies, algorithm="evolution"))
    for text in ("local", "device:", "table:x"):
        with pytest.raises(RequestError, match="such as device:local"):
            latency_target(text)
    assert latency_target("device:ssh://pi@pi5?threads=2") == "ssh://pi@pi5?threads=2"


def test_four_networks_are_measured_on_this_machine(tmp_path: Path) -> None:
    asked = request("digits", objectives="latency,params", algorithm="random:batch=4", evaluations=4)
    run(tmp_path / "run", asked)
    with Archive(archive_path(tmp_path / "run")) as archive:
        found = candidates(archive)
    assert len(found) == 4
    assert all(c.measured_ms is not None and c.measured_ms > 0 for c in found)
    assert all(c.tell.values["latency_ms"].source == "measured:onnxruntime" for c in found)
    assert min(visits(tmp_path / "run" / "device").values()) >= PASSES
    assert not list((tmp_path / "run").rglob("*.onnx"))

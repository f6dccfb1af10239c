"""What every device promises, the public fake and the real agent alike. Joining costs a line in DEVICES."""

import json
import subprocess
import sys
from collections.abc import Callable, Iterator
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import pytest
from strategies import TINY

from mnas_evo.devices.fake import FakeDevice
from mnas_evo.devices.target import Target, open_device, opened, parse_target
from mnas_evo.latency.runs import Device, DeviceFacts, Plan, Visit
from mnas_evo.models.onnx_writer import SharedWeights, onnx_model
from mnas_evo.space.lowering import lower

DEVICES: dict[str, Callable[[], Device]] = {
    "fake": lambda: FakeDevice(lambda item: 0.5, refuses=lambda item: item == "broken"),
    "local onnxruntime": lambda: open_device(Target()),
    "local openvino": lambda: open_device(Target("openvino")),
    "local torch": lambda: open_device(Target("torch")),
}
FORMS = {"onnx": ".onnx", "graph": ".json"}
OPTIONAL = {"local openvino": "openvino"}  # what a runtime that a plain install lacks is imported as


@pytest.fixture(scope="module", params=DEVICES)
def device(request: pytest.FixtureRequest) -> Iterator[Device]:
    if (module := OPTIONAL.get(request.param)) and find_spec(module) is None:
        pytest.skip(f"{module} is not installed")
    found = DEVICES[request.param]()
    yield found
    found.close()


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two models of the tiny space, each as ONNX and as its graph, and one of either form that no runtime reads."""
    found = tmp_path_factory.mktemp("models")
    rng = np.random.default_rng(0)
    graphs = [lower(network) for network in TINY.networks(TINY.sample(2, rng=rng))]
    weights = SharedWeights(graphs)
    weights.write(found, rng=rng)
    for number, graph in enumerate(graphs):
        (found / f"{number}.onnx").write_bytes(onnx_model(graph, weights=weights).SerializeToString())
        (found / f"{number}.json").write_text(json.dumps(graph.to_json()), encoding="utf-8")
    for form in FORMS.values():
        (found / f"broken{form}").write_bytes(b"no model")
    return found


def plan(device: Device, folder: Path, *items: str) -> Plan:
    """Visits to items of the folder, in the form that the device reads."""
    shape = (1, TINY.frame.channels, TINY.frame.height, TINY.frame.width)
    form = FORMS[device.facts().reads]
    visits = tuple(Visit(slot, item, f"{item}{form}", shape) for slot, item in enumerate(items))
    return Plan(folder, visits, visit_ns=200_000, min_repeats=3, max_repeats=50)


def test_it_says_what_it_is_the_same_each_time(device: Device) -> None:
    facts = device.facts()
    assert isinstance(facts, DeviceFacts) and facts == device.facts()
    assert facts.differences(device.facts()) == []
    assert facts.threads == 1 and facts.precision == "fp32"


def test_it_answers_every_visit_in_order_with_times_in_nanoseconds(device: Device, folder: Path) -> None:
    asked = plan(device, folder, "0", "1", "0")
    runs = list(device.run(asked))
    assert [(run.slot, run.item) for run in runs] == [(visit.slot, visit.item) for visit in asked.visits]
    for run in runs:
        assert run.refusal is None
        assert 3 <= len(run.times_ns) <= 50 and min(run.times_ns) > 0
        assert run.wall_ns >= sum(run.times_ns)
        assert all(isinstance(value, float) for value in run.state.values())


def test_what_it_refuses_it_says_and_goes_on(device: Device, folder: Path) -> None:
    runs = list(device.run(plan(device, folder, "0", "broken", "1")))
    assert [run.refusal is None for run in runs] == [True, False, True]
    assert runs[1].times_ns == ()


def test_a_plan_of_no_visits_is_done_at_once_and_another_follows(device: Device, folder: Path) -> None:
    assert list(device.run(plan(device, folder))) == []
    assert len(list(device.run(plan(device, folder, "1")))) == 1


def test_it_can_be_closed_twice_and_used_again(device: Device, folder: Path) -> None:
    device.close()
    device.close()
    assert len(list(device.run(plan(device, folder, "0")))) == 1


# A GPU, where there is one


@pytest.fixture
def gpu(monkeypatch: pytest.MonkeyPatch) -> None:
    """The first CUDA device, which other tests do not see."""
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "0")
    asked = [sys.executable, "-c", "import sys, torch; sys.exit(not torch.cuda.is_available())"]
    if subprocess.run(asked, timeout=120, check=False).returncode:
        pytest.skip("torch finds no CUDA device here")


@pytest.mark.gpu
@pytest.mark.parametrize("precision", ["fp32", "fp16"])
def test_a_gpu_measures_networks_at_the_precision_it_is_asked_for(precision: str, folder: Path, gpu: None) -> None:
    with opened(parse_target(f"local:torch-cuda?precision={precision}")) as device:
        facts = device.facts()
        assert (facts.runtime, facts.precision, facts.reads) == ("torch-cuda", precision, "graph")
        runs = list(device.run(plan(device, folder, "0", "broken", "1", "0")))
    assert [run.refusal is None for run in runs] == [True, False, True, True]
    for run in runs[:1] + runs[2:]:
        assert 3 <= len(run.times_ns) <= 50
        assert run.wall_ns >= sum(run.times_ns) > 0
        assert all(isinstance(value, float) for value in run.state.values())

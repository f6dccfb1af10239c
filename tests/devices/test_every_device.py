"""What every device promises, the public fake and the real agent alike. Joining costs a line in DEVICES."""

from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest
from strategies import TINY

from mnas_evo.devices.fake import FakeDevice
from mnas_evo.devices.target import Target, open_device
from mnas_evo.latency.runs import Device, DeviceFacts, Plan, Visit
from mnas_evo.models.onnx_writer import SharedWeights, onnx_model
from mnas_evo.space.lowering import lower

DEVICES: dict[str, Callable[[], Device]] = {
    "fake": lambda: FakeDevice(lambda item: 0.5, refuses=lambda item: item == "broken"),
    "local onnxruntime": lambda: open_device(Target()),
}


@pytest.fixture(params=DEVICES)
def device(request: pytest.FixtureRequest) -> Iterator[Device]:
    found = DEVICES[request.param]()
    yield found
    found.close()


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two models of the tiny space, and one that no runtime reads."""
    found = tmp_path_factory.mktemp("models")
    rng = np.random.default_rng(0)
    graphs = [lower(network) for network in TINY.networks(TINY.sample(2, rng=rng))]
    weights = SharedWeights(graphs)
    weights.write(found, rng=rng)
    for number, graph in enumerate(graphs):
        (found / f"{number}.onnx").write_bytes(onnx_model(graph, weights=weights).SerializeToString())
    (found / "broken.onnx").write_bytes(b"no model")
    return found


def plan(folder: Path, *items: str) -> Plan:
    shape = (1, TINY.frame.channels, TINY.frame.height, TINY.frame.width)
    visits = tuple(Visit(slot, item, f"{item}.onnx", shape) for slot, item in enumerate(items))
    return Plan(folder, visits, visit_ns=200_000, min_repeats=3, max_repeats=50)


def test_it_says_what_it_is_the_same_each_time(device: Device) -> None:
    facts = device.facts()
    assert isinstance(facts, DeviceFacts) and facts == device.facts()
    assert facts.differences(device.facts()) == []
    assert facts.threads == 1 and facts.precision == "fp32"


def test_it_answers_every_visit_in_order_with_times_in_nanoseconds(device: Device, folder: Path) -> None:
    asked = plan(folder, "0", "1", "0")
    runs = list(device.run(asked))
    assert [(run.slot, run.item) for run in runs] == [(visit.slot, visit.item) for visit in asked.visits]
    for run in runs:
        assert run.refusal is None
        assert 3 <= len(run.times_ns) <= 50 and min(run.times_ns) > 0
        assert run.wall_ns >= sum(run.times_ns)
        assert all(isinstance(value, float) for value in run.state.values())


def test_what_it_refuses_it_says_and_goes_on(device: Device, folder: Path) -> None:
    runs = list(device.run(plan(folder, "0", "broken", "1")))
    assert [run.refusal is None for run in runs] == [True, False, True]
    assert runs[1].times_ns == ()


def test_a_plan_of_no_visits_is_done_at_once_and_another_follows(device: Device, folder: Path) -> None:
    assert list(device.run(plan(folder))) == []
    assert len(list(device.run(plan(folder, "1")))) == 1


def test_it_can_be_closed_twice_and_used_again(device: Device, folder: Path) -> None:
    device.close()
    device.close()
    assert len(list(device.run(plan(folder, "0")))) == 1

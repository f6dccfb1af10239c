"""The host's end of the wire: against the real agent, and against agents that fail in every way they can."""

import ast
import gc
import importlib.util
import json
import os
import subprocess
import sys
import weakref
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime
import pytest
from support.known_times import FACTS
from support.run_networks import session

from mnas_evo.bundled import bundled_folder
from mnas_evo.devices import agent_process
from mnas_evo.devices.agent_process import AgentProcess
from mnas_evo.devices.target import Target, open_device, opened, parse_target
from mnas_evo.errors import DeviceError
from mnas_evo.latency.runs import Plan, Visit
from mnas_evo.models.onnx_writer import SharedWeights, onnx_model
from mnas_evo.space.lowering import lower
from mnas_evo.space.notation import parse_network

AGENT = bundled_folder("profiling") / "agent.py"
TINY_NETWORK = lower(parse_network("8x8x3/stem4/r1_k3_e1_o4/head8/2"))
IN_SHAPE = (1, *TINY_NETWORK.in_shape)


# The real agent, on the real runtime


@pytest.fixture(scope="module")
def models(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with one model and something that is none."""
    folder = tmp_path_factory.mktemp("models")
    weights = SharedWeights([TINY_NETWORK])
    weights.write(folder, rng=np.random.default_rng(0))
    (folder / "0.onnx").write_bytes(onnx_model(TINY_NETWORK, weights=weights).SerializeToString())
    (folder / "broken.onnx").write_bytes(b"no model")
    return folder


@pytest.fixture(scope="module")
def agent() -> Iterator[AgentProcess]:
    """The agent of this machine."""
    device = open_device(parse_target("local"))
    assert isinstance(device, AgentProcess)
    yield device
    device.close()


def plan(models: Path, *names: str, visit_ns: int = 0, min_repeats: int = 3, max_repeats: int = 9) -> Plan:
    """A plan of visits to models, in order."""
    visits = tuple(Visit(slot, f"item {slot}", name, IN_SHAPE) for slot, name in enumerate(names))
    return Plan(models, visits, visit_ns, min_repeats=min_repeats, max_repeats=max_repeats)


def test_the_agent_says_what_it_measures_with(agent: AgentProcess) -> None:
    facts = agent.facts()
    assert (facts.runtime, facts.runtime_version) == ("onnxruntime", onnxruntime.__version__)
    assert (facts.threads, facts.precision, facts.batch, facts.protocol) == (1, "fp32", 1, 1)
    assert facts.soc
    assert facts.os
    assert agent.facts() is facts


def test_visits_come_back_in_order_with_their_times_and_the_state(agent: AgentProcess, models: Path) -> None:
    runs = list(agent.run(plan(models, "0.onnx", "0.onnx", "0.onnx")))
    assert [(run.slot, run.item) for run in runs] == [(0, "item 0"), (1, "item 1"), (2, "item 2")]
    for run in runs:
        assert run.refusal is None
        assert all(t > 0 for t in run.times_ns)
        assert run.wall_ns >= sum(run.times_ns)
        assert all(np.isfinite(value) for value in run.state.values())


def test_a_visit_without_time_makes_the_fewest_runs(agent: AgentProcess, models: Path) -> None:
    (run,) = agent.run(plan(models, "0.onnx", visit_ns=0))
    assert len(run.times_ns) == 3


def test_a_visit_with_all_the_time_makes_the_most_runs(agent: AgentProcess, models: Path) -> None:
    (run,) = agent.run(plan(models, "0.onnx", visit_ns=10**12))
    assert len(run.times_ns) == 9


def test_a_visit_ends_with_the_first_run_that_fills_its_time(agent: AgentProcess, models: Path) -> None:
    visit_ns = 2_000_000
    (run,) = agent.run(plan(models, "0.onnx", visit_ns=visit_ns, min_repeats=1, max_repeats=1_000_000))
    assert sum(run.times_ns[:-1]) < visit_ns <= sum(run.times_ns)


def test_a_model_that_the_runtime_refuses_is_told_and_the_visits_go_on(agent: AgentProcess, models: Path) -> None:
    first, second, third = agent.run(plan(models, "broken.onnx", "no such.onnx", "0.onnx"))
    assert first.refusal is not None
    assert second.refusal is not None
    assert (first.times_ns, second.times_ns) == ((), ())
    assert third.refusal is None
    assert len(third.times_ns) == 3


def test_an_input_that_the_model_does_not_take_is_a_refusal(agent: AgentProcess, models: Path) -> None:
    asked = plan(models, "0.onnx")
    (run,) = agent.run(replace(asked, visits=(replace(asked.visits[0], in_shape=(1, 5, 8, 8)),)))
    assert run.refusal is not None


def test_an_empty_plan_is_done_at_once(agent: AgentProcess, models: Path) -> None:
    assert list(agent.run(plan(models))) == []
    assert len(list(agent.run(plan(models, "0.onnx")))) == 1


def test_a_closed_agent_starts_anew_when_it_is_needed(models: Path) -> None:
    device = open_device(Target())
    facts = device.facts()
    device.close()
    device.close()
    assert device.facts() == facts
    assert len(list(device.run(plan(models, "0.onnx")))) == 1
    device.close()


def test_a_runtime_that_prints_does_not_speak_on_the_wire(models: Path, tmp_path: Path) -> None:
    script = tmp_path / "agent_of_a_chatty_runtime.py"
    script.write_text(
        "import os, runpy, sys, onnxruntime\n"
        "class Chatty(onnxruntime.InferenceSession):\n"
        "    def run_with_iobinding(self, *inputs):\n"
        "        print('python says hello', flush=True)\n"
        "        os.write(1, b'so does the library\\n')\n"
        "        return super().run_with_iobinding(*inputs)\n"
        "onnxruntime.InferenceSession = Chatty\n"
        f"sys.argv = [{str(AGENT)!r}]\n"
        f"runpy.run_path({str(AGENT)!r}, run_name='__main__')\n"
    )
    device = AgentProcess([sys.executable, str(script)])
    (run,) = device.run(plan(models, "0.onnx"))
    assert len(run.times_ns) == 3
    device.close()


@pytest.mark.parametrize(
    ("target", "said"),
    [
        ("local?precision=int8", "onnxruntime here runs fp32, not int8"),
        ("local?precision=bf16", "onnxruntime here runs fp32, not bf16"),
        ("local?precision=FP32", "onnxruntime here runs fp32, not FP32"),
        ("local?precision=", "onnxruntime here runs fp32, not "),
        ("local:openvino?precision=fp16", "openvino here runs fp32, bf16, not fp16"),
        ("local:torch?precision=int8", "torch here runs fp32, bf16, not int8"),
        ("local:torch-cuda?precision=int8", "torch-cuda here runs fp32, fp16, bf16, not int8"),
    ],
)
def test_a_precision_that_the_runtime_lacks_is_never_replaced_by_another(target: str, said: str) -> None:
    with opened(parse_target(target)) as device, pytest.raises(DeviceError, match=f"agent says: {said}"):
        device.facts()


def test_a_gpu_that_is_not_there_is_an_error_that_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "")
    with opened(parse_target("local:torch-cuda")) as device, pytest.raises(DeviceError, match="finds no CUDA device"):
        device.facts()


def test_a_runtime_that_is_not_installed_is_an_error_that_says_so(tmp_path: Path) -> None:
    (tmp_path / "openvino.py").write_text("raise ImportError('No module named openvino')\n")
    script = tmp_path / "agent_without_openvino.py"
    script.write_text(f"import runpy\nrunpy.run_path({str(AGENT)!r}, run_name='__main__')\n")
    device = AgentProcess([sys.executable, str(script), "--runtime", "openvino"])
    with pytest.raises(DeviceError, match="openvino is not installed on the device: No module named openvino"):
        device.facts()


@pytest.mark.skipif("CUDAExecutionProvider" in onnxruntime.get_available_providers(), reason="it is there")
def test_a_provider_that_is_not_there_is_an_error_that_names_those_that_are() -> None:
    have = ", ".join(onnxruntime.get_available_providers())
    assert "CPUExecutionProvider" in have
    with (
        opened(parse_target("local?provider=CUDAExecutionProvider")) as device,
        pytest.raises(DeviceError, match=f"onnxruntime has no CUDAExecutionProvider here; it has {have}"),
    ):
        device.facts()


def test_the_cpus_provider_by_name_is_the_one_unnamed(agent: AgentProcess, models: Path) -> None:
    with opened(parse_target("local?provider=CPUExecutionProvider")) as device:
        assert device.facts() == agent.facts()
        (run,) = device.run(plan(models, "0.onnx"))
    assert run.refusal is None


@pytest.mark.skipif("AzureExecutionProvider" not in onnxruntime.get_available_providers(), reason="it is not there")
def test_what_a_provider_cannot_run_is_refused_and_not_left_to_the_cpu(models: Path) -> None:
    # Azure's provider, which onnxruntime's wheels have, runs no operator of ours.
    with opened(parse_target("local?provider=AzureExecutionProvider")) as device:
        assert device.facts().runtime == "onnxruntime-azure"
        (run,) = device.run(plan(models, "0.onnx"))
    assert run.refusal is not None


def test_a_provider_of_a_runtime_that_has_none_is_an_error() -> None:
    target = parse_target("local:torch?provider=CUDAExecutionProvider")
    with opened(target) as device, pytest.raises(DeviceError, match="CUDAExecutionProvider"):
        device.facts()


@pytest.mark.skipif(importlib.util.find_spec("openvino") is None, reason="openvino is not installed")
def test_a_device_that_openvino_lacks_is_an_error_that_names_those_it_has() -> None:
    with (
        opened(parse_target("local:openvino?provider=TOASTER")) as device,
        pytest.raises(DeviceError, match=r"OpenVINO has no device TOASTER here; it has .*CPU"),
    ):
        device.facts()


def test_the_agent_refuses_a_plan_of_another_protocol_and_ends() -> None:
    done = subprocess.run(
        [sys.executable, str(AGENT)],
        input='{"type": "plan", "protocol": 2}\n',
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    hello, error = (json.loads(line) for line in done.stdout.splitlines())
    assert (hello["type"], hello["protocol"]) == ("hello", 1)
    assert (error["type"], error["message"]) == ("error", "cannot read a plan of protocol 2")
    assert done.returncode == 2


# The agent's classes


@pytest.fixture(scope="module")
def module() -> Any:
    """profiling/agent.py, imported."""
    spec = importlib.util.spec_from_file_location("agent_as_a_module", AGENT)
    assert spec is not None and spec.loader is not None
    found = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(found)
    return found


class WatchedCore:
    """OpenVINO's core, whose compiled models are kept."""

    def __init__(self, core: Any) -> None:
        self._core = core
        self.compiled: list[Any] = []

    def compile_model(self, *arguments: Any) -> Any:
        """Compiles as asked."""
        self.compiled.append(self._core.compile_model(*arguments))
        return self.compiled[-1]


def compiled_by_openvino(module: Any, models: Path, *, precision: str, images: np.ndarray) -> Any:
    """The compiled model that the agent's runtime runs."""
    runtime = module.OpenVino(1, precision)
    runtime._core = WatchedCore(runtime._core)
    runtime.load(str(models / "0.onnx"), images)()
    (compiled,) = runtime._core.compiled
    return compiled.create_infer_request().get_compiled_model()


IMAGES = np.random.default_rng(0).standard_normal(IN_SHAPE).astype(np.float32)


def test_openvino_runs_at_fp32_what_is_asked_at_fp32(module: Any, models: Path) -> None:
    pytest.importorskip("openvino")
    compiled = compiled_by_openvino(module, models, precision="fp32", images=IMAGES)
    assert compiled.get_property("INFERENCE_PRECISION_HINT").to_string() == "f32"
    assert compiled.get_property("INFERENCE_NUM_THREADS") == compiled.get_property("NUM_STREAMS") == 1
    (expected,) = session(str(models / "0.onnx")).run(None, {"images": IMAGES})
    # bf16 would be off by about a hundredth.
    assert np.abs(compiled([IMAGES])[0] - expected).max() < 1e-5 * np.abs(expected).max()


def test_openvino_says_that_a_processor_has_no_bf16(module: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    openvino = pytest.importorskip("openvino")
    monkeypatch.setattr(openvino.Core, "get_property", lambda core, device, name: ["FP32"])
    with pytest.raises(module.Unavailable, match="this processor has no bf16"):
        module.OpenVino(1, "bf16")


def test_openvino_runs_at_bf16_what_is_asked_at_bf16(module: Any, models: Path) -> None:
    openvino = pytest.importorskip("openvino")
    if "BF16" not in openvino.Core().get_property("CPU", "OPTIMIZATION_CAPABILITIES"):
        pytest.skip("this processor has no bf16")
    if "ONEDNN_MAX_CPU_ISA" in os.environ:
        pytest.skip("ONEDNN_MAX_CPU_ISA takes oneDNN the bf16 that OpenVINO sees in the processor")
    compiled = compiled_by_openvino(module, models, precision="bf16", images=IMAGES)
    assert compiled.get_property("INFERENCE_PRECISION_HINT").to_string() == "bf16"
    with opened(parse_target("local:openvino?precision=bf16")) as device:
        assert (device.facts().runtime, device.facts().precision) == ("openvino", "bf16")


class Loads:
    """A runtime that counts what it loads."""

    def __init__(self) -> None:
        self.loaded: list[tuple[str, tuple[int, ...]]] = []

    def load(self, path: str, images: np.ndarray) -> Callable[[], None]:
        """A function of its own each time."""
        self.loaded.append((os.path.relpath(path), images.shape))
        assert images.dtype == np.float32
        return lambda: None


@pytest.fixture
def loads(module: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> tuple[Any, Loads]:
    """What keeps models, on a runtime that counts; two folders of two models each."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(module, "_resident_bytes", lambda: 10 << 20)
    for name in ("one/0.onnx", "one/1.onnx", "two/0.onnx"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_bytes(b"a model")
    runtime = Loads()
    return module.Loaded(runtime), runtime


def test_a_model_is_loaded_once_and_kept_for_further_visits(loads: tuple[Any, Loads]) -> None:
    kept, runtime = loads
    first, other = kept.get("one", "0.onnx", IN_SHAPE), kept.get("one", "1.onnx", IN_SHAPE)
    assert first is not other
    assert kept.get("one", "0.onnx", IN_SHAPE) is first
    assert kept.get("one", "1.onnx", IN_SHAPE) is other
    assert runtime.loaded == [("one/0.onnx", IN_SHAPE), ("one/1.onnx", IN_SHAPE)]


def test_a_plan_of_another_folder_lets_go_of_the_models_of_the_one_before(loads: tuple[Any, Loads]) -> None:
    kept, runtime = loads
    gone = weakref.ref(kept.get("one", "0.onnx", IN_SHAPE))
    kept.get("two", "0.onnx", IN_SHAPE)
    gc.collect()
    assert gone() is None
    kept.get("one", "0.onnx", IN_SHAPE)
    assert [name for name, _ in runtime.loaded] == ["one/0.onnx", "two/0.onnx", "one/0.onnx"]


@pytest.mark.parametrize("content", [b"another model", b"b model"], ids=["of another size", "of the same size"])
def test_a_model_whose_file_changed_is_loaded_anew(content: bytes, loads: tuple[Any, Loads]) -> None:
    kept, runtime = loads
    path = Path("one/0.onnx")
    first = kept.get("one", "0.onnx", IN_SHAPE)
    before = path.stat().st_mtime_ns
    path.write_bytes(content)
    os.utime(path, ns=(before, before + 1_000_000))
    assert kept.get("one", "0.onnx", IN_SHAPE) is not first
    assert len(runtime.loaded) == 2


def test_a_model_that_is_fed_another_shape_is_loaded_anew(loads: tuple[Any, Loads]) -> None:
    kept, runtime = loads
    batch = (4, *IN_SHAPE[1:])
    first = kept.get("one", "0.onnx", IN_SHAPE)
    assert kept.get("one", "0.onnx", batch) is not first
    assert kept.get("one", "0.onnx", IN_SHAPE) is first
    assert [shape for _, shape in runtime.loaded] == [IN_SHAPE, batch]


def test_where_memory_is_at_its_limit_nothing_is_kept(
    module: Any, loads: tuple[Any, Loads], monkeypatch: pytest.MonkeyPatch
) -> None:
    kept, runtime = loads
    monkeypatch.setattr(module, "MOST_KEPT_BYTES", 0)
    assert kept.get("one", "0.onnx", IN_SHAPE) is not kept.get("one", "0.onnx", IN_SHAPE)
    assert len(runtime.loaded) == 2


def test_what_was_kept_before_memory_was_at_its_limit_stays(
    module: Any, loads: tuple[Any, Loads], monkeypatch: pytest.MonkeyPatch
) -> None:
    kept, runtime = loads
    first = kept.get("one", "0.onnx", IN_SHAPE)
    monkeypatch.setattr(module, "_resident_bytes", lambda: 1 << 50)
    assert kept.get("one", "0.onnx", IN_SHAPE) is first
    assert kept.get("one", "1.onnx", IN_SHAPE) is not kept.get("one", "1.onnx", IN_SHAPE)
    assert len(runtime.loaded) == 3


def test_where_memory_cannot_be_read_nothing_is_kept(
    module: Any, models: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "_text", lambda path: None)
    runtime = Loads()
    kept = module.Loaded(runtime)
    for _ in range(2):
        kept.get(str(models), "0.onnx", IN_SHAPE)
    assert len(runtime.loaded) == 2


def test_the_real_runtime_keeps_a_session_and_runs_it_again(module: Any, models: Path) -> None:
    kept = module.Loaded(module.OnnxRuntime(1, "fp32"))
    once = kept.get(str(models), "0.onnx", IN_SHAPE)
    once()
    assert kept.get(str(models), "0.onnx", IN_SHAPE) is once
    once()


def test_a_kept_model_is_not_taken_for_one_that_is_gone(agent: AgentProcess, models: Path, tmp_path: Path) -> None:
    for path in models.iterdir():
        (tmp_path / path.name).write_bytes(path.read_bytes())
    asked = plan(tmp_path, "0.onnx")
    assert [run.refusal for run in agent.run(asked)] == [None]
    (tmp_path / "0.onnx").unlink()
    (run,) = agent.run(asked)
    assert run.refusal is not None
    (tmp_path / "0.onnx").write_bytes(b"no model")
    (run,) = agent.run(asked)
    assert run.refusal is not None


RUNTIME_MODULES = ("onnxruntime", "openvino", "torch")  # each imported by its own class alone


def test_the_agent_needs_no_newer_python_than_3_8_and_nothing_of_ours() -> None:
    tree = ast.parse(AGENT.read_text(), feature_version=(3, 8))
    imported = {alias.name for node in ast.walk(tree) if isinstance(node, ast.Import) for alias in node.names}
    imported |= {node.module or "" for node in ast.walk(tree) if isinstance(node, ast.ImportFrom)}
    assert {name for name in imported if name not in sys.stdlib_module_names} == {"numpy", *RUNTIME_MODULES}


def test_no_agent_file_bears_a_standard_librarys_name() -> None:
    names = {path.stem for path in AGENT.parent.glob("*.py")}
    assert "__init__" not in names
    assert not names & set(sys.stdlib_module_names)


# Agents that fail

HELLO = json.dumps({"type": "hello", "protocol": 1, "facts": FACTS.model_dump()})
RUN = {"type": "run", "slot": 0, "item": "item 0", "times_ns": [5, 4], "wall_ns": 9, "state": {}}
DONE = '{"type": "done"}'


Start = Callable[..., AgentProcess]


@pytest.fixture
def start(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Start]:
    """Makes an agent of a script that says lines as they stand, all but the first when a plan has come, then ends."""
    monkeypatch.setattr(agent_process, "VISIT_SECONDS", 20.0)
    devices = []

    def make(*said: str | bytes, before: str = "", after: str = "") -> AgentProcess:
        lines = [line if isinstance(line, bytes) else line.encode() for line in said]
        script = tmp_path / "agent_that_fails.py"
        script.write_text(
            f"import pathlib, sys\n{before}\n"
            f"for number, line in enumerate({lines!r}):\n"
            "    sys.stdout.buffer.write(line + b'\\n')\n"
            "    sys.stdout.buffer.flush()\n"
            "    if number == 0 and not sys.stdin.readline():\n"
            "        sys.exit()\n"
            f"{after}\n"
        )
        devices.append(AgentProcess([sys.executable, str(script)]))
        return devices[-1]

    yield make
    for device in devices:
        device.close()


def run_line(**changes: object) -> str:
    """A run's line with changed values."""
    return json.dumps({**RUN, **changes})


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ("Segmentation fault", "it sent 'Segmentation fault"),
        ("", "which is no message"),
        ("[1, 2]", "which is no message"),
        ("null", "which is no message"),
        (b"\xff\xfe\x00", "which is no message"),
        ('{"type": "hello", "protocol": 2}', "it speaks protocol 2, not 1"),
        ('{"type": "run"}', "it speaks protocol None, not 1"),
        ('{"type": "hello", "protocol": 1}', "its facts cannot be read"),
        ('{"type": "hello", "protocol": 1, "facts": {"name": "x"}}', "its facts cannot be read"),
        ('{"type": "hello", "protocol": 1, "facts": null}', "its facts cannot be read"),
        ('{"type": "error", "message": "no runtime here"}', "agent says: no runtime here"),
    ],
)
def test_a_beginning_that_is_no_greeting_is_a_device_error(line: str | bytes, said: str, start: Start) -> None:
    device = start(line)
    with pytest.raises(DeviceError, match=said):
        device.facts()


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ("Illegal instruction", "it sent 'Illegal instruction"),
        (b'{"type": "run", "slot": \xff\xff}', "which is no message"),
        (run_line()[:-10], "which is no message"),
        ("{}", "cannot be read"),
        (DONE, "cannot be read"),
        (run_line(item="item 1"), "answered for 'item 1' when 'item 0' was asked"),
        (run_line(slot=1), "answered for"),
        (run_line(slot=None), "cannot be read"),
        (run_line(times_ns=None), "cannot be read"),
        (run_line(times_ns=5), "cannot be read"),
        (run_line(times_ns=["fast"]), "cannot be read"),
        (run_line(times_ns=[float("nan")]), "cannot be read"),
        (run_line(times_ns=[float("inf")]), "cannot be read"),
        (run_line(times_ns=[5, -4]), "-4"),
        (run_line(times_ns=[]), "item 0"),
        (run_line(state=[1]), "cannot be read"),
        (run_line(state={"load": "high"}), "cannot be read"),
        ('{"type": "refused", "slot": 0, "item": "item 0"}', "cannot be read"),
        ('{"type": "error", "message": "out of memory"}', "agent says: out of memory"),
    ],
)
def test_a_line_that_is_no_answer_to_the_plan_is_a_device_error(
    line: str | bytes, said: str, start: Start, tmp_path: Path
) -> None:
    device = start(HELLO, line)
    with pytest.raises(DeviceError, match=said):
        list(device.run(plan(tmp_path, "0.onnx")))


def test_a_plan_that_does_not_end_is_a_device_error(start: Start, tmp_path: Path) -> None:
    device = start(HELLO, run_line(), run_line())
    with pytest.raises(DeviceError, match="it sent 'run' where the plan was done"):
        list(device.run(plan(tmp_path, "0.onnx")))


@pytest.mark.parametrize("answered", [0, 1])
def test_runs_given_before_an_agent_died_stand(answered: int, start: Start, tmp_path: Path) -> None:
    device = start(HELLO, *([run_line()] * answered))
    found = []
    with pytest.raises(DeviceError, match=r"failed: it ended.*What it measured is kept; run the command again"):
        for run in device.run(plan(tmp_path, "0.onnx", "0.onnx")):
            found.append(run)
    assert [run.times_ns for run in found] == [(5, 4)] * answered


def test_the_last_words_of_an_agent_that_died_are_told(start: Start, tmp_path: Path) -> None:
    # It lets go of the wire a moment before it says why.
    device = start(HELLO, after="import os, time; os.close(1); time.sleep(0.2); sys.exit('cannot allocate 3 GB')")
    with pytest.raises(DeviceError, match="its last words: cannot allocate 3 GB"):
        list(device.run(plan(tmp_path, "0.onnx")))


def test_an_agent_that_chatters_on_standard_error_is_understood(start: Start, tmp_path: Path) -> None:
    noise = "sys.stderr.write('warning: no governor\\n' * 50_000); sys.stderr.flush()"
    device = start(HELLO, run_line(), DONE, before=noise)
    assert [run.times_ns for run in device.run(plan(tmp_path, "0.onnx"))] == [(5, 4)]


def test_an_agent_that_falls_silent_is_given_up(start: Start, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(agent_process, "VISIT_SECONDS", 0.2)
    device = start(HELLO, after="sys.stdin.readline()")
    with pytest.raises(DeviceError, match="has been silent for"):
        list(device.run(plan(tmp_path, "0.onnx")))


@pytest.mark.parametrize("command", [["/no/such/interpreter"], ["/"]])
def test_a_command_that_does_not_start_is_a_device_error(command: list[str]) -> None:
    device = AgentProcess(command)
    with pytest.raises(DeviceError, match="cannot be started"):
        device.facts()


@pytest.mark.parametrize("line", ["Bus error", "{}", '{"type": "error", "message": "out of memory"}'])
def test_after_a_failure_the_same_device_can_be_used_again(line: str, start: Start, tmp_path: Path) -> None:
    flag = tmp_path / "failed once"
    fails_once = (
        f"flag = pathlib.Path({str(flag)!r})\n"
        "if not flag.exists():\n"
        "    flag.touch()\n"
        f"    print({HELLO!r}, flush=True)\n"
        "    sys.stdin.readline()\n"
        f"    sys.exit(print({line!r}, flush=True))\n"
    )
    device = start(HELLO, run_line(), DONE, before=fails_once)
    with pytest.raises(DeviceError):
        list(device.run(plan(tmp_path, "0.onnx")))
    assert [run.times_ns for run in device.run(plan(tmp_path, "0.onnx"))] == [(5, 4)]

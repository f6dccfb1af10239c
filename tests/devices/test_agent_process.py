"""The host's end of the wire: against the real agent, and against agents that fail in every way they can."""

import ast
import json
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import onnxruntime
import pytest
from known_truth import FACTS

from mnas_evo.bundled import bundled_folder
from mnas_evo.devices import agent_process
from mnas_evo.devices.agent_process import AgentProcess
from mnas_evo.devices.target import Target, open_device, parse_target
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


def test_a_precision_that_the_runtime_lacks_is_never_replaced_by_another() -> None:
    device = open_device(parse_target("local?precision=int8"))
    with pytest.raises(DeviceError, match=r"agent says: onnxruntime here runs.*fp32.*not int8"):
        device.facts()
    device.close()


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

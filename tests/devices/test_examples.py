"""profiling/examples: the plan and the answers that PROTOCOL.md shows, held to by the host and by the agent alike."""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import torch

from mnas_evo.bundled import bundled_folder
from mnas_evo.devices.agent_process import AgentProcess
from mnas_evo.latency.runs import Plan, Run, Visit

EXAMPLES = bundled_folder("profiling") / "examples"
AGENT = bundled_folder("profiling") / "agent.py"
PLAN = json.loads((EXAMPLES / "plan.json").read_text(encoding="utf-8"))
ANSWERS = [json.loads(line) for line in (EXAMPLES / "answers.jsonl").read_text(encoding="utf-8").splitlines()]

# Says the example's hello, keeps the plan it is sent, and gives the example's answers.
SCRIPTED = """
import pathlib, sys
lines = pathlib.Path(sys.argv[1]).read_text().splitlines()
print(lines[0], flush=True)
pathlib.Path(sys.argv[2]).write_text(sys.stdin.readline())
print(*lines[1:], sep="\\n", flush=True)
sys.stdin.read()
"""


def test_the_host_sends_the_examples_plan_and_understands_its_answers(tmp_path: Path) -> None:
    sent = tmp_path / "sent.json"
    command = [sys.executable, "-c", SCRIPTED, str(EXAMPLES / "answers.jsonl"), str(sent)]
    device = AgentProcess(command, folder_there=lambda folder: ".")
    visits = tuple(Visit(v["slot"], v["item"], v["model"], tuple(v["in_shape"])) for v in PLAN["visits"])
    plan = Plan(EXAMPLES, visits, PLAN["visit_ns"], min_repeats=PLAN["min_repeats"], max_repeats=PLAN["max_repeats"])
    runs = list(device.run(plan))
    facts = device.facts()
    device.close()
    assert json.loads(sent.read_text()) == PLAN
    assert facts.model_dump(exclude={"batch"}) == ANSWERS[0]["facts"]
    first, refused, last = ANSWERS[1:4]
    assert runs == [
        Run(0, "network", tuple(first["times_ns"]), first["wall_ns"], first["state"]),
        Run(1, "missing", (), 0, {}, refusal=refused["message"]),
        Run(2, "network", tuple(last["times_ns"]), last["wall_ns"], last["state"]),
    ]


def form(value: Any) -> Any:
    """A message's keys and types, without the numbers of one device."""
    if isinstance(value, dict):
        return {key: form(entry) for key, entry in value.items() if key not in ("state", "governor")}
    return [form(value[0])] if isinstance(value, list) and value else type(value).__name__


@pytest.mark.parametrize(("runtime", "model"), [("onnxruntime", "0.onnx"), ("torch", "0.json")])
def test_the_agent_answers_the_examples_plan_as_the_example_does(runtime: str, model: str) -> None:
    plan = json.dumps(PLAN).replace("0.onnx", model)
    done = subprocess.run(
        [sys.executable, str(AGENT), "--runtime", runtime],
        input=f"{plan}\n",
        capture_output=True,
        text=True,
        timeout=120,
        cwd=EXAMPLES,
        check=True,
    )
    said = [json.loads(line) for line in done.stdout.splitlines()]
    assert [form(message) for message in said] == [form(message) for message in ANSWERS]
    assert [(m.get("slot"), m.get("item")) for m in said] == [(m.get("slot"), m.get("item")) for m in ANSWERS]


def test_the_two_forms_of_the_examples_network_are_one_network() -> None:
    sys.path.insert(0, str(AGENT.parent))
    try:
        import agent
    finally:
        sys.path.remove(str(AGENT.parent))
    import numpy
    import onnx
    import onnxruntime

    description = json.loads((EXAMPLES / "0.json").read_text(encoding="utf-8"))
    network = agent.TorchGraph(torch, description, torch.device("cpu"), torch.float32)
    images = numpy.random.default_rng(0).standard_normal((1, *description["in_shape"])).astype(numpy.float32)
    tensors = iter(onnx.load(EXAMPLES / "0.onnx").graph.initializer)
    for layer in network._layers:
        for _, weights in layer:
            for i in range(len(weights or ())):
                tensor = next(t for t in tensors if t.name.endswith((".weight", ".bias")))
                weights[i] = torch.from_numpy(onnx.numpy_helper.to_array(tensor).copy())
    (expected,) = onnxruntime.InferenceSession(EXAMPLES / "0.onnx").run(None, {"images": images})
    with torch.inference_mode():
        found = network(torch.from_numpy(images)).numpy().reshape(expected.shape)
    assert found == pytest.approx(expected, rel=1e-4, abs=1e-5)

"""Measures models on the device it runs on. One file: Python 3.8+, numpy and one runtime. Speaks PROTOCOL.md's lines.

    python agent.py --runtime onnxruntime --threads 1 --precision fp32

Messages are JSON, one a line: the host's on standard input, the agent's on standard output. Whatever else a runtime
prints goes to standard error. The agent ends when its input does.
"""

from __future__ import annotations

import argparse
import contextlib
import glob
import json
import os
import platform
import sys
import time
from typing import Any, Callable, Dict, List, Optional

AGENT = "mnas_evo python agent 1"
PROTOCOL = 1

Message = Dict[str, Any]


class OnnxRuntime:
    """onnxruntime's CPU provider, run through an IO binding so that the call costs little of its own."""

    name = "onnxruntime"
    precisions = ("fp32",)

    def __init__(self, threads: int, precision: str) -> None:
        import onnxruntime

        self._module = onnxruntime
        self.version = str(onnxruntime.__version__)
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = threads
        options.inter_op_num_threads = 1
        options.execution_mode = onnxruntime.ExecutionMode.ORT_SEQUENTIAL
        options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_ENABLE_ALL
        options.log_severity_level = 3
        self._options = options

    def load(self, path: str, images: Any) -> Callable[[], None]:
        """A function without arguments that runs the model once on the images."""
        session = self._module.InferenceSession(path, self._options, providers=["CPUExecutionProvider"])
        binding = session.io_binding()
        binding.bind_cpu_input(session.get_inputs()[0].name, images)
        binding.bind_output(session.get_outputs()[0].name)
        run = session.run_with_iobinding

        def once() -> None:
            run(binding)

        return once


RUNTIMES = {OnnxRuntime.name: OnnxRuntime}


def measure(runtime: OnnxRuntime, folder: str, visit: Message, limits: Message) -> Message:
    """One visit: loads the model, runs it for the time asked, keeps every time, the first (cold) one too."""
    import numpy

    began = time.perf_counter_ns()
    shape = tuple(visit["in_shape"])
    images = numpy.random.RandomState(0).standard_normal(shape).astype(numpy.float32)
    once = runtime.load(os.path.join(folder, visit["model"]), images)
    times: List[int] = []
    clock = time.perf_counter_ns
    spent = 0
    while len(times) < limits["max_repeats"] and (spent < limits["visit_ns"] or len(times) < limits["min_repeats"]):
        start = clock()
        once()
        times.append(clock() - start)
        spent += times[-1]
    return {
        "type": "run",
        "slot": visit["slot"],
        "item": visit["item"],
        "times_ns": times,
        "wall_ns": clock() - began,
        "state": state(),
    }


def state() -> Dict[str, float]:
    """What the system tells of itself just now: load, clock, temperature; only what can be read."""
    found = {}
    with contextlib.suppress(OSError, AttributeError):
        found["load"] = os.getloadavg()[0]
    clock = _number("/sys/devices/system/cpu/cpu%d/cpufreq/scaling_cur_freq" % _core())
    if clock is not None:
        found["clock_mhz"] = clock / 1e3
    heat = [_number(path) for path in sorted(glob.glob("/sys/class/thermal/thermal_zone*/temp"))[:8]]
    known = [value for value in heat if value is not None]
    if known:
        found["temperature_celsius"] = max(known) / 1e3
    return found


def facts(runtime: OnnxRuntime, threads: int, precision: str) -> Message:
    """What this device is."""
    governor = "/sys/devices/system/cpu/cpu%d/cpufreq/scaling_governor" % _core()
    return {
        "name": platform.node(),
        "soc": _processor(),
        "os": "%s %s" % (platform.system(), platform.release()),
        "runtime": runtime.name,
        "runtime_version": runtime.version,
        "threads": threads,
        "precision": precision,
        "governor": _text(governor),
        "protocol": PROTOCOL,
        "agent": "%s, Python %s" % (AGENT, platform.python_version()),
    }


def _processor() -> str:
    entries: Dict[str, str] = {}
    for line in (_text("/proc/cpuinfo") or "").splitlines():
        name, _, value = line.partition(":")
        entries.setdefault(name.strip().lower(), value.strip())
    for name in ("model name", "hardware"):  # x86 has the first, many ARM boards the second
        if entries.get(name):
            return entries[name]
    board = (_text("/proc/device-tree/model") or "").strip("\0")
    if board:
        return board
    return platform.processor() or platform.machine()


def _core() -> int:
    if hasattr(os, "sched_getaffinity"):
        return min(os.sched_getaffinity(0))
    return 0


def _pin(threads: int) -> None:
    """Keeps to the last cores, which the system itself uses least."""
    if hasattr(os, "sched_setaffinity"):
        allowed = sorted(os.sched_getaffinity(0))
        os.sched_setaffinity(0, set(allowed[-threads:]))


def _text(path: str) -> Optional[str]:
    try:
        with open(path) as file:
            return file.read().strip()
    except OSError:
        return None


def _number(path: str) -> Optional[float]:
    text = _text(path)
    try:
        return float(text) if text else None
    except ValueError:
        return None


def main() -> int:
    parser = argparse.ArgumentParser(description="Measures models on this device; speaks profiling/PROTOCOL.md.")
    parser.add_argument("--runtime", default="onnxruntime", choices=sorted(RUNTIMES))
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--precision", default="fp32")
    asked = parser.parse_args()

    wire = os.fdopen(os.dup(1), "w", encoding="utf-8")
    os.dup2(2, 1)  # a runtime that prints must not speak on the wire

    def send(message: Message) -> None:
        wire.write(json.dumps(message, separators=(",", ":")) + "\n")
        wire.flush()

    kind = RUNTIMES[asked.runtime]
    if asked.precision not in kind.precisions:
        send({"type": "error", "message": "%s here runs %s, not %s" % (kind.name, kind.precisions, asked.precision)})
        return 2
    _pin(asked.threads)
    try:
        runtime = kind(asked.threads, asked.precision)
    except ImportError as error:
        send({"type": "error", "message": "%s is not installed on the device: %s" % (kind.name, error)})
        return 2
    send({"type": "hello", "protocol": PROTOCOL, "facts": facts(runtime, asked.threads, asked.precision)})
    for line in sys.stdin:
        message = json.loads(line)
        if message["type"] != "plan" or message["protocol"] != PROTOCOL:
            unread = "cannot read a %s of protocol %s" % (message["type"], message["protocol"])
            send({"type": "error", "message": unread})
            return 2
        for visit in message["visits"]:
            try:
                send(measure(runtime, message["folder"], visit, message))
            except BrokenPipeError:
                return 1
            except Exception as error:  # a runtime may raise anything, and the other items go on
                reason = ("%s: %s" % (type(error).__name__, error))[:500]
                send({"type": "refused", "slot": visit["slot"], "item": visit["item"], "message": reason})
        send({"type": "done"})
    return 0


if __name__ == "__main__":
    sys.exit(main())

"""Measures models on the device it runs on. One file: Python 3.8+, numpy and one runtime. Speaks PROTOCOL.md's lines.

    python agent.py --runtime onnxruntime --threads 1 --precision fp32

It stays one file, longer than others here, for it is copied onto devices alone. A runtime is a class with a name, what
it reads (`onnx` files or the lowered `graph` as JSON), the precisions it really has, and `load`, which gives a function
that runs a model once.

Messages are JSON, one a line: the host's on standard input, the agent's on standard output. Whatever else a runtime
prints goes to standard error. The agent ends when its input does.
"""

from __future__ import annotations

import argparse
import contextlib
import glob
import json
import math
import os
import platform
import sys
import time
from typing import Any, Callable, Dict, List, Optional, Tuple

AGENT = "mnas_evo python agent 1"
PROTOCOL = 1
MOST_KEPT_BYTES = 2 << 30

Message = Dict[str, Any]
Once = Callable[[], None]


class Unavailable(Exception):
    """What the command line asks for, this device does not have."""


class OnnxRuntime:
    """onnxruntime, run through an IO binding so that the call costs little of its own.

    A provider other than the CPU's is part of the runtime's name; what it cannot run is refused, not left to the CPU.
    """

    name = "onnxruntime"
    reads = "onnx"
    precisions: Tuple[str, ...] = ("fp32",)

    def __init__(self, threads: int, precision: str, provider: str = "") -> None:
        os.environ.setdefault("ORT_DISABLE_TELEMETRY", "1")  # it reports usage from a thread of its own otherwise
        import onnxruntime

        self._module = onnxruntime
        self.version = str(onnxruntime.__version__)
        self._provider = provider or "CPUExecutionProvider"
        available = onnxruntime.get_available_providers()
        if self._provider not in available:
            raise Unavailable("onnxruntime has no %s here; it has %s" % (self._provider, ", ".join(available)))
        if provider and provider != "CPUExecutionProvider":
            self.name = "onnxruntime-%s" % provider.replace("ExecutionProvider", "").lower()
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = threads
        options.inter_op_num_threads = 1
        options.execution_mode = onnxruntime.ExecutionMode.ORT_SEQUENTIAL
        options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_ENABLE_ALL
        options.log_severity_level = 3
        if self._provider != "CPUExecutionProvider":
            options.add_session_config_entry("session.disable_cpu_ep_fallback", "1")
        self._options = options
        # fp32 is fp32: no TF32 behind its name.
        self._settings = {"use_tf32": "0"} if self._provider == "CUDAExecutionProvider" else {}

    def load(self, path: str, images: Any) -> Once:
        """A function without arguments that runs the model once on the images."""
        providers = [(self._provider, self._settings)]
        session = self._module.InferenceSession(path, self._options, providers=providers)
        binding = session.io_binding()
        binding.bind_cpu_input(session.get_inputs()[0].name, images)
        binding.bind_output(session.get_outputs()[0].name)
        run = session.run_with_iobinding

        def once() -> None:
            run(binding)

        return once


class OpenVino:
    """OpenVINO. Its own default precision differs by processor (bf16 where there is any), so it is always set."""

    name = "openvino"
    reads = "onnx"
    precisions: Tuple[str, ...] = ("fp32", "bf16")

    def __init__(self, threads: int, precision: str, provider: str = "") -> None:
        os.environ.setdefault("OPENVINO_TELEMETRY_OPT_OUT", "1")
        import openvino

        self.version = str(openvino.__version__).split("-")[0]
        self._core = openvino.Core()
        self._device = provider or "CPU"
        if self._device not in self._core.available_devices:
            have = ", ".join(self._core.available_devices)
            raise Unavailable("OpenVINO has no device %s here; it has %s" % (self._device, have))
        if self._device != "CPU":
            self.name = "openvino-%s" % self._device.lower()
        self._options = {
            "INFERENCE_PRECISION_HINT": {"fp32": "f32", "bf16": "bf16"}[precision],
            "NUM_STREAMS": 1,
            "PERFORMANCE_HINT": "LATENCY",
        }
        if self._device == "CPU":
            self._options["INFERENCE_NUM_THREADS"] = threads
        else:
            self.soc = str(self._core.get_property(self._device, "FULL_DEVICE_NAME"))
        if precision == "bf16" and "BF16" not in self._core.get_property(self._device, "OPTIMIZATION_CAPABILITIES"):
            raise Unavailable("this processor has no bf16, and fp32 is not what was asked for")

    def load(self, path: str, images: Any) -> Once:
        """A function without arguments that runs the model once on the images."""
        request = self._core.compile_model(path, self._device, self._options).create_infer_request()
        request.infer([images])
        infer = request.infer

        def once() -> None:
            infer()

        return once


class Torch:
    """torch, on the CPU (`torch`) or a CUDA device (`torch-cuda`), from the network's lowered graph.

    On CUDA a run is the replay of a CUDA graph with channels last, and ends when the device has done it.
    """

    name = "torch"
    reads = "graph"
    precisions: Tuple[str, ...] = ("fp32", "bf16")

    def __init__(self, threads: int, precision: str, provider: str = "") -> None:
        import torch

        self._torch = torch
        self.version = str(torch.__version__).split("+")[0]
        self._type = {"fp32": torch.float32, "fp16": torch.float16, "bf16": torch.bfloat16}[precision]
        if provider:
            raise Unavailable("torch takes no provider such as %s; torch-cuda is a runtime of its own" % provider)
        self._device = torch.device(self._kind())
        torch.set_num_threads(threads)
        torch.backends.cudnn.benchmark = True
        # fp32 is fp32: no TF32 behind its name.
        torch.backends.cudnn.allow_tf32 = False
        torch.backends.cuda.matmul.allow_tf32 = False

    def _kind(self) -> str:
        return "cpu"

    def load(self, path: str, images: Any) -> Once:
        """A function without arguments that runs the network once on the images."""
        torch = self._torch
        with open(path, encoding="utf-8") as file:
            network = TorchGraph(torch, json.load(file), self._device, self._type)
        value = torch.from_numpy(images).to(self._device, self._type).contiguous(memory_format=torch.channels_last)
        return self._runner(network, value)

    def _runner(self, network: TorchGraph, value: Any) -> Once:
        inference_mode = self._torch.inference_mode

        def once() -> None:
            with inference_mode():
                network(value)

        return once


class TorchCuda(Torch):
    """torch on the first CUDA device."""

    name = "torch-cuda"
    precisions: Tuple[str, ...] = ("fp32", "fp16", "bf16")

    def _kind(self) -> str:
        if not self._torch.cuda.is_available():
            raise Unavailable("torch finds no CUDA device here")
        return "cuda"

    @property
    def soc(self) -> str:
        """What the device is called."""
        return str(self._torch.cuda.get_device_name(self._device))

    def state(self) -> Dict[str, float]:
        """Clock, temperature and load of the device, where the system tells them."""
        cuda, found = self._torch.cuda, {}
        for name, read in (("clock_mhz", cuda.clock_rate), ("temperature_celsius", cuda.temperature)):
            with contextlib.suppress(Exception):  # needs NVIDIA's management library
                found[name] = float(read())
        return found

    def _runner(self, network: TorchGraph, value: Any) -> Once:
        torch = self._torch
        stream = torch.cuda.Stream()
        stream.wait_stream(torch.cuda.current_stream())
        with torch.inference_mode(), torch.cuda.stream(stream):
            for _ in range(3):  # cudnn chooses its kernels before the graph is taken
                network(value)
        stream.synchronize()
        graph = torch.cuda.CUDAGraph()
        with torch.inference_mode(), torch.cuda.graph(graph, stream=stream):
            network(value)
        synchronize = torch.cuda.synchronize
        used = (network, value)  # a graph replays on their memory, which must not become another's

        def once(graph: Any = graph, used: Any = used) -> None:
            graph.replay()
            synchronize()

        return once

    def has_room(self) -> bool:
        """Whether another model may stay loaded: every one holds memory of the device."""
        free, whole = self._torch.cuda.mem_get_info(self._device)
        return bool(free > whole / 2)


class TorchGraph:
    """A network in PROTOCOL.md's JSON form, run by torch with random weights; norms are folded into biases."""

    def __init__(self, torch: Any, description: Message, device: Any, type_: Any) -> None:
        self._torch = torch
        generator = torch.Generator().manual_seed(0)
        self._layers: List[List[Any]] = []
        shape = description["in_shape"]
        for layer in description["layers"]:
            shapes, steps = [shape], []
            for op in layer["ops"]:
                weights = None
                if op["kind"] in ("conv", "linear"):
                    inputs = shapes[op["inputs"][0]][0] // op["groups"]
                    window = [op["kernel"], op["kernel"]] if op["kind"] == "conv" else []
                    size = [op["out_shape"][0], inputs, *window]
                    weight = torch.randn(size, generator=generator) * (2.0 / math.prod(size[1:])) ** 0.5
                    weights = [weight.to(device, type_), torch.zeros(size[0]).to(device, type_)]
                    if op["kind"] == "conv":
                        weights[0] = weights[0].contiguous(memory_format=torch.channels_last)
                steps.append((op, weights))
                shapes.append(op["out_shape"])
            self._layers.append(steps)
            shape = shapes[-1]

    def __call__(self, value: Any) -> Any:
        for steps in self._layers:
            values = [value]
            for op, weights in steps:
                values.append(self._run(op, weights, [values[i] for i in op["inputs"]]))
            value = values[-1]
        return value

    def _run(self, op: Message, weights: Any, inputs: List[Any]) -> Any:
        functional, kind = self._torch.nn.functional, op["kind"]
        value = inputs[0]
        if kind == "conv":
            top, left, bottom, right = op["pads"]
            if (top, left) != (bottom, right):
                value, top, left = functional.pad(value, (left, right, top, bottom)), 0, 0
            return functional.conv2d(value, *weights, stride=op["stride"], padding=(top, left), groups=op["groups"])
        if kind == "linear":
            return functional.linear(value.flatten(1), *weights)[:, :, None, None]
        if kind == "avg_pool":
            pads = tuple(op["pads"][:2])
            return functional.avg_pool2d(value, op["kernel"], op["stride"], pads, count_include_pad=False)
        if kind == "global_pool":
            return value.mean((2, 3), keepdim=True)
        if kind in ("relu", "relu6", "sigmoid"):
            return getattr(functional if kind == "relu6" else self._torch, kind)(value)
        if kind == "dropout":
            return value
        return inputs[0] + inputs[1] if kind == "add" else inputs[0] * inputs[1]


THERMAL_ZONES = sorted(glob.glob("/sys/class/thermal/thermal_zone*/temp"))[:8]
RUNTIMES = {kind.name: kind for kind in (OnnxRuntime, OpenVino, Torch, TorchCuda)}


class Loaded:
    """Models of a folder kept from visit to visit while memory allows: loading one takes longer than many a visit."""

    def __init__(self, runtime: Any) -> None:
        self.runtime = runtime
        self._kept: Dict[Tuple[Any, ...], Once] = {}
        self._folder = ""
        self._limit_bytes = 0

    def get(self, folder: str, model: str, shape: Tuple[int, ...]) -> Once:
        """The model of a folder, loaded before or now."""
        if folder != self._folder:
            self._folder = folder
            self._kept.clear()
            # What was freed is not given back to the system at once: the limit is on what comes beside it.
            self._limit_bytes = (_resident_bytes() or 0) + min(MOST_KEPT_BYTES, _memory_bytes() // 4)
        path = os.path.join(folder, model)
        entry = os.stat(path)
        key = (model, shape, entry.st_mtime_ns, entry.st_size)  # another campaign may write other models there
        if key in self._kept:
            return self._kept[key]
        import numpy

        images = numpy.random.RandomState(0).standard_normal(shape).astype(numpy.float32)
        once: Once = self.runtime.load(path, images)
        resident = _resident_bytes()
        room = getattr(self.runtime, "has_room", lambda: True)
        if resident is not None and resident < self._limit_bytes and room():
            self._kept[key] = once
        return once


def measure(loaded: Loaded, folder: str, visit: Message, limits: Message) -> Message:
    """One visit: loads the model, runs it for the time asked, keeps every time, the first (cold) one too."""
    began = time.perf_counter_ns()
    once = loaded.get(folder, visit["model"], tuple(visit["in_shape"]))
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
        "state": state(loaded.runtime),
    }


def state(runtime: Any) -> Dict[str, float]:
    """What the system tells of itself just now: load, clock, temperature, throttling; only what can be read."""
    found = {}
    with contextlib.suppress(OSError, AttributeError):
        found["load"] = os.getloadavg()[0]
    cpu = "/sys/devices/system/cpu/cpu%d" % _core()
    clock = _number(cpu + "/cpufreq/scaling_cur_freq")
    if clock is not None:
        found["clock_mhz"] = clock / 1e3
    throttled = _number(cpu + "/thermal_throttle/core_throttle_count")
    if throttled is not None:
        found["throttled"] = throttled
    heat = [_number(path) for path in THERMAL_ZONES]
    known = [value for value in heat if value is not None]
    if known:
        found["temperature_celsius"] = max(known) / 1e3
    if hasattr(runtime, "state"):
        found.update(runtime.state())  # of the device that does the work, where that is not the processor
    return found


def facts(runtime: Any, threads: int, precision: str) -> Message:
    """What this device is."""
    governor = "/sys/devices/system/cpu/cpu%d/cpufreq/scaling_governor" % _core()
    return {
        "name": platform.node(),
        "soc": getattr(runtime, "soc", None) or _processor(),
        "os": "%s %s" % (platform.system(), platform.release()),
        "runtime": runtime.name,
        "runtime_version": runtime.version,
        "threads": threads,
        "precision": precision,
        "governor": _text(governor),
        "protocol": PROTOCOL,
        "agent": "%s, Python %s" % (AGENT, platform.python_version()),
        "reads": runtime.reads,
        "keeps_models": True,
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


def _memory_bytes() -> int:
    """Memory of the whole device; little where it cannot be read."""
    with contextlib.suppress(ValueError, OSError, AttributeError):
        return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    return 1 << 30


def _resident_bytes() -> Optional[int]:
    """Memory this process holds, where it can be read."""
    text = _text("/proc/self/statm")
    return int(text.split()[1]) * os.sysconf("SC_PAGE_SIZE") if text else None


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
    parser.add_argument("--provider", default="", help="onnxruntime's execution provider, OpenVINO's device")
    asked = parser.parse_args()

    wire = os.fdopen(os.dup(1), "w", encoding="utf-8")
    os.dup2(2, 1)  # a runtime that prints must not speak on the wire

    def send(message: Message) -> None:
        wire.write(json.dumps(message, separators=(",", ":")) + "\n")
        wire.flush()

    kind: Any = RUNTIMES[asked.runtime]
    if asked.precision not in kind.precisions:
        known = ", ".join(kind.precisions)
        send({"type": "error", "message": "%s here runs %s, not %s" % (kind.name, known, asked.precision)})
        return 2
    _pin(asked.threads)
    try:
        runtime = kind(asked.threads, asked.precision, asked.provider)
        loaded = Loaded(runtime)
        hello = facts(runtime, asked.threads, asked.precision)
    except ImportError as error:
        send({"type": "error", "message": "%s is not installed on the device: %s" % (kind.name, error)})
        return 2
    except Unavailable as error:
        send({"type": "error", "message": str(error)})
        return 2
    send({"type": "hello", "protocol": PROTOCOL, "facts": hello})
    for line in sys.stdin:
        message = json.loads(line)
        if message["type"] != "plan" or message["protocol"] != PROTOCOL:
            unread = "cannot read a %s of protocol %s" % (message["type"], message["protocol"])
            send({"type": "error", "message": unread})
            return 2
        for visit in message["visits"]:
            try:
                send(measure(loaded, message["folder"], visit, message))
            except BrokenPipeError:
                return 1
            except Exception as error:  # a runtime may raise anything, and the other items go on
                reason = ("%s: %s" % (type(error).__name__, error))[:500]
                send({"type": "refused", "slot": visit["slot"], "item": visit["item"], "message": reason})
        send({"type": "done"})
    return 0


if __name__ == "__main__":
    sys.exit(main())

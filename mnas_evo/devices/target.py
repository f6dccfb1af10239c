"""Targets: how a device is named on the command line, and the driver that reaches it."""

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from urllib.parse import parse_qsl

from mnas_evo.bundled import bundled_folder
from mnas_evo.devices.agent_process import AgentProcess
from mnas_evo.errors import UnknownTarget
from mnas_evo.latency.runs import Device

RUNTIMES = ("onnxruntime", "openvino", "torch", "torch-cuda")
_HELP = "a target is local or local:onnxruntime, with ?threads=1&precision=fp32 if wanted"


@dataclass(frozen=True, slots=True)
class Target:
    """A device, the runtime on it, threads and precision."""

    runtime: str = "onnxruntime"
    threads: int = 1
    precision: str = "fp32"

    def __str__(self) -> str:
        return f"local:{self.runtime}?threads={self.threads}&precision={self.precision}"


def parse_target(text: str) -> Target:
    """Reads a target.

    Raises:
        UnknownTarget: it names no device or option that this version knows.
    """
    place, _, query = text.partition("?")
    kind, _, runtime = place.partition(":")
    if kind != "local":
        raise UnknownTarget(f"unknown target {text!r}: {_HELP}")
    if (runtime or RUNTIMES[0]) not in RUNTIMES:
        raise UnknownTarget(f"target {text!r} names runtime {runtime!r}; known are {', '.join(RUNTIMES)}")
    try:
        pairs = parse_qsl(query, strict_parsing=True, keep_blank_values=True) if query else []
    except ValueError as error:
        raise UnknownTarget(f"target {text!r} has options that cannot be read: {_HELP}") from error
    options = dict(pairs)
    if twice := sorted({name for name, _ in pairs if [other for other, _ in pairs].count(name) > 1}):
        raise UnknownTarget(f"target {text!r} gives {', '.join(twice)} twice: {_HELP}")
    if unknown := sorted(set(options) - {"threads", "precision"}):
        raise UnknownTarget(f"target {text!r} has unknown options {', '.join(unknown)}: {_HELP}")
    threads = options.get("threads", "1")
    if not threads.isdecimal() or int(threads) < 1:
        raise UnknownTarget(f"target {text!r}: threads is a positive number, not {threads!r}")
    return Target(runtime or RUNTIMES[0], int(threads), options.get("precision", "fp32"))


def open_device(target: Target) -> Device:
    """The driver of a target; nothing is started before it is used."""
    agent = bundled_folder("profiling") / "agent.py"
    return AgentProcess(
        [
            sys.executable,
            str(agent),
            "--runtime",
            target.runtime,
            "--threads",
            str(target.threads),
            "--precision",
            target.precision,
        ]
    )


@contextmanager
def opened(target: Target) -> Iterator[Device]:
    """The driver of a target, let go of at the end."""
    device = open_device(target)
    try:
        yield device
    finally:
        device.close()

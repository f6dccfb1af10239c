"""Raw measurements: what is asked of a device, what comes back, and the append-only file that keeps it."""

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from os import SEEK_END
from pathlib import Path
from typing import ClassVar, Literal, Protocol

from mnas_evo.errors import DamagedFile
from mnas_evo.files import Part

COMPARED = ("soc", "runtime", "runtime_version", "threads", "precision", "batch")
"""The facts that make measurements on two devices incomparable."""


class DeviceFacts(Part):
    """What was measured on and how. What makes two of them incomparable, `differences` says."""

    name: str
    soc: str
    os: str
    runtime: str
    runtime_version: str
    threads: int
    precision: str
    batch: int = 1
    governor: str | None = None
    protocol: int = 1
    agent: str = ""
    reads: Literal["onnx", "graph"] = "onnx"
    keeps_models: bool = False

    def differences(self, other: "DeviceFacts") -> list[str]:
        """What makes measurements under these facts and those incomparable, in words."""
        return [
            f"{name} {getattr(self, name)!r} against {getattr(other, name)!r}"
            for name in COMPARED
            if getattr(self, name) != getattr(other, name)
        ]


@dataclass(frozen=True, slots=True)
class Visit:
    """One short stay at one item: its key, its model's file in the plan's folder, its input shape (batch, c, h, w)."""

    slot: int
    item: str
    model: str
    in_shape: tuple[int, int, int, int]


@dataclass(frozen=True, slots=True)
class Plan:
    """Visits in order. A visit lasts `visit_ns` and at least `min_repeats` runs, and never more than `max_repeats`."""

    MIN_REPEATS: ClassVar[int] = 5

    folder: Path
    visits: tuple[Visit, ...]
    visit_ns: int
    min_repeats: int = MIN_REPEATS
    max_repeats: int = 200


@dataclass(frozen=True, slots=True)
class Run:
    """Raw times of one visit, ns, in order, warm-up included, with the device's state; or why the device refused."""

    slot: int
    item: str
    times_ns: tuple[int, ...]
    wall_ns: int
    state: Mapping[str, float]
    refusal: str | None = None


class Device(Protocol):
    """Something that runs a plan."""

    def facts(self) -> DeviceFacts:
        """What it is.

        Raises:
            DeviceError: it cannot be reached.
        """
        ...

    def run(self, plan: Plan) -> Iterator[Run]:
        """Runs the visits in order and gives each result as it comes.

        Raises:
            DeviceError: the device failed or went away; the runs already given stand.
        """
        ...

    def close(self) -> None:
        """Lets go of the device."""
        ...


class RunLog:
    """runs.jsonl: one line a run, written as it comes. A last line torn by a kill counts as none."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def read(self) -> list[tuple[int, Run]]:
        """(pass, run) of every line.

        Raises:
            DamagedFile: a line other than an unfinished last one cannot be read.
        """
        if not self._path.exists():
            return []
        content = self._path.read_bytes()
        whole = content[: content.rfind(b"\n") + 1]
        found = []
        for number, line in enumerate(whole.decode(errors="replace").splitlines(), start=1):
            try:
                raw = json.loads(line)
                run = Run(
                    slot=int(raw["slot"]),
                    item=str(raw["item"]),
                    times_ns=tuple(int(t) for t in raw["times_ns"]),
                    wall_ns=int(raw["wall_ns"]),
                    state={str(k): float(v) for k, v in raw["state"].items()},
                    refusal=raw.get("refusal"),
                )
                if min(run.times_ns, default=1) < 1 or run.wall_ns < 0:
                    raise ValueError("a time below 1 ns")
                found.append((int(raw["pass"]), run))
            except (ValueError, KeyError, TypeError, AttributeError, OverflowError) as error:
                raise DamagedFile(
                    f"{self._path}, line {number}: it is no run ({error!r}); delete that line to measure it again"
                ) from error
        return found

    def append(self, pass_number: int, run: Run) -> None:
        """Adds one run; only the process that holds the campaign's folder may."""
        line = {
            "pass": pass_number,
            "slot": run.slot,
            "item": run.item,
            "times_ns": run.times_ns,
            "wall_ns": run.wall_ns,
            "state": dict(run.state),
        }
        if run.refusal is not None:
            line["refusal"] = run.refusal
        self._path.parent.mkdir(parents=True, exist_ok=True)
        with self._path.open("a+b") as file:
            if file.seek(0, SEEK_END) > 0:
                file.seek(-1, SEEK_END)
                if file.read() != b"\n":  # what a killed process left unfinished goes
                    file.seek(0)
                    file.truncate(file.read().rfind(b"\n") + 1)
            file.write(json.dumps(line, separators=(",", ":")).encode() + b"\n")

"""The host's end of the wire to an agent that speaks over a pair of pipes, wherever its process runs."""

import json
import subprocess
import threading
from collections import deque
from collections.abc import Callable, Iterator
from pathlib import Path
from queue import Empty, Queue
from typing import Any, TextIO

from pydantic import ValidationError

from mnas_evo.devices.wire import PROTOCOL, plan_message
from mnas_evo.errors import DeviceError, DeviceGone
from mnas_evo.latency.runs import DeviceFacts, Plan, Run

START_SECONDS = 60.0
VISIT_SECONDS = 120.0  # the longest silence between two visits


class AgentProcess:
    """An agent started by a command, as a device; the wire is profiling/PROTOCOL.md's.

    `folder_there` says where a plan's folder lies for the agent, where it runs on another machine.
    """

    def __init__(
        self, command: list[str], *, folder_there: Callable[[Path], str] = lambda folder: str(folder.resolve())
    ) -> None:
        self._command = command
        self._folder_there = folder_there
        self._process: subprocess.Popen[str] | None = None
        self._lines: Queue[str | None] = Queue()
        self._complaints: deque[str] = deque(maxlen=20)
        self._pumps: list[threading.Thread] = []
        self._facts: DeviceFacts | None = None

    def facts(self) -> DeviceFacts:
        """What the agent said of its device; starts it on first use."""
        if self._facts is None:
            self._start()
        assert self._facts is not None
        return self._facts

    def run(self, plan: Plan) -> Iterator[Run]:
        """Sends a plan and gives each run as it comes."""
        self.facts()
        self._send(plan_message(plan, folder=self._folder_there(plan.folder)))
        for visit in plan.visits:
            message = self._receive(VISIT_SECONDS)
            try:
                run = _run(message)
            except (KeyError, TypeError, ValueError, AttributeError, OverflowError) as error:
                raise self._failure(f"it sent {str(message)[:80]}, which cannot be read ({error!r})") from error
            if (run.slot, run.item) != (visit.slot, visit.item):
                raise self._failure(f"it answered for {run.item!r} when {visit.item!r} was asked")
            yield run
        if (message := self._receive(VISIT_SECONDS)).get("type") != "done":
            raise self._failure(f"it sent {message.get('type')!r} where the plan was done")

    def close(self) -> None:
        """Ends the agent."""
        if self._process is None:
            return
        process, self._process, self._facts = self._process, None, None
        assert process.stdin is not None
        try:
            process.stdin.close()
            process.wait(timeout=10)
        except (OSError, subprocess.TimeoutExpired):
            process.kill()
            process.wait()
        for pump in self._pumps:
            pump.join(timeout=1)
        for stream in (process.stdout, process.stderr):
            assert stream is not None
            stream.close()

    def _start(self) -> None:
        try:
            self._process = subprocess.Popen(
                self._command,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
                text=True,
                encoding="utf-8",
                errors="replace",
            )
        except OSError as error:
            raise DeviceError(f"the agent cannot be started: {error}") from error
        assert self._process.stdout is not None and self._process.stderr is not None
        self._lines = Queue()
        self._complaints.clear()
        ends = ((self._process.stdout, self._lines.put), (self._process.stderr, self._complain))
        self._pumps = [threading.Thread(target=_pump, args=end, daemon=True) for end in ends]
        for pump in self._pumps:
            pump.start()
        message = self._receive(START_SECONDS)
        if message.get("type") != "hello" or message.get("protocol") != PROTOCOL:
            raise self._failure(f"it speaks protocol {message.get('protocol')!r}, not {PROTOCOL}")
        try:
            self._facts = DeviceFacts.model_validate(message["facts"])
        except (KeyError, ValidationError) as error:
            raise self._failure(f"its facts cannot be read: {error}") from error

    def _complain(self, line: str | None) -> None:
        if line and line.strip():
            self._complaints.append(line.strip())

    def _send(self, message: dict[str, Any]) -> None:
        assert self._process is not None and self._process.stdin is not None
        try:
            self._process.stdin.write(json.dumps(message) + "\n")
            self._process.stdin.flush()
        except OSError as error:
            raise self._gone("it ended") from error

    def _receive(self, seconds: float) -> dict[str, Any]:
        try:
            line = self._lines.get(timeout=seconds)
        except Empty:
            raise self._gone(f"it has been silent for {seconds:.0f} s") from None
        if line is None:
            raise self._gone("it ended")
        try:
            message = json.loads(line)
        except json.JSONDecodeError:
            raise self._failure(f"it sent {line[:80]!r}, which is no message") from None
        if not isinstance(message, dict):
            raise self._failure(f"it sent {line[:80]!r}, which is no message")
        if message.get("type") == "error":
            self.close()
            raise DeviceError(f"the device's agent says: {message.get('message')}")
        return message

    def _gone(self, what: str) -> DeviceGone:
        return DeviceGone(str(self._failure(what)))

    def _failure(self, what: str) -> DeviceError:
        self.close()  # first: its last words may come as it ends
        said = f"; its last words: {' | '.join(list(self._complaints)[-3:])}" if self._complaints else ""
        return DeviceError(f"the device's agent failed: {what}{said}. What it measured is kept; run the command again")


def agent_options(runtime: str, threads: int, precision: str, provider: str) -> list[str]:
    """Command line of profiling/agent.py."""
    words = ["--runtime", runtime, "--threads", str(threads), "--precision", precision]
    return [*words, "--provider", provider] if provider else words


def _run(message: dict[str, Any]) -> Run:
    """The run of a message; raises what Python raises where it is none."""
    slot, item = int(message["slot"]), str(message["item"])
    if message["type"] == "refused":
        return Run(slot, item, (), 0, {}, refusal=str(message["message"]))
    times_ns = tuple(int(t) for t in message["times_ns"])
    if min(times_ns, default=0) < 1:
        raise ValueError(f"times of {list(times_ns)} ns for {item}")
    state = {str(name): float(value) for name, value in message["state"].items()}
    return Run(slot, item, times_ns, int(message["wall_ns"]), state)


def _pump(stream: TextIO, take: Any) -> None:
    """Hands on each line, then None."""
    try:
        for line in stream:
            take(line)
    except ValueError:  # the stream was closed under us
        pass
    take(None)

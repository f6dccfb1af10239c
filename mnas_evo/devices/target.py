"""Targets: how a device is named on the command line, and the driver that reaches it."""

import re
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Literal
from urllib.parse import parse_qsl, urlencode

from mnas_evo.bundled import bundled_folder
from mnas_evo.devices.agent_process import AgentProcess, agent_options
from mnas_evo.errors import RequestError, UnknownTarget
from mnas_evo.latency.runs import Device

Kind = Literal["local", "ssh", "browser", "adb"]

RUNTIMES = ("onnxruntime", "openvino", "torch", "torch-cuda")
FORMS = "local, local:RUNTIME, ssh://user@host:port, browser, adb://SERIAL"
_HELP = f"a target is one of {FORMS}, with options such as ?threads=1&precision=fp32"
_OPTIONS = {
    "local": {"threads", "precision", "provider"},
    "ssh": {"threads", "precision", "provider", "runtime", "config", "python", "keep"},
    "browser": {"threads", "precision", "port"},
    "adb": {"threads", "precision"},
}
_WEB = ("browser", "adb")


@dataclass(frozen=True, slots=True)
class Target:
    """A device, the runtime on it, threads and precision; `provider` is onnxruntime's, or OpenVINO's device.

    For ssh also: user, host and port, ssh's own configuration file, the device's Python, and whether to keep what was
    pushed. For a browser also the server's port; for adb `host` is the phone's serial number.
    """

    runtime: str = "onnxruntime"
    threads: int = 1
    precision: str = "fp32"
    kind: Kind = "local"
    provider: str = ""
    host: str = ""
    user: str = ""
    port: int = 0
    config: str = ""
    python: str = ""
    keep: bool = False

    def __str__(self) -> str:
        options: dict[str, object] = {"threads": self.threads, "precision": self.precision}
        if self.kind == "ssh" and self.runtime != RUNTIMES[0]:
            options["runtime"] = self.runtime
        options |= {name: text for name in ("provider", "config", "python") if (text := getattr(self, name))}
        if self.keep:
            options["keep"] = "yes"
        place: str = self.kind
        if self.kind == "local":
            place = f"local:{self.runtime}"
        elif self.kind == "ssh":
            place = f"ssh://{f'{self.user}@' if self.user else ''}{self.host}{f':{self.port}' if self.port else ''}"
        elif self.kind == "adb":
            place = f"adb://{self.host}"
        elif self.port:
            options["port"] = self.port
        return f"{place}?{urlencode(options)}"

    def without_address(self) -> str:
        """What a table may say of where it was measured: whose machine that is concerns nobody else."""
        options = {"threads": self.threads, "precision": self.precision}
        provider = {"provider": self.provider} if self.provider else {}
        return f"{self.kind}:{self.runtime}?{urlencode({**options, **provider})}"


def parse_target(text: str) -> Target:
    """Reads a target.

    Raises:
        UnknownTarget: it names no device or option that this version knows.
    """
    if not text.isprintable():
        raise UnknownTarget(f"a target has printable characters only, not {text!r}")
    place, _, query = text.partition("?")
    if place.startswith("ssh://"):
        kind: Kind = "ssh"
    elif place.startswith("adb://"):
        kind = "adb"
    elif place == "browser":
        kind = "browser"
    elif place.partition(":")[0] == "local":
        kind = "local"
    else:
        raise UnknownTarget(f"unknown target {text!r}: {_HELP}")
    options = _options(text, query, known=_OPTIONS[kind])
    runtime = (place.partition(":")[2] if kind == "local" else options.get("runtime", "")) or RUNTIMES[0]
    if runtime not in RUNTIMES:
        raise UnknownTarget(f"target {text!r} names runtime {runtime!r}; known are {', '.join(RUNTIMES)}")
    threads = _number(text, "threads", options.get("threads", "1"), most=1024)
    where = _place(text, place) if kind == "ssh" else {}
    if kind == "adb":
        where["host"] = place.removeprefix("adb://")
    port = _number(text, "port", options["port"], most=65_535) if "port" in options else where.pop("port", 0)
    keep = options.get("keep", "no")
    if keep not in ("yes", "no"):
        raise UnknownTarget(f"target {text!r}: keep is yes or no, not {keep!r}")
    return Target(
        "onnxruntime-web" if kind in _WEB else runtime,
        threads,
        options.get("precision", "fp32"),
        kind,
        options.get("provider", ""),
        host=str(where.get("host", "")),
        user=str(where.get("user", "")),
        port=int(port),
        config=options.get("config", ""),
        python=options.get("python", ""),
        keep=keep == "yes",
    )


def _options(text: str, query: str, *, known: set[str]) -> dict[str, str]:
    try:
        pairs = parse_qsl(query, strict_parsing=True, keep_blank_values=True) if query else []
    except ValueError as error:
        raise UnknownTarget(f"target {text!r} has options that cannot be read: {_HELP}") from error
    options = dict(pairs)
    if twice := sorted({name for name, _ in pairs if [other for other, _ in pairs].count(name) > 1}):
        raise UnknownTarget(f"target {text!r} gives {', '.join(twice)} twice: {_HELP}")
    if unknown := sorted(set(options) - known):
        raise UnknownTarget(
            f"target {text!r} has unknown options {', '.join(unknown)}; it takes {', '.join(sorted(known))}"
        )
    return options


def _number(text: str, name: str, value: str, *, most: int) -> int:
    if not re.fullmatch(r"0*[1-9][0-9]{0,5}", value) or int(value) > most:
        raise UnknownTarget(f"target {text[:200]!r}: {name} is a positive number, not {value[:20]!r}, at most {most}")
    return int(value)


def _place(text: str, place: str) -> dict[str, str | int]:
    """User, host and port of ssh://user@host:port; what host and user may be, the driver says."""
    user, _, host = place.removeprefix("ssh://").rpartition("@")
    host, slash, path = host.partition("/")
    if path:
        raise UnknownTarget(f"target {text!r} has a path, {slash + path!r}; write ssh://user@host:port")
    end = host.rfind("]") + 1  # an IPv6 address has colons of its own, within brackets
    rest, colon, port = host[end:].partition(":")
    if ":" in port:
        raise UnknownTarget(f"target {text!r}: an IPv6 address stands in brackets, as ssh://[::1]:22")
    host = host[:end] + rest
    if not host:
        raise UnknownTarget(f"target {text!r} names no host; write ssh://user@host:port")
    return {"host": host, "user": user, "port": _number(text, "port", port, most=65_535) if colon else 0}


def open_device(target: Target, *, listen: bool = False, say: Callable[[str], None] = lambda text: None) -> Device:
    """The driver of a target; nothing is started before it is used.

    `listen` opens a browser's server to the local network; `say` is told what a user must do, such as opening a page.

    Raises:
        UnknownTarget: a host, user or serial number that cannot be one.
        RequestError: a precision that a browser does not have, or `listen` for what serves no page.
    """
    if listen and target.kind != "browser":
        raise RequestError(f"--listen opens the page of a browser target; {target} serves none")
    if target.kind == "ssh":
        from mnas_evo.devices.ssh import SshDevice

        return SshDevice(
            target.host,
            user=target.user or None,
            port=target.port or None,
            runtime=target.runtime,
            threads=target.threads,
            precision=target.precision,
            provider=target.provider,
            config=Path(target.config).expanduser() if target.config else None,
            python=target.python or "python3",
            keep=target.keep,
        )
    if target.kind == "browser":
        from mnas_evo.devices.browser import BrowserDevice

        return BrowserDevice(
            threads=target.threads, precision=target.precision, listen=listen, port=target.port, say=say
        )
    if target.kind == "adb":
        from mnas_evo.devices.adb import AdbDevice

        return AdbDevice(target.host, threads=target.threads, precision=target.precision, say=say)
    options = agent_options(target.runtime, target.threads, target.precision, target.provider)
    return AgentProcess([sys.executable, str(bundled_folder("profiling") / "agent.py"), *options])


def shown_on(device: Device, report: Callable[[float, str], None]) -> Callable[[float, str], None]:
    """A progress report that a device with a page of its own shows too."""
    show: Callable[[float, str], None] | None = getattr(device, "show_progress", None)
    if show is None:
        return report

    def both(share: float, text: str) -> None:
        report(share, text)
        show(share, text)

    return both


@contextmanager
def opened(target: Target, *, listen: bool = False, say: Callable[[str], None] = lambda text: None) -> Iterator[Device]:
    """The driver of a target, let go of at the end."""
    device = open_device(target, listen=listen, say=say)
    try:
        yield device
    finally:
        device.close()

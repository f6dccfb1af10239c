"""How a device is named."""

import socket
import subprocess
import threading
from collections.abc import Iterator
from contextlib import suppress
from ipaddress import IPv6Address

import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.strategies import SearchStrategy

from mnas_evo.devices.adb import AdbDevice
from mnas_evo.devices.agent_process import AgentProcess, agent_options
from mnas_evo.devices.browser import BrowserDevice
from mnas_evo.devices.ssh import SshDevice
from mnas_evo.devices.target import RUNTIMES, Target, open_device, opened, parse_target
from mnas_evo.errors import RequestError, UnknownTarget

THREADS = st.integers(1, 1024)
PRECISIONS = st.sampled_from(["fp32", "fp16", "bf16", "int8"]) | st.text()
PORTS = st.integers(0, 65_535)  # 0 where none is said
NAMES = st.from_regex(r"[A-Za-z0-9][A-Za-z0-9._-]{0,20}", fullmatch=True)
ZONES = st.just("") | NAMES.map(lambda name: f"%{name}")
HOSTS = NAMES | st.builds("[{}{}]".format, st.ip_addresses(v=6), ZONES) | st.ip_addresses(v=4).map(str)
SERIALS = NAMES | st.builds("{}:{}".format, st.ip_addresses(v=4), st.integers(1, 65_535))  # of a phone


def targets() -> SearchStrategy[Target]:
    """Targets of all kinds, with all their options."""
    common = {"threads": THREADS, "precision": PRECISIONS}
    agents = {**common, "runtime": st.sampled_from(RUNTIMES), "provider": st.text()}
    ssh = {"host": HOSTS, "user": st.just("") | NAMES, "port": PORTS, "config": st.text(), "python": st.text()}
    return st.one_of(
        st.builds(Target, kind=st.just("local"), **agents),
        st.builds(Target, kind=st.just("ssh"), keep=st.booleans(), **agents, **ssh),
        st.builds(Target, kind=st.just("browser"), runtime=st.just("onnxruntime-web"), port=PORTS, **common),
        st.builds(Target, kind=st.just("adb"), runtime=st.just("onnxruntime-web"), host=SERIALS, **common),
    )


PIECES = [
    "local",
    "ssh://",
    "browser",
    "pi",
    "user",
    "@",
    ":",
    "22",
    "[",
    "]",
    "::1",
    "fe80::1%eth0",
    "/",
    " ",
    "²",
    "\0",
]
PIECES += ["?", "&", "=", ";", "%", "%41", "%ff", "+", *RUNTIMES, "threads", "precision", "provider", "runtime", "keep"]
PIECES += ["port", "python", "config", "yes", "no", "0", "-1", "65536", "1e3", "fp32"]
TEXTS = st.text() | st.lists(st.sampled_from(PIECES), max_size=12).map("".join)
NEAR = st.builds(
    "{}?{}".format,
    st.sampled_from(["local", "local:torch", "ssh://pi", "ssh://me@[::1]:22", "browser", "adb://0a1b2c"]),
    st.lists(st.builds("{}={}".format, st.sampled_from(PIECES), TEXTS), max_size=4).map("&".join),
)


@given(targets())
def test_a_target_is_read_as_it_is_written(target: Target) -> None:
    assert parse_target(str(target)) == target


@pytest.mark.parametrize("text", ["local", "local:", "local:onnxruntime", "local?threads=1", "local?precision=fp32"])
def test_what_is_left_unsaid_is_onnxruntime_on_one_thread_at_fp32(text: str) -> None:
    assert parse_target(text) == Target("onnxruntime", 1, "fp32")


def test_every_part_of_a_target_has_its_place() -> None:
    options = "runtime=torch&threads=4&precision=bf16&provider=CPU&config=my%20config&python=~/bin/python3.8&keep=yes"
    assert parse_target(f"ssh://me@[fe80::1%eth0]:2222?{options}") == Target(
        "torch",
        4,
        "bf16",
        kind="ssh",
        provider="CPU",
        host="[fe80::1%eth0]",
        user="me",
        port=2222,
        config="my config",
        python="~/bin/python3.8",
        keep=True,
    )
    assert parse_target("ssh://pi") == Target(kind="ssh", host="pi")
    assert parse_target("browser?port=8080&threads=2") == Target("onnxruntime-web", 2, kind="browser", port=8080)
    assert parse_target("local:openvino?provider=GPU") == Target("openvino", provider="GPU")


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "unknown target ''"),
        ("pixel6", "unknown target 'pixel6'"),
        ("LOCAL", "unknown target 'LOCAL'"),
        ("local2:onnxruntime", "unknown target 'local2:onnxruntime'"),
        ("ssh:pi", "unknown target 'ssh:pi'"),
        ("SSH://pi", "unknown target 'SSH://pi'"),
        ("browser:8080", "unknown target 'browser:8080'"),
        ("browser/", "unknown target 'browser/'"),
        ("local:tflite", "names runtime 'tflite'; known are onnxruntime, openvino, torch, torch-cuda"),
        ("ssh://pi?runtime=tflite", "names runtime 'tflite'; known are onnxruntime"),
        ("local?thread=1", "unknown options thread"),
        ("local?threads=1&cores=2&clock=3", "unknown options clock, cores"),
        ("local?runtime=torch", "unknown options runtime; it takes precision, provider, threads"),
        ("local?keep=yes", "unknown options keep"),
        ("local?port=22", "unknown options port"),
        ("ssh://pi?port=22", "unknown options port"),
        ("browser?provider=WebGPU", "unknown options provider; it takes port, precision, threads"),
        ("browser?runtime=torch", "unknown options runtime"),
        ("adb://0a1b2c?port=8080", "unknown options port; it takes precision, threads"),
        ("adb:0a1b2c", "unknown target 'adb:0a1b2c'"),
        ("local?threads", "options that cannot be read"),
        ("local?threads=", "threads"),
        ("local?threads=0", "threads is a positive number, not '0'"),
        ("local?threads=-1", "threads is a positive number, not '-1'"),
        ("local?threads=two", "threads is a positive number, not 'two'"),
        ("local?threads=1.5", "threads is a positive number, not '1.5'"),
        ("local?threads=²", "threads is a positive number, not '²'"),
        ("local?threads=1025", "threads"),
        ("local?threads=1&threads=4", "threads"),
        ("local?provider=CPU&provider=GPU", "gives provider twice"),
        ("ssh://", "names no host; write ssh://user@host:port"),
        ("ssh://me@", "names no host"),
        ("ssh://me@:22", "names no host"),
        ("ssh://pi:0", "port is a positive number, not '0'"),
        ("ssh://pi:65536", "port is a positive number, not '65536'"),
        ("ssh://pi:٢٢", "port is a positive number, not '٢٢'"),
        ("ssh://pi?keep=maybe", "keep is yes or no, not 'maybe'"),
        ("ssh://pi?keep=", "keep is yes or no, not ''"),
        ("browser?port=0", "port is a positive number, not '0'"),
        ("browser?port=65536", "port is a positive number, not '65536'"),
        ("browser?port=", "port is a positive number, not ''"),
    ],
)
def test_a_target_that_names_nothing_is_refused_with_the_part_that_does_not(text: str, said: str) -> None:
    with pytest.raises(UnknownTarget, match=said):
        parse_target(text)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("ssh://pi:123456", "port"),
        ("ssh://pi:ssh", "port"),
        ("ssh://pi:", "port"),
        ("ssh://::1", "["),
        ("ssh://pi/home", "/home"),
    ],
)
def test_of_an_ssh_target_the_part_that_is_wrong_is_named(text: str, said: str) -> None:
    with pytest.raises(UnknownTarget) as caught:
        parse_target(text)
    message = str(caught.value).removeprefix(f"target {text!r}").replace("ssh://user@host:port", "")
    assert "names no host" not in message
    assert said in message


@given(TEXTS | NEAR)
def test_no_text_ends_in_another_error_than_the_projects(text: str) -> None:
    try:
        target = parse_target(text)
    except UnknownTarget:
        return
    assert target.threads >= 1
    assert parse_target(str(target)) == target


@pytest.mark.parametrize("text", ["local?threads={}", "browser?port={}"])
def test_an_endless_number_is_refused_too(text: str) -> None:
    with pytest.raises(UnknownTarget):
        parse_target(text.format("9" * 5000))


def test_what_is_no_utf_8_on_the_command_line_is_refused_or_written_as_it_was_read() -> None:
    with suppress(UnknownTarget):
        target = parse_target("local?precision=\udcff")
        assert parse_target(str(target)) == target


# Drivers


@pytest.fixture
def nothing_starts(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Whatever starts a process or a thread, or listens, fails."""

    def started(*what: object, **how: object) -> None:
        raise AssertionError(f"something was started: {what}")

    with monkeypatch.context() as patch:
        patch.setattr(subprocess.Popen, "__init__", started)
        patch.setattr(threading.Thread, "start", started)
        patch.setattr(socket.socket, "bind", started)
        patch.setattr(socket.socket, "connect", started)
        yield


@pytest.mark.parametrize(
    ("text", "driver"),
    [
        ("local", AgentProcess),
        ("local:torch?threads=2", AgentProcess),
        ("ssh://pi", SshDevice),
        ("ssh://me@[::1]:2222?runtime=openvino&config=c&python=~/venv/bin/python&keep=yes", SshDevice),
        ("browser?port=8080", BrowserDevice),
        ("adb://192.168.1.7:5555", AdbDevice),
    ],
)
def test_a_target_is_opened_and_let_go_of_without_starting_anything(
    text: str, driver: type, nothing_starts: None
) -> None:
    said: list[str] = []
    with opened(parse_target(text), say=said.append) as device:
        assert isinstance(device, driver)
    assert said == []


def test_opening_a_device_starts_nothing() -> None:
    device = open_device(Target("no such runtime"))
    assert isinstance(device, AgentProcess)
    device.close()


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("ssh://-oProxyCommand=reboot", "'-oProxyCommand=reboot' is no ssh host"),
        ("ssh://my pi", "'my pi' is no ssh host"),
        ("ssh://me:secret@pi", "'me:secret' is no ssh user"),
        ("ssh://-l@pi", "'-l' is no ssh user"),
        ("ssh://[::g]", r"'\[::g\]' is no ssh host: give an IPv6 address in the brackets"),
        ("ssh://[]", r"'\[\]' is no ssh host"),
        ("ssh://[fe80::1%-x]", "is no ssh host"),
        ("browser?precision=int8", "runs fp32, not 'int8'"),
    ],
)
def test_what_only_the_driver_can_judge_is_refused_when_it_is_opened(
    text: str, said: str, nothing_starts: None
) -> None:
    with pytest.raises(RequestError, match=said):
        open_device(parse_target(text))


@given(TEXTS | NEAR | targets().map(str))
def test_no_target_opens_with_another_error_than_the_projects(text: str) -> None:
    with suppress(RequestError):
        open_device(parse_target(text)).close()


def test_an_ipv6_host_means_its_address() -> None:
    host = parse_target("ssh://[0:0:0::1]:22").host
    assert IPv6Address(host[1:-1]) == IPv6Address("::1")


def test_the_agent_is_told_all_that_a_target_says() -> None:
    target = parse_target("local:openvino?threads=2&precision=bf16&provider=CPU")
    words = agent_options(target.runtime, target.threads, target.precision, target.provider)
    options = dict(zip(words[::2], words[1::2], strict=True))
    assert options == {"--runtime": "openvino", "--threads": "2", "--precision": "bf16", "--provider": "CPU"}
    assert "--provider" not in agent_options("onnxruntime", 1, "fp32", "")

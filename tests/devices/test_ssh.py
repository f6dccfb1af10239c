"""A device behind ssh: a real sshd on loopback, which is killed, stopped and misled."""

import getpass
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from strategies import TINY
from support.sshd import SSHD, LocalSshd, kill, new_key, program, running, soon

from mnas_evo.devices import ssh
from mnas_evo.devices.profile import ProfileRequest, profile
from mnas_evo.devices.ssh import SshDevice
from mnas_evo.devices.ssh_connection import SshConnection
from mnas_evo.devices.target import Target, opened
from mnas_evo.errors import DeviceError, DeviceGone, UnknownTarget
from mnas_evo.latency.runs import DeviceFacts, Plan, Run, RunLog, Visit
from mnas_evo.models.onnx_writer import SharedWeights, onnx_model
from mnas_evo.space.lowering import lower
from mnas_evo.space.notation import parse_network

TINY_NETWORK = lower(parse_network("8x8x3/stem4/r1_k3_e1_o4/head8/2"))
# What a shell would run, what tar or a program would take for an option, and what ends a word or a line.
HOSTILE = (
    "$(touch harmed)",
    "`touch harmed`",
    "; touch harmed;",
    'it\'s "quoted"',
    "a\nline",
    "-rf",
    "--to-command=sh",
)

Connect = Callable[..., SshDevice]
StartServer = Callable[..., LocalSshd]


# Names


@pytest.mark.parametrize(
    "host",
    [
        *(
            "",
            "-oProxyCommand=touch harmed",
            "-pi5",
            "pi 5",
            "pi5;ls",
            "$(ls)",
            "`ls`",
            "pi5\n",
            "user@pi5",
            "ssh://pi5",
        ),
        *(
            "pi5/..",
            "pi\0",
            "pi'5",
            "[pi5]",
            "[::1",
            "::1",
            "[::1]x",
            "[fe80::1%-e]",
            "[fe80::1%$(ls)]",
            "pié",
            "p" * 300,
        ),
    ],
)
def test_a_host_that_could_be_anything_else_is_refused(host: str) -> None:
    with pytest.raises(UnknownTarget, match="is no ssh host"):
        SshDevice(host)


@pytest.mark.parametrize("user", ["", "-l", "a b", "a;b", "$(id)", "a@b", "a\n", "a/b", "é"])
def test_a_user_that_could_be_anything_else_is_refused(user: str) -> None:
    with pytest.raises(UnknownTarget, match="is no ssh user"):
        SshDevice("pi5", user=user)


@pytest.mark.parametrize("port", [0, -1, 65536])
def test_a_port_that_is_none_is_refused(port: int) -> None:
    with pytest.raises(UnknownTarget, match=f"{port} is no ssh port"):
        SshDevice("pi5", port=port)


@pytest.mark.parametrize("python", ["", "-c", " python3", "python3\nls"])
def test_a_python_that_is_none_is_refused(python: str) -> None:
    with pytest.raises(UnknownTarget, match="is no Python on the device"):
        SshDevice("pi5", python=python)


@pytest.mark.parametrize(
    ("host", "for_ssh"),
    [
        ("pi5", "pi5"),
        ("192.0.2.7", "192.0.2.7"),
        ("Pi_5.a-b.local", "Pi_5.a-b.local"),
        ("[2001:DB8::1]", "2001:db8::1"),
    ],
)
def test_names_and_addresses_reach_ssh_as_it_wants_them(host: str, for_ssh: str) -> None:
    command = SshConnection(host, user="pi", port=2222).command("true")
    assert command[command.index("--") + 1] == for_ssh
    assert SshConnection(host, user="pi", port=2222).by_hand == f"ssh -p 2222 -l pi {for_ssh}"


@given(st.lists(st.text(st.characters(codec="utf-8", exclude_characters="\0\n")), min_size=1))
def test_whatever_is_said_to_the_other_end_is_one_line_of_quoted_words(words: list[str]) -> None:
    line = SshConnection("pi5").command('printf "%s|" "$@"', *words)[-1]
    # As a login shell would read it.
    done = subprocess.run(["sh", "-c", line], capture_output=True, timeout=60, check=True)
    assert done.stdout.decode() == "".join(f"{word}|" for word in words)


def test_without_an_ssh_here_it_is_said_what_to_install(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    device = SshDevice("pi5")
    with pytest.raises(DeviceError, match=r"ssh cannot be run here.*Install OpenSSH's client"):
        device.facts()
    device.close()


# A real server


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LocalSshd]:
    """A device with its sshd."""
    found = _server(tmp_path_factory.mktemp("server"))
    yield found
    found.stop()


def _server(folder: Path, **environment: str) -> LocalSshd:
    if SSHD is None or shutil.which("ssh") is None:
        pytest.skip("there is no sshd here: install openssh-server and openssh-client")
    found = LocalSshd(folder, environment=environment)
    found.start()
    return found


@pytest.fixture
def another_server(tmp_path: Path) -> Iterator[StartServer]:
    """Makes a device of a test's own, with more in its sessions' environment."""
    servers: list[LocalSshd] = []

    def start(**environment: str) -> LocalSshd:
        servers.append(_server(tmp_path / f"server {len(servers)}", **environment))
        return servers[-1]

    yield start
    for found in servers:
        found.stop()


@pytest.fixture
def here(monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """This machine's folder for temporary files: with a short path, for there will be a socket in it."""
    with tempfile.TemporaryDirectory(prefix="t", dir="/tmp") as folder:
        monkeypatch.setattr(tempfile, "tempdir", folder)
        yield Path(folder)


@pytest.fixture
def connect(server: LocalSshd, here: Path) -> Iterator[Connect]:
    """Makes drivers of the device; after each test neither end may hold anything of theirs."""
    devices = []

    def make(host: str = "device", **options: object) -> SshDevice:
        usual = {"config": server.config, "python": sys.executable, "waits_seconds": (0.0, 0.1, 0.5)}
        devices.append(SshDevice(host, **(usual | options)))  # type: ignore[arg-type]
        return devices[-1]

    yield make
    for device in devices:
        device.close()
    assert list(here.iterdir()) == []
    assert server.left() == []
    soon(lambda: not running(str(here)) and not server.agents())


@pytest.fixture(scope="module")
def models(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with one model, something that is none, and two files that are not the device's."""
    folder = tmp_path_factory.mktemp("models")
    write_models(folder, "0.onnx")
    (folder / "broken.onnx").write_bytes(b"no model")
    (folder / ".complete").touch()
    (folder / "folder").mkdir()
    return folder


def write_models(folder: Path, *names: str) -> None:
    """A tiny network under each of the names."""
    folder.mkdir(exist_ok=True)
    weights = SharedWeights([TINY_NETWORK])
    weights.write(folder, rng=np.random.default_rng(0))
    for name in names:
        (folder / name).write_bytes(onnx_model(TINY_NETWORK, weights=weights).SerializeToString())


def plan(models: Path, *names: str, visit_ns: int = 0) -> Plan:
    """A plan of visits to models, in order."""
    visits = tuple(Visit(slot, f"item {slot}", name, (1, 3, 8, 8)) for slot, name in enumerate(names))
    return Plan(models, visits, visit_ns, min_repeats=3, max_repeats=1_000_000)


def long_plan(models: Path, visits: int = 12) -> Plan:
    """A plan that takes long enough to be disturbed: 30 ms a visit."""
    return plan(models, *["0.onnx"] * visits, visit_ns=30_000_000)


# Plans


@pytest.mark.remote
def test_it_gives_the_same_kinds_of_runs_as_the_agent_of_this_machine(connect: Connect, models: Path) -> None:
    asked = plan(models, "0.onnx", "broken.onnx", "no such.onnx", "0.onnx")
    with opened(Target()) as local:
        facts, expected = local.facts(), list(local.run(asked))
    device = connect()
    assert device.facts() == facts
    found = list(device.run(asked))
    assert [(run.slot, run.item, run.refusal is None) for run in found] == [
        (run.slot, run.item, run.refusal is None) for run in expected
    ]
    assert [len(run.times_ns) for run in found] == [3, 0, 0, 3]
    assert [set(run.state) for run in found] == [set(run.state) for run in expected]


@pytest.mark.remote
def test_user_and_port_may_be_given_with_the_host(connect: Connect, server: LocalSshd, models: Path) -> None:
    device = connect("127.0.0.1", user=getpass.getuser(), port=server.port)
    assert len(list(device.run(plan(models, "0.onnx")))) == 1


@pytest.mark.remote
def test_no_name_of_a_file_or_folder_is_read_by_a_shell_or_a_program(
    connect: Connect, server: LocalSshd, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    folder, names = tmp_path / " ".join(HOSTILE), [f"{name}.onnx" for name in HOSTILE]
    write_models(folder, *names)
    config = server.config_with("a config; touch harmed; $(touch harmed) 'it's")
    runs = list(connect(config=config).run(plan(folder, *names)))
    assert [run.refusal for run in runs] == [None] * len(HOSTILE)
    assert set(server.copies()) == {*names, "weights.bin"}
    assert not [path for place in (tmp_path, server.home, Path.home()) for path in place.rglob("harmed")]


@pytest.mark.remote
def test_only_what_is_new_or_changed_is_pushed(connect: Connect, server: LocalSshd, tmp_path: Path) -> None:
    folder = tmp_path / "models"
    write_models(folder, "0.onnx", "1.onnx")
    (folder / ".complete").touch()
    device = connect()
    list(device.run(plan(folder, "0.onnx", "1.onnx")))
    first = server.copies()
    assert set(first) == {"0.onnx", "1.onnx", "weights.bin"}
    list(device.run(plan(folder, "1.onnx")))
    assert server.copies() == first
    (folder / "0.onnx").write_bytes(b"no model any more")
    shutil.copy(folder / "1.onnx", folder / "2.onnx")
    changed, new = device.run(plan(folder, "0.onnx", "2.onnx"))
    assert (changed.refusal is None, new.refusal is None) == (False, True)
    second = server.copies()
    assert {name for name in second if second[name] != first.get(name)} == {"0.onnx", "2.onnx"}


@pytest.mark.remote
def test_two_folders_do_not_meet(connect: Connect, tmp_path: Path) -> None:
    write_models(tmp_path / "good", "0.onnx")
    write_models(tmp_path / "bad")
    (tmp_path / "bad" / "0.onnx").write_bytes(b"no model")
    device = connect()
    found = [next(iter(device.run(plan(tmp_path / name, "0.onnx")))) for name in ("good", "bad", "good")]
    assert [run.refusal is None for run in found] == [True, False, True]


@pytest.mark.remote
def test_models_that_are_no_more_here_go_there_too(connect: Connect, server: LocalSshd, tmp_path: Path) -> None:
    write_models(tmp_path / "first", "0.onnx")
    write_models(tmp_path / "second", "1.onnx")
    device = connect()
    list(device.run(plan(tmp_path / "first", "0.onnx")))
    shutil.rmtree(tmp_path / "first")
    list(device.run(plan(tmp_path / "second", "1.onnx")))
    assert set(server.copies()) == {"1.onnx", "weights.bin"}


@pytest.mark.remote
def test_it_can_be_closed_twice_and_used_again(connect: Connect, models: Path, server: LocalSshd) -> None:
    device = connect()
    facts = device.facts()
    device.close()
    device.close()
    assert server.left() == []
    assert device.facts() == facts
    assert len(list(device.run(plan(models)))) == 0
    assert len(list(device.run(plan(models, "0.onnx")))) == 1


@pytest.mark.remote
def test_what_a_caller_turned_away_from_does_not_meet_its_next_plan(
    connect: Connect, server: LocalSshd, models: Path
) -> None:
    device = connect()
    runs = device.run(long_plan(models, visits=500))
    assert next(runs).slot == 0
    runs.close()  # type: ignore[attr-defined]
    assert [run.slot for run in device.run(plan(models, "0.onnx", "0.onnx"))] == [0, 1]
    assert len(server.agents()) == 1


@pytest.mark.remote
def test_closing_in_the_middle_of_a_plan_ends_the_agent(connect: Connect, server: LocalSshd, models: Path) -> None:
    device = connect()
    runs = device.run(long_plan(models, visits=500))
    next(runs)
    device.close()
    soon(lambda: not server.agents())
    assert server.left() == []


@pytest.mark.remote
def test_a_kept_folder_spares_the_next_session_the_push(connect: Connect, server: LocalSshd, models: Path) -> None:
    first, second = connect(keep=True), connect(keep=True)
    list(first.run(plan(models, "0.onnx")))
    first.close()
    assert server.left() == [".mnas-evo"]
    kept = server.copies(kept=True)
    assert set(kept) == {"0.onnx", "broken.onnx", "weights.bin"}
    (damaged,) = server.home.glob(".mnas-evo/*/0.onnx")
    damaged.write_bytes(b"cut off")
    assert next(iter(second.run(plan(models, "0.onnx")))).refusal is None
    second.close()
    now = server.copies(kept=True)
    assert {name for name in kept if now[name] != kept[name]} == {"0.onnx"}
    assert not list(server.home.glob(".mnas-evo/agent.*[!y]"))
    shutil.rmtree(server.home / ".mnas-evo")


# Broken connections


def break_session(server: LocalSshd, here: Path) -> None:
    """The server's end of the connection dies."""
    kill(server.sessions())


def break_connection(server: LocalSshd, here: Path) -> None:
    """This end of the connection dies."""
    kill(running(str(here), "-N"))


def break_agent(server: LocalSshd, here: Path) -> None:
    """The agent dies, as a runtime that crashes would kill it."""
    kill(server.agents())


def break_machine(server: LocalSshd, here: Path) -> None:
    """The machine starts anew, and with it its folder for temporary files."""
    kill(server.sessions())
    for folder in server.temporary.glob("mnas-evo.*"):
        shutil.rmtree(folder)


Break = Callable[[LocalSshd, Path], None]


@pytest.mark.remote
@pytest.mark.parametrize("breaks", [break_session, break_connection, break_agent, break_machine])
def test_a_plan_goes_on_after_a_break_and_every_visit_comes_once(
    breaks: Break, connect: Connect, server: LocalSshd, here: Path, models: Path
) -> None:
    asked, found, logins = long_plan(models), [], server.logins
    for run in connect().run(asked):
        found.append(run)
        if run.slot in (1, 5):
            breaks(server, here)
    assert [(run.slot, run.item) for run in found] == [(visit.slot, visit.item) for visit in asked.visits]
    assert all(run.refusal is None for run in found)
    assert server.logins == logins + 3


@pytest.mark.remote
def test_a_connection_that_broke_between_plans_is_made_anew(
    connect: Connect, server: LocalSshd, here: Path, models: Path
) -> None:
    device = connect()
    list(device.run(plan(models, "0.onnx")))
    pushed = server.copies()
    break_session(server, here)
    assert len(list(device.run(plan(models, "0.onnx")))) == 1
    assert server.copies() == pushed


@pytest.mark.remote
def test_an_agent_that_lost_its_host_does_not_disturb_the_next(
    connect: Connect, server: LocalSshd, here: Path, models: Path
) -> None:
    runs = connect().run(long_plan(models, visits=500))
    next(runs)
    before, sessions = server.agents(), server.sessions()
    kill(sessions, by=signal.SIGSTOP)  # as where the network goes and the server does not notice
    break_connection(server, here)
    assert len(before) == 1
    slots = []
    while server.agents() == before:  # what it sent before the break may still be on its way
        slots.append(next(runs).slot)
    assert slots == list(range(1, len(slots) + 1))
    assert len(server.agents()) == 1
    kill(sessions)
    runs.close()  # type: ignore[attr-defined]


@pytest.mark.remote
def test_a_server_that_comes_back_in_time_is_waited_for(
    another_server: StartServer, connect: Connect, models: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    server = another_server()
    waited: list[float] = []

    def wait(seconds: float) -> None:
        waited.append(seconds)
        if len(waited) == 3:
            server.start()

    device = connect(config=server.config, waits_seconds=(0.01, 0.02, 0.03, 0.04))
    found = []
    monkeypatch.setattr(ssh, "time", SimpleNamespace(sleep=wait))
    for run in device.run(long_plan(models)):
        found.append(run.slot)
        if run.slot == 2:
            server.stop()
    assert found == list(range(12))
    assert waited == [0.01, 0.02, 0.03]
    device.close()
    assert server.left() == []


@pytest.mark.remote
def test_a_server_that_stays_away_is_given_up_and_may_be_tried_later(
    another_server: StartServer, connect: Connect, models: Path
) -> None:
    server = another_server()
    device, found = connect(config=server.config, waits_seconds=(0.0, 0.1)), []
    with pytest.raises(DeviceGone) as gone:
        for run in device.run(long_plan(models, visits=500)):
            found.append(run.slot)
            if run.slot == 2:
                server.stop()
    assert found == list(range(len(found)))
    said = str(gone.value)
    assert f"device went away after {len(found)} of 500 visits, which are kept, and 2 tries to go on failed" in said
    assert "Connection refused" in said
    assert f"See that this works: ssh -F {server.config}" in said.replace("'", "")
    assert "\n" not in said
    server.start()
    assert len(list(device.run(plan(models, "0.onnx")))) == 1
    device.close()
    assert server.left() == []


@pytest.mark.remote
def test_another_device_after_a_break_is_an_error(
    connect: Connect, server: LocalSshd, here: Path, models: Path, tmp_path: Path
) -> None:
    flag = tmp_path / "flag"
    python = program(
        tmp_path / "python", f'[ -e "{flag}" ] && [ "$1" = -u ] && set -- "$@" --threads 2; exec {sys.executable} "$@"'
    )
    device, found = connect(python=python), []
    with pytest.raises(DeviceError, match=r"device is another device than before.*threads 1 against 2") as error:
        for run in device.run(long_plan(models)):
            found.append(run.slot)
            flag.touch()
            break_session(server, here)
    assert found == list(range(len(found)))
    assert not isinstance(error.value, DeviceGone)


# What the other end lacks or refuses


def said_by(device: SshDevice, server: LocalSshd | None = None) -> str:
    """The error of a device that cannot be used, which is one line and is not tried again."""
    logins = server.logins if server else 0
    with pytest.raises(DeviceError) as error:
        device.facts()
    assert "\n" not in str(error.value)
    if server:
        assert not isinstance(error.value, DeviceGone)
        assert server.logins == logins + 1
    return str(error.value)


@pytest.mark.remote
def test_a_key_that_is_not_let_in_is_told(another_server: StartServer, connect: Connect, tmp_path: Path) -> None:
    server = another_server()
    said = said_by(connect(config=server.config_with("wrong", key=new_key(tmp_path / "wrong key"))))
    assert "device does not let you in without a password" in said
    assert "Permission denied (publickey)" in said
    assert "ssh-copy-id" in said


@pytest.mark.remote
def test_a_server_that_ssh_does_not_know_is_told(connect: Connect, server: LocalSshd) -> None:
    config = server.config_with("unknown", host_key="")
    said = said_by(connect(config=config))
    assert "ssh does not know device yet" in said
    assert "Host key verification failed" in said
    assert f"Run: ssh -F {config} device once, then again" in said


@pytest.mark.remote
def test_a_server_with_another_key_than_ssh_knows_is_told(connect: Connect, server: LocalSshd, tmp_path: Path) -> None:
    other = new_key(tmp_path / "other").with_suffix(".pub").read_text()
    said = said_by(connect(config=server.config_with("changed", host_key=other)))
    assert "device shows another host key than ssh knows of it" in said
    assert "ssh-keygen -R" in said


@pytest.mark.remote
def test_a_port_where_nobody_answers_is_told(connect: Connect) -> None:
    with socket.socket() as nobody:
        nobody.bind(("127.0.0.1", 0))
        said = said_by(connect("127.0.0.1", port=nobody.getsockname()[1]))
    assert "127.0.0.1 cannot be reached" in said
    assert "Connection refused" in said


@pytest.mark.remote
def test_a_config_that_is_not_there_is_told(connect: Connect, tmp_path: Path) -> None:
    said = said_by(connect(config=tmp_path / "no config"))
    assert "no config" in said


@pytest.mark.remote
@pytest.mark.parametrize("python", ["no-such-python", "/no/such/python", "~/no such/python; touch harmed"])
def test_a_device_without_python_is_told(python: str, connect: Connect, server: LocalSshd) -> None:
    said = said_by(connect(python=python), server)
    assert "of version 3.8 or later" in said
    assert f"device has no {python} of" in said


@pytest.mark.remote
def test_a_python_too_old_for_the_agent_is_told(connect: Connect, server: LocalSshd, tmp_path: Path) -> None:
    old = program(tmp_path / "python2", '[ "$1" = -c ] && exit 1; exit 0')
    assert "of version 3.8 or later" in said_by(connect(python=old), server)


@pytest.mark.remote
def test_a_python_is_found_in_the_users_home(connect: Connect, server: LocalSshd, models: Path) -> None:
    python = server.home / "its python"
    program(python, f'exec {sys.executable} "$@"')
    device = connect(python="~/its python")
    assert len(list(device.run(plan(models, "0.onnx")))) == 1
    python.unlink()


@pytest.mark.remote
def test_a_device_without_tar_is_told(another_server: StartServer, connect: Connect, tmp_path: Path) -> None:
    tools = tmp_path / "tools"
    tools.mkdir()
    for name in ("sh", "mktemp", "cat", "rm", "mkdir", "grep", "ps"):
        found = shutil.which(name)
        assert found is not None
        (tools / name).symlink_to(found)
    server = another_server(PATH=str(tools))
    said = said_by(connect(config=server.config), server)
    assert "device has no tar" in said


@pytest.mark.remote
def test_a_device_without_the_runtime_is_told(connect: Connect, server: LocalSshd, tmp_path: Path) -> None:
    bare = program(tmp_path / "bare python", f'exec {sys.executable} -S "$@"')
    said = said_by(connect(python=bare), server)
    assert "onnxruntime is not installed on the device" in said
    assert "Install it there: ssh -F" in said


@pytest.mark.remote
def test_a_precision_that_the_runtime_lacks_is_told_and_not_replaced(connect: Connect, server: LocalSshd) -> None:
    assert "not int8" in said_by(connect(precision="int8"), server)


@pytest.mark.remote
def test_a_provider_that_the_runtime_lacks_is_told_and_not_replaced(connect: Connect, server: LocalSshd) -> None:
    assert "NoSuchProvider" in said_by(connect(provider="NoSuchProvider"), server)


@pytest.mark.remote
def test_a_device_on_which_nothing_can_be_written_is_told(another_server: StartServer, connect: Connect) -> None:
    server = another_server(TMPDIR="/no/such folder")
    said = said_by(connect(config=server.config), server)
    assert "/no/such folder" in said


@pytest.mark.remote
def test_an_agent_that_breaks_off_at_once_is_told_with_its_last_words(connect: Connect, tmp_path: Path) -> None:
    python = program(tmp_path / "python", '[ "$1" = -c ] && exit 0; echo out of memory >&2; exit 1')
    assert "out of memory" in said_by(connect(python=python))


# A campaign


class Mortal:
    """A device that fails after some visits."""

    def __init__(self, device: SshDevice, *, visits: int) -> None:
        self._device, self._left = device, visits

    def facts(self) -> DeviceFacts:
        """The device's."""
        return self._device.facts()

    def run(self, plan: Plan) -> Iterator[Run]:
        """The device's, as long as it lives."""
        for run in self._device.run(plan):
            if self._left == 0:
                raise DeviceError("the device was told to die here")
            self._left -= 1
            yield run

    def close(self) -> None:
        """Closes the device."""
        self._device.close()


@pytest.mark.remote
def test_a_profile_that_died_goes_on_with_another_session_and_has_every_row(
    connect: Connect, server: LocalSshd, here: Path, tmp_path: Path
) -> None:
    request, folder = ProfileRequest(TINY, networks=2), tmp_path / "a table; $(touch harmed)"
    mortal = Mortal(connect(), visits=100)
    with pytest.raises(DeviceError, match="told to die here"):
        profile(folder, mortal, request, target="ssh://device", minutes=0.0, progress=lambda share, text: None)
    mortal.close()
    assert server.left() == []
    breaks = iter([0.2, 0.5, 0.9, 2.0])
    next_break = next(breaks)

    def break_now_and_then(share: float, text: str) -> None:
        nonlocal next_break
        if share > next_break:
            break_session(server, here)
            next_break = next(breaks)

    device = connect()
    table, _ = profile(folder, device, request, target="ssh://device", minutes=0.0, progress=break_now_and_then)
    assert table.missing(TINY.layers()) == []
    assert len([entry for entry in table.networks if entry.role == "sampled"]) == 2
    for path in folder.glob("raw/*/runs.jsonl"):
        slots = [(number, run.slot) for number, run in RunLog(path).read()]
        assert slots == sorted(set(slots))

"""A real sshd on loopback for tests, with keys of its own, and the ssh configs that lead to it."""

import os
import shutil
import signal
import socket
import subprocess
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path

SSHD = shutil.which("sshd", path=os.pathsep.join([os.environ.get("PATH", ""), "/usr/sbin", "/usr/local/sbin"]))
START_SECONDS = 20.0


def new_key(path: Path) -> Path:
    """An ed25519 key without a passphrase; its public half lies beside it."""
    command = ["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", "test", "-f", str(path)]
    subprocess.run(command, check=True, capture_output=True, timeout=60)
    return path


class LocalSshd:
    """An sshd that lets the user of this process in by a key of its own.

    `environment` is what its sessions have beside the usual. The device's home and its folder for temporary files lie
    in the given folder, under names that no shell must read unquoted.
    """

    def __init__(self, folder: Path, *, environment: Mapping[str, str] | None = None) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self.folder = folder
        self.home = folder / "the device's $(touch harmed) home"
        self.temporary = folder / "the device's $(touch harmed) `touch harmed` tmp"
        for path in (self.home, self.temporary):
            path.mkdir(exist_ok=True)
        self.port = _free_port()
        self.key = new_key(folder / "key")
        self._host_key = new_key(folder / "host_key")
        self._log = folder / "log"
        self._process: subprocess.Popen[bytes] | None = None
        set_here = {"HOME": str(self.home), "TMPDIR": str(self.temporary), **(environment or {})}
        (folder / "authorized_keys").write_text(self.key.with_suffix(".pub").read_text())
        options = {
            "ListenAddress": "127.0.0.1",
            "Port": self.port,
            "HostKey": self._host_key,
            "PidFile": folder / "pid",
            "AuthorizedKeysFile": folder / "authorized_keys",
            "PermitRootLogin": "prohibit-password",
            "MaxStartups": 100,
            **dict.fromkeys(("UsePAM", "StrictModes", "PasswordAuthentication", "KbdInteractiveAuthentication"), "no"),
        }
        lines = [f'{name} "{value}"' for name, value in options.items()]
        lines.append("SetEnv " + " ".join(f'"{name}={value}"' for name, value in set_here.items()))
        (folder / "sshd_config").write_text("".join(f"{line}\n" for line in lines))
        self.config = self.config_with("config")

    def config_with(self, name: str, *, key: Path | None = None, host_key: str | None = None) -> Path:
        """An ssh config whose host `device` is this sshd, with the right keys or with others."""
        known = self._host_key.with_suffix(".pub").read_text() if host_key is None else host_key
        known_hosts = self.folder / f"known_hosts of {name}"
        known_hosts.write_text(f"[127.0.0.1]:{self.port} {known}" if known else "")
        path = self.folder / name
        path.write_text(
            f"Host device\n  HostName 127.0.0.1\n  Port {self.port}\n"
            f'Host *\n  IdentityFile "{key or self.key}"\n  IdentitiesOnly yes\n  StrictHostKeyChecking yes\n'
            f'  UserKnownHostsFile "{known_hosts}"\n  GlobalKnownHostsFile /dev/null\n'
        )
        return path

    def start(self) -> None:
        """Starts it, anew if it runs, and waits until it answers."""
        assert SSHD is not None
        self.stop()
        if os.geteuid() == 0:
            Path("/run/sshd").mkdir(mode=0o755, exist_ok=True)
        command = [SSHD, "-D", "-f", str(self.folder / "sshd_config"), "-E", str(self._log)]
        self._process = subprocess.Popen(command, stdin=subprocess.DEVNULL)
        deadline = time.monotonic() + START_SECONDS
        while True:
            with suppress(OSError), socket.create_connection(("127.0.0.1", self.port), timeout=1):
                return
            if self._process.poll() is not None or time.monotonic() > deadline:
                raise RuntimeError(f"sshd did not start: {self._log.read_text()}")
            time.sleep(0.05)

    def stop(self) -> None:
        """Ends it and every session, as a power cut would."""
        if self._process is not None:
            sessions = self.sessions()
            self._process.kill()
            self._process.wait()
            self._process = None
            kill(sessions)

    def sessions(self) -> list[int]:
        """Process numbers of its sessions, and of what ssh itself runs under them."""
        assert self._process is not None
        found, parents = [], {self._process.pid}
        while parents:
            parents = {pid for pid, parent, name in _processes() if parent in parents and name.startswith("sshd")}
            found += sorted(parents)
        return found

    def agents(self) -> list[int]:
        """Agents that run on the device; the commands here that started them are none."""
        clients = running(str(self.folder), "agent.py", "BatchMode")
        return [pid for pid in running(str(self.folder), "agent.py", "--runtime") if pid not in clients]

    def left(self) -> list[str]:
        """What lies in the device's home and in its folder for temporary files."""
        return sorted(path.name for folder in (self.temporary, self.home) for path in folder.iterdir())

    def copies(self, *, kept: bool = False) -> dict[str, tuple[int, int]]:
        """Files of plans on the device, each with what changes when it is written anew."""
        found = self.home.glob(".mnas-evo/*/*") if kept else self.temporary.glob("mnas-evo.*/*/*")
        return {path.name: (path.stat().st_ino, path.stat().st_ctime_ns) for path in found}

    @property
    def logins(self) -> int:
        """How often somebody was let in."""
        return self._log.read_text().count("Accepted publickey")


@contextmanager
def local_sshd(folder: Path) -> Iterator[LocalSshd]:
    """An sshd that has started."""
    server = LocalSshd(folder)
    try:
        server.start()
        yield server
    finally:
        server.stop()


def program(path: Path, body: str) -> str:
    """Writes a program of sh, and gives its path."""
    path.write_text(f"#!/bin/sh\n{body}\n")
    path.chmod(0o755)
    return str(path)


def soon(holds: Callable[[], object]) -> None:
    """Waits for what another process does in its own time."""
    for _ in range(400):
        if holds():
            return
        time.sleep(0.05)
    raise AssertionError("it did not come about")


def running(*words: str) -> list[int]:
    """Processes whose command line holds all the words."""
    found = []
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        with suppress(OSError):
            command = path.read_bytes().decode(errors="replace")
            if all(word in command for word in words):
                found.append(int(path.parent.name))
    return [pid for pid in found if pid != os.getpid()]


def kill(numbers: list[int], *, by: int = signal.SIGKILL) -> None:
    """Sends a signal to processes that may be gone."""
    for number in numbers:
        with suppress(ProcessLookupError):
            os.kill(number, by)


def _processes() -> list[tuple[int, int, str]]:
    """(number, parent's number, name) of every process."""
    found = []
    for path in Path("/proc").glob("[0-9]*/stat"):
        with suppress(OSError):
            start, _, rest = path.read_text().rpartition(")")
            found.append((int(path.parent.name), int(rest.split()[1]), start.partition("(")[2]))
    return found


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])

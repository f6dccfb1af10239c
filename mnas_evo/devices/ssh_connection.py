"""The way to a machine by the system's ssh: one connection that many commands share, and what its failures mean."""

import ipaddress
import re
import shlex
import shutil
import subprocess
import tempfile
from contextlib import suppress
from pathlib import Path
from typing import IO

from mnas_evo.errors import DeviceError, DeviceGone, UnknownTarget

CONNECT_SECONDS = 15
OPEN_SECONDS = 90.0  # connecting and proving who one is; on a slow device the latter takes longest
CALL_SECONDS = 60.0
LINGER_SECONDS = 120  # a connection that a killed process left behind ends itself after this

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,254}")
_NAME_IN_WORDS = "give letters and digits, and after the first also '.', '_' and '-'"
_PLAIN_PATH = re.compile(r"[A-Za-z0-9._/-]{1,60}")
_FIXED = (
    *("-a", "-x", "-T"),
    *("-o", "BatchMode=yes"),
    *("-o", f"ConnectTimeout={CONNECT_SECONDS}"),
    *("-o", "ServerAliveInterval=10"),
    *("-o", "ServerAliveCountMax=3"),
    *("-o", "ClearAllForwardings=yes"),
    *("-o", "RemoteCommand=none"),
    *("-o", "LogLevel=INFO"),
)


class SshConnection:
    """A machine's ssh server. A connection is opened once and shared by all commands until it is closed or breaks.

    Everything that ssh itself reads (its config, keys, known hosts, jumps) holds; it never asks for anything.
    """

    def __init__(
        self, host: str, *, user: str | None = None, port: int | None = None, config: Path | None = None
    ) -> None:
        self._host = _checked_host(host)
        if user is not None and not _NAME.fullmatch(user):
            raise UnknownTarget(f"{user!r} is no ssh user: {_NAME_IN_WORDS}")
        if port is not None and not 1 <= port <= 65535:
            raise UnknownTarget(f"{port} is no ssh port: give one of 1 to 65535")
        self._user = user
        self._where = (
            *(("-F", str(config)) if config is not None else ()),
            *(("-p", str(port)) if port is not None else ()),
            *(("-l", user) if user is not None else ()),
        )
        self._folder: Path | None = None

    @property
    def name(self) -> str:
        """The machine as messages call it."""
        return f"{self._user}@{self._host}" if self._user else self._host

    @property
    def by_hand(self) -> str:
        """What a person would type to reach it."""
        return shlex.join(["ssh", *self._where, self._host])

    def open(self) -> None:
        """Connects, unless the connection stands.

        Raises:
            DeviceGone: the machine cannot be reached.
            DeviceError: it lets nobody in, it is not who ssh knows, or there is no ssh here.
        """
        if self._is_open():
            return
        self._folder = self._folder or Path(tempfile.mkdtemp(prefix="mnas-evo-", dir=_short_folder()))
        log = self._folder / "log"
        command = [*self._ssh("auto"), "-o", f"ControlPersist={LINGER_SECONDS}", "-E", str(log), "-f", "-N"]
        # It stays behind in the background, so what it says goes to a file: a pipe would never end.
        log.write_bytes(b"")
        with log.open("ab") as said:
            code = self._wait([*command, "--", self._host], said=said, seconds=OPEN_SECONDS)
        if code != 0:
            raise self._failure(log.read_text(encoding="utf-8", errors="replace"))

    def command(self, script: str, *words: str) -> list[str]:
        """The local command that runs a line of sh there; the words are its $1, $2 and so on, whatever they hold.

        Without an open connection it makes one of its own.
        """
        # Whatever login shell the other end has reads this line: only quoted words, and no newline in the script.
        return [*self._ssh("no"), "--", self._host, shlex.join(["exec", "sh", "-c", script, "sh", *words])]

    def call(self, script: str, *words: str, sent: IO[bytes] | None = None, seconds: float = CALL_SECONDS) -> str:
        """Runs a line of sh there to its end, fed with a file if given, and returns what it wrote.

        Raises:
            DeviceGone: the connection broke.
            DeviceError: the line failed there.
        """
        source = subprocess.DEVNULL if sent is None else sent
        try:
            done = subprocess.run(
                self.command(script, *words), stdin=source, capture_output=True, timeout=seconds, check=False
            )
        except subprocess.TimeoutExpired:
            raise DeviceGone(f"{self.name} has been silent for {seconds:.0f} s. {self._mend()}") from None
        except OSError as error:
            raise _no_ssh(error) from error
        said = done.stderr.decode("utf-8", errors="replace")
        if done.returncode == 255:  # ssh's own
            raise self._failure(said)
        if done.returncode != 0:
            raise DeviceError(f"{self.name} cannot do what it is asked: {_last_words(said)}")
        return done.stdout.decode("utf-8", errors="replace")

    def hang_up(self) -> None:
        """Ends the connection; it may be opened again."""
        if self._folder is not None and self._socket().exists():
            with suppress(DeviceError):
                self._wait([*self._ssh("no"), "-O", "exit", "--", self._host], said=subprocess.DEVNULL, seconds=10.0)
            self._socket().unlink(missing_ok=True)

    def close(self) -> None:
        """Ends the connection and removes what it needed here."""
        self.hang_up()
        if self._folder is not None:
            shutil.rmtree(self._folder, ignore_errors=True)
            self._folder = None

    def _is_open(self) -> bool:
        if self._folder is None or not self._socket().exists():
            return False
        command = [*self._ssh("no"), "-O", "check", "--", self._host]
        return self._wait(command, said=subprocess.DEVNULL, seconds=10.0) == 0

    def _ssh(self, master: str) -> list[str]:
        socket = "none" if self._folder is None else str(self._socket())
        return ["ssh", *self._where, *_FIXED, "-o", f"ControlMaster={master}", "-S", socket]

    def _socket(self) -> Path:
        assert self._folder is not None
        return self._folder / "socket"

    def _wait(self, command: list[str], *, said: IO[bytes] | int, seconds: float) -> int:
        """Runs ssh to its end; 255 if it takes too long."""
        nothing = subprocess.DEVNULL
        try:
            done = subprocess.run(command, stdin=nothing, stdout=nothing, stderr=said, timeout=seconds, check=False)
        except subprocess.TimeoutExpired:
            return 255
        except OSError as error:
            raise _no_ssh(error) from error
        return done.returncode

    def _failure(self, said: str) -> DeviceError:
        """What ssh's words mean, by what to do next."""
        words = _last_words(said)
        if "IDENTIFICATION HAS CHANGED" in said:
            return DeviceError(
                f"{self.name} shows another host key than ssh knows of it. If that is right, forget the old one with "
                f"ssh-keygen -R, run: {self.by_hand} once by hand, then again"
            )
        if "Host key verification failed" in said:
            return DeviceError(f"ssh does not know {self.name} yet ({words}). Run: {self.by_hand} once, then again")
        if "Permission denied (" in said or "Too many authentication failures" in said:
            return DeviceError(
                f"{self.name} does not let you in without a password ({words}). Give it your key with ssh-copy-id, "
                f"see that this works: {self.by_hand}, then run again"
            )
        return DeviceGone(f"{self.name} cannot be reached: {words}. {self._mend()}")

    def _mend(self) -> str:
        return f"See that this works: {self.by_hand}, then run the command again"


def _checked_host(host: str) -> str:
    """The host as ssh wants it: a name, an IPv4 address, or an IPv6 address without its brackets."""
    if host.startswith("[") and host.endswith("]"):
        try:
            address = ipaddress.IPv6Address(host[1:-1])
        except ValueError:
            raise UnknownTarget(f"{host!r} is no ssh host: give an IPv6 address in the brackets") from None
        if address.scope_id is None or _NAME.fullmatch(address.scope_id):
            return str(address)
    elif _NAME.fullmatch(host):
        return host
    raise UnknownTarget(f"{host!r} is no ssh host: {_NAME_IN_WORDS}, or an IPv6 address in brackets")


def _short_folder() -> str:
    """Where temporary folders go, if a socket can be there: its path has room for about 100 characters."""
    usual = tempfile.gettempdir()
    return usual if _PLAIN_PATH.fullmatch(usual) else "/tmp"


def _last_words(said: str) -> str:
    lines = [line.strip() for line in said.splitlines() if line.strip()]
    return " | ".join(lines[-2:]) or "it did not say why"


def _no_ssh(error: OSError) -> DeviceError:
    return DeviceError(f"ssh cannot be run here ({error}). Install OpenSSH's client (openssh-client), then run again")

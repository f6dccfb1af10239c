"""What a session has on a machine behind ssh: one folder with the agent and a copy of each plan's folder."""

import hashlib
import json
import platform
import re
import tarfile
import tempfile
from collections.abc import Iterable
from pathlib import Path
from uuid import uuid4

from mnas_evo.bundled import bundled_folder
from mnas_evo.devices.ssh_connection import CALL_SECONDS, SshConnection
from mnas_evo.errors import DeviceError, UnknownTarget
from mnas_evo.files import fingerprint

SLOWEST_BYTES_A_SECOND = 20_000  # a push may take as long as over a line like this

_WORD = re.compile(r"[^\s\0-\x1f-][^\0-\x1f]*")
_OURS = re.compile(r"/(?:[^\0\n]*/)?(?:mnas-evo\.[A-Za-z0-9]{8}|\.mnas-evo)")

# Lines of sh. No newline and no '!', which csh would read even in quotes.
_TOOLS = (
    "command -v tar >/dev/null 2>&1 || echo mnas-evo lacks tar; "
    'case "$1" in "~/"*) python=$HOME/${1#??};; *) python=$1;; esac; '
    'command -v "$python" >/dev/null 2>&1 && '
    '"$python" -c "import sys; sys.exit(sys.version_info < (3, 8))" >/dev/null && '
    'printf "mnas-evo has %s\\n" "$python"; exit 0'
)
_MAKE_NEW = (
    'umask 077; folder=$(mktemp -d "${TMPDIR:-/tmp}/mnas-evo.XXXXXXXX") && printf "mnas-evo has %s\\n" "$folder"'
)
_MAKE_KEPT = 'umask 077; folder=$HOME/.mnas-evo; mkdir -p "$folder" && printf "mnas-evo has %s\\n" "$folder"'
_IS_THERE = 'if [ -d "$1" ]; then echo mnas-evo has it; fi'
# An agent that lost its host goes on to the end of its plan and would disturb the next one's times. Its number may have
# become another process's by now, which does not have our folder on its command line.
_END_AGENT = (
    'agent=$(cat "$1/$2" 2>/dev/null) && '
    '{ cat "/proc/$agent/cmdline" 2>/dev/null || ps -p "$agent" -o args= 2>/dev/null; } | tr "\\000" " " | '
    'grep -qF "$1/agent.py" && kill "$agent"; rm -f "$1/$2"'
)
_UNPACK = 'umask 077; mkdir -p "$1" && tar -xmf - -C "$1"'  # -m: times of its own, so that a changed file has another
_START = 'echo $$ >"$1"; shift; exec "$@"'
_REMOVE = 'rm -rf "$1"'
_FILES_THERE = 'if [ -d "$2" ]; then exec "$1" -I - "$2"; fi'
_DIGESTS = b"""
import hashlib, json, os, sys
found = {}
for name in os.listdir(sys.argv[1]):
    path = os.path.join(sys.argv[1], name)
    if os.path.isfile(path):
        digest = hashlib.sha256()
        with open(path, "rb") as file:
            for block in iter(lambda: file.read(1 << 20), b""):
                digest.update(block)
        found[name] = digest.hexdigest()
print("mnas-evo has " + json.dumps(found))
"""

_Known = dict[str, tuple[int, int]]
"""Of each file's name, the size and the time of change here when it was last as it is there."""


class SshFolder:
    """The session's folder on the machine: made when it is needed, kept across broken connections, removed at the end.

    With `keep` it is one in the user's home that stays, so that a later session need not push the same files again.
    """

    def __init__(self, connection: SshConnection, *, python: str, keep: bool) -> None:
        if not _WORD.fullmatch(python):
            raise UnknownTarget(f"{python!r} is no Python on the device: give a name or a path")
        self._asked_python = python
        self._python = python
        self._connection = connection
        self._keep = keep
        self._agent_number = f"agent.{uuid4().hex}"
        self._path: str | None = None
        self._pushed: dict[Path, _Known] = {}

    def prepare(self) -> None:
        """After each connecting: finds or makes the folder, ends an agent of an earlier connection, pushes the agent.

        Raises:
            DeviceGone: the connection broke.
            DeviceError: the machine lacks tar or Python, or nothing can be written there.
        """
        self._pushed.clear()
        if self._path is None or _had(self._connection.call(_IS_THERE, self._path)) is None:
            self._python = self._look_for_tools()
            self._path = self._made()
        self.end_agent()
        self._send([bundled_folder("profiling") / "agent.py"], self._path)

    def agent_command(self, *options: str) -> list[str]:
        """The local command that starts the agent there."""
        assert self._path is not None
        agent = [self._python, "-u", f"{self._path}/agent.py", *options]
        return self._connection.command(_START, f"{self._path}/{self._agent_number}", *agent)

    def place_of(self, folder: Path) -> str:
        """Where a plan's folder lies there; a kept folder is the same host's the next time."""
        return f"{self._path}/{fingerprint(platform.node(), str(folder.resolve()))[:16]}"

    def push(self, folder: Path) -> None:
        """Makes a plan's folder there hold what it holds here; only what is new or changed is sent.

        Raises:
            DeviceGone: the connection broke.
            DeviceError: the files cannot be written there.
        """
        self._forget_gone()
        files = {path.name: path for path in sorted(folder.iterdir()) if path.is_file() and path.name[0] != "."}
        now = {name: (entry.st_size, entry.st_mtime_ns) for name, entry in ((n, p.stat()) for n, p in files.items())}
        known = self._pushed.get(folder)
        if known is None:
            there = self._digests(self.place_of(folder))
            known = {name: now[name] for name in now if name in there and there[name] == _digest(files[name])}
        changed = [name for name in now if known.get(name) != now[name]]
        if changed:
            self._send([files[name] for name in changed], self.place_of(folder))
        self._pushed[folder] = now

    def end_agent(self) -> None:
        """Ends the agent there, if one is left."""
        if self._path is not None:
            self._connection.call(_END_AGENT, self._path, self._agent_number)

    def remove(self) -> None:
        """Ends what is left of the agent, and removes the folder unless it is kept."""
        self.end_agent()
        if self._path is not None and self._keep:
            self._forget_gone()
        elif self._path is not None:
            self._connection.call(_REMOVE, self._path)
        self._path = None

    def _look_for_tools(self) -> str:
        """The path of Python there."""
        said = self._connection.call(_TOOLS, self._asked_python)
        name, by_hand = self._connection.name, self._connection.by_hand
        if "mnas-evo lacks tar" in said.splitlines():
            raise DeviceError(f"{name} has no tar, with which models are unpacked. Install it there: {by_hand}")
        python = _had(said)
        if python is None:
            raise DeviceError(
                f"{name} has no {self._asked_python} of version 3.8 or later. Install it there ({by_hand}) "
                f"with numpy and the runtime, or give the path of one that has them"
            )
        return python

    def _made(self) -> str:
        path = _had(self._connection.call(_MAKE_KEPT if self._keep else _MAKE_NEW))
        if path is None or not _OURS.fullmatch(path):  # it will be removed with all that is in it
            raise DeviceError(f"{self._connection.name} cannot make a folder in its TMPDIR; it says {path!r}")
        return path

    def _forget_gone(self) -> None:
        """Makes room there: models that are no more here will not be asked for again."""
        for gone in [folder for folder in self._pushed if not folder.is_dir()]:
            self._connection.call(_REMOVE, self.place_of(gone))
            del self._pushed[gone]

    def _digests(self, place: str) -> dict[str, str]:
        with tempfile.TemporaryFile() as program:
            program.write(_DIGESTS)
            program.seek(0)
            said = self._connection.call(_FILES_THERE, self._python, place, sent=program, seconds=10 * CALL_SECONDS)
        found: dict[str, str] = json.loads(_had(said) or "{}")
        return found

    def _send(self, paths: Iterable[Path], place: str) -> None:
        with tempfile.TemporaryFile() as archive:
            # A temporary file, not a pipe: a connection that hangs then ends by the call's own time limit.
            with tarfile.open(fileobj=archive, mode="w", format=tarfile.GNU_FORMAT, dereference=True) as tar:
                for path in paths:
                    tar.add(path, arcname=path.name, recursive=False, filter=_plain)
            seconds = CALL_SECONDS + archive.tell() / SLOWEST_BYTES_A_SECOND
            archive.seek(0)
            self._connection.call(_UNPACK, place, sent=archive, seconds=seconds)


def _had(said: str) -> str | None:
    """What a line says that it has; login shells may say things of their own before."""
    start = "mnas-evo has "
    return next((line.removeprefix(start) for line in said.splitlines() if line.startswith(start)), None)


def _plain(entry: tarfile.TarInfo) -> tarfile.TarInfo:
    """An entry that says nothing of who made it here."""
    entry.uid = entry.gid = 0
    entry.uname = entry.gname = ""
    entry.mode = 0o600
    return entry


def _digest(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()

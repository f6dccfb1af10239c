"""A page's end of the wire in Python: what profiling/web says to its host, and whatever else somebody may send."""

import contextlib
import http.client
import json
import secrets
import ssl
import threading
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import quote, urlsplit

from support.known_times import FACTS

from mnas_evo.devices.browser import BrowserDevice
from mnas_evo.devices.web_runtime import FILES
from mnas_evo.latency.runs import Plan, Visit

HELLO = {"type": "hello", "protocol": 1, "facts": FACTS.model_dump()}
TIMES = [5, 4, 4, 4, 4]


class Ended(Exception):
    """The host has no more to measure, or has given the place to another page."""


@dataclass
class Got:
    """What the server answered."""

    status: int
    headers: dict[str, str]
    body: bytes

    @property
    def lines(self) -> list[dict[str, Any]]:
        """The messages in it."""
        return [json.loads(line) for line in self.body.splitlines()]


class StandInPage:
    """Speaks to the server at an address, the token in it."""

    def __init__(self, url: str, context: ssl.SSLContext | None = None) -> None:
        place = urlsplit(url)
        assert place.hostname is not None and place.port is not None
        self.host, self.port, self.path = place.hostname, place.port, place.path
        self.context = context
        self.id = secrets.token_hex(8)
        self.turn = 0

    def connection(self) -> http.client.HTTPConnection:
        if self.context is not None:
            return http.client.HTTPSConnection(self.host, self.port, timeout=30, context=self.context)
        return http.client.HTTPConnection(self.host, self.port, timeout=30)

    def request(self, method: str, path: str, body: bytes | None = None, **headers: str) -> Got:
        """One request with a path as it stands, from the root of the server."""
        connection = self.connection()
        try:
            connection.request(method, path, body, {name.replace("_", "-"): value for name, value in headers.items()})
            answer = connection.getresponse()
            return Got(answer.status, {k.lower(): v for k, v in answer.headers.items()}, answer.read())
        finally:
            connection.close()

    def get(self, path: str) -> Got:
        return self.request("GET", self.path + path)

    def say(self, *messages: object, turn: int | None = None) -> Got:
        """Sends messages; bytes and text as they stand."""
        lines = [m if isinstance(m, bytes) else (m if isinstance(m, str) else json.dumps(m)).encode() for m in messages]
        query = f"page={self.id}&turn={self.turn if turn is None else turn}"
        return self.request("POST", f"{self.path}say?{query}", b"\n".join(lines))

    def hello(self, **facts: object) -> Got:
        return self.say({**HELLO, "facts": {**FACTS.model_dump(), **facts}}, turn=0)

    def alive(self, **said: bool) -> Got:
        body = json.dumps({"hidden": False, **said}).encode()
        return self.request("POST", f"{self.path}alive?page={self.id}", body)

    def hear(self) -> dict[str, Any]:
        """The plan of the visit that is next; waits for it.

        Raises:
            Ended: nothing more comes.
        """
        while True:
            got = self.get(f"hear?page={self.id}")
            if got.status != 200 or any(line["type"] == "end" for line in got.lines):
                raise Ended(got.status)
            if got.lines:
                turn, plan = got.lines
                self.turn = turn["turn"]
                return plan

    def measure(self) -> None:
        """Greets, and answers all that it is asked until the end."""
        assert self.hello().status == 200
        with contextlib.suppress(Ended):
            while True:
                assert self.answer(self.hear()).status == 200

    def answer(self, plan: dict[str, Any], **changes: object) -> Got:
        """A run for a plan's visit, with changed values."""
        (visit,) = plan["visits"]
        run = {
            "type": "run",
            "slot": visit["slot"],
            "item": visit["item"],
            "times_ns": TIMES,
            "wall_ns": 9,
            "state": {},
        }
        return self.say({**run, **changes}, {"type": "done"})

    def model(self, plan: dict[str, Any], name: str) -> Got:
        return self.get(f"{plan['folder']}/{quote(name)}")


class Opener:
    """Takes what the driver says, and does something with each page's address, in a thread of its own."""

    def __init__(self, opened: Callable[[str], object]) -> None:
        self.said: list[str] = []
        self.faults: list[BaseException] = []
        self._opened = opened
        self._threads: list[threading.Thread] = []

    @property
    def url(self) -> str:
        return next(text.split()[1] for text in reversed(self.said) if text.startswith("open http"))

    def __call__(self, text: str) -> None:
        self.said.append(text)
        if text.startswith("open http"):
            thread = threading.Thread(target=self._run, args=(self.url,))
            self._threads.append(thread)
            thread.start()

    def _run(self, url: str) -> None:
        try:
            self._opened(url)
        except BaseException as fault:
            self.faults.append(fault)

    def join(self) -> None:
        """Waits for what it started; raises what that raised."""
        for thread in self._threads:
            thread.join(timeout=60)
            assert not thread.is_alive()
        for fault in self.faults:
            raise fault


@contextlib.contextmanager
def serving(
    folder: Path, behaviour: Callable[[StandInPage], object], *, stays: bool = False, **options: Any
) -> Iterator[tuple[BrowserDevice, Opener]]:
    """A device whose address is opened by a page of some behaviour, which then says goodbye or falls silent."""
    folder.mkdir(exist_ok=True)

    def opened(url: str) -> None:
        page = StandInPage(url)
        behaviour(page)
        if not stays:
            with contextlib.suppress(OSError):  # the host may have gone first
                page.alive(leaving=True)

    opener = Opener(opened)
    device = BrowserDevice(**{"say": opener, "page_seconds": 20.0, "runtime_folder": stub_runtime(folder), **options})
    try:
        yield device, opener
    finally:
        device.close()
    opener.join()


def plan(folder: Path, *models: str) -> Plan:
    """A plan of visits to models, in order."""
    visits = tuple(Visit(slot, f"item {slot}", model, (1, 3, 8, 8)) for slot, model in enumerate(models))
    return Plan(folder, visits, visit_ns=1000, min_repeats=3, max_repeats=9)


def stub_runtime(folder: Path, names: Iterable[str] = FILES) -> Path:
    """A folder that holds files by the names of the runtime's."""
    for name in names:
        (folder / name).write_text(f"// {name}")
    return folder

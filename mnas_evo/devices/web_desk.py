"""The desk between a driver and the page that measures for it: one page, one visit at a time, each answered once."""

import json
import time
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from threading import Condition
from typing import TypeVar

from pydantic import ValidationError

from mnas_evo.devices.web_messages import Alive, Answered, Done, Failed, Hello, Refused, read_lines
from mnas_evo.devices.web_server import Reply
from mnas_evo.devices.wire import plan_message
from mnas_evo.errors import DeviceError, DeviceGone
from mnas_evo.files import faults
from mnas_evo.latency.runs import DeviceFacts, Plan, Run, Visit

WEIGHTS = "weights.bin"
POLL_SECONDS = 20.0  # how long a page that asks for work is let wait before it asks again
SILENT_SECONDS = 15.0  # a page says every 4 s that it is there
END_SECONDS = 3.0
MOST_FAULTS = 3
MOST_TRIES = 10  # of one visit, by pages that reload, lose their way or die of it
_BUSY = "another page is measuring for this host; close that one, and this one takes over"

Found = TypeVar("Found")


class PageDesk:
    """Hands visits to the page that is there, a turn each, and takes its answers. A `Site` of the web server.

    `files` are what lies at fixed paths. After `seconds` without a page that gets on, the driver's call raises.
    """

    def __init__(
        self, files: Mapping[str, bytes | Path], *, seconds: float, say: Callable[[str], None] = lambda text: None
    ) -> None:
        self._files = files
        self._seconds = seconds
        self._say = say
        self._changed = Condition()  # holds all that follows
        self._page: str | None = None
        self._facts: DeviceFacts | None = None
        self._heard = self._moved = time.monotonic()  # the page's last word; the last one that got us on
        self._hidden = False
        self._missed = False
        self._plan: Plan | None = None
        self._visit: Visit | None = None
        self._turn = 0
        self._answer: Run | None = None
        self._faults = 0
        self._tries = 0
        self._failure: DeviceError | None = None
        self._folder: tuple[Path, int, int] | None = None
        self._folders = 0
        self._progress: tuple[float | None, str] = (None, "")
        self._ended = self._told_end = False

    # The driver's side

    def greet(self) -> DeviceFacts:
        """Waits for a page and gives what it says of its device.

        Raises:
            DeviceError: what came is no page of ours, or it cannot measure.
            DeviceGone: none came.
        """
        return self._wait_for(lambda: self._facts)

    def ask(self, plan: Plan, visit: Visit) -> Run:
        """Hands one visit over, to as many pages in turn as it takes, and waits for its answer.

        Raises:
            DeviceError: the page is of another device, or what it answers cannot be read.
            DeviceGone: no page got on with it.
        """
        with self._changed:
            self._turn += 1
            self._plan, self._visit, self._answer = plan, visit, None
            self._faults = self._tries = 0
            weights = plan.folder / WEIGHTS
            stamp = weights.stat() if weights.exists() else None
            folder = (plan.folder, stamp.st_mtime_ns if stamp else 0, stamp.st_size if stamp else 0)
            if folder != self._folder:  # a page keeps the weights of the folder it knows
                self._folder = folder
                self._folders += 1
            self._changed.notify_all()
        try:
            return self._wait_for(lambda: self._answer)
        finally:
            with self._changed:
                self._plan = self._visit = None

    def show_progress(self, share: float | None, text: str) -> None:
        """What the page shows of the whole, from its next visit on."""
        with self._changed:
            self._progress = (share, text)

    def end(self) -> None:
        """Tells the page that all is done, and waits a moment for it to hear that."""
        with self._changed:
            self._ended = True
            self._changed.notify_all()
            self._changed.wait_for(lambda: self._told_end or not self._there(), timeout=END_SECONDS)

    def _wait_for(self, found: Callable[[], Found | None]) -> Found:
        began = time.monotonic()
        while True:
            with self._changed:
                if (result := found()) is not None:
                    return result  # before what went wrong since, which the next call raises
                if self._failure is not None:
                    failure, self._failure = self._failure, None
                    raise failure
                left = max(began, self._moved) + self._seconds - time.monotonic()
                if left <= 0:
                    raise self._gone()
                notice = self._notice()
                if notice is None:
                    self._changed.wait(min(left, 1.0))
            if notice is not None:
                self._say(notice)

    def _notice(self) -> str | None:
        """What the host's user should know of the page, once."""
        missed = self._facts is not None and (self._hidden or not self._there())
        if missed == self._missed:
            return None
        self._missed = missed
        if not missed:
            return "the page is back"
        what = "the page is hidden" if self._there() else "no word from the page"
        return f"{what}: bring it to the front on the device, or open its address again; waiting {self._seconds:.0f} s"

    def _gone(self) -> DeviceGone:
        if self._facts is None:
            what = f"no page was opened within {self._seconds:.0f} s: open the address that the host shows in a browser"
        elif not self._there():
            what = f"the page has not come back for {self._seconds:.0f} s: open it again, and keep it in front"
        elif self._hidden:
            what = f"the page has been hidden for {self._seconds:.0f} s: bring it to the front"
        else:
            what = f"the page has not answered for {self._seconds:.0f} s: reload it"
        return DeviceGone(f"{what}. What was measured is kept; run the command again")

    def _there(self) -> bool:
        return self._page is not None and time.monotonic() - self._heard < SILENT_SECONDS

    # The page's side

    def get(self, path: str, query: Mapping[str, str]) -> Reply:
        """A file, a model of the visit at hand, or what there is to do."""
        if (file := self._files.get(path)) is not None:
            return Reply(content=file)
        if path == "hear":
            return self._hear(query.get("page", ""))
        with self._changed:
            if self._plan is not None and self._visit is not None:
                for name in (self._visit.model, WEIGHTS):
                    if path == f"models/{self._folders}/{name}":
                        return Reply(content=self._plan.folder / name)
        return Reply(404)

    def post(self, path: str, query: Mapping[str, str], body: bytes) -> Reply:
        """Lines of the page: a greeting, answers, or only that it is there."""
        page = query.get("page", "")
        turn = query.get("turn", "")
        if not 8 <= len(page) <= 64 or not (turn == "" or (turn.isascii() and turn.isdecimal() and len(turn) < 16)):
            return Reply(400)
        if path == "alive":
            return self._alive(page, body)
        if path != "say":
            return Reply(404)
        with self._changed:
            try:
                reply = Reply()
                for line in read_lines(body):
                    reply = self._hello(page, line) if isinstance(line, Hello) else self._take(page, turn, line)
                    if reply.status != 200:
                        break
                return reply
            except ValidationError as error:
                return self._fault(page, faults(error))
            finally:
                self._changed.notify_all()

    def _hear(self, page: str) -> Reply:
        until = time.monotonic() + POLL_SECONDS
        with self._changed:
            if page != self._page:
                return Reply(409)
            self._heard = self._moved = time.monotonic()
            self._hidden = False
            while page == self._page:
                if self._ended:
                    self._told_end = True
                    self._changed.notify_all()
                    return _lines({"type": "end"})
                if self._visit is not None:
                    return self._turn_lines()
                left = until - time.monotonic()
                if left <= 0:
                    return Reply()
                self._changed.wait(left)
            return Reply(409)

    def _turn_lines(self) -> Reply:
        plan, visit = self._plan, self._visit
        assert plan is not None and visit is not None
        self._tries += 1
        if self._tries > MOST_TRIES:
            self._fail(f"the page began {visit.item} {MOST_TRIES} times and never ended it; what was measured is kept")
            self._changed.notify_all()
            return Reply(409)
        share, text = self._progress
        return _lines(
            {"type": "turn", "turn": self._turn, "share": share, "text": text},
            plan_message(replace(plan, visits=(visit,)), folder=f"models/{self._folders}"),
        )

    def _hello(self, page: str, hello: Hello) -> Reply:
        if self._page not in (None, page) and self._there():
            return _lines({"type": "busy", "message": _BUSY}, status=409)
        if self._facts is not None and (differences := self._facts.differences(hello.facts)):
            what = f"the page that came back is of another device: {'; '.join(differences)}"
            self._fail(f"{what}. Open it on the device that it was begun on; what was measured is kept")
            return _lines({"type": "error", "message": what}, status=409)
        self._page, self._facts = page, self._facts or hello.facts
        self._heard = self._moved = time.monotonic()
        self._hidden, self._faults = False, 0
        return Reply()

    def _take(self, page: str, turn: str, line: Answered | Refused | Done | Failed) -> Reply:
        if isinstance(line, Failed) and (page == self._page or not self._there()):  # it may be all that a page can say
            self._fail(f"the device's agent says: {line.message}")
            return Reply()
        if page != self._page:
            return Reply(409)
        self._heard = time.monotonic()
        if not isinstance(line, Answered | Refused):
            return Reply()
        number = int(turn or 0)
        if number < self._turn or self._visit is None or self._plan is None or self._answer is not None:
            return Reply()  # a late or second answer to what is answered
        visit = self._visit
        asked = (self._turn, visit.slot, visit.item)
        if (found := (number, line.slot, line.item)) != asked:
            return self._fault(page, f"turn, slot and item are {str(found)[:100]} where {asked} were asked")
        if isinstance(line, Refused):
            self._answer = Run(line.slot, line.item, (), 0, {}, refusal=line.message)
        elif not min(self._plan.min_repeats, self._plan.max_repeats) <= len(line.times_ns) <= self._plan.max_repeats:
            return self._fault(page, f"it sent {len(line.times_ns)} times for {visit.item!r}")
        else:
            self._answer = Run(line.slot, line.item, line.times_ns, line.wall_ns, line.state)
        self._plan = self._visit = None  # at once: the page asks again before the driver wakes
        self._moved = time.monotonic()
        return Reply()

    def _alive(self, page: str, body: bytes) -> Reply:
        try:
            alive = Alive.model_validate_json(body)
        except ValidationError:
            return Reply(400)
        with self._changed:
            if page != self._page:
                return Reply(409)
            self._heard, self._hidden = time.monotonic(), alive.hidden
            if alive.leaving:
                self._page = None
            self._changed.notify_all()
        return Reply()

    def _fault(self, page: str, what: str) -> Reply:
        """Counts what cannot be read, of the page at hand or what would become it; up to a limit it is asked again."""
        if self._page not in (None, page) and self._there():
            return Reply(409)
        self._faults += 1
        if self._faults >= MOST_FAULTS:
            self._fail(f"the page sent {self._faults} answers that cannot be read, the last because: {what[:300]}")
        return _lines({"type": "error", "message": what[:300]}, status=400)

    def _fail(self, what: str) -> None:
        self._failure = DeviceError(what)
        self._page = None


def _lines(*messages: Mapping[str, object], status: int = 200) -> Reply:
    return Reply(status, "".join(json.dumps(message, separators=(",", ":")) + "\n" for message in messages).encode())

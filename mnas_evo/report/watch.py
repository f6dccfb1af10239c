"""The report served while its folder changes: on loopback, behind a token, made anew while somebody looks at it."""

import json
import os
import threading
import time
import traceback
from collections.abc import Iterator, Mapping
from itertools import islice
from pathlib import Path

from mnas_evo.devices.web_server import Reply
from mnas_evo.errors import MnasEvoError, RequestError
from mnas_evo.report.page import Content, body_html, page_html, policy, read_content
from mnas_evo.report.section import Section
from mnas_evo.report.words import text

# What is measured or trained beside it must not suffer: a page that takes a second to make is made every twenty.
_SHARE_OF_TIME = 0.05
_AT_LEAST_EVERY_S = 60.0  # a campaign that writes nothing more is one that was broken off, and says so by the clock
_MOST_FILES = 20_000
_OWN = (".html", ".lock", "-shm")  # files that reading or reporting may touch

Stamp = frozenset[tuple[str, int, int]]


class Watched:
    """The site of a folder's page: the page at its root, and at `body` what has changed of it.

    Raises:
        RequestError: there is no such folder, or it holds far more files than what a command writes.
    """

    def __init__(self, folder: Path) -> None:
        if not folder.is_dir():
            raise RequestError(f"there is no folder {folder} to watch")
        self._folder = folder
        self._stamp: Stamp | None = None
        if len(_stamp(folder)) > _MOST_FILES:
            raise RequestError(
                f"{folder} holds more than {_MOST_FILES:,} files, too many to be looked at again and again; give the "
                "folder of one search, table or training"
            )
        self._making = threading.Lock()
        self._made = 0.0
        self._not_before = 0.0
        self._shown = (0, "", "")

    def get(self, path: str, query: Mapping[str, str]) -> Reply:
        """The page; at `body` its newest body with its tag, or 204 for who has the newest."""
        if path not in ("", "body"):
            return Reply(404)
        tag, body, trouble = self._newest()
        if path == "":
            html = {"Content-Type": "text/html; charset=utf-8", "Content-Security-Policy": policy(is_watched=True)}
            page = page_html(self._folder, body, watched=(tag, trouble))
            return Reply(content=page.encode(), headers=html)
        if query.get("have") == str(tag):
            return Reply(204)
        return Reply(content=json.dumps({"tag": tag, "html": body, "trouble": trouble}).encode())

    def post(self, path: str, query: Mapping[str, str], body: bytes) -> Reply:
        """There is nothing to be told."""
        return Reply(404)

    def _newest(self) -> tuple[int, str, str]:
        """Tag, body and what is wrong, after a look at the folder; while another thread looks, what it last found."""
        if self._making.acquire(blocking=not self._shown[0]):
            try:
                began = time.monotonic()
                if began >= self._not_before:
                    self._look(began)
                    took = time.monotonic() - began if self._shown[0] > 1 else 0.0  # the first look warms everything up
                    self._not_before = time.monotonic() + took / _SHARE_OF_TIME
            finally:
                self._making.release()
        return self._shown

    def _look(self, now: float) -> None:
        stamp = _stamp(self._folder)
        if stamp != self._stamp or now >= self._made + _AT_LEAST_EVERY_S:
            self._stamp, self._made = stamp, now
            self._make()

    def _make(self) -> None:
        tag, body, _ = self._shown
        trouble = ""
        try:
            body = body_html(read_content(self._folder))
        except MnasEvoError as error:  # nothing there yet, or a file that is just being replaced
            trouble = str(error)
        except Exception as error:  # a fault of the report's own must not end the watch
            trouble = f"the report failed ({type(error).__name__}: {error})"
            traceback.print_exc()
        body = body or body_html(Content((Section("summary", "Summary", (f"<p>{text(trouble)}</p>",)),)))
        if _told(body) != _told(self._shown[1]) or trouble != self._shown[2]:
            self._shown = (tag + 1, body, trouble)


def _told(body: str) -> str:
    """A body without the line that says when it was made."""
    return body.partition("<footer>")[0]


def _stamp(folder: Path) -> Stamp:
    """Names, times and sizes of the folder's files, at most about `_MOST_FILES` of them."""
    return frozenset(islice(_files(str(folder), set()), _MOST_FILES + 1))


def _files(folder: str, seen: set[tuple[int, int]]) -> Iterator[tuple[str, int, int]]:
    """Links are followed, as the report does, but into no folder twice."""
    try:
        place = os.stat(folder)
        entries = list(os.scandir(folder))
    except OSError:  # gone since it was listed
        return
    if (place.st_dev, place.st_ino) in seen:
        return
    seen.add((place.st_dev, place.st_ino))
    for entry in entries:
        if entry.is_dir():
            yield from _files(entry.path, seen)
        elif not entry.name.endswith(_OWN):
            try:
                found = entry.stat()
            except OSError:
                continue
            yield entry.path, found.st_mtime_ns, found.st_size

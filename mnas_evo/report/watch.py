"""The report served while its folder changes: on loopback, behind a token, made anew while somebody looks at it."""

import json
import os
import threading
import time
from collections.abc import Iterator, Mapping
from pathlib import Path

from mnas_evo.devices.web_server import Reply
from mnas_evo.errors import MnasEvoError, RequestError
from mnas_evo.report.page import Content, body_html, page_html, policy, read_content
from mnas_evo.report.section import Section
from mnas_evo.report.words import text

# What is measured or trained beside it must not suffer: a page that takes a second to make is made every twenty.
_SHARE_OF_TIME = 0.05
_OWN = (".html", ".lock", "-shm")  # files that reading or reporting may touch

Stamp = frozenset[tuple[str, int, int]]


class Watched:
    """The site of a folder's page: the page at its root, and at `body` what has changed of it.

    Raises:
        RequestError: there is no such folder.
    """

    def __init__(self, folder: Path) -> None:
        if not folder.is_dir():
            raise RequestError(f"there is no folder {folder} to watch")
        self._folder = folder
        self._making = threading.Lock()
        self._stamp: Stamp | None = None
        self._not_before = 0.0
        self._shown = (0, "", "")

    def get(self, path: str, query: Mapping[str, str]) -> Reply:
        """The page; at `body` its newest body with its tag, or 204 for who has the newest."""
        if path not in ("", "body"):
            return Reply(404)
        tag, body, trouble = self._newest()
        if path == "":
            html = {"Content-Type": "text/html; charset=utf-8", "Content-Security-Policy": policy(is_watched=True)}
            return Reply(content=page_html(self._folder, body, tag=tag).encode(), headers=html)
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
                if time.monotonic() >= self._not_before and (stamp := _stamp(self._folder)) != self._stamp:
                    began = time.monotonic()
                    self._make()
                    self._stamp = stamp
                    self._not_before = time.monotonic() + (time.monotonic() - began) / _SHARE_OF_TIME
            finally:
                self._making.release()
        return self._shown

    def _make(self) -> None:
        tag, body, _ = self._shown
        try:
            body, trouble = body_html(read_content(self._folder)), ""
        except MnasEvoError as error:  # nothing there yet, or a file that is just being replaced
            trouble = str(error)
            body = body or body_html(Content((Section("summary", "Summary", (f"<p>{text(trouble)}</p>",)),)))
        self._shown = (tag + 1, body, trouble)


def _stamp(folder: Path) -> Stamp:
    """Names, times and sizes of the folder's files."""
    return frozenset(_files(str(folder)))


def _files(folder: str) -> Iterator[tuple[str, int, int]]:
    try:
        entries = list(os.scandir(folder))
    except OSError:  # gone since it was listed
        return
    for entry in entries:
        if entry.is_dir(follow_symlinks=False):
            yield from _files(entry.path)
        elif not entry.name.endswith(_OWN):
            try:
                found = entry.stat()
            except OSError:
                continue
            yield entry.path, found.st_mtime_ns, found.st_size

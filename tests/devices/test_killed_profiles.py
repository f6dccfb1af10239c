"""A table of the demo's space from nothing, by every way to a device, killed three times on the way."""

import os
import re
import signal
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import IO

import pytest
from selenium import webdriver
from support.chromium import NEEDED, chromium, needs_the_web_runtime
from support.sshd import SSHD, LocalSshd

from mnas_evo.latency.runs import RunLog
from mnas_evo.latency.table import Table, read_table
from mnas_evo.space.space_file import load_space

SPACE = "digits"
KILLED_AT = (200, 1200, 2500)  # lines of the logs: in the first look, and twice in the passes
ELSEWHERE = Path(__file__).parents[1] / "support" / "profile_process.py"


class Profiling:
    """A profiling process; what it says of a page is opened in a browser, where there is one."""

    def __init__(self, target: str, folder: Path, browser: webdriver.Chrome | None) -> None:
        self._process = subprocess.Popen(
            [sys.executable, str(ELSEWHERE), target, SPACE, str(folder)],
            stderr=subprocess.PIPE,
            text=True,
            start_new_session=True,
        )
        self._browser = browser
        self.said: list[str] = []
        assert self._process.stderr is not None
        self._reader = threading.Thread(target=self._read, args=(self._process.stderr,))
        self._reader.start()

    def _read(self, stream: IO[str]) -> None:
        for line in stream:
            self.said.append(line)
            if self._browser is not None and (found := re.search(r"open (http\S+)", line)):
                self._browser.get(found[1])

    def kill(self) -> None:
        """As a power cut ends it, and whatever it started."""
        os.killpg(self._process.pid, signal.SIGKILL)
        self._end()

    def finish(self) -> None:
        """Waits for its end, which is a good one."""
        code = self._process.wait(timeout=420)
        self._end()
        assert code == 0, "".join(self.said[-20:])

    def is_over(self) -> bool:
        return self._process.poll() is not None

    def _end(self) -> None:
        self._process.wait(timeout=30)
        self._reader.join(timeout=30)
        assert self._process.stderr is not None
        self._process.stderr.close()


def lines(folder: Path) -> int:
    """Lines of all logs so far."""
    return sum(path.read_bytes().count(b"\n") for path in folder.glob("raw/*/runs.jsonl"))


def killed_three_times(target: str, folder: Path, browser: webdriver.Chrome | None = None) -> Table:
    """The table that a target's profiling ends with, having been killed at each of KILLED_AT."""
    for moment in KILLED_AT:
        profiling = Profiling(target, folder, browser)
        until = time.monotonic() + 300
        while lines(folder) < moment:
            assert not profiling.is_over(), "".join(profiling.said[-20:])
            assert time.monotonic() < until, f"{lines(folder)} lines of {moment}"
            time.sleep(0.05)
        profiling.kill()
        assert not (folder / "ops.csv").exists()
    last = Profiling(target, folder, browser)
    last.finish()
    return read_table(folder)


def check(folder: Path, table: Table) -> None:
    """All rows are there, and no visit was made twice or left out."""
    assert table.missing(load_space(SPACE).layers()) == []
    assert sum(entry.role == "sampled" for entry in table.networks) == 10
    assert table.campaigns[-1].refused == ()
    for log in folder.glob("raw/*/runs.jsonl"):
        visits = Counter((number, run.slot) for number, run in RunLog(log).read())
        assert set(visits.values()) == {1}
        for number in {number for number, _ in visits}:
            slots = sorted(slot for p, slot in visits if p == number)
            assert slots == list(range(len(slots)))


@pytest.mark.slow
@pytest.mark.parametrize("target", ["local", "local:openvino"])
def test_a_killed_profile_of_this_machine_ends_with_all_rows(target: str, tmp_path: Path) -> None:
    if target == "local:openvino":
        pytest.importorskip("openvino")
    check(tmp_path / "table", killed_three_times(target, tmp_path / "table"))


@pytest.fixture
def server(tmp_path: Path) -> Iterator[LocalSshd]:
    """A device behind ssh."""
    if SSHD is None:
        pytest.skip("there is no sshd here: install openssh-server and openssh-client")
    with ExitStack() as stack:
        found = LocalSshd(tmp_path / "server")
        stack.callback(found.stop)
        found.start()
        yield found


@pytest.mark.slow
@pytest.mark.remote
def test_a_killed_profile_over_ssh_ends_with_all_rows(server: LocalSshd, tmp_path: Path) -> None:
    config = server.config_with("killed")
    target = f"ssh://device?config={config}&python={sys.executable}"
    check(tmp_path / "table", killed_three_times(target, tmp_path / "table"))


@pytest.mark.slow
@pytest.mark.parametrize("target", [pytest.param(one, marks=NEEDED) for one in ("browser", "browser, not isolated")])
def test_a_killed_profile_in_a_browser_ends_with_all_rows(target: str, tmp_path: Path) -> None:
    needs_the_web_runtime()
    with chromium() as browser:
        check(tmp_path / "table", killed_three_times(target, tmp_path / "table", browser))

"""A table from nothing by any target, whose profiling is killed on the way and started again."""

import os
import re
import signal
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import IO

from selenium import webdriver

from mnas_evo.latency.runs import RunLog
from mnas_evo.latency.table import Table, read_table
from mnas_evo.space.space import SearchSpace

ELSEWHERE = Path(__file__).with_name("profile_process.py")
NETWORKS = 10  # that profile_process.py samples


class Profiling:
    """A profiling process; the page's address that it prints is opened in a browser, where there is one."""

    def __init__(self, target: str, space: str, folder: Path, browser: webdriver.Chrome | None) -> None:
        self._process = subprocess.Popen(
            [sys.executable, str(ELSEWHERE), target, space, str(folder)],
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
        """Kills it and all that it started, as a power cut does."""
        os.killpg(self._process.pid, signal.SIGKILL)
        self._end()

    def finish(self) -> None:
        """Waits until it ends without a fault."""
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


def killed_profile(
    target: str, space: str, folder: Path, *, killed_at: Sequence[int], browser: webdriver.Chrome | None = None
) -> Table:
    """The table that a target's profiling ends with, killed when its logs have each of so many lines."""
    for moment in killed_at:
        profiling = Profiling(target, space, folder, browser)
        until = time.monotonic() + 300
        while lines(folder) < moment:
            assert not profiling.is_over(), "".join(profiling.said[-20:])
            assert time.monotonic() < until, f"{lines(folder)} lines of {moment}"
            time.sleep(0.01)
        profiling.kill()
        assert not (folder / "ops.csv").exists()
    last = Profiling(target, space, folder, browser)
    last.finish()
    return read_table(folder)


def check_table(folder: Path, table: Table, space: SearchSpace) -> int:
    """Checks that all rows are there, and that no visit was made twice or left out; gives the number of visits."""
    assert table.missing(space.layers()) == []
    assert sum(entry.role == "sampled" for entry in table.networks) == NETWORKS
    assert table.campaigns[-1].refused == ()
    made = 0
    for log in folder.glob("raw/*/runs.jsonl"):
        visits = Counter((number, run.slot) for number, run in RunLog(log).read())
        assert set(visits.values()) == {1}
        for number in {number for number, _ in visits}:
            slots = sorted(slot for p, slot in visits if p == number)
            assert slots == list(range(len(slots)))
        made += len(visits)
    return made

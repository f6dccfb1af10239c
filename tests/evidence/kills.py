"""Kills at full size: every target's profiling of 791 rows, and the demo, each killed on the way and started again."""

import sys
import tempfile
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path

from evidence.part import Case, Figures, Part
from selenium import webdriver
from support.chromium import chromium
from support.killed_demo import STAGES, WHOLE, check_killed_demo
from support.killed_profile import check_table, killed_profile
from support.sshd import local_sshd

from mnas_evo.space.space_file import load_space

SPACE = "digits"
ROWS = 791
KILLED_AT = (200, 1200, 2500)  # lines of the logs: in the pilot run, and twice in the passes


def _profile(target: str, folder: Path, browser: webdriver.Chrome | None = None) -> Figures:
    table = killed_profile(target, SPACE, folder / "table", killed_at=KILLED_AT, browser=browser)
    visits = check_table(folder / "table", table, load_space(SPACE))
    assert len(table.rows) == ROWS
    return {"kills": len(KILLED_AT), "rows": len(table.rows), "visits": visits}


def _local(target: str, folder: Path) -> Figures:
    return _profile(target, folder)


def _ssh(folder: Path) -> Figures:
    with local_sshd(folder / "server") as server:
        return _profile(f"ssh://device?config={server.config_with('killed')}&python={sys.executable}", folder)


def _browser(target: str, folder: Path) -> Figures:
    with chromium() as browser:
        return _profile(target, folder, browser)


def _demo(folder: Path) -> Figures:
    return {"kills": len(STAGES), "evaluations": check_killed_demo(folder, WHOLE)}


def _in_a_new_folder(check: Callable[[Path], Figures]) -> Figures:
    with tempfile.TemporaryDirectory() as folder:
        return check(Path(folder))


def cases(seed: int) -> Sequence[Case]:
    """A case for each target, and the demo; the seed changes nothing, as a kill comes when it comes."""
    checks: dict[str, Callable[[Path], Figures]] = {
        "local": partial(_local, "local"),
        "local:openvino": partial(_local, "local:openvino"),
        "ssh": _ssh,
        "browser": partial(_browser, "browser"),
        "browser, not isolated": partial(_browser, "browser, not isolated"),
        "demo": _demo,
    }
    return [Case(name, partial(_in_a_new_folder, check)) for name, check in checks.items()]


PART = Part(
    "kills",
    "A profile that is killed in its pilot run and twice in its passes ends with all rows, and no visit is made twice "
    "or left out. A demo that is killed in every stage ends with every evaluation once, as a search without a kill.",
    cases,
)

"""A table of a small space from nothing, killed three times on the way: here, over ssh, and in a browser.

OpenVINO shares the process driver of `local`: test_every_device.py holds its runtime. A page that is not isolated
differs by its clock alone: test_browser_page.py holds that. `make evidence PART=kills` does all five on 791 rows.
"""

import sys
from pathlib import Path

import pytest
from selenium import webdriver
from support.chromium import NEEDED, needs_the_web_runtime
from support.killed_profile import check_table, killed_profile
from support.small_space import ARCHITECTURES, ROWS, ROWS_WITH_PUBLISHED, TEXT
from support.sshd import SSHD, local_sshd

from mnas_evo.space.space_file import parse_space

SPACE = parse_space(TEXT, source="few-rows")
KILLED_AT = (18, 110, 240)  # of 77 lines in the pilot run and 372 in four passes: once there, and twice here


def test_the_small_space_has_as_many_rows_as_it_promises() -> None:
    assert len(SPACE.layers()) == ROWS
    assert SPACE.architectures == ARCHITECTURES


def profiled(target: str, folder: Path, browser: webdriver.Chrome | None = None) -> None:
    """Profiles the small space, killed three times, and checks the table."""
    space, table = folder / "few-rows.toml", folder / "table"
    space.write_text(TEXT)
    found = killed_profile(target, str(space), table, killed_at=KILLED_AT, browser=browser)
    assert len(found.rows) == ROWS_WITH_PUBLISHED
    check_table(table, found, SPACE)


@pytest.mark.slow
def test_a_killed_profile_of_this_machine_ends_with_all_rows(tmp_path: Path) -> None:
    profiled("local", tmp_path)


@pytest.mark.slow
@pytest.mark.remote
def test_a_killed_profile_over_ssh_ends_with_all_rows(tmp_path: Path) -> None:
    if SSHD is None:
        pytest.skip("there is no sshd here: install openssh-server and openssh-client")
    with local_sshd(tmp_path / "server") as server:
        profiled(f"ssh://device?config={server.config_with('killed')}&python={sys.executable}", tmp_path)


@pytest.mark.slow
@pytest.mark.parametrize("target", [pytest.param("browser", marks=NEEDED)])
@pytest.mark.xdist_group("chromium: devices")
def test_a_killed_profile_in_a_browser_ends_with_all_rows(
    target: str, browser: webdriver.Chrome, tmp_path: Path
) -> None:
    needs_the_web_runtime()
    profiled(target, tmp_path, browser)

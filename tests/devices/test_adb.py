"""A phone behind adb: a stand-in for adb shows what is asked of it; the real adb says that nobody is there."""

import os
import shutil
import stat
import subprocess
import sys
import threading
from collections.abc import Callable
from pathlib import Path

import pytest
from support.known_times import FACTS
from support.page_client import StandInPage, plan, stub_runtime

from mnas_evo.devices.adb import AdbDevice
from mnas_evo.errors import DeviceError, UnknownTarget

# Writes down what it is called with, and answers as adb does.
STAND_IN = """#!{python}
import pathlib, shlex, sys
with open({log!r}, "a") as log:
    log.write(shlex.join(sys.argv[1:]) + "\\n")
{answer}
"""


def stand_in(folder: Path, answer: str = "") -> tuple[str, Path]:
    """A program in place of adb, and what it writes down."""
    program, log = folder / "adb", folder / "calls"
    program.write_text(STAND_IN.format(python=sys.executable, log=str(log), answer=answer))
    program.chmod(program.stat().st_mode | stat.S_IXUSR)
    log.touch()
    return str(program), log


def phone(log: Path, behaviour: Callable[[StandInPage], None]) -> threading.Thread:
    """Opens the address that adb is told to view, as a phone does."""

    def look() -> None:
        while True:
            for line in log.read_text().splitlines():
                if "android.intent.action.VIEW" in line:
                    page = StandInPage(line.split()[-1].strip("'\""))
                    behaviour(page)
                    return

    thread = threading.Thread(target=look)
    thread.start()
    return thread


@pytest.fixture
def served(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """onnxruntime-web is not fetched: the stand-in runs nothing."""
    runtime = tmp_path / "runtime"
    runtime.mkdir()
    monkeypatch.setattr("mnas_evo.devices.browser.web_runtime", lambda folder: stub_runtime(runtime))


@pytest.mark.usefixtures("served")
def test_the_page_opens_on_the_phone_and_measures(tmp_path: Path) -> None:
    adb, log = stand_in(tmp_path)
    thread = phone(log, StandInPage.measure)
    device = AdbDevice("R58M", say=lambda text: None, adb=adb, page_seconds=20)
    assert device.facts() == FACTS
    runs = list(device.run(plan(tmp_path, "0.onnx", "0.onnx")))
    device.close()
    thread.join(timeout=30)
    assert [run.slot for run in runs] == [0, 1]
    reverse, view, remove = log.read_text().splitlines()
    port = reverse.split("tcp:")[-1]
    assert reverse == f"-s R58M reverse tcp:{port} tcp:{port}"
    assert view.startswith("-s R58M shell 'am start -a android.intent.action.VIEW -d http://127.0.0.1:" + port)
    assert remove == f"-s R58M reverse --remove tcp:{port}"


@pytest.mark.usefixtures("served")
@pytest.mark.parametrize(
    ("answer", "said"),
    [
        ("print('adb: device unauthorized.', file=sys.stderr); sys.exit(1)", "device unauthorized.*USB debugging"),
        ("if 'shell' in sys.argv: print('Error: Activity not started')", "Activity not started.*unlock the phone"),
    ],
)
def test_a_phone_that_does_not_open_the_page_is_an_error_with_its_words(tmp_path: Path, answer: str, said: str) -> None:
    adb, _ = stand_in(tmp_path, answer)
    device = AdbDevice("R58M", say=lambda text: None, adb=adb, page_seconds=5)
    with pytest.raises(DeviceError, match=said):
        device.facts()
    device.close()


@pytest.mark.usefixtures("served")
def test_where_there_is_no_adb_it_says_what_to_install(tmp_path: Path) -> None:
    device = AdbDevice("R58M", say=lambda text: None, adb=str(tmp_path / "none"), page_seconds=5)
    with pytest.raises(DeviceError, match="install Android's platform tools"):
        device.facts()
    device.close()


@pytest.mark.parametrize("serial", ["", "-s", "two words", "a\nb"])
def test_what_is_no_serial_number_is_refused(serial: str) -> None:
    with pytest.raises(UnknownTarget, match="no serial number"):
        AdbDevice(serial, say=lambda text: None)


@pytest.mark.remote
@pytest.mark.skipif(shutil.which("adb") is None, reason="needs adb on the PATH")
@pytest.mark.usefixtures("served")
def test_the_real_adb_says_that_no_such_phone_is_there(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    # A server of the test's own: its port and home are nobody else's.
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("ANDROID_ADB_SERVER_PORT", str(20_000 + os.getpid() % 20_000))
    device = AdbDevice("NOPHONE", say=lambda text: None, page_seconds=5)
    try:
        with pytest.raises(DeviceError, match=r"NOPHONE.*not found"):
            device.facts()
    finally:
        device.close()
        subprocess.run(["adb", "kill-server"], capture_output=True, timeout=30, check=False)

"""The limit on a test's processor time: what is counted, what is listed, and what fails the run."""

import csv
from pathlib import Path

import pytest
from support import processor_time

pytest_plugins = ["pytester"]

TESTS = """
import subprocess, sys, time
import pytest

BUSY = "import time; end = time.process_time() + 0.5\\nwhile time.process_time() < end: pass"

def test_busy():
    exec(BUSY, {})

def test_child():
    subprocess.run([sys.executable, "-c", BUSY], check=True)

def test_asleep():
    time.sleep(0.7)

@pytest.mark.xdist_group("ray")
def test_server():
    subprocess.run([sys.executable, "-c", BUSY], check=True)
"""


@pytest.fixture
def pytester_of_four(pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch) -> pytest.Pytester:
    """Four tests of half a second, and the plugin."""
    monkeypatch.setenv("PYTHONPATH", str(Path(processor_time.__file__).parents[1]))
    pytester.makepyfile(test_four=TESTS)
    return pytester


@pytest.mark.parametrize("workers", [(), ("-n", "1")], ids=["here", "in a worker"])
def test_processor_time_counts_children_but_neither_sleep_nor_servers(
    pytester_of_four: pytest.Pytester, workers: tuple[str, ...]
) -> None:
    options = ("-p", "support.processor_time", "--slowest", "2", "--times", "times.csv", *workers)
    ran = pytester_of_four.runpytest_inprocess(*options)
    ran.assert_outcomes(passed=4)
    with (pytester_of_four.path / "times.csv").open(encoding="utf-8", newline="") as file:
        seconds = {name.partition("::")[2]: float(took) for name, took in csv.reader(file)}
    assert min(seconds["test_busy"], seconds["test_child"]) > 0.4 > max(seconds["test_asleep"], seconds["test_server"])
    ran.stdout.fnmatch_lines(["*slowest 2 tests*", "*test_four.py::test_*", "*slowest 2 files*", "*  test_four.py"])


def test_a_test_over_the_limit_fails_the_run_and_is_named(
    pytester_of_four: pytest.Pytester, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(processor_time, "MOST_SECONDS", 0.4)
    ran = pytester_of_four.runpytest_inprocess("-p", "support.processor_time", "-k", "child")
    assert ran.ret == pytest.ExitCode.TESTS_FAILED
    ran.stdout.fnmatch_lines(["test_four.py::test_child took *Make it cheaper*"])


def test_a_slow_test_below_the_limit_is_listed(
    pytester_of_four: pytest.Pytester, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(processor_time, "LISTED_SECONDS", 0.4)
    ran = pytester_of_four.runpytest_inprocess("-p", "support.processor_time", "-k", "busy or asleep")
    assert ran.ret == pytest.ExitCode.OK
    ran.stdout.fnmatch_lines(["test_four.py::test_busy took *over 0.4 s"])
    ran.stdout.no_fnmatch_line("*test_asleep took*")

"""A pytest plugin: how much processor time each test takes, and a limit that fails the run.

Wall time depends on what else a machine does; processor time hardly does. The time of a test is that of its process
and of the children that it waited for. The servers of Chromium and Ray serve many tests: they are not counted.
"""

import csv
import resource
from collections import defaultdict
from collections.abc import Iterator, Mapping
from pathlib import Path

import pytest

LISTED_SECONDS = 90.0
MOST_SECONDS = 180.0
ATTRIBUTE = "processor_seconds"


def pytest_addoption(parser: pytest.Parser) -> None:
    """Two options of the group "processor time"."""
    group = parser.getgroup("processor time")
    group.addoption("--slowest", type=int, default=0, metavar="N", help="print the N slowest tests and files")
    group.addoption("--times", type=Path, metavar="CSV", help="write each test's processor seconds into a file")


def pytest_configure(config: pytest.Config) -> None:
    """A worker of xdist measures; the process that prints adds up."""
    config.pluginmanager.register(Stopwatch(), "processor-stopwatch")
    if not hasattr(config, "workerinput"):
        config.pluginmanager.register(Ledger(config), "processor-ledger")


class Stopwatch:
    """Measures each phase of a test and puts it into the phase's report."""

    def __init__(self) -> None:
        self._before = (0.0, 0.0)

    @pytest.hookimpl(tryfirst=True)
    def pytest_runtest_logstart(self) -> None:
        self._before = _used()

    @pytest.hookimpl(wrapper=True)
    def pytest_runtest_makereport(self, item: pytest.Item) -> Iterator[None]:
        report = yield
        now = _used()
        own, children = (after - before for after, before in zip(now, self._before, strict=True))
        self._before = now
        setattr(report, ATTRIBUTE, own if _has_servers(item) else own + children)
        return report


class Ledger:
    """Adds the phases up, prints the slowest tests and files, and fails the run where a test is too slow."""

    def __init__(self, config: pytest.Config) -> None:
        self._slowest: int = config.getoption("--slowest")
        self._file: Path | None = config.getoption("--times")
        self.seconds: defaultdict[str, float] = defaultdict(float)

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        self.seconds[report.nodeid] += getattr(report, ATTRIBUTE, 0.0)

    @pytest.hookimpl(trylast=True)
    def pytest_sessionfinish(self, session: pytest.Session) -> None:
        if self._file is not None:
            with self._file.open("w", encoding="utf-8", newline="") as file:
                csv.writer(file).writerows(_slowest_first(self.seconds))
        if session.exitstatus == pytest.ExitCode.OK and any(took > MOST_SECONDS for took in self.seconds.values()):
            session.exitstatus = pytest.ExitCode.TESTS_FAILED

    def pytest_terminal_summary(self, terminalreporter: pytest.TerminalReporter) -> None:
        files: defaultdict[str, float] = defaultdict(float)
        for name, took in self.seconds.items():
            files[name.partition("::")[0]] += took
        for title, counted in (("tests", self.seconds), ("files", files)):
            if self._slowest:
                terminalreporter.section(f"slowest {self._slowest} {title}, processor seconds")
            for name, took in _slowest_first(counted)[: self._slowest]:
                terminalreporter.write_line(f"{took:7.1f}  {name}")
        if self._slowest:
            minutes = sum(self.seconds.values()) / 60
            terminalreporter.write_line(f"{minutes:7.1f}  processor minutes of {len(self.seconds)} tests")
        for name, took in _slowest_first(self.seconds):
            if took > MOST_SECONDS:
                fix = f"more than {MOST_SECONDS:g} s fails the run. Make it cheaper or move it to make evidence."
                terminalreporter.write_line(f"{name} took {took:.0f} s of processor time; {fix}", red=True)
            elif took > LISTED_SECONDS:
                terminalreporter.write_line(f"{name} took {took:.0f} s of processor time, over {LISTED_SECONDS:g} s")


def _slowest_first(seconds: Mapping[str, float]) -> list[tuple[str, float]]:
    return sorted(seconds.items(), key=lambda entry: -entry[1])


def _used() -> tuple[float, float]:
    """Processor seconds of this process, and of the children that it waited for."""
    own, children = (resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN))
    return own.ru_utime + own.ru_stime, children.ru_utime + children.ru_stime


def _has_servers(item: pytest.Item) -> bool:
    group = item.get_closest_marker("xdist_group")
    return item.get_closest_marker("browser") is not None or (group is not None and "ray" in group.args)

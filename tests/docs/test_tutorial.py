"""The tutorial's commands and its Python run, in the order they stand there, each going on from the one before."""

import re
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

import pytest
from support.documented_commands import ROOT, blocks, commands, lines, quick, run_all

TUTORIAL = ROOT / "docs" / "tutorial.md"
COMMANDS = commands(TUTORIAL)
(SNIPPET,) = blocks(TUTORIAL, "python")
Capture = pytest.CaptureFixture[str]


def follow(commands: Sequence[Sequence[str]], capture: Capture) -> str:
    """Runs the commands as a reader does, who trains the rank that remeasure proposes; gives all that they printed."""
    said, rank = "", ""
    for arguments in commands:
        run_all([[re.sub(r"(?<=runs/first#)\d+", rank, word) for word in arguments]])
        said += "".join(capture.readouterr())
        proposed = re.search(r"next: mnas-evo train 'runs/first#(\d+)'", said)
        rank = proposed[1] if proposed else rank
    return said


def classify(folder: Path) -> str:
    """What the Python block prints."""
    done = subprocess.run([sys.executable, "-c", SNIPPET], capture_output=True, text=True, timeout=120, cwd=folder)
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


def test_it_shows_the_whole_path_and_nothing_that_no_test_runs() -> None:
    assert [arguments[0] for arguments in COMMANDS] == [
        *("spaces", "profile", "fit", "predict", "search", "report"),
        *("remeasure", "train", "evaluate", "export", "report"),
    ]
    assert len(lines(TUTORIAL)) == len(COMMANDS)


def test_it_runs_with_small_budgets(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: Capture) -> None:
    monkeypatch.chdir(tmp_path)
    follow([quick(arguments) for arguments in COMMANDS], capsys)
    assert classify(tmp_path) in "0123456789"
    assert (tmp_path / "models" / "first" / "report.html").exists()


@pytest.mark.slow
def test_it_runs_as_it_is_written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: Capture) -> None:
    monkeypatch.chdir(tmp_path)
    said = follow(COMMANDS, capsys)
    assert classify(tmp_path) == blocks(TUTORIAL, "text")[-1].strip() == "8"
    # What does not depend on the machine, the page has as it is.
    shown = "\n".join(blocks(TUTORIAL, "text"))
    for figure in ("34,828,517,376", "2,952,790,016", "791 rows and 103 whole networks", "360 test images of digits"):
        assert figure in said and figure in shown

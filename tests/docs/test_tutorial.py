"""The tutorial's commands and its Python run, in the order they stand there, each going on from the one before."""

from pathlib import Path

import pytest
from support.documented_commands import TUTORIAL, classify, commands, follow, lines, quick, shown_figures

COMMANDS = commands(TUTORIAL)


def test_it_shows_the_whole_path_and_nothing_that_no_test_runs() -> None:
    assert [arguments[0] for arguments in COMMANDS] == [
        *("spaces", "profile", "fit", "predict", "search", "report"),
        *("remeasure", "train", "evaluate", "export", "report"),
    ]
    assert len(lines(TUTORIAL)) == len(COMMANDS)


@pytest.mark.slow
def test_it_runs_with_small_budgets(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    printed = follow([quick(arguments) for arguments in COMMANDS], lambda: "".join(capsys.readouterr()))
    assert classify(tmp_path) in "0123456789"
    assert (tmp_path / "models" / "first" / "report.html").exists()
    shown_figures(printed)

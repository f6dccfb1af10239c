"""The README's commands run, in the order they stand there, each going on from what the one before left."""

import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest

from mnas_evo.cli.main import run

README = (Path(__file__).parents[2] / "README.md").read_text(encoding="utf-8")
COMMANDS = [
    line.split("#  ")[0].strip().removeprefix("$ ")
    for block in re.findall(r"```sh\n(.*?)```", README, flags=re.DOTALL)
    for line in block.splitlines()
    if line.strip().removeprefix("$ ").startswith("mnas-evo ")
]
# Budgets for a quick run; the slow test takes them as they are written.
QUICK = {
    "--minutes": "0",
    "--evaluations": "6",
    "--recipe": "quick",
    "--epochs": "1",
    "--add": "10",
    "--by": "proxy:digits@100,epochs=1",
}


def quick(arguments: list[str]) -> list[str]:
    found = [QUICK.get(before, word) for before, word in zip(["", *arguments], arguments, strict=False)]
    more = {"profile": ["--networks", "12"], "search": ["--population", "4"], "train": ["--epochs", "1"]}
    return [*found, *more.get(arguments[0], [])]


def run_all(commands: list[list[str]]) -> None:
    for arguments in commands:
        assert run(arguments) == 0, f"mnas-evo {shlex.join(arguments)}"


def test_the_readme_shows_the_whole_path() -> None:
    shown = [command.split()[1] for command in COMMANDS]
    path = ["profile", "fit", "search", "remeasure", "train", "evaluate", "export"]
    assert list(dict.fromkeys(name for name in shown if name in path)) == path


def test_the_readmes_commands_run_with_small_budgets(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    run_all([quick(shlex.split(command)[1:]) for command in COMMANDS if command.split()[1] != "demo"])
    assert (tmp_path / "models" / "first" / "model.onnx").exists()
    (snippet,) = re.findall(r"```python\n(.*?)```", README, flags=re.DOTALL)
    done = subprocess.run([sys.executable, "-c", snippet], capture_output=True, text=True, timeout=120, cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert done.stdout.strip() in tuple("0123456789")


@pytest.mark.slow
def test_the_readmes_commands_run_as_they_are_written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    run_all([shlex.split(command)[1:] for command in COMMANDS if command.split()[1] != "demo"])

"""Commands as README and the documentation write them: read from their blocks, run with small budgets or as written."""

import re
import shlex
import subprocess
import sys
import textwrap
from collections.abc import Callable, Sequence
from pathlib import Path

from mnas_evo.cli.main import run

ROOT = Path(__file__).parents[2]
README, TUTORIAL = ROOT / "README.md", ROOT / "docs" / "tutorial.md"
# Budgets for a quick run; evidence.commands takes them as they are written.
QUICK = {
    "--minutes": "0",
    "--evaluations": "6",
    "--target-ms": "100",
    "--recipe": "quick",
    "--epochs": "1",
    "--add": "10",
    "--by": "proxy:digits@100,epochs=1",
}
BRIEF = {"proxy:digits": "proxy:digits@100,epochs=1"}
MORE = {"search": ["--population", "4"], "train": ["--epochs", "1"]}


def blocks(path: Path, language: str) -> list[str]:
    """The fenced blocks of a language in a page, those within lists too."""
    text = path.read_text(encoding="utf-8")
    found = re.findall(rf"^( *)```{language}\n(.*?)^\1```$", text, flags=re.DOTALL | re.MULTILINE)
    return [textwrap.dedent(block) for _, block in found]


def lines(path: Path) -> list[str]:
    """What stands in a page's sh blocks, without comments."""
    found = [line.split("#  ")[0].strip() for block in blocks(path, "sh") for line in block.splitlines()]
    return [line for line in found if line]


def commands(path: Path) -> list[list[str]]:
    """The arguments of each `mnas-evo` line in a page's sh blocks."""
    return [shlex.split(line)[1:] for line in lines(path) if line.startswith("mnas-evo ")]


def quick(arguments: Sequence[str]) -> list[str]:
    """The same command with a small budget."""
    pairs = zip(["", *arguments], arguments, strict=False)
    found = [QUICK.get(before, BRIEF.get(word, word)) for before, word in pairs]
    return [*found, *MORE.get(arguments[0], [])]


def run_all(commands: Sequence[Sequence[str]]) -> None:
    """Runs commands one after the other, each of which has to end well."""
    for arguments in commands:
        assert run(list(arguments)) == 0, f"mnas-evo {shlex.join(arguments)}"


def follow(commands: Sequence[Sequence[str]], printed: Callable[[], str]) -> str:
    """Runs the commands as a reader does, who trains the rank that remeasure proposes; returns all that they printed.

    `printed` returns what was printed since its last call.
    """
    text, rank = "", ""
    for arguments in commands:
        run_all([[re.sub(r"(?<=runs/first#)\d+", rank, word) for word in arguments]])
        text += printed()
        proposed = re.search(r"next: mnas-evo train 'runs/first#(\d+)'", text)
        rank = proposed[1] if proposed else rank
    return text


def classify(folder: Path) -> str:
    """What the tutorial's Python block prints in a folder."""
    (snippet,) = blocks(TUTORIAL, "python")
    done = subprocess.run([sys.executable, "-c", snippet], capture_output=True, text=True, timeout=120, cwd=folder)
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


def shown_figures(text: str) -> None:
    """Checks that the tutorial's figures that do not depend on the machine are among what its commands printed."""
    page = "\n".join(blocks(TUTORIAL, "text"))
    for figure in ("34,828,517,376", "2,952,790,016", "791 rows and 103 whole networks", "360 test images of digits"):
        assert figure in text and figure in page, figure

"""Commands as README and the documentation write them: read from their blocks, run with small budgets or as written."""

import re
import shlex
import textwrap
from collections.abc import Sequence
from pathlib import Path

from mnas_evo.cli.main import run

ROOT = Path(__file__).parents[2]
# Budgets for a quick run; slow tests take them as they are written.
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
MORE = {"profile": ["--networks", "12"], "search": ["--population", "4"], "train": ["--epochs", "1"]}


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

"""The tutorial's and the README's commands, as they are written."""

import contextlib
import io
import tempfile
from collections.abc import Iterator
from pathlib import Path

from evidence.part import Case, Figures, Part
from support.documented_commands import (
    README,
    TUTORIAL,
    blocks,
    classify,
    commands,
    follow,
    quick,
    run_all,
    shown_figures,
)


def tutorial() -> Figures:
    """Runs the tutorial; its last figure is what its Python block prints."""
    with tempfile.TemporaryDirectory() as folder, contextlib.chdir(folder), captured() as text:
        shown_figures(follow(commands(TUTORIAL), lambda: text.getvalue()))
        digit = classify(Path(folder))
    assert digit == blocks(TUTORIAL, "text")[-1].strip()
    return {"commands": len(commands(TUTORIAL)), "digit": digit}


def readme() -> Figures:
    """Runs the README; what the tutorial runs as written too has a small budget here."""
    tutorials = commands(TUTORIAL)
    asked = [arguments for arguments in commands(README) if arguments[0] != "demo"]
    with tempfile.TemporaryDirectory() as folder, contextlib.chdir(folder):
        run_all([quick(arguments) if arguments in tutorials else arguments for arguments in asked])
    return {"commands": len(asked)}


@contextlib.contextmanager
def captured() -> Iterator[io.StringIO]:
    """Everything printed within, in the end and so far."""
    text = io.StringIO()
    with contextlib.redirect_stdout(text), contextlib.redirect_stderr(text):
        yield text


PART = Part(
    "commands",
    "Every command of the tutorial and of the README runs as it is written.",
    lambda seed: [Case("tutorial", tutorial), Case("README", readme)],
)

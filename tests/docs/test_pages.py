"""What the pages say holds: their commands parse, their examples run, their links lead somewhere."""

import re
import sys
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest
import typer
from support.documented_commands import ROOT, blocks, commands
from support.search_problem import SPACE

from mnas_evo.accuracy.evaluating import parse_workers
from mnas_evo.cli.main import app, run
from mnas_evo.devices.target import RUNTIMES, parse_target
from mnas_evo.latency.table import read_table
from mnas_evo.search.algorithms import parse_algorithm
from mnas_evo.search.contract import Outcome
from mnas_evo.space.space_file import load_space, parse_space
from mnas_evo.training.recipe import load_recipe

DOCS = ROOT / "docs"
PAGES = sorted(path for path in DOCS.rglob("*.md") if not path.is_symlink())
HOW_TO = sorted((DOCS / "how-to").glob("*.md"))
TEXTS = [*PAGES, ROOT / "README.md", ROOT / "CONTRIBUTING.md"]
GROUP: Any = typer.main.get_command(app)


def named(path: Path) -> str:
    return str(path.relative_to(ROOT))


def parsed(arguments: list[str]) -> dict[str, Any]:
    """A command's parameters, as the command line reads them; nothing is run."""
    context = GROUP.make_context("mnas-evo", list(arguments))
    name, command, rest = GROUP.resolve_command(context, list(arguments))
    with command.make_context(name, rest, parent=context) as found:
        return dict(found.params)


def options(name: str) -> set[str]:
    return {option for parameter in GROUP.commands[name].params for option in parameter.opts} | {"--help"}


def prose(path: Path) -> str:
    """A page without its fenced blocks."""
    return re.sub(r"^( *)```.*?^\1```$", "", path.read_text(encoding="utf-8"), flags=re.DOTALL | re.MULTILINE)


@pytest.mark.parametrize("page", TEXTS, ids=named)
def test_every_command_of_a_block_is_one_that_would_be_taken(page: Path) -> None:
    for arguments in commands(page):
        found = parsed(arguments)
        for target in (found.get("target"), found.get("on"), (found.get("latency") or "").removeprefix("device:")):
            assert target is None or target == "" or parse_target(target)
        for text in filter(None, [found.get("algorithm"), *(found.get("algorithms") or "").split(",")]):
            parse_algorithm(text)
        if (space := found.get("space")) and not space.endswith(".toml"):
            load_space(space)
        if recipe := found.get("recipe"):
            load_recipe(recipe)
        if workers := found.get("workers"):
            parse_workers(str(workers))


@pytest.mark.parametrize(
    ("wrong", "fault"),
    [
        ("serch", "serch"),
        ("fit", "table"),
        ("fit --table t --tabel t", "--tabel"),
        ("profile local --table t --minutes x", "number"),
    ],
)
def test_a_command_that_would_not_be_taken_is_found(wrong: str, fault: str) -> None:
    with pytest.raises(Exception, match=fault):
        parsed(wrong.split())


@pytest.mark.parametrize("page", TEXTS, ids=named)
def test_every_command_and_option_of_the_text_exists(page: Path) -> None:
    every = {option for name in GROUP.commands for option in options(name)}
    for words in re.findall(r"`([^`]+)`", prose(page)):
        if match := re.fullmatch(r"mnas-evo ([a-z-]+)(.*)", words, flags=re.DOTALL):
            assert match[1] in GROUP.commands, words
            assert set(re.findall(r"--[a-z0-9-]+", match[2])) <= options(match[1]), words
        elif match := re.match(r"--[a-z0-9-]+", words):
            assert match[0] in every, words


@pytest.mark.parametrize("page", HOW_TO, ids=named)
def test_what_a_guide_says_is_seen_when_something_goes_wrong_is_what_the_program_says(page: Path) -> None:
    source = "".join(
        path.read_text(encoding="utf-8")
        for path in [*(ROOT / "mnas_evo").rglob("*.py"), ROOT / "profiling" / "agent.py"]
    )
    source = re.sub(r'"\s*\n\s*f?"', "", source)  # texts that are written over several lines
    for cell in re.findall(r"^\| ([^|]+) \| [^|]+ \|$", prose(page), flags=re.MULTILINE):
        for quoted in re.findall(r"`([^`]+)`", cell):
            for part in re.split(r"\.\.\.|\b[A-Z]+(?::[A-Z]+)?\b", quoted):
                assert part.strip(" :") in source, quoted


@pytest.mark.parametrize("page", TEXTS, ids=named)
def test_links_lead_to_files_as_on_a_code_host(page: Path) -> None:
    for target in re.findall(r"\]\(([^)\s]+)\)", prose(page)):
        assert not target.startswith(("http:", "https:", "/")), target
        path = target.partition("#")[0]
        assert not path or (page.parent / path).exists(), target


def test_every_kind_of_target_and_data_and_recipe_is_in_its_reference() -> None:
    reference = {
        name: (DOCS / "reference" / f"{name}.md").read_text(encoding="utf-8") for name in ("targets", "training")
    }
    assert all(f"`{name}`" in reference["training"] for name in recipes())
    assert all(name in reference["targets"] for name in RUNTIMES)


def recipes() -> list[str]:
    return [path.stem for path in (ROOT / "mnas_evo" / "training" / "recipes").glob("*.toml")]


def test_the_guides_space_is_one() -> None:
    (example,) = blocks(DOCS / "how-to" / "write-a-space.md", "toml")
    space = parse_space(example, source="docs/how-to/write-a-space.md")
    assert (space.name, len(space.blocks), space.frame.height) == ("my-space", 3, 64)


def test_the_guides_measured_networks_can_be_imported(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    page = DOCS / "how-to" / "use-foreign-tables.md"
    monkeypatch.chdir(tmp_path)
    (example,) = blocks(page, "text")
    Path("measured.csv").write_text(example)
    (command,) = [arguments for arguments in commands(page) if arguments[:2] == ["import", "measured.csv"]]
    assert run(command) == 0
    assert [entry.time.ms for entry in read_table(Path("their-device")).networks] == [0.031, 0.058]


def test_the_guides_searcher_keeps_its_promises() -> None:
    (example,) = blocks(DOCS / "how-to" / "add-a-searcher.md", "python")
    names: dict[str, Any] = {}
    exec(compile(example, "add-a-searcher.md", "exec"), names)
    asked = []
    for _ in range(2):
        searcher = names["Hillclimber"](SPACE, seed=3)
        for _ in range(5):
            genes = searcher.ask()
            assert np.array_equal(SPACE.canonical(genes), genes)
            asked.append(genes)
            searcher.tell(genes, [Outcome("values", (float(row.sum()), 1.0)) for row in genes])
    assert all(np.array_equal(one, again) for one, again in zip(asked[:5], asked[5:], strict=True))


def test_the_guides_runtime_is_what_the_agent_wants(monkeypatch: pytest.MonkeyPatch) -> None:
    class Model:
        def __init__(self, path: str, threads: int) -> None:
            self.threads = threads

        def run(self, images: object) -> object:
            return images

    module = ModuleType("my_runtime")
    module.__version__, module.Model = "1", Model  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "my_runtime", module)
    (example,) = blocks(DOCS / "how-to" / "add-a-runtime.md", "python")
    names: dict[str, Any] = {}
    exec(compile(example, "add-a-runtime.md", "exec"), names)
    runtime = names["MyRuntime"](1, "fp32")
    assert (runtime.name, runtime.reads, runtime.precisions, runtime.version) == ("my-runtime", "onnx", ("fp32",), "1")
    assert runtime.load("0.onnx", "images")() == "images"

"""What the site takes from the program itself: commands' help, a page for each of its folders, files from elsewhere.

mkdocs calls the functions by their names. A link from docs/ to one of ELSEWHERE works as a file on a code host too.
"""

import ast
import posixpath
import re
from pathlib import Path
from typing import Any

import typer
from mkdocs.config.defaults import MkDocsConfig
from mkdocs.structure.files import File, Files
from mkdocs.structure.pages import Page
from typer.cli import get_docs_for_click

ROOT = Path(__file__).parent.parent
PACKAGE = ROOT / "mnas_evo"

# Files outside docs/ that have a page: by their place in the repository, the page and its title.
ELSEWHERE = {
    "profiling/PROTOCOL.md": ("reference/protocol.md", "The wire to a device"),
    "benchmarks/README.md": ("reference/benchmarks.md", "Benchmarks"),
    "NOTES.md": ("reference/notes.md", "Notes of experiments"),
    "CONTRIBUTING.md": ("reference/contributing.md", "Contributing"),
    "CHANGELOG.md": ("reference/changes.md", "Changes"),
}
# Sections of README.md that have a page: what stands in the page's file is for a code host.
FROM_README = {"how-to/use-the-exported-file.md": "Using the exported file"}
LIBRARY = "reference/library"
_COMMANDS, _FOLDERS = "<!-- every command's help -->", "<!-- every folder of the package -->"
_LINK = re.compile(r"(?<=\]\()(?P<path>[^)\s#:]+)(?P<anchor>#[^)\s]*)?(?=\))")


def on_config(config: MkDocsConfig) -> MkDocsConfig:
    """Adds to the navigation what `on_files` makes."""
    assert config.nav is not None
    (reference,) = (entry["Reference"] for entry in config.nav if "Reference" in entry)
    (library,) = (entry["Library"] for entry in reference if "Library" in entry)
    library += [{name: f"{LIBRARY}/{name}.md"} for name in library_folders()]
    reference += [{title: page} for page, title in ELSEWHERE.values()]
    return config


def on_files(files: Files, config: MkDocsConfig) -> Files:
    """Adds a page for each folder of the package, and the pages of files that stand elsewhere."""
    for name, modules in library_folders().items():
        files.append(File.generated(config, f"{LIBRARY}/{name}.md", content=library_page(name, modules)))
    for source, (page, _) in ELSEWHERE.items():
        files.append(File.generated(config, page, content=(ROOT / source).read_text(encoding="utf-8")))
    return files


def on_page_markdown(markdown: str, page: Page, config: MkDocsConfig, files: Files) -> str:
    """Fills in what is made from the program, and leads links to files elsewhere to their pages."""
    here = page.file.src_uri
    if here in FROM_README:
        return f"# {page.title}\n\n{readme_section(FROM_README[here])}"
    markdown = markdown.replace(_COMMANDS, commands_page() if _COMMANDS in markdown else "")
    markdown = markdown.replace(_FOLDERS, folders_table() if _FOLDERS in markdown else "")
    sources = {page: source for source, (page, _) in ELSEWHERE.items()}
    # Where the file stands in the repository, from which its relative links lead.
    stands = sources.get(here, f"docs/{here}")

    def led(link: re.Match[str]) -> str:
        target = posixpath.normpath(posixpath.join(posixpath.dirname(stands), link["path"]))
        if target in ELSEWHERE:
            target = ELSEWHERE[target][0]
        elif target.startswith("docs/"):
            target = target.removeprefix("docs/")
        else:
            return link[0]
        return posixpath.relpath(target, posixpath.dirname(here) or ".") + (link["anchor"] or "")

    return _LINK.sub(led, markdown)


def readme_section(heading: str) -> str:
    """What stands in README.md under a heading of the second level."""
    text = (ROOT / "README.md").read_text(encoding="utf-8")
    return re.split(r"^## ", text.split(f"\n## {heading}\n")[1], maxsplit=1, flags=re.MULTILINE)[0]


def commands_page() -> str:
    """Every command's help, a section each."""
    from mnas_evo.cli.main import app

    group: Any = typer.main.get_command(app)
    with group.make_context("mnas-evo", [], resilient_parsing=True) as context:
        pages = [
            get_docs_for_click(obj=command, ctx=context, name=name, indent=1, call_prefix="mnas-evo")
            for name, command in group.commands.items()
        ]
    return "\n".join(pages)


def library_folders() -> dict[str, list[str]]:
    """Public modules of the package by its folders; those in no folder stand under `mnas_evo`."""
    found: dict[str, list[str]] = {}
    for path in sorted(PACKAGE.rglob("*.py")):
        parts = path.relative_to(PACKAGE).with_suffix("").parts
        if parts[-1] != "__init__" and not any(part.startswith("_") for part in parts):
            found.setdefault(parts[0] if len(parts) > 1 else "mnas_evo", []).append(".".join(("mnas_evo", *parts)))
    return {"mnas_evo": found.pop("mnas_evo"), **found}


def library_page(name: str, modules: list[str]) -> str:
    """The page of a folder: what it is, then each of its modules."""
    title = name if name == "mnas_evo" else f"mnas_evo.{name}"
    said = ast.get_docstring(ast.parse(_package(name).read_text(encoding="utf-8"))) or ""
    return "\n\n".join([f"# {title}", said, *(f"::: {module}" for module in modules)])


def folders_table() -> str:
    """The folders of the package with what their docstrings say first."""
    lines = ["| | |", "|---|---|"]
    for name in library_folders():
        said = ast.get_docstring(ast.parse(_package(name).read_text(encoding="utf-8"))) or ""
        first = " ".join(said.split("\n\n")[0].split())
        lines.append(f"| [{name}](library/{name}.md) | {first} |")
    return "\n".join(lines)


def _package(name: str) -> Path:
    return (PACKAGE if name == "mnas_evo" else PACKAGE / name) / "__init__.py"

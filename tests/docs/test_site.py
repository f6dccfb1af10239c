"""The site builds strictly, needs nothing from any other host, and has all that the program says of itself."""

import http.server
import os
import re
import subprocess
import sys
import threading
from collections.abc import Iterator
from functools import partial
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest
import typer
from selenium import webdriver
from support.chromium import NEEDED, complaints
from support.documented_commands import ROOT

from mnas_evo.cli.main import app

# The site is built once, by the process that runs all of these.
pytestmark = pytest.mark.xdist_group("site")
COMMANDS: dict[str, Any] = typer.main.get_command(app).commands  # type: ignore[attr-defined]
LOADING = {"src", "srcset", "data", "poster"}  # attributes; and href of link, which an anchor's is not


class Loads(HTMLParser):
    """What a page loads, its styles' text, and its own text."""

    def __init__(self, page: Path) -> None:
        super().__init__()
        self.found: list[str] = []
        self.styles = ""
        self.words = ""
        self._within = ""
        self.feed(page.read_text(encoding="utf-8"))

    def handle_starttag(self, tag: str, attributes: list[tuple[str, str | None]]) -> None:
        self._within = tag
        for name, value in attributes:
            if name in LOADING or (tag == "link" and name == "href"):
                self.found.append(value or "")
            if name == "style":
                self.styles += value or ""

    def handle_data(self, data: str) -> None:
        if self._within == "style":
            self.styles += data
        elif self._within != "script":
            self.words += data


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The site, built as `make docs` builds it."""
    folder = tmp_path_factory.mktemp("site")
    command = [sys.executable, "-m", "mkdocs", "build", "--strict", "--site-dir", str(folder)]
    surroundings = {**os.environ, "NO_MKDOCS_2_WARNING": "1", "http_proxy": "http://127.0.0.1:9"}
    done = subprocess.run(
        command,
        capture_output=True,
        text=True,
        timeout=300,
        cwd=ROOT,
        env={**surroundings, "https_proxy": "http://127.0.0.1:9"},
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert "WARNING" not in done.stderr
    return folder


@pytest.fixture
def address(site: Path) -> Iterator[str]:
    """The site, served on loopback."""

    class Quiet(http.server.SimpleHTTPRequestHandler):
        def log_message(self, format: str, *arguments: Any) -> None:
            pass

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), partial(Quiet, directory=str(site))) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.server_port}/"
        finally:
            server.shutdown()
            thread.join()


@pytest.mark.slow
def test_no_page_loads_anything_from_another_host(site: Path) -> None:
    far = re.compile(r"^(?:[a-z]+:)?//", re.IGNORECASE)
    pages = list(site.rglob("*.html"))
    assert len(pages) > 40
    for page in pages:
        loads = Loads(page)
        assert any(name.endswith(".js") for name in loads.found)
        assert [name for name in loads.found if far.match(name)] == [], page
        assert "//" not in loads.styles, page
        assert 'class="mermaid"' not in page.read_text(encoding="utf-8"), "the theme fetches what draws these"
    for sheet in site.rglob("*.css"):
        assert re.findall(r"(?:url\(|@import )\s*[\"']?(?:[a-z]+:)?//", sheet.read_text(encoding="utf-8")) == [], sheet


@pytest.mark.slow
def test_every_page_of_docs_and_nothing_else_of_it_is_in_the_site(site: Path) -> None:
    pages = [path.relative_to(ROOT / "docs") for path in (ROOT / "docs").rglob("*.md") if not path.is_symlink()]
    assert [page for page in pages if not (site / page).with_suffix(".html").exists()] == []
    assert [path for path in site.rglob("*") if path.suffix in (".md", ".py", ".pyc")] == []


@pytest.mark.slow
def test_the_reference_has_every_command_with_every_option(site: Path) -> None:
    words = re.sub(r"\s+", " ", Loads(site / "reference" / "commands.html").words)
    for name, command in COMMANDS.items():
        assert f"mnas-evo {name}" in words
        for parameter in command.params:
            assert any(option in words for option in parameter.opts)
            assert re.sub(r"\s+", " ", parameter.help) in words, f"{name} {parameter.name}"


@pytest.mark.slow
def test_the_reference_has_every_public_module(site: Path) -> None:
    pages = "".join(path.read_text(encoding="utf-8") for path in (site / "reference" / "library").glob("*.html"))
    for path in (ROOT / "mnas_evo").rglob("*.py"):
        if path.name != "__init__.py":
            module = ".".join(path.relative_to(ROOT).with_suffix("").parts)
            assert f'id="{module}"' in pages, module


@pytest.mark.slow
def test_what_stands_elsewhere_has_its_page_and_links_lead_there(site: Path) -> None:
    assert "Agent to host, once, at the start" in Loads(site / "reference" / "protocol.html").words
    assert "session.get_modelmeta" in Loads(site / "how-to" / "use-the-exported-file.html").words
    assert 'href="../reference/protocol.html"' in (site / "how-to" / "add-a-runtime.html").read_text(encoding="utf-8")


class TestInABrowser:
    pytestmark = NEEDED

    @pytest.mark.parametrize("page", ["index.html", "tutorial.html", "reference/commands.html"])
    def test_a_page_asks_no_other_host_for_anything_and_finds_words(
        self, page: str, address: str, browser: webdriver.Chrome
    ) -> None:
        asked = "return performance.getEntriesByType('resource').map(one => one.name)"
        browser.get(address + page)
        box = browser.find_element("css selector", "input.md-search__input")
        browser.execute_script("arguments[0].focus()", box)
        box.send_keys("hypervolume")
        browser.implicitly_wait(20)
        assert browser.find_elements("css selector", ".md-search-result__item")
        loaded = browser.execute_script(asked)
        assert loaded and all(name.startswith(address) for name in loaded)
        assert complaints(browser) == []

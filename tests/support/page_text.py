"""A written page as its reader has it: its words, tables and elements, and the figures in its script elements."""

import json
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

VOID = {"meta", "link", "wbr", "br", "img", "input", "hr"}


class Page(HTMLParser):
    """Parses a page; elements that are not closed in order are an error."""

    def __init__(self, html: str) -> None:
        super().__init__(convert_charrefs=True)
        self.elements: list[tuple[str, dict[str, str]]] = []
        self.codes: list[str] = []
        self.scripts: list[str] = []
        self.tables: list[list[list[str]]] = []
        self._words: list[str] = []
        self._open: list[str] = []
        self.feed(html)
        self.close()
        assert not self._open, f"never closed: {self._open}"

    @property
    def words(self) -> str:
        """All text outside scripts and styles, with single spaces."""
        return " ".join("".join(self._words).replace("\u00a0", " ").split())

    @property
    def figures(self) -> dict[str, dict[str, Any]]:
        """Plotly figures by the id of their element."""
        names = [found["id"] for tag, found in self.elements if tag == "figure"]
        found = [json.loads(script) for script in self.scripts if script.startswith('{"data"')]
        return dict(zip(names, found, strict=True))

    @property
    def networks(self) -> list[dict[str, Any]]:
        """The networks that points name by number: their string, their blocks in words, µs of each or None."""
        (packed,) = [json.loads(script) for script in self.scripts if script.startswith('{"blocks"')]
        found = []
        for numbers, times in packed["networks"]:
            blocks = [packed["blocks"][number] for number in numbers]
            string, words = "/".join(block[0] for block in blocks), [block[2] for block in blocks]
            found.append({"string": string, "kinds": [block[1] for block in blocks], "words": words, "us": times})
        return found

    def table(self, *headings: str) -> list[list[str]]:
        """Rows of the one table whose first headings these are, without the headings."""
        (found,) = [rows for rows in self.tables if tuple(rows[0][: len(headings)]) == headings]
        return [[cell.replace("\u00a0", " ") for cell in row] for row in found[1:]]

    def ids(self) -> list[str]:
        """The ids of all elements."""
        return [found["id"] for _, found in self.elements if "id" in found]

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, {name: value or "" for name, value in attrs}))
        if tag not in VOID:
            self._open.append(tag)
        if tag == "code":
            self.codes.append("")
        if tag == "script":
            self.scripts.append("")
        if tag == "table":
            self.tables.append([])
        if tag == "tr":
            self.tables[-1].append([])
        if tag in ("th", "td"):
            self.tables[-1][-1].append("")

    def handle_endtag(self, tag: str) -> None:
        assert self._open and self._open[-1] == tag, f"</{tag}> closes {self._open[-3:]}"
        self._open.pop()

    def handle_data(self, data: str) -> None:
        if self._open and self._open[-1] == "script":
            self.scripts[-1] += data
        elif self._open and self._open[-1] != "style":
            self._words.append(data)
            if "code" in self._open:
                self.codes[-1] += data
            if "th" in self._open or "td" in self._open:
                self.tables[-1][-1][-1] += data


def read_page(path: Path) -> Page:
    """The page of a file."""
    return Page(path.read_text(encoding="utf-8"))

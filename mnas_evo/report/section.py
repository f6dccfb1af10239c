"""A part of the page: its anchor, its heading, and what stands below it, words and figures."""

from collections.abc import Iterator
from dataclasses import dataclass

from mnas_evo.report.networks import Networks
from mnas_evo.report.plot import Plot, plot_html
from mnas_evo.report.words import text


@dataclass(frozen=True, slots=True)
class Row:
    """Figures and HTML side by side, as far as the window is wide; nothing where there are none."""

    parts: tuple[Plot | str, ...]


Body = tuple[str | Row, ...]
"""HTML and rows, from top to bottom."""


@dataclass(frozen=True, slots=True)
class Section:
    """A part of the page."""

    name: str
    title: str
    body: Body

    @property
    def is_empty(self) -> bool:
        """Whether there is nothing below its heading."""
        return not any(part.parts if isinstance(part, Row) else part for part in self.body)

    @property
    def plots(self) -> Iterator[Plot]:
        """Its figures, in the order in which they stand."""
        for row in self.body:
            if isinstance(row, Row):
                yield from (part for part in row.parts if isinstance(part, Plot))


def row(*parts: Plot | str | None) -> Row:
    """A row of those figures and tables that there are."""
    return Row(tuple(part for part in parts if part is not None))


def section_html(section: Section, networks: Networks) -> str:
    """The section element; the networks that its figures name are numbered."""
    heading = f"{section.name}-title"
    return (
        f'<section id="{section.name}" aria-labelledby="{heading}"><h2 id="{heading}">{text(section.title)}</h2>'
        f"{''.join(_part_html(part, networks) for part in section.body)}</section>"
    )


def _part_html(part: str | Row, networks: Networks) -> str:
    if isinstance(part, str):
        return part
    drawn = [plot_html(each, networks) if isinstance(each, Plot) else each for each in part.parts]
    return f'<div class="plots n{len(drawn)}">{"".join(drawn)}</div>' if drawn else ""

"""The page's colours, for a light and a dark background: Okabe and Ito's, which the colour-blind can tell apart."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Colour:
    """One colour of a figure. Figures are written with the light one; figures.js exchanges it for the dark one."""

    light: str
    dark: str


INK = Colour("#1f2329", "#e4e8ed")
MUTED = Colour("#5b6570", "#9aa5b1")
GRID = Colour("#e4e7eb", "#2d333b")
PANEL = Colour("#fefefe", "#171b21")
GREY = Colour("#8b939c", "#7d8792")
BLUE = Colour("#0072b2", "#56b4e9")
VERMILLION = Colour("#d55e00", "#ee7733")
GREEN = Colour("#009e73", "#1fbf92")
PURPLE = Colour("#a8578a", "#cc79a7")
ORANGE = Colour("#e69f00", "#f0b429")
WASH = Colour("#72b1d4", "#366885")  # a ground that ink can be read on

_ALL = (INK, MUTED, GRID, PANEL, GREY, BLUE, VERMILLION, GREEN, PURPLE, ORANGE, WASH)


def dark_by_light() -> dict[str, str]:
    """What figures.js exchanges."""
    return {colour.light: colour.dark for colour in _ALL}

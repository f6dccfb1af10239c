"""Each figure of the page as a picture of its own, for papers and READMEs; a Chrome that is here draws it, offline."""

import asyncio
import logging
import os
import textwrap
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from html import escape, unescape
from pathlib import Path
from typing import Literal

import plotly
import plotly.graph_objects as go

from mnas_evo.errors import MnasEvoError, RequestError
from mnas_evo.files import write_bytes
from mnas_evo.report.plot import Box, Plot

Kind = Literal["svg", "png"]
Progress = Callable[[float, str], None]

WIDTH = 480
"""Pixels of 1/96 inch: in a column of 84 mm, text of 13 of them is printed in 6.5 points."""
PNG_SCALE = 2
_HEIGHT, _TALL = 310, 380  # without the legend
_FONT = "Arial, Helvetica, 'Liberation Sans', 'DejaVu Sans', sans-serif"  # one of them is on every machine
_FONT_SIZE, _NOTE_SIZE, _SMALL_SIZE = 13, 12, 11
_WHITE = "#ffffff"

_LEGEND_LINE = 19
_SWATCH = 46  # beside a name of the legend
_LETTER = 0.6 * _NOTE_SIZE  # in the widest of the fonts, on average
_LONGEST_LINE = 56  # letters of a name
_FEW_NAMES, _TICK_LETTERS = 20, 16  # of an axis of categories

_VARIABLE = "BROWSER_PATH"  # Kaleido's
_START_SECONDS = 60
_DRAW_SECONDS = 120
_CLOSE_SECONDS = 5
_NOWHERE = "http://127.0.0.1:9"  # a proxy that nobody is, so that nothing is loaded from a network


def write_pictures(
    plots: Sequence[Plot], folder: Path, kind: Kind, *, progress: Progress = lambda share, note: None
) -> list[Path]:
    """Writes each figure as FOLDER/NAME.svg or .png, in light colours, as the page opens with it.

    One browser draws them all, and loads nothing but files of this machine.

    Raises:
        RequestError: there is no Chrome or Chromium, or `folder` is a file.
        MnasEvoError: the browser failed.
    """
    if folder.exists() and not folder.is_dir():
        raise RequestError(f"{folder} is no folder, and the pictures go there; give another --out")
    with _quiet():
        return asyncio.run(_write(plots, folder, kind, progress)) if plots else []


async def _write(plots: Sequence[Plot], folder: Path, kind: Kind, progress: Progress) -> list[Path]:
    # Imported where it is used: its logging reads sys.argv, and takes over the standard library's classes.
    from kaleido import Kaleido
    from kaleido.errors import ChromeNotFoundError

    progress(0.0, "starting the browser")
    plotly_js = Path(plotly.__file__).parent / "package_data" / "plotly.min.js"
    try:
        browser = Kaleido(plotlyjs=plotly_js.as_uri(), mathjax=False, timeout=_DRAW_SECONDS, proxy_server=_NOWHERE)
    except ChromeNotFoundError as error:
        named = os.environ.get(_VARIABLE)
        raise RequestError(
            f"{_VARIABLE} names {named!r}, which is no program; let it name Chrome or Chromium, or unset it"
            if named
            else "pictures are drawn by Chrome or Chromium, and neither is here: install one (Debian: apt install "
            f"chromium), or name its program in the variable {_VARIABLE}"
        ) from error
    paths: list[Path] = []
    try:
        with _browser_s_failures("when it started"):
            async with asyncio.timeout(_START_SECONDS):
                await browser.open()
        for plot in plots:
            with _browser_s_failures(f"at figure {plot.name}"):
                scale = PNG_SCALE if kind == "png" else 1
                content = await browser.calc_fig(picture(plot).to_dict(), opts={"format": kind, "scale": scale})
            paths.append(folder / f"{plot.name}.{kind}")
            write_bytes(paths[-1], content)
            progress(len(paths) / len(plots), f"{len(paths)} of {len(plots)} figures")
    finally:
        with suppress(TimeoutError):  # one that hangs does not do what it is asked, and is killed
            async with asyncio.timeout(_CLOSE_SECONDS):
                await browser.close()
    return paths


@contextmanager
def _browser_s_failures(when: str) -> Iterator[None]:
    """Says in one line what the browser, or what drives it, raises: errors of many kinds."""
    try:
        yield
    except Exception as error:
        why = " ".join(str(error.args[0]).split()).rstrip(".") if error.args else "it did not answer in time"
        raise MnasEvoError(
            f"the browser that draws the pictures failed {when}: {why}; try again, or name another in the variable "
            f"{_VARIABLE}"
        ) from error


@contextmanager
def _quiet() -> Iterator[None]:
    """Keeps what drives the browser from writing on stderr: it takes the browser's good-bye for a damaged message."""
    logger = logging.getLogger("choreographer")
    level = logger.level
    logger.setLevel(logging.CRITICAL)
    try:
        yield
    finally:
        logger.setLevel(level)


def picture(plot: Plot) -> go.Figure:
    """The figure as it is drawn: with a legend of its own, on white, as wide as a paper's column wants it."""
    figure = go.Figure(plot.figure)
    box = None if plot.views is None else plot.views.close if plot.views.starts_close else plot.views.everything
    shown = []
    for trace in figure.data:
        trace.update(showlegend=trace.showlegend is not False and (box is None or _is_seen(trace, box)))
        if trace.showlegend:
            shown.append(trace)
    has_legend = len(shown) > 1
    for trace in figure.data:
        trace.update(name=_lines(trace.name or ""), legendgroup=None, hoverinfo="skip")
        trace.update(hovertext=None, hovertemplate=None, customdata=None)
    for name in ("x", "y"):
        axis = figure.layout[f"{name}axis"]
        axis.title.update(font={"size": _FONT_SIZE})
        if axis.type == "category":
            _name_ticks(axis, list(dict.fromkeys(figure.data[0][name])))
    figure.update_layout(
        width=WIDTH,
        height=(_TALL if plot.tall else _HEIGHT) + (_legend_height(trace.name for trace in shown) if has_legend else 0),
        paper_bgcolor=_WHITE,
        plot_bgcolor=_WHITE,
        font={"family": _FONT, "size": _FONT_SIZE},
        margin={"l": 8, "r": 16, "t": 12, "b": 8},
        showlegend=has_legend,
        legend={
            "orientation": "h",
            "x": 0,
            "xanchor": "left",
            "y": 1.02,
            "yanchor": "bottom",
            "font": {"size": _NOTE_SIZE},
        },
    )
    if box is not None:
        figure.update_xaxes(type="linear", range=box[0])
        figure.update_yaxes(range=box[1])
    return figure


def _name_ticks(axis: go.layout.XAxis | go.layout.YAxis, names: Sequence[str]) -> None:
    """Every category of few, each in a few letters: longer names would take the room of what is drawn."""
    axis.tickfont.size = _SMALL_SIZE
    if len(names) > _FEW_NAMES:
        return
    plain = [unescape(name) for name in names]
    short = [name if len(name) <= _TICK_LETTERS else f"{name[: _TICK_LETTERS - 1]}…" for name in plain]
    axis.update(tickvals=names, ticktext=[escape(name, quote=False) for name in short])


def _is_seen(trace: go.Scatter, box: Box) -> bool:
    """Whether anything of a trace lies in the ranges; a line may pass where it has no point."""
    (left, right), (low, high) = box
    if "lines" in (trace.mode or ""):
        return True
    return any(left <= x <= right and low <= y <= high for x, y in zip(trace.x, trace.y, strict=True))


def _lines(name: str) -> str:
    """A name as the legend takes it: as text, not as Plotly's own small HTML, and folded where it is long."""
    return "<br>".join(escape(line, quote=False) for line in textwrap.wrap(name, _LONGEST_LINE)) or " "


def _legend_height(names: Iterator[str]) -> int:
    """Pixels of a legend in lines, as many names to a line as the longest has room for."""
    folded = [name.split("<br>") for name in names]
    widest = max(len(line) for lines in folded for line in lines) * _LETTER + _SWATCH
    in_a_line = max(1, int(WIDTH // widest))
    return _LEGEND_LINE * sum(
        max(map(len, folded[start : start + in_a_line])) for start in range(0, len(folded), in_a_line)
    )

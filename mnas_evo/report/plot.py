"""One figure of the page: a Plotly figure in its manner, words, and the HTML that figures.js draws it from."""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import plotly.graph_objects as go

from mnas_evo.report.networks import Networks
from mnas_evo.report.palette import GREY, GRID, INK, MUTED, PANEL
from mnas_evo.report.words import Hover, text

FONT = "system-ui, -apple-system, 'Segoe UI', Roboto, 'DejaVu Sans', sans-serif"


Range = tuple[float, float]
Box = tuple[Range, Range]
"""Ranges of x and y."""


@dataclass(frozen=True, slots=True)
class Views:
    """What of a figure the reader can see: the front from close by, or everything; and with which it opens."""

    close: Box
    everything: Box
    starts_close: bool


@dataclass(frozen=True)
class Plot:
    """A figure with its id, heading, caption (HTML), height, and what it shows, for those who cannot see it.

    With `views` comes a choice of x axis, linear or logarithmic.
    """

    name: str
    title: str
    caption: str
    figure: go.Figure
    shows: str
    tall: bool = False
    views: Views | None = None


def empty_figure(x_title: str, y_title: str) -> go.Figure:
    """A figure with titled axes and nothing on them; Plotly takes markup in titles, so they are escaped here."""
    axis = {
        "gridcolor": GRID.light,
        "zeroline": False,
        "linecolor": GREY.light,
        "showline": True,
        "ticks": "outside",
        "ticklen": 4,
        "tickcolor": GREY.light,
        "tickfont": {"color": MUTED.light},
        "tickformat": "~g",
        "automargin": True,
    }
    layout = go.Layout(
        template="none",
        font={"family": FONT, "size": 13, "color": INK.light},
        paper_bgcolor=PANEL.light,
        plot_bgcolor=PANEL.light,
        margin={"l": 8, "r": 24, "t": 26, "b": 8},
        hovermode="closest",
        hoverlabel={
            "align": "left",
            "bgcolor": PANEL.light,
            "bordercolor": GREY.light,
            "font": {"color": INK.light, "family": FONT, "size": 12},
        },
        showlegend=False,  # figures.js writes one that wraps and that keys can reach
        uirevision="kept",
        xaxis={**axis, "title": {"text": text(x_title), "standoff": 8}},
        yaxis={**axis, "title": {"text": text(y_title), "standoff": 8}},
    )
    return go.Figure(layout=layout)


def points(
    x: Sequence[float],
    y: Sequence[float],
    *,
    name: str,
    colour: str,
    hover: Sequence[Hover | str] | None = None,
    **marker: Any,
) -> go.Scatter:
    """Points of one kind, each with what it says when pointed at."""
    style = {"color": colour, "size": 8, **marker}
    said = {"hoverinfo": "skip"} if hover is None else pointed_at(hover)
    return go.Scatter(x=list(x), y=list(y), name=name, mode="markers", marker=style, **said)


def pointed_at(hover: Sequence[Hover | str]) -> dict[str, Any]:
    """A trace's part that says its points; where one has a network, card.js shows them instead of Plotly."""
    texts = [one if isinstance(one, str) else "\n".join(one.lines) for one in hover]
    networks = [None if isinstance(one, str) else one.network for one in hover]
    if not any(networks):
        return {"hovertext": texts, "hoverinfo": "text"}
    return {"hovertext": texts, "customdata": networks, "hoverinfo": "none"}


def line(x: Sequence[float | None], y: Sequence[float | None], *, name: str, colour: str, **options: Any) -> go.Scatter:
    """A line, broken at None; `width`, `dash` and `shape` are the line's, all else the trace's."""
    style: dict[str, Any] = {"color": colour}
    style |= {key: options.pop(key) for key in ("width", "dash", "shape") if key in options}
    return go.Scatter(x=list(x), y=list(y), name=name, mode="lines", line=style, **options)


def epochs_curve(
    numbers: Sequence[int], values: Sequence[float], *, name: str, colour: str, unit: str = ""
) -> go.Scatter:
    """A line over epochs; a mark where there is but one."""
    said = f"{name}, epoch %{{x}}: %{{y:.4g}}{unit}<extra></extra>"
    drawn = line(numbers, values, name=name, colour=colour, width=2, hovertemplate=said)
    if len(numbers) == 1:
        drawn.update(mode="markers", marker={"color": colour, "size": 8})
    return drawn


def steps(
    edges: Sequence[float], share: Sequence[float], *, name: str, colour: str, hover: Sequence[str]
) -> go.Scatter:
    """A histogram's outline: shares (n,) between edges (n + 1,), each step with its text."""
    outline = line([*edges], [*share, share[-1]], name=name, colour=colour, width=1.5, shape="hv")
    return outline.update(hovertext=[*hover, hover[-1]], hoverinfo="text")


def script_json(value: object) -> str:
    """JSON that may stand inside a script element: no text in it can end the element."""
    return json.dumps(value, separators=(",", ":"), ensure_ascii=False).replace("<", "\\u003c")


def plot_html(plot: Plot, networks: Networks) -> str:
    """A figure element; figures.js draws what its script element holds."""
    choices = ""
    boxes = None
    if plot.views is not None:
        boxes = {"close": plot.views.close, "everything": plot.views.everything}
        view = "close" if plot.views.starts_close else "everything"
        choices = _choice("view", "Show", {"close": "the front", "everything": "everything"}, chosen=view)
        choices += _choice("scale", "x axis", {"linear": "linear", "log": "logarithmic"}, chosen="linear")
    name = text(plot.name)
    return f"""
<figure class="plot{" tall" if plot.tall else ""}" id="figure-{name}" data-views="{text(json.dumps(boxes))}">
<div class="plot-head"><h3>{text(plot.title)}</h3>{choices}</div>
<ul class="legend"></ul>
<div class="canvas" role="img" aria-label="{text(plot.shows)}"></div>
<script type="application/json">{script_json(_numbered(plot.figure, networks))}</script>
<figcaption>{plot.caption}</figcaption>
</figure>"""


def _numbered(figure: go.Figure, networks: Networks) -> dict[str, Any]:
    """A figure whose points name their networks by the numbers that these have on the page."""
    drawing: dict[str, Any] = json.loads(figure.to_json())
    for trace in drawing["data"]:
        for axis in ("x", "y"):
            if axis in trace:
                trace[axis] = [_rounded(value) for value in trace[axis]]
        if "customdata" in trace:
            known = trace["customdata"]
            trace["customdata"] = [None if one is None else networks.number(one) for one in known]
    return drawing


def _rounded(value: Any) -> Any:
    """Six digits: more than can be seen, or was measured."""
    return float(f"{value:.6g}") if isinstance(value, float) else value


def _choice(what: str, label: str, options: dict[str, str], *, chosen: str) -> str:
    buttons = "".join(
        f'<button type="button" data-{what}="{value}" aria-pressed="{str(value == chosen).lower()}">{said}</button>'
        for value, said in options.items()
    )
    return f'<div class="choice" role="group" aria-label="{label}"><span>{label}</span>{buttons}</div>'

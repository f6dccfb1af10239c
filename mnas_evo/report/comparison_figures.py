"""Figures of a comparison: hypervolume on the way, fronts, what half of the seeds reach, samples, entropy."""

from collections.abc import Mapping, Sequence

import plotly.graph_objects as go

from mnas_evo.comparing.forms import Band, Comparison, Drawing, Samples
from mnas_evo.comparing.words import corner, quantity
from mnas_evo.report.palette import BLUE, GREEN, GREY, INK, ORANGE, PURPLE, VERMILLION
from mnas_evo.report.plot import Plot, empty_figure, line, points
from mnas_evo.report.words import axis, axis_words, several, text

_COLOURS = tuple(colour.light for colour in (BLUE, VERMILLION, GREEN, PURPLE, ORANGE, INK))
_DASHES = (None, "dash", "dot")
_THIRDS = ("first third", "second third", "last third")
_BINS = 60


def hypervolume_plots(drawing: Drawing, found: Comparison) -> list[Plot | None]:
    """Hypervolume by evaluations, within both reference points; None where the front covers nothing."""
    return [
        _hypervolume(drawing.hypervolume_percent, drawing, found, "whole", "The whole front", found.whole.point),
        _hypervolume(drawing.box_hypervolume_percent, drawing, found, "box", "Within the box", found.box.point),
    ]


def _hypervolume(
    bands: Mapping[str, Band], drawing: Drawing, found: Comparison, name: str, title: str, point: Mapping[str, float]
) -> Plot | None:
    if all(band.mean[-1] is None for band in bands.values()):
        return None
    figure = empty_figure("Distinct networks evaluated", "Hypervolume (%)")
    _add_bands(figure, bands, "evaluations")
    figure.update_yaxes(range=_close(bands))
    last = ", ".join(f"{alg} {band.mean[-1]:.2f} %" for alg, band in bands.items() if band.mean[-1] is not None)
    return Plot(
        f"hypervolume-{name}",
        title,
        f"Percent of {text(found.against)}, up to {text(corner(point))}. Line: mean; band: {text(drawing.band)}.",
        figure,
        f"Line plot of hypervolume by evaluations; it ends at {last or 'nothing'}.",
        tall=True,
    )


def _close(bands: Mapping[str, Band]) -> list[float]:
    """The range of y once a tenth of the budget is spent: before, all rise alike."""
    later = [
        y
        for band in bands.values()
        for x, low, high in zip(band.at, band.low, band.high, strict=True)
        for y in (low, high)
        if y is not None and x >= band.at[-1] / 10
    ]
    room = 0.04 * (max(later) - min(later)) or 1.0
    return [min(later) - room, max(later) + room]


def _add_bands(figure: go.Figure, bands: Mapping[str, Band], what: str) -> None:
    """A band under each line; both are hidden together."""
    for number, (name, band) in enumerate(bands.items()):
        colour, dash = _style(number)
        low = [(x, y) for x, y in zip(band.at, band.low, strict=True) if y is not None]
        high = [(x, y) for x, y in zip(band.at, band.high, strict=True) if y is not None]
        round_it = [*low, *reversed(high)]
        figure.add_trace(
            go.Scatter(
                x=[x for x, _ in round_it],
                y=[y for _, y in round_it],
                name=name,
                mode="lines",
                line={"width": 0, "color": colour},
                fill="toself",
                fillcolor=colour,
                opacity=0.12,
                hoverinfo="skip",
                showlegend=False,
                legendgroup=name,
            )
        )
    for number, (name, band) in enumerate(bands.items()):
        colour, dash = _style(number)
        said = f"{text(name)}, %{{x:.0f}} {what}: %{{y:.4g}}<extra></extra>"
        style = {"dash": dash} if dash else {}
        figure.add_trace(
            line(band.at, band.mean, name=name, colour=colour, width=2, hovertemplate=said, legendgroup=name, **style)
        )


def _style(number: int) -> tuple[str, str | None]:
    return _COLOURS[number % len(_COLOURS)], _DASHES[number % len(_DASHES)]


def attained_plot(drawing: Drawing, found: Comparison) -> Plot | None:
    """What half of the seeds reach within each cost; None with more than two objectives."""
    if not any(drawing.attained.values()):
        return None
    caption = (
        f"The best {text(axis_words(drawing.y))} that half of the {several(found.seeds, 'run')} of each algorithm "
        f"reach within each limit on {text(axis_words(drawing.x))}: the median attainment."
    )
    return _overlay(drawing, found, drawing.attained, "attained", "What half of the runs reach", caption, steps=True)


def fronts_plot(drawing: Drawing, found: Comparison) -> Plot:
    """The front of all runs of each algorithm together."""
    caption = f"Of each algorithm the front of its {several(found.seeds, 'run')} together."
    if len(found.objectives) > 2:
        caption += f" Fronts are over {text(', '.join(found.objectives))}; two of them are drawn."
    return _overlay(drawing, found, drawing.fronts, "fronts", "Fronts of all runs", caption, steps=False)


def _overlay(
    drawing: Drawing,
    found: Comparison,
    fronts: Mapping[str, Sequence[tuple[float, float]]],
    name: str,
    title: str,
    caption: str,
    *,
    steps: bool,
) -> Plot:
    figure = _figure(drawing.x, drawing.y)
    joined = len(found.objectives) == 2
    xs, ys = [x for x, _ in drawing.front], [y for _, y in drawing.front]
    against = "true front" if found.against.startswith("the true") else "front of all"
    if joined:
        behind = {"width": 5, "opacity": 0.45, "shape": "hv", "hoverinfo": "skip"}
        figure.add_trace(line(xs, ys, name=against, colour=GREY.light, **behind))
    else:
        figure.add_trace(points(xs, ys, name=against, colour=GREY.light, size=9, opacity=0.4))
    end = max([*xs, *(at for front in fronts.values() for at, _ in front)])
    for number, (algorithm, front) in enumerate(fronts.items()):
        colour, dash = _style(number)
        said = f"{text(algorithm)}: %{{x:.4g}}, %{{y:.4g}}<extra></extra>"
        x, y = [x for x, _ in front], [y for _, y in front]
        if steps and front:
            x, y = [*x, end], [*y, y[-1]]
        style = {"dash": dash} if dash else {}
        if joined:
            drawn = line(x, y, name=algorithm, colour=colour, width=1.8, shape="hv", hovertemplate=said, **style)
            if not steps:
                drawn.update(mode="lines+markers", marker={"color": colour, "size": 5})
            figure.add_trace(drawn)
        else:
            figure.add_trace(points(x, y, name=algorithm, colour=colour, size=6).update(hovertemplate=said))
    shows = f"Overlay of {several(len(fronts), 'front')} of {axis_words(drawing.y)} against {axis_words(drawing.x)}."
    return Plot(name, title, caption, figure, shows, tall=True)


def sample_plots(samples: Samples, number: int, drawing: Drawing) -> list[Plot]:
    """All that a controller drew, in order, and how its costs are spread: Figure 6 of Tan et al. 2019."""
    title = f"{samples.algorithm}, {samples.reward} reward"
    targets = " and ".join(quantity(drawing.x, target) for target in samples.targets)
    scatter = _figure(drawing.x, drawing.y)
    size = max(1, -(-len(samples.cost) // len(_THIRDS)))
    for third, (words, colour) in enumerate(zip(_THIRDS, (GREY, ORANGE, BLUE), strict=True)):
        part = slice(third * size, (third + 1) * size)
        drawn = points(samples.cost[part], samples.top1[part], name=words, colour=colour.light, size=5, opacity=0.45)
        scatter.add_trace(drawn.update(hovertemplate="%{x:.4g}, %{y:.4g}<extra></extra>"))
    spread = _figure(drawing.x, "")
    spread.update_yaxes(title_text="Networks drawn")
    spread.add_trace(go.Histogram(x=list(samples.cost), nbinsx=_BINS, marker={"color": BLUE.light}, name="drawn"))
    style = {"line": {"color": PURPLE.light, "width": 2, "dash": "dash"}}
    for target in samples.targets:
        scatter.add_vline(target, **style)
        spread.add_vline(target, **style)
    count = several(len(samples.cost), "network")
    return [
        Plot(
            f"samples-{number}",
            title,
            f"The first {count} drawn by seed {samples.seed}, repeats included; dashed: the target, {text(targets)}.",
            scatter,
            f"Scatter plot of {count} drawn by {title}; target {targets}.",
        ),
        Plot(
            f"spread-{number}",
            f"{axis_words(drawing.x).capitalize()} of what it drew",
            f"The same {count}; dashed: the target, {text(targets)}.",
            spread,
            f"Histogram of {axis_words(drawing.x)} of {count} drawn by {title}; target {targets}.",
        ),
    ]


def entropy_plot(drawing: Drawing) -> Plot | None:
    """Entropy of the policies by draws; None where no searcher tells one."""
    if not drawing.entropy:
        return None
    figure = empty_figure("Networks drawn", "Entropy (share of uniform)")
    _add_bands(figure, drawing.entropy, "draws")
    figure.update_yaxes(rangemode="tozero")
    caption = f"At 0 one network is sampled again and again. Line: mean; band: {text(drawing.band)}."
    ends = ", ".join(f"{name} {band.mean[-1]:.3f}" for name, band in drawing.entropy.items())
    return Plot(
        "entropy", "Entropy of the policies", caption, figure, f"Line plot of entropy by draws; it ends at {ends}."
    )


def _figure(x: str, y: str) -> go.Figure:
    figure = empty_figure(axis(x), axis(y) if y else "")
    for name, update in ((x, figure.update_xaxes), (y, figure.update_yaxes)):
        if name in ("params", "macs"):
            update(tickformat="~s")
    return figure

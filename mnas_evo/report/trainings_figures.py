"""Figures of several trainings: top-1 against latency, by network with the seeds' spread, and by epoch."""

from collections.abc import Sequence
from dataclasses import dataclass
from html import escape

import plotly.graph_objects as go

from mnas_evo.finalists.several import Finalist
from mnas_evo.report.palette import BLUE, GREEN, INK, ORANGE, PURPLE, VERMILLION
from mnas_evo.report.plot import Plot, empty_figure, line, points
from mnas_evo.report.words import hover, ms, percent, several, text
from mnas_evo.shipping.evaluation import EvaluationForm
from mnas_evo.training.loop import Epoch

_COLOURS = tuple(colour.light for colour in (BLUE, VERMILLION, GREEN, PURPLE, ORANGE, INK))
_SYMBOLS = ("circle", "square", "diamond", "triangle-up", "cross")  # beside its colour, each network has a shape
_DASHES = ("solid", "dash", "dot")


@dataclass(frozen=True, slots=True)
class Tested:
    """A training's test."""

    name: str
    seed: int
    form: EvaluationForm


@dataclass(frozen=True, slots=True)
class Curve:
    """The epochs of a training so far."""

    name: str
    seed: int
    epochs: tuple[Epoch, ...]


def by_latency_plot(tests: Sequence[Tested]) -> Plot:
    """Test top-1 with its interval against latency, of tests on one device and one set of images."""
    figure = empty_figure("Latency (ms)", "Test top-1 (%)")
    names = list(dict.fromkeys(one.name for one in tests))
    for number, name in enumerate(names):
        own = [one for one in tests if one.name == name]
        top1 = [one.form.metrics.top1 for one in own]
        colour, symbol = _COLOURS[number % len(_COLOURS)], _SYMBOLS[number % len(_SYMBOLS)]
        trace = points(
            [one.form.latency_ms for one in own],
            top1,
            name=name,
            colour=colour,
            hover=[hover(*_lines(one), network=one.form.network) for one in own],
            size=9,
            symbol=symbol,
        )
        bars = {
            "type": "data",
            "symmetric": False,
            "array": [one.form.metrics.top1_high - at for one, at in zip(own, top1, strict=True)],
            "arrayminus": [at - one.form.metrics.top1_low for one, at in zip(own, top1, strict=True)],
        }
        figure.add_trace(trace.update(error_y={**bars, "thickness": 1.2, "width": 3, "color": colour}))
    form = tests[0].form
    return Plot(
        "latency",
        "Top-1 against latency",
        f"Top-1 on {several(form.images, 'test image')} of <code>{text(form.data)}</code> with its 95&nbsp;% interval "
        f"(Wilson), against the latency of one image on {text(form.device)}.",
        figure,
        f"Scatter plot of {several(len(tests), 'tested training')} of {several(len(names), 'network')}. The table of "
        "the finalists holds its values.",
    )


def _lines(one: Tested) -> tuple[str, str, str]:
    found = one.form.metrics
    interval = f"{found.top1_low:.2f} to {found.top1_high:.2f}"
    return f"{one.name}, seed {one.seed}", f"{percent(found.top1)} test top-1 ({interval})", ms(one.form.latency_ms)


def by_network_plot(finalists: Sequence[Finalist]) -> Plot | None:
    """Validation top-1 of every seed and their means, by network; None where no training has ended."""
    trained = [one for one in finalists if one.top1]
    if not trained:
        return None
    figure = empty_figure("Network", "Validation top-1 (%)")
    seeds = [(one.name, seed, top1) for one in trained for seed, top1 in one.top1.items()]
    said = [f"{escape(name)}, seed {seed}<br>{percent(top1)} validation top-1" for name, seed, top1 in seeds]
    each = points(range(len(seeds)), [top1 for *_, top1 in seeds], name="one seed", colour=BLUE.light, hover=said)
    figure.add_trace(each.update(x=[escape(name) for name, *_ in seeds]))
    means = [f"{escape(one.name)}<br>{_mean(one)}" for one in trained]
    mean = points(
        range(len(trained)),
        [one.mean for one in trained],
        name="mean and deviation",
        colour=VERMILLION.light,
        hover=means,
        size=10,
        symbol="diamond-open",
        line={"width": 2, "color": VERMILLION.light},
    )
    spread = [one.deviation if len(one.top1) > 1 else 0.0 for one in trained]
    bars = {"type": "data", "array": spread, "thickness": 1.5, "width": 6, "color": VERMILLION.light}
    figure.add_trace(mean.update(x=[escape(one.name) for one in trained], error_y=bars))
    figure.update_xaxes(type="category", showgrid=False, range=[-0.5, len(trained) - 0.5])
    return Plot(
        "networks",
        "Top-1 by network",
        "On the validation images: every seed, and the mean of them with their standard deviation.",
        figure,
        f"Dot plot of the validation top-1 of {several(len(seeds), 'training')} of {several(len(trained), 'network')}.",
    )


def _mean(one: Finalist) -> str:
    over = f"mean over {several(len(one.top1), 'seed')}"
    return f"{percent(one.mean)}, {over}" + (f", deviation {one.deviation:.2f}" if len(one.top1) > 1 else "")


def curves_plot(curves: Sequence[Curve]) -> Plot | None:
    """Validation top-1 by epoch, a line a training, those of one network in one colour; None without epochs."""
    if not curves:
        return None
    figure = empty_figure("Epoch", "Validation top-1 (%)")
    names = list(dict.fromkeys(one.name for one in curves))
    for position, one in enumerate(curves):
        number = names.index(one.name)
        colour, dash = _COLOURS[number % len(_COLOURS)], _DASHES[number % len(_DASHES)]
        figure.add_trace(_curve(one, colour, dash, first=one.name not in {other.name for other in curves[:position]}))
    longest = max(len(one.epochs) for one in curves)
    return Plot(
        "curves",
        "Validation top-1 by epoch",
        "Every training, those of one network in one colour; failed ones and those that have not ended as far as they "
        "came.",
        figure,
        f"Line plot of the validation top-1 of {several(len(curves), 'training')} of "
        f"{several(len(names), 'network')} over {several(longest, 'epoch')}.",
        tall=True,
    )


def _curve(one: Curve, colour: str, dash: str, *, first: bool) -> go.Scatter:
    trace = line(
        [epoch.number for epoch in one.epochs],
        [epoch.top1 for epoch in one.epochs],
        name=one.name,
        colour=colour,
        width=1.8,
        hovertemplate=f"{text(one.name)}, seed {one.seed}, epoch %{{x}}: %{{y:.2f}} %<extra></extra>",
        legendgroup=one.name,
        showlegend=first,
    )
    if dash != "solid":
        trace.line.dash = dash
    if len(one.epochs) == 1:
        trace.update(mode="markers", marker={"color": colour, "size": 8})
    return trace

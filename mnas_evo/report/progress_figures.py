"""Figures of what goes on over time: a search by its evaluations, a training by its epochs."""

from collections.abc import Iterable
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from mnas_evo.report.folders import RunPart, TrainingPart
from mnas_evo.report.front_figure import axes
from mnas_evo.report.palette import BLUE, GREY, PURPLE, VERMILLION
from mnas_evo.report.plot import Plot, empty_figure, epochs_curve, line, points, steps
from mnas_evo.report.words import axis, axis_words, percent, quantity, several, text
from mnas_evo.search.front import Candidate, hypervolume_curve, reference_point
from mnas_evo.search.objectives import MAXIMISED, is_latency

MANY = 300
MOST_TICKS = 12  # epochs that each have a number
_FEWEST_BINS, _MOST_BINS = 8, 30


def as_searched(run: RunPart) -> list[Candidate]:
    """The evaluated architectures as the search saw them: mostly predicted, whatever was measured since."""
    return [replace(c, latency_ms=c.predicted_ms, measured_ms=None) if c.prediction else c for c in run.evaluated]


def hypervolume_plot(run: RunPart) -> Plot:
    """Hypervolume after each evaluation, of a run that has some."""
    found = as_searched(run)
    objectives = run.form.objectives
    how = "predicted" if run.form.device is None else "measured"
    seen = f" Latencies are the {how} ones, as the search saw them." if any(map(is_latency, objectives)) else ""
    curve = hypervolume_curve(found, objectives)
    worst = [
        quantity(run.said_as(name), -value if name in MAXIMISED else value)
        for name, value in zip(objectives, reference_point(found, objectives), strict=True)
    ]
    figure = empty_figure("Evaluations", f"Hypervolume ({_unit(map(run.said_as, objectives))})")
    changes = _changes(curve)
    figure.add_trace(
        line(
            [step + 1 for step in changes],
            [float(curve[step]) for step in changes],
            name="hypervolume",
            colour=BLUE.light,
            width=2,
            shape="hv",
            hovertemplate="after %{x} evaluations: %{y:.4g}<extra></extra>",
            showlegend=False,
        )
    )
    figure.update_yaxes(rangemode="tozero")
    return Plot(
        "hypervolume",
        "Hypervolume",
        f"What the front covers, up to the worst of the first batch ({text('; '.join(worst))}), in the product of the "
        f"objectives' units.{seen}",
        figure,
        f"Step plot of the hypervolume, which ends at {curve[-1]:.4g} after {several(len(curve), 'evaluation')}.",
    )


def _unit(said: Iterable[str]) -> str:
    """The product of the units of quantities, by the names under which they are said."""
    return " x ".join(axis(name).rstrip(")").split(" (")[-1] for name in said)


def cost_plot(run: RunPart) -> Plot | None:
    """How the architectures lie over latency, or what stood in its place; None where all have the same."""
    name = axes(run)[0]
    values = np.array([candidate.quantity(name) for candidate in run.evaluated])
    if values.min() == values.max():
        return None
    bins = int(np.clip(2 * len(values) ** (1 / 3), _FEWEST_BINS, _MOST_BINS))  # Rice's rule
    edges = np.linspace(values.min(), values.max(), bins + 1)
    figure = empty_figure(axis(name), "Share of architectures (%)")
    kinds = (("evaluated", GREY, values), ("front", BLUE, np.array([c.quantity(name) for c in run.front])))
    for kind, colour, found in kinds:
        share = 100 * np.histogram(found, edges)[0] / max(len(found), 1)
        said = [
            f"{quantity(name, float(low))} to {quantity(name, float(high))}: {percent(float(part), digits=1)} of "
            f"{several(len(found), 'architecture')} ({kind})"
            for low, high, part in zip(edges, edges[1:], share, strict=False)
        ]
        figure.add_trace(
            steps(edges.tolist(), share.tolist(), name=f"{kind} ({len(found):,})", colour=colour.light, hover=said)
        )
    figure.update_yaxes(rangemode="tozero")
    if name in ("params", "macs"):
        figure.update_xaxes(tickformat="~s")
    if (most := run.form.limits.get(name)) is not None and edges[0] <= most <= edges[-1]:
        figure.add_vline(most, line={"color": PURPLE.light, "width": 1.5, "dash": "dash"})
    middle = quantity(name, float(np.median(values)))
    return Plot(
        "costs",
        f"{axis(name).split(' (')[0]} of the architectures",
        f"Of those evaluated the median is {middle}. Where the front has few, the search found little worth its cost.",
        figure,
        f"Histogram of {axis_words(name)}, of what was evaluated and of the front; the median is {middle}.",
    )


def _changes(curve: NDArray[np.float64]) -> list[int]:
    """Where a curve changes, and its ends: all that a step line needs."""
    changes = np.flatnonzero(np.diff(curve)) + 1
    return sorted({0, *(int(change) for change in changes), len(curve) - 1})


def proxy_plot(run: RunPart) -> Plot | None:
    """Accuracy of each evaluation in the order asked, and the best so far; None where it was not searched for."""
    found = [candidate for candidate in run.evaluated if candidate.top1 is not None]
    if not found:
        return None
    top1 = [candidate.top1 or 0.0 for candidate in found]
    best = np.maximum.accumulate(top1)
    changes = _changes(best)
    order = range(1, len(found) + 1)
    name = run.said_as("top1")
    words = axis_words(name)
    figure = empty_figure("Evaluations", axis(name))
    evaluated = points(order, top1, name="evaluated", colour=GREY.light, size=6 if len(top1) < MANY else 4, opacity=0.5)
    figure.add_trace(evaluated.update(hovertemplate=f"evaluation %{{x}}: {words} %{{y:.2f}} %<extra></extra>"))
    best_x, best_y = [step + 1 for step in changes], [float(best[step]) for step in changes]
    figure.add_trace(line(best_x, best_y, name="best so far", colour=BLUE.light, width=2, shape="hv", hoverinfo="skip"))
    figure.update_xaxes(range=[0, len(found) + 1])
    return Plot(
        "proxies",
        f"{words.capitalize()} of the architectures evaluated",
        f"In the order they were asked; <code>{text(run.form.accuracy)}</code>.",
        figure,
        f"Scatter plot of {words} by evaluation; the best is {percent(float(best[-1]))}.",
    )


def training_plots(training: TrainingPart) -> list[Plot]:
    """Losses and validation top-1 by epoch, of a training that has epochs."""
    epochs = training.form.epochs
    numbers = [epoch.number for epoch in epochs]
    losses = empty_figure("Epoch", "Loss (nats)")
    for name, colour, values in (
        ("training", BLUE.light, [epoch.train_loss for epoch in epochs]),
        ("validation", VERMILLION.light, [epoch.validation_loss for epoch in epochs]),
    ):
        losses.add_trace(epochs_curve(numbers, values, name=name, colour=colour))
    losses.update_yaxes(rangemode="tozero")
    if len(numbers) <= MOST_TICKS:
        losses.update_xaxes(dtick=1)
    top1 = empty_figure("Epoch", "Validation top-1 (%)")
    top1.add_trace(
        epochs_curve(numbers, [epoch.top1 for epoch in epochs], name="validation", colour=VERMILLION.light, unit=" %")
    )
    top1.update_traces(showlegend=False)
    if len(numbers) <= MOST_TICKS:
        top1.update_xaxes(dtick=1)
    smoothing = training.form.recipe.label_smoothing
    last, best = epochs[-1], max(epochs, key=lambda epoch: epoch.top1)
    smoothed = (
        f" The training loss has labels smoothed by {smoothing:g}, the validation loss has none." if smoothing else ""
    )
    return [
        Plot(
            "losses",
            "Losses",
            f"Cross-entropy by epoch.{smoothed}",
            losses,
            f"Line plot of losses over {several(len(epochs), 'epoch')}; the validation loss ends at "
            f"{last.validation_loss:.3f}.",
        ),
        Plot(
            "top1",
            "Validation top-1",
            f"{percent(last.top1)} after the last epoch. The highest is that of epoch {best.number}, "
            f"{percent(best.top1)}.",
            top1,
            f"Line plot of validation top-1 over {several(len(epochs), 'epoch')}; it ends at {percent(last.top1)}.",
        ),
    ]

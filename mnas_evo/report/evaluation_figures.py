"""Figures of a test: what was taken for what, how often each class was predicted, how sure the network was."""

from collections.abc import Sequence
from html import escape

import plotly.graph_objects as go

from mnas_evo.report.palette import BLUE, GREY, INK, PANEL, VERMILLION, WASH
from mnas_evo.report.plot import Plot, empty_figure, line, points
from mnas_evo.report.words import percent, several
from mnas_evo.shipping.evaluation import EvaluationForm

MOST_CLASSES = 100
FEW_CLASSES = 20


def confusion_plot(tested: EvaluationForm) -> Plot | None:
    """True classes against predicted ones; None where there are too many classes to read them."""
    names, rows = tested.class_names, tested.metrics.confusion
    if len(names) > MOST_CLASSES:
        return None
    figure = empty_figure("Predicted class", "True class")
    shown = _distinct(names)
    few = len(names) <= FEW_CLASSES
    figure.add_trace(
        go.Heatmap(
            x=shown,
            y=shown,
            z=[[round(100 * count / max(sum(row), 1), 2) for count in row] for row in rows],
            text=[[str(count) if count else "" for count in row] for row in rows] if few else None,
            texttemplate="%{text}" if few else None,
            colorscale=[[0, PANEL.light], [1, WASH.light]],
            textfont={"color": INK.light},
            zmin=0,
            zmax=100,
            showscale=False,
            hovertemplate="true %{y}, predicted %{x}<br>%{z:.1f} % of the true class<extra></extra>",
        )
    )
    figure.update_xaxes(type="category", showgrid=False)
    figure.update_yaxes(type="category", autorange="reversed", showgrid=False)
    right = sum(row[i] for i, row in enumerate(rows))
    total = sum(map(sum, rows))
    numbers = "Numbers of test images; the" if few else "The"
    return Plot(
        "confusion",
        "Confusion matrix",
        f"{numbers} stronger the colour, the larger the share of the true class.",
        figure,
        f"Confusion matrix of {len(names)} classes; {right:,} of {total:,} images are on its diagonal.",
        tall=True,
    )


def predictions_plot(tested: EvaluationForm) -> Plot | None:
    """How often each class was predicted beside how often it is true; None for too many classes."""
    found = tested.metrics.classes
    if len(found) > MOST_CLASSES:
        return None
    figure = empty_figure("Class", "Test images")
    names = _distinct(tested.class_names)
    hover = [
        f"{name}<br>{several(each.support, 'test image')}<br>predicted {each.predicted:,} times"
        for name, each in zip(names, found, strict=True)
    ]
    true, predicted = [each.support for each in found], [each.predicted for each in found]
    circle = {"line": {"width": 2, "color": VERMILLION.light}}
    for trace in (
        points(range(len(found)), predicted, name="predicted", colour=BLUE.light, hover=hover),
        points(
            range(len(found)), true, name="true", colour=VERMILLION.light, hover=hover, symbol="circle-open", **circle
        ),
    ):
        figure.add_trace(trace.update(x=names))
    figure.update_xaxes(type="category", showgrid=False)
    figure.update_yaxes(rangemode="tozero")
    most = max(range(len(found)), key=lambda k: abs(predicted[k] - true[k]))
    return Plot(
        "predictions",
        "Predictions by class",
        f"How often each class was predicted, beside how many test images it has. Furthest apart: "
        f"{names[most]}, {predicted[most]:,} for {true[most]:,}.",
        figure,
        f"Dot plot of {len(found)} classes: how often each was predicted, and its test images.",
    )


def calibration_plot(tested: EvaluationForm) -> Plot:
    """Share of right predictions by confidence."""
    bins, found = tested.metrics.calibration, tested.metrics
    figure = empty_figure("Confidence (%)", "Right (%)")
    ends = [0.0, 100.0]
    ideal = line(ends, ends, name="as right as it is sure", colour=GREY.light, width=2, dash="dash", hoverinfo="skip")
    figure.add_trace(ideal)
    sure, right = [each.confidence for each in bins], [each.right for each in bins]
    hover = [
        f"{several(each.images, 'test image')}<br>{percent(each.confidence, digits=1)} sure<br>"
        f"{percent(each.right, digits=1)} right"
        for each in bins
    ]
    trace = line(sure, right, name="this network", colour=BLUE.light, width=2, hoverinfo="text", hovertext=hover)
    figure.add_trace(trace.update(mode="lines+markers", marker={"color": BLUE.light, "size": 7}))
    figure.update_xaxes(range=[0, 102])
    figure.update_yaxes(range=[0, 104])
    words = f"On average it is {percent(found.confidence)} sure and {percent(found.top1)} right."
    return Plot(
        "calibration",
        "Calibration",
        f"Test images by the share that the network gives its answer; below the line it is too sure. {words}",
        figure,
        f"Line plot of how often the network is right by how sure it is; they are {percent(found.ece)} apart.",
    )


def _distinct(names: Sequence[str]) -> list[str]:
    """Names as a category axis takes them: escaped, and numbered where two are alike."""
    escaped = [escape(name) for name in names]
    if len(set(escaped)) == len(escaped):
        return escaped
    return [f"{number}: {name}" for number, name in enumerate(escaped)]

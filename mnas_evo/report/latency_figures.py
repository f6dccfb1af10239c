"""Figures of a table: predicted against measured, the reference over a campaign, and the spread of visits."""

from collections.abc import Sequence
from itertools import pairwise

import numpy as np
import plotly.graph_objects as go
from numpy.typing import NDArray

from mnas_evo.latency.form import HeldOut
from mnas_evo.report.folders import RunPart
from mnas_evo.report.palette import BLUE, GREY, INK, MUTED, VERMILLION
from mnas_evo.report.plot import Plot, empty_figure, line, points, steps
from mnas_evo.report.table_folder import Series, TablePart
from mnas_evo.report.words import (
    Hover,
    candidate_hover,
    difference_percent,
    hover,
    ms,
    percent,
    several,
    signed_percent,
)
from mnas_evo.search.front import Candidate

BAND = 5.0
_SPREAD_BINS = 24
WINDOW = 15  # visits that a running median is taken over

Matrix = NDArray[np.float64]


def remeasured(run: RunPart | None) -> list[Candidate]:
    """Architectures of which both a prediction and a measurement are known."""
    found = run.evaluated if run else ()
    return [c for c in found if c.measured_ms is not None and c.predicted_ms is not None]


def off_percent(candidate: Candidate) -> float:
    """By how much the prediction differs from the measurement, percent of the measurement."""
    assert candidate.predicted_ms is not None and candidate.measured_ms is not None
    return difference_percent(candidate.predicted_ms, candidate.measured_ms)


def agreement_plot(table: TablePart, run: RunPart | None) -> Plot | None:
    """Predicted against measured, with the line of equality and a band; None where there is nothing to compare."""
    held_out = table.held_out
    again = remeasured(run)
    reach = [time_ms for one in held_out for time_ms in (one.predicted_ms, one.measured_ms)]
    reach += [c.quantity("latency_ms") for c in again]
    if not reach:
        return None
    low, high = 0.95 * min(reach), 1.05 * max(reach)
    figure = empty_figure("Measured (ms)", "Predicted (ms)")
    up, down = 1 + BAND / 100, 1 - BAND / 100
    corners = ((low, low * up), (high, high * up), (high, high * down), (low, low * down))
    path = "M" + "L".join(f"{x:.6g},{y:.6g}" for x, y in corners) + "Z"
    figure.add_shape(type="path", path=path, fillcolor=GREY.light, opacity=0.18, line_width=0, layer="below")
    figure.add_trace(line([low, high], [low, high], name="equal", colour=MUTED.light, width=1, hoverinfo="skip"))
    if held_out:
        figure.add_trace(_sampled(held_out, [one.predicted_ms for one in held_out]))
    if again:
        figure.add_trace(_again(again, [c.predicted_ms or 0.0 for c in again]))
    return Plot(
        "agreement",
        "Predicted against measured",
        "Table: its sampled networks, each predicted by a model that never saw it. "
        + ("Search: networks of the front, measured after they were predicted. " if again else "")
        + f"The grey band is {BAND:g}&nbsp;% wide to either side.",
        figure,
        f"Scatter plot of predicted against measured time of {several(len(reach) // 2, 'network')}; the table of "
        "methods says how well they agree.",
        tall=True,
    )


def residual_plot(table: TablePart, run: RunPart | None) -> Plot | None:
    """The difference in percent over the measured time, with the noise of a measurement."""
    held_out = table.held_out
    again = remeasured(run)
    if not held_out and not again:
        return None
    figure = empty_figure("Measured (ms)", "Predicted less measured (%)")
    figure.add_hrect(-BAND, BAND, fillcolor=GREY.light, opacity=0.14, line_width=0, layer="below")
    figure.add_hline(0, line={"color": MUTED.light, "width": 1})
    noise = table.table.noise_percent
    if noise is not None:
        figure.add_hrect(-noise, noise, fillcolor=INK.light, opacity=0.16, line_width=0, layer="below")
    if held_out:
        figure.add_trace(_sampled(held_out, [one.off_percent for one in held_out]))
    if again:
        figure.add_trace(_again(again, [off_percent(c) for c in again]))
    dark = f"; the narrow one is the noise of a time, {percent(noise)}" if noise is not None else ""
    return Plot(
        "residuals",
        "Difference by latency",
        f"Above 0: predicted slower than it is. The grey band is {BAND:g}&nbsp;% wide to either side{dark}.",
        figure,
        "Scatter plot of the predictions' differences from the measurements, in percent.",
        tall=True,
    )


def _sampled(held_out: Sequence[HeldOut], y: Sequence[float]) -> go.Scatter:
    return points(
        [one.measured_ms for one in held_out],
        y,
        name="table",
        colour=BLUE.light,
        hover=list(map(_held_out_hover, held_out)),
        size=6,
        opacity=0.75,
    )


def _held_out_hover(one: HeldOut) -> Hover | str:
    said = (f"predicted {ms(one.predicted_ms)}", f"measured {ms(one.measured_ms)}", signed_percent(one.off_percent))
    return "<br>".join(said) if one.network is None else hover(*said, network=one.network)


def _again(found: Sequence[Candidate], y: Sequence[float]) -> go.Scatter:
    return points(
        [c.measured_ms or 0.0 for c in found],
        y,
        name="search",
        colour=VERMILLION.light,
        hover=[candidate_hover(c) for c in found],
        size=9,
        symbol="diamond",
    )


def reference_plot(reference: Series, *, name: str = "reference") -> Plot | None:
    """The reference network's time over a campaign, percent of its median; None without raw runs."""
    if not reference:
        return None
    times = np.array([time_ms for _, _, time_ms in reference])
    middle = float(np.median(times))
    off = 100 * (times / middle - 1)
    low, high = (float(edge) for edge in np.quantile(off, [0.005, 0.99]))
    room = max(0.15 * (high - low), 0.05)
    low, high = low - room, high + room
    figure = empty_figure("Visit to the reference network", "Time against the median (%)")
    visits = range(1, len(times) + 1)
    texts = [
        f"pass {number + 1}, visit {visit}<br>{ms(time_ms)}<br>{signed_percent(float(change))}"
        for visit, (number, _, time_ms), change in zip(visits, reference, off, strict=True)
    ]
    figure.add_trace(
        points(
            visits, [round(float(o), 3) for o in off], name="visit", colour=BLUE.light, hover=texts, size=4, opacity=0.6
        )
    )
    figure.add_trace(
        line(visits, running_median(off), name="running median", colour=VERMILLION.light, width=2, hoverinfo="skip")
    )
    figure.add_hline(0, line={"color": MUTED.light, "width": 1})
    passes = [number for number, _, _ in reference]
    for visit, (before, after) in enumerate(pairwise(passes), start=1):
        if before != after:
            figure.add_vline(visit + 0.5, line={"color": GREY.light, "width": 1, "dash": "dot"})
    figure.update_xaxes(range=[0, len(times) + 1])
    figure.update_yaxes(range=[low, high])
    beyond = int(np.sum((off < low) | (off > high)))
    highest = (
        f" {several(beyond, 'visit')} beyond the axis, up to {signed_percent(float(off.max()))}." if beyond else ""
    )
    return Plot(
        name,
        "The reference network during the campaign",
        f"{several(len(times), 'visit')} between the others; the median is {ms(middle)}. Dotted lines part the passes."
        + highest,
        figure,
        f"Scatter plot of {several(len(times), 'visit')} to the reference network, from "
        f"{signed_percent(float(off.min()))} to {signed_percent(float(off.max()))} of the median.",
    )


def running_median(values: Matrix) -> list[float]:
    """The median around each value, of WINDOW values; of fewer at the ends."""
    half = WINDOW // 2
    return [round(float(np.median(values[max(0, i - half) : i + half + 1])), 3) for i in range(len(values))]


def spread_plot(table: TablePart) -> Plot | None:
    """How far the visits to one item lie apart, rows and networks; None for a table without either."""
    kinds = {
        "rows": (BLUE.light, [row.spread_percent for row in table.table.rows.values()]),
        "networks": (VERMILLION.light, [entry.time.spread_percent for entry in table.table.networks]),
    }
    known = [spread for _, found in kinds.values() for spread in found]
    if not known:
        return None
    top = max(float(np.quantile(known, 0.98)), 0.1)
    edges = np.linspace(0, top, _SPREAD_BINS + 1)
    figure = empty_figure("Spread of the visits to one item (%)", "Share of items (%)")
    for name, (colour, found) in kinds.items():
        if found:
            share = 100 * np.histogram(np.minimum(found, top), edges)[0] / len(found)
            named = f"{name} ({len(found):,})"
            said = [
                f"{low:.2f} to {high:.2f} %: {part:.1f} % of the {named}"
                for low, high, part in zip(edges, edges[1:], share, strict=False)
            ]
            figure.add_trace(steps(edges.tolist(), share.tolist(), name=named, colour=colour, hover=said))
    figure.update_yaxes(rangemode="tozero")
    rows, networks = (np.median(found) if found else None for _, found in kinds.values())
    return Plot(
        "spread",
        "Spread of the visits",
        f"Scaled median absolute deviation of an item's visits; the median is {percent(rows)} for rows and "
        f"{percent(networks)} for networks. What lies beyond the axis is in its last step.",
        figure,
        "Histogram of the spread of visits, for rows and for networks.",
    )

"""The picture of a search: everything evaluated, the front, where it was predicted and where it was measured."""

from collections.abc import Sequence

import plotly.graph_objects as go

from mnas_evo.report.folders import Chosen, RunPart
from mnas_evo.report.palette import BLUE, GREEN, GREY, INK, ORANGE, PANEL, PURPLE, VERMILLION
from mnas_evo.report.plot import Plot, Range, Views, empty_figure, line, points
from mnas_evo.report.table_folder import TablePart
from mnas_evo.report.words import axis, axis_words, candidate_hover, hover, limit, ms, percent, quantity, several, text
from mnas_evo.search.front import Candidate
from mnas_evo.search.objectives import is_latency

# 6,000 architectures that are told block by block are 1.2 MB of the page; of more, only those of the front are.
SPELLED_OUT = 6_000
# A front that takes less of an axis than this, beside all that was evaluated and published, is shown from close by.
SMALL_SHARE = 0.3
_ROOM = 0.08


Landmark = tuple[str, float, float, str]
"""Name, ms, top-1 and string of a published network."""


def axes(run: RunPart) -> tuple[str, str]:
    """Quantities of the picture's axes: latency and top-1, or what the search had in their place."""
    objectives = run.form.objectives
    y = "top1" if "top1" in objectives else objectives[0]
    others = [name for name in objectives if name != y]
    x = next(filter(is_latency, others), others[0])
    return x, y


def front_plot(run: RunPart, table: TablePart | None, chosen: Chosen | None) -> Plot:
    """The plot of a run that has a front."""
    x, y = axes(run)
    said = run.said_as(y)
    figure = empty_figure(axis(x), axis(said))
    figure.add_trace(_evaluated(run.evaluated, x, y))
    landmarks = published(run, table) if (x, y) == ("latency_ms", "top1") else []
    if x == "latency_ms" and run.form.device is None:
        figure.add_traces(_predicted(_compared(run), y))
    figure.add_traces(_front(run, x, y))
    if chosen is not None and chosen.candidate is not None:
        figure.add_trace(_ring(chosen.candidate, x, y))
    if landmarks:
        figure.add_trace(_landmarks(landmarks, said, _middle(run, x)))
    _add_limits(figure, run, x, y)
    for name, update in ((x, figure.update_xaxes), (y, figure.update_yaxes)):
        if name in ("params", "macs"):
            update(tickformat="~s")
    return Plot(
        "front",
        f"{axis(said).split(' (')[0]} against {axis_words(x)}",
        _caption(run, landmarks, x, y),
        figure,
        f"Scatter plot of {several(len(run.evaluated), 'evaluated architecture')} with the front of "
        f"{several(len(run.front), 'architecture')}. The table of the front holds its values.",
        tall=True,
        views=_views(run, landmarks, x, y),
    )


def published(run: RunPart, table: TablePart | None) -> list[Landmark]:
    """The published networks of which both latency and top-1 are known."""
    times = table.landmarks if table else {}
    return [
        (name, times[network], run.top1_beside[network].value, network)
        for network, name in run.landmark_names.items()
        if network in times and network in run.top1_beside
    ]


def _views(run: RunPart, landmarks: Sequence[Landmark], x: str, y: str) -> Views | None:
    """The front with its intervals, and all there is; None for a front without extent."""
    shown = _compared(run)
    xs, ys = [c.quantity(x) for c in shown], [c.quantity(y) for c in shown]
    if x == "latency_ms":
        said = [c.tell.values[x] for c in shown]
        xs += [end for value in said for end in (value.low, value.value, value.high) if end is not None]
    all_x = [*xs, *(c.quantity(x) for c in run.evaluated), *(at for _, at, _, _ in landmarks)]
    all_y = [*ys, *(c.quantity(y) for c in run.evaluated), *(top1 for _, _, top1, _ in landmarks)]
    all_x += [value for name, value in run.form.limits.items() if name == x]
    all_y += [value for name, value in run.form.limits.items() if name == y]
    if min(_extent(xs), _extent(ys)) == 0:
        return None
    share = min(_extent(xs) / _extent(all_x), _extent(ys) / _extent(all_y))
    return Views((_around(xs), _around(ys)), (_around(all_x), _around(all_y)), share < SMALL_SHARE)


def _extent(values: Sequence[float]) -> float:
    return max(values) - min(values)


def _around(values: Sequence[float]) -> Range:
    """A range with some room to either side, which stays above 0 where the values are."""
    low, high, room = min(values), max(values), _ROOM * _extent(values)
    return (max(low - room, low / 1.2) if low > 0 else low - room, high + room)


def _evaluated(evaluated: Sequence[Candidate], x: str, y: str) -> go.Scatter:
    return points(
        [c.quantity(x) for c in evaluated],
        [c.quantity(y) for c in evaluated],
        name="evaluated",
        colour=GREY.light,
        hover=[candidate_hover(c) for c in evaluated] if len(evaluated) <= SPELLED_OUT else None,
        size=5,
        opacity=0.5,
    )


def _compared(run: RunPart) -> list[Candidate]:
    """The front, and what was measured again and turned out not to be on it."""
    on_front = {candidate.network for candidate in run.front}
    return [c for c in run.evaluated if c.network in on_front or (c.prediction and c.measured_ms is not None)]


def _predicted(shown: Sequence[Candidate], y: str) -> list[go.Scatter]:
    """Predicted points with their intervals, and thin lines from there to where they were measured."""
    bars_x: list[float | None] = []
    bars_y: list[float | None] = []
    links_x: list[float | None] = []
    links_y: list[float | None] = []
    for candidate in shown:
        said, at = candidate.tell.values["latency_ms"], candidate.quantity(y)
        if said.low is not None and said.high is not None:
            bars_x += [said.low, said.high, None]
            bars_y += [at, at, None]
        if candidate.measured_ms is not None:
            links_x += [said.value, candidate.measured_ms, None]
            links_y += [at, at, None]
    colour = VERMILLION.light
    predicted = points(
        [c.tell.values["latency_ms"].value for c in shown],
        [c.quantity(y) for c in shown],
        name="predicted",
        colour=PANEL.light,
        hover=[candidate_hover(c) for c in shown],
        size=7,
        symbol="diamond",
        line={"color": colour, "width": 1.5},
    )
    bars = line(bars_x, bars_y, name="90 % interval", colour=colour, width=8, opacity=0.22, hoverinfo="skip")
    links = line(links_x, links_y, name="to measured", colour=colour, width=1, showlegend=False, hoverinfo="skip")
    return [bars, links, predicted]


def _front(run: RunPart, x: str, y: str) -> list[go.Scatter]:
    """The front's line, which only two objectives have, and its points; those where it was measured are filled."""
    traces = []
    if len(run.form.objectives) == 2:
        xs, ys = [c.quantity(x) for c in run.front], [c.quantity(y) for c in run.front]
        traces.append(line(xs, ys, name="front", colour=BLUE.light, width=2, hoverinfo="skip"))
    if x != "latency_ms":
        return [*traces, _marks(run.front, x, y, name="on the front", size=8)]
    on_front = [c for c in run.front if c.measured_ms is not None]
    beside = [c for c in _compared(run) if c.measured_ms is not None and c not in run.front]
    if on_front:
        traces.append(_marks(on_front, x, y, name="measured", size=9))
    if beside:
        traces.append(_marks(beside, x, y, name="measured, off the front", size=8, symbol="circle-open"))
    return traces


def _marks(shown: Sequence[Candidate], x: str, y: str, *, name: str, **marker: object) -> go.Scatter:
    return points(
        [c.quantity(x) for c in shown],
        [c.quantity(y) for c in shown],
        name=name,
        colour=BLUE.light,
        hover=[candidate_hover(c) for c in shown],
        **marker,
    )


def _ring(candidate: Candidate, x: str, y: str) -> go.Scatter:
    ring = {"color": ORANGE.light, "width": 3}
    at_x, at_y = [candidate.quantity(x)], [candidate.quantity(y)]
    return points(at_x, at_y, name="chosen", colour=ORANGE.light, size=18, symbol="circle-open", line=ring)


def _middle(run: RunPart, x: str) -> float:
    values = [candidate.quantity(x) for candidate in run.evaluated]
    return (min(values) + max(values)) / 2


def _landmarks(found: Sequence[Landmark], said: str, middle: float) -> go.Scatter:
    trace = points(
        [time_ms for _, time_ms, _, _ in found],
        [top1 for _, _, top1, _ in found],
        name="published",
        colour=GREEN.light,
        hover=[hover(name, quantity(said, top1), f"measured {ms(at)}", network=net) for name, at, top1, net in found],
        size=10,
        symbol="square",
    )
    trace.update(
        mode="markers+text",
        text=[name for name, _, _, _ in found],
        textposition=["middle right" if at < middle else "middle left" for _, at, _, _ in found],
        textfont={"color": INK.light, "size": 12},
        cliponaxis=False,
    )
    return trace


def _add_limits(figure: go.Figure, run: RunPart, x: str, y: str) -> None:
    style = {"line": {"color": PURPLE.light, "width": 1.5, "dash": "dash"}}
    label = {"font": {"color": PURPLE.light, "size": 12}}
    for name, value in run.form.limits.items():
        note = {**label, "text": text(limit(run.said_as(name), value))}
        if name == x:
            figure.add_vline(value, annotation={**note, "textangle": -90}, annotation_position="bottom left", **style)
        elif name == y:
            figure.add_hline(value, annotation=note, annotation_position="bottom left", **style)


def _caption(run: RunPart, landmarks: Sequence[Landmark], x: str, y: str) -> str:
    within = " within the limits" if run.form.limits else ""
    said = [f"Grey: every architecture evaluated{within}. {_accuracy_words(run)}"]
    if x == "latency_ms" and run.form.device is not None:
        said.append(f"Latency was measured as the search went, on <code>{text(run.form.device)}</code>.")
    elif x == "latency_ms":
        measured = sum(c.measured_ms is not None for c in run.front)
        again = f"The front stands where it was measured: {measured} of its {several(len(run.front), 'network')} were."
        stands = again if measured else "The front stands where it is predicted; none of it was measured yet."
        said.append(f"{stands} Diamonds are predictions with their 90&nbsp;% intervals.")
    if len(run.form.objectives) > 2:
        shown = [text(axis_words(run.said_as(name))) for name in run.form.objectives]
        said.append(f"The front is over {', '.join(shown)}; two of them are drawn, so that it forms no line.")
    if run.form.limits:
        limits = [limit(run.said_as(name), value) for name, value in run.form.limits.items()]
        said.append(f"Limits: {text('; '.join(limits))}.")
    if landmarks:
        told = "; ".join(f"{text(name)} {ms(at)}, {percent(top1)}" for name, at, top1, _ in landmarks)
        said.append(f"Published networks, judged by the same source: {told}.")
    of_front = "" if len(run.evaluated) <= SPELLED_OUT else " of the front"
    said.append(f"Point at a mark{of_front} to see the architecture block by block.")
    return " ".join(said)


def _accuracy_words(run: RunPart) -> str:
    source = f"<code>{text(run.form.accuracy)}</code>"
    if run.said_as("top1") == "top1":
        return f"Top-1 is that of {source}."
    return f"Speed of training is 100&nbsp;exp(-loss), that of {source}: it ranks networks, and is no top-1."

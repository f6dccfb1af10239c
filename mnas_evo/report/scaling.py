"""The page of a study of scalings: what it says, figure 5 of Tan et al. 2019 drawn of it, and every point."""

from collections.abc import Callable, Sequence
from pathlib import Path

import plotly.graph_objects as go

from mnas_evo.report.elements import network_html, rows_html
from mnas_evo.report.palette import BLUE, GREEN, GREY, INK, MUTED, ORANGE, PURPLE, VERMILLION
from mnas_evo.report.plot import Plot, Range, Views, empty_figure, line, pointed_at, points
from mnas_evo.report.section import Section, row
from mnas_evo.report.words import Hover, axis, axis_words, count, hover, ms, percent, plain_ms, several, text
from mnas_evo.scaling.points import BESIDE, SCALING, Point, Study, read_study
from mnas_evo.scaling.verdict import by_resolution, by_width, cost, cost_of, front, words

_COLOURS = tuple(colour.light for colour in (BLUE, VERMILLION, GREEN, INK))
_ROOM = 0.05
_ABSENT = '<span class="absent">&ndash;</span>'

Line = Callable[[Study, str], list[Point]]


def is_scaling(folder: Path) -> bool:
    """Whether a folder holds a study of scalings."""
    return (folder / SCALING).is_file()


def scaling_sections(folder: Path) -> list[Section]:
    """The page's sections.

    Raises:
        DamagedFile, OtherFormat: a file cannot be read.
    """
    study = read_study(folder)
    found = [_summary(study), _figures(study), _table(study), _networks(study)]
    return [section for section in found if not section.is_empty]


def _summary(study: Study) -> Section:
    form = study.form
    of = f" on <code>{text(form.data)}</code>" if form.data else ""
    names = [name for name in form.networks if any(point.name == name for point in study.points)]
    said = [f"{several(len(names), 'network')}, {several(len(study.points), 'scaling')} of them."]
    if form.latency is not None:
        how = "predicted by the table" if form.latency.kind == "predicted" else "measured, all in one campaign, on"
        noise = "" if form.latency.noise_percent is None else f", with {percent(form.latency.noise_percent)} of noise"
        said.append(f"Latencies are {how} <strong>{text(form.latency.of)}</strong>{noise}.")
    if (pins := form.training) is not None:
        recipe = pins.recipe
        said.append(
            f"Each was trained once{of} with recipe {text(recipe.name)}, {several(recipe.epochs, 'epoch')}, seed "
            f"{pins.seed}; top-1 is of {several(pins.split.validation, 'validation image')}."
        )
    else:
        said.append("None was trained.")
    told = "".join(f"<p>{text(sentence)}</p>" for sentence in words(study))
    return Section("summary", "Summary", (f"<p>{' '.join(said)}</p>{told}",))


def _figures(study: Study) -> Section:
    narrowed = _panel(study, by_width, "width", "Width multipliers", lambda point: f"x{point.width:g}")
    shrunken = _panel(study, by_resolution, "input", "Input sizes", lambda point: f"{point.resolution}")
    return Section("figures", "Narrower layers, smaller images", (row(narrowed, shrunken), row(_all(study))))


def _panel(study: Study, chosen: Line, name: str, title: str, label: Callable[[Point], str]) -> Plot | None:
    """One line a network; None where no network has two points on it."""
    trained = any(point.top1 is not None for point in study.points)
    x, y = (cost(study), "top1") if trained else (name, cost(study))
    figure = empty_figure(_axis(x), _axis(y))
    drawn = 0
    for network in _names(study):
        found = [one for one in chosen(study, network) if None not in (_at(study, one, x), _at(study, one, y))]
        if not found:
            continue
        drawn = max(drawn, len(found))
        figure.add_trace(_series(study, found, network, x, y, label=label))
    if not drawn:
        return None
    _finish(figure, study, x, y)
    caption = _panel_caption([chosen(study, network) for network in _names(study)], name, title, label)
    return Plot(
        f"scaling-{name}",
        title,
        f"{caption}{_interval_words(study) if 'latency_ms' in (x, y) else ''}",
        figure,
        f"Line plot of {_axis_words(y)} against {_axis_words(x)} of {several(len(_names(study)), 'network')}; the "
        "table holds its values.",
        tall=True,
    )


def _panel_caption(lines: Sequence[Sequence[Point]], name: str, title: str, label: Callable[[Point], str]) -> str:
    """What its lines have in common, and the points where they have them in common too."""
    fixed = {point.resolution if name == "width" else point.width for line in lines for point in line}
    if len(fixed) > 1:
        at = "at each network's largest input" if name == "width" else "at the width of each that is nearest 1"
    else:
        (only,) = fixed
        at = f"at an input of {only:g}x{only:g}" if name == "width" else f"at width {only:g}"
    labels = {", ".join(label(point) for point in line) for line in lines}
    return f"{title} {at}{f': {text(labels.pop())}' if len(labels) == 1 else ''}."


def _series(
    study: Study, found: Sequence[Point], network: str, x: str, y: str, *, label: Callable[[Point], str]
) -> go.Scatter:
    colour = _colour(study, network)
    # More than two lines of labels hide each other; the first network's are those of the others too.
    is_first = network in (BESIDE, next((name for name in study.form.networks if name != BESIDE), BESIDE))
    is_labelled = is_first and y == "top1"
    trace = line(
        [_at(study, point, x) for point in found],
        [_at(study, point, y) for point in found],
        name=network,
        colour=colour,
        width=2,
        **pointed_at([_hover(point) for point in found]),
        text=[label(point) for point in found] if is_labelled else None,
        textposition="bottom right" if network == BESIDE else "middle right",
        textfont={"color": MUTED.light, "size": 11},
        cliponaxis=True,
    )
    symbol = "square" if network == BESIDE else "circle"
    trace.update(mode="lines+markers+text", marker={"color": colour, "size": 7, "symbol": symbol})
    if (bars := _bars(found)) is not None and "latency_ms" in (x, y):
        trace.update({"error_x" if x == "latency_ms" else "error_y": {**bars, "color": colour}})
    return trace


def _bars(found: Sequence[Point]) -> dict[str, object] | None:
    """From a time to the ends of its interval, where every time has one."""
    ends = [(one.ms, one.low_ms, one.high_ms) for one in found]
    up = [high - at for at, _, high in ends if at is not None and high is not None]
    down = [at - low for at, low, _ in ends if at is not None and low is not None]
    if len(up) != len(found) or len(down) != len(found):
        return None
    return {"type": "data", "symmetric": False, "array": up, "arrayminus": down, "thickness": 1.2, "width": 3}


def _all(study: Study) -> Plot | None:
    """Every point that has a top-1, a line for each network and input size, with the front; None untrained."""
    x = cost(study)
    figure = empty_figure(_axis(x), _axis("top1"))
    drawn: list[Point] = []
    best = front(study)
    for network in _names(study):
        own = [one for one in study.points if one.name == network and one.top1 is not None and _at(study, one, x)]
        for number, resolution in enumerate(sorted({point.resolution for point in own})):
            found = [point for point in own if point.resolution == resolution]
            colour = _colour(study, network)
            trace = line(
                [_at(study, point, x) for point in found],
                [point.top1 for point in found],
                name=network,
                colour=colour,
                width=1,
                **pointed_at([_hover(point) for point in found]),
                legendgroup=network,
                showlegend=number == 0,
            )
            symbol = "square" if network == BESIDE else "circle"
            figure.add_trace(trace.update(mode="lines+markers", marker={"color": colour, "size": 6, "symbol": symbol}))
            drawn += found
    if not drawn:
        return None
    ring = {"color": ORANGE.light, "width": 2}
    at_x, at_y = _places(study, best, x)
    figure.add_trace(
        points(at_x, at_y, name="on the front", colour=ORANGE.light, size=12, symbol="circle-open", line=ring)
    )
    all_x, all_y = _places(study, drawn, x)
    _finish(figure, study, x, "top1")
    less = "faster" if x == "latency_ms" else "with fewer multiply-adds"
    return Plot(
        "scaling-all",
        "Every width at every input size",
        f"One line a network and input size, its widths from left to right. Ringed: nothing {less} is as accurate. "
        "Point at a mark to see the network block by block.",
        figure,
        f"Scatter plot of {several(len(drawn), 'scaled network')} with the front of {several(len(best), 'network')}. "
        "The table holds its values.",
        tall=True,
        views=Views((_around(at_x), _around(at_y)), (_around(all_x), _around(all_y)), starts_close=False),
    )


def _places(study: Study, found: Sequence[Point], x: str) -> tuple[list[float], list[float]]:
    """Costs and top-1 of points that have both."""
    return [_at(study, one, x) or 0.0 for one in found], [one.top1 or 0.0 for one in found]


def _finish(figure: go.Figure, study: Study, x: str, y: str) -> None:
    """The budget as a line that the legend names, and room and ticks as the quantities want them."""
    for name, update in ((x, figure.update_xaxes), (y, figure.update_yaxes)):
        if name == "macs":
            update(tickformat="~s")
        if name in ("latency_ms", "macs"):
            update(rangemode="tozero")
    if (target_ms := study.form.target_ms) is None or "latency_ms" not in (x, y):
        return
    ends = [target_ms, target_ms]
    across = [at for trace in figure.data for at in (trace.y if x == "latency_ms" else trace.x)]
    along = [min(across), max(across)]
    budget = line(
        *((ends, along) if x == "latency_ms" else (along, ends)),
        name=f"{target_ms:g} ms",
        colour=PURPLE.light,
        width=1.5,
        dash="dash",
        hoverinfo="skip",
    )
    figure.add_trace(budget)


def _around(values: Sequence[float]) -> Range:
    """A range with some room to either side, which stays above 0 where the values are."""
    low, high = min(values), max(values)
    room = _ROOM * (high - low) or 1.0
    return (max(low - room, low / 1.2) if low > 0 else low - room, high + room)


def _names(study: Study) -> list[str]:
    """Networks that have points, MobileNetV2 first, so that it is drawn behind the others."""
    found = list(dict.fromkeys(point.name for point in study.points))
    return sorted(found, key=lambda name: name != BESIDE)


def _colour(study: Study, network: str) -> str:
    if network == BESIDE:
        return GREY.light
    others = [name for name in study.form.networks if name != BESIDE]
    return _COLOURS[others.index(network) % len(_COLOURS)]


def _at(study: Study, point: Point, name: str) -> float | None:
    """Where a point stands on an axis."""
    if name == "top1":
        return point.top1
    if name in ("width", "input"):
        return point.width if name == "width" else float(point.resolution)
    return cost_of(study, point)


def _axis(name: str) -> str:
    return {"width": "Width multiplier", "input": "Input size (pixels)"}.get(name) or axis(name)


def _axis_words(name: str) -> str:
    return {"width": "width multiplier", "input": "input size"}.get(name) or axis_words(name)


def _interval_words(study: Study) -> str:
    source = study.form.latency
    if source is None or all(point.high_ms is None for point in study.points):
        return ""
    share = 90 if source.kind == "predicted" else 95
    return f" Bars: {share}&nbsp;% intervals of the {source.kind} latencies."


def _hover(point: Point) -> Hover:
    lines = [f"{point.label} pixels"]
    if point.top1 is not None:
        lines.append(f"{percent(point.top1)} top-1")
    if point.ms is not None:
        lines.append(f"{ms(point.ms)}{f' ({_interval(point)})' if point.high_ms is not None else ''}")
    lines.append(f"{count(point.macs)} MACs, {count(point.params)} parameters")
    return hover(*lines, network=point.network)


def _interval(point: Point) -> str:
    return f"{plain_ms(point.low_ms or 0.0)} to {plain_ms(point.high_ms or 0.0)}"


def _table(study: Study) -> Section:
    best = front(study)
    timed = any(point.ms is not None for point in study.points)
    trained = study.form.training is not None
    header = ["Network", "Width", "Input", "MACs", "Parameters"]
    header += ["Latency, ms"] if timed else []
    header += ["Top-1, %"] if trained else []
    rows = [
        [
            text(point.name) + (' <span class="chip">front</span>' if point in best else ""),
            f"{point.width:g}",
            f"{point.resolution}",
            f'<span title="{point.macs:,}">{count(point.macs)}</span>',
            f'<span title="{point.params:,}">{count(point.params)}</span>',
            *([_latency_cell(point)] if timed else []),
            *([_top1_cell(point)] if trained else []),
        ]
        for point in study.points
    ]
    caption = "Every scaled network; latencies with their intervals." if timed else "Every scaled network."
    return Section("points", "All points", (rows_html(header, rows, caption=caption),))


def _latency_cell(point: Point) -> str:
    if point.ms is None:
        return f'<span title="{text(point.note)}">{_ABSENT}</span>' if point.note else _ABSENT
    extra = f' <span class="interval">{_interval(point)}</span>' if point.high_ms is not None else ""
    return f'<span title="{text(point.note)}">{plain_ms(point.ms)}{extra}</span>'


def _top1_cell(point: Point) -> str:
    if point.failure:
        return f'<span class="absent" title="{text(point.failure)}">failed</span>'
    return _ABSENT if point.top1 is None else f"{point.top1:.2f}"


def _networks(study: Study) -> Section:
    html = "".join(
        f"<h3>{text(name)}</h3><p>{network_html(network)}</p>" for name, network in study.form.networks.items()
    )
    return Section("networks", "The networks at width 1", (html,))

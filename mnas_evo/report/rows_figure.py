"""The picture of a table's rows: time over multiply-adds, by family, with lines of equal speed."""

from collections.abc import Iterator, Sequence
from html import escape

import numpy as np
from numpy.typing import NDArray

from mnas_evo.latency.features import family
from mnas_evo.report.known_rows import EDGE, KnownRow, family_words, giga
from mnas_evo.report.palette import BLUE, GREEN, GREY, MUTED, ORANGE, PURPLE, VERMILLION
from mnas_evo.report.plot import Plot, empty_figure, line, points
from mnas_evo.report.words import plain_ms, several

MOST_DRAWN = 3000
_COLOURS = (BLUE, ORANGE, GREEN, PURPLE, VERMILLION)
_SYMBOLS = (
    *("circle", "square", "diamond", "circle-open", "triangle-up"),
    *("cross", "square-open", "triangle-down", "diamond-open"),
)
_LEAST_ROOM = 0.25  # of the figure's width, for a label

Matrix = NDArray[np.float64]


def rows_plot(rows: Sequence[KnownRow], *, batch: int) -> Plot | None:
    """Time over multiply-adds of every row, by family; None where no row has any work."""
    worked = [one for one in rows if one.macs > 0]
    if not worked:
        return None
    figure = empty_figure("Multiply-adds (MACs)", "Time (ms)")
    macs, times = np.array([one.macs for one in worked]), np.array([one.time.ms for one in worked])
    for line_of_equals, label in _equal_throughputs(macs, times):
        figure.add_trace(line_of_equals)
        if label is not None:
            figure.add_annotation(label)
    by_family: dict[str, list[KnownRow]] = {}
    for one in sorted(worked, key=lambda one: (family(one.layer) == EDGE, family(one.layer))):
        by_family.setdefault(family(one.layer), []).append(one)
    step = -(-len(worked) // MOST_DRAWN)
    for number, (name, found) in enumerate(by_family.items()):
        drawn = found[::step]
        trace = points(
            [one.macs for one in drawn],
            [one.time.ms for one in drawn],
            name=f"{family_words(name)} ({len(found):,})",
            colour=GREY.light if name == EDGE else _COLOURS[number % len(_COLOURS)].light,
            hover=list(map(_hover, drawn)),
            size=5,
            symbol="x" if name == EDGE else _SYMBOLS[number % len(_SYMBOLS)],
            opacity=0.7,
        )
        figure.add_trace(trace)
    figure.update_xaxes(type="log", tickformat="~s", dtick=1, range=_log_range(macs))
    figure.update_yaxes(type="log", dtick="D2", range=_log_range(times))
    left_out = f" One row in {step} of each family is drawn." if step > 1 else ""
    images = f", for a batch of {several(batch, 'image')}" if batch != 1 else ""
    return Plot(
        "rows",
        "Time by multiply-adds",
        f"Every row of the table{images}; a row is a whole layer, so that dconv and mbconv hold their 1x1 "
        "convolutions too. Along a dotted line, multiply-adds a second stay the same; from line to line they grow "
        f"tenfold.{left_out}",
        figure,
        f"Scatter plot of the time of {several(len(worked), 'row')} over their multiply-adds, by family; the table of "
        "families says how many multiply-adds a second each does.",
        tall=True,
    )


def _log_range(values: Matrix) -> list[float]:
    low, high = np.log10([values.min(), values.max()])
    room = 0.04 * (high - low) + 0.05
    return [float(low - room), float(high + room)]


def _equal_throughputs(macs: Matrix, times: Matrix) -> Iterator[tuple[object, dict[str, object] | None]]:
    """Lines of 1, 10, 100, ... billions of multiply-adds a second, as far as rows lie near them, with their labels."""
    ends = np.array([macs.min(), macs.max()], dtype=float)
    rates = np.log10(macs / times / 1e6)
    for power in range(int(np.floor(rates.min())), int(np.ceil(rates.max())) + 1):
        y = ends / 10.0**power / 1e6
        if y[0] > times.max() or y[1] < times.min():
            continue
        drawn = line(
            [float(x) for x in ends],
            [float(ms) for ms in y],
            name="equal",
            colour=GREY.light,
            width=1,
            dash="dot",
            hoverinfo="skip",
            showlegend=False,
        )
        # Rows lie along these lines: room for words is left above the slow ones and below the fast ones.
        above = power < np.median(rates)
        y_at = min(y[1], times.max()) if above else max(y[0], times.min())
        x_at = y_at * 10.0**power * 1e6
        room = float(np.log(x_at / ends[0]) / np.log(ends[1] / ends[0])) if ends[1] > ends[0] else 0.5
        label = {
            "x": float(np.log10(x_at)),
            "y": float(np.log10(y_at)),
            "text": f"{10.0**power:g} GMAC/s",
            "showarrow": False,
            "xanchor": "right" if above else "left",
            "xshift": -6 if above else 6,
            "font": {"size": 11, "color": MUTED.light},
        }
        yield drawn, label if (room if above else 1 - room) > _LEAST_ROOM else None


def _hover(one: KnownRow) -> str:
    work = f"{plain_ms(one.time.ms)} ms, {one.macs / 1e6:.3g} MMACs, {giga(one.giga_macs_per_s)} GMAC/s"
    visits = f"spread {one.time.spread_percent:.2g} %, {several(one.time.visits, 'visit')}"
    return "<br>".join((escape(one.key), work, visits))

"""Pictures of an evaluation, as SVG and PNG: confusion matrix, predictions by class, calibration.

The colours are Okabe and Ito's on white, and the matrix has one hue from light to dark: the colour-blind can read them.
The same figures give the same files.
"""

import io
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from mnas_evo.files import write_bytes
from mnas_evo.training.metrics import CalibrationBin, Metrics, wilson_percent

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

PICTURES = ("confusion", "predictions", "calibration")
KINDS = ("svg", "png")

MOST_NUMBERED = 40
"""Classes up to which the matrix bears numbers."""

_MOST_NAMES = 120  # labels along an axis; of more classes every second, third ... is named
_LONGEST_NAME = 22  # characters
_DPI = 150
_INK, _MUTED, _GRID, _NONE = "#1f2329", "#5b6570", "#e4e7eb", "#d9dde2"
_BLUE, _DARK_BLUE, _PALE_BLUE, _VERMILLION = "#0072b2", "#002f4c", "#8fc1de", "#d55e00"
_SHARES = (0, 1, 5, 20, 50, 100)  # percent, marked on the colour bar
# Names of classes may hold dollar signs, which are no formulas; text stays text, for readers and for fonts elsewhere.
_STYLE: dict[Any, Any] = {
    "text.parse_math": False,
    "svg.fonttype": "none",
    "svg.hashsalt": "mnas_evo",
    "font.family": ["DejaVu Sans", "sans-serif"],
    "font.size": 9.0,
    "text.color": _INK,
    "axes.labelcolor": _INK,
    "axes.edgecolor": _MUTED,
    "axes.titlesize": 10.5,
    "axes.titlelocation": "left",
    "xtick.color": _MUTED,
    "ytick.color": _MUTED,
    "xtick.labelcolor": _INK,
    "ytick.labelcolor": _INK,
    "figure.facecolor": "white",
    "savefig.facecolor": "white",
    "axes.facecolor": "white",
}


def draw_pictures(folder: Path, found: Metrics, names: Sequence[str]) -> tuple[Path, ...]:
    """Writes the pictures of metrics, whose classes are called so; gives their paths."""
    import matplotlib

    shown = [_shown(name) for name in names]
    written = []
    with matplotlib.rc_context(_STYLE), _silent_about_glyphs():
        figures = (_confusion(found, shown), _predictions(found, shown), _calibration(found))
        for name, figure in zip(PICTURES, figures, strict=True):
            for kind in KINDS:
                content = io.BytesIO()
                # Neither the date nor matplotlib's version may make another file of the same figures.
                metadata = {"Date": None, "Creator": None} if kind == "svg" else {"Software": None}
                figure.savefig(content, format=kind, dpi=_DPI, metadata=metadata, bbox_inches="tight", pad_inches=0.15)
                write_bytes(folder / f"{name}.{kind}", content.getvalue())
                written.append(folder / f"{name}.{kind}")
    return tuple(written)


@contextmanager
def _silent_about_glyphs() -> Iterator[None]:
    """A name in a script that the font lacks is drawn as boxes in the PNG; that is no fault of the evaluation."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message=r"Glyph .* missing from")
        warnings.filterwarnings("ignore", message=r"Matplotlib currently does not support")
        yield


def _shown(name: str) -> str:
    """A class's name on one short line, without what a picture cannot hold."""
    line = "".join(c if c.isprintable() else "?" for c in " ".join(name.split())) or "(no name)"
    return line if len(line) <= _LONGEST_NAME else line[: _LONGEST_NAME - 1] + "\N{HORIZONTAL ELLIPSIS}"


def _empty(width: float, height: float, *, rows: Sequence[float] = (1.0,)) -> "tuple[Figure, list[Axes]]":
    from matplotlib.figure import Figure

    figure = Figure(figsize=(width, height), layout="constrained")
    grid = figure.add_gridspec(len(rows), 1, height_ratios=list(rows))
    axes = [figure.add_subplot(grid[k, 0]) for k in range(len(rows))]
    for each in axes:
        each.spines[["top", "right"]].set_visible(False)
    return figure, axes


def _confusion(found: Metrics, names: Sequence[str]) -> "Figure":
    from matplotlib.colors import LinearSegmentedColormap, PowerNorm

    counts = np.array(found.confusion)
    support = counts.sum(axis=1, keepdims=True)
    shares = np.ma.masked_array(100 * counts / np.maximum(support, 1), mask=np.broadcast_to(support == 0, counts.shape))
    numbered = len(names) <= MOST_NUMBERED
    side = min(18.0, max(3.0, (0.42 if numbered else 0.17) * len(names)))
    figure, (axes,) = _empty(side + 3.2, side + 2.0)
    colours = LinearSegmentedColormap.from_list("shares", ("#ffffff", _BLUE, _DARK_BLUE)).with_extremes(bad=_NONE)
    # By the square root, so that a confusion of one in a hundred can be seen beside the diagonal.
    drawn = axes.imshow(shares, cmap=colours, norm=PowerNorm(0.5, 0, 100), interpolation="nearest", aspect="equal")
    bar = figure.colorbar(drawn, ax=axes, shrink=min(1.0, 4 / side), ticks=list(_SHARES), aspect=16)
    bar.set_label("Share of the true class (%)")
    axes.spines[["top", "right"]].set_visible(True)
    _name_axis(axes, names, "x", turned=len(names) > 12 or max(map(len, names)) > 3)
    _name_axis(axes, names, "y")
    axes.set_xlabel("Predicted class")
    axes.set_ylabel("True class")
    if numbered:
        size = 8 if counts.max() < 1000 else 6.5
        for row, column in zip(*np.nonzero(counts), strict=True):
            colour = "white" if shares[row, column] > 15 else _INK
            text = f"{counts[row, column]}"
            axes.text(column, row, text, ha="center", va="center", fontsize=size, color=colour)
    empty = int((support == 0).sum())
    lines = [f"Confusion matrix, {_images(found)}", f"top-1 {_top1(found)}"]
    if empty:
        lines.append(f"grey: {empty} without test images")
    axes.set_title("\n".join(lines))
    return figure


def _predictions(found: Metrics, names: Sequence[str]) -> "Figure":
    places = np.arange(len(names))
    height = min(20.0, max(1.6, (0.26 if len(names) <= MOST_NUMBERED else 0.17) * len(names)))
    figure, (axes,) = _empty(7.2, height + 1.4)
    predicted = [figures.predicted for figures in found.classes]
    true = [figures.support for figures in found.classes]
    axes.barh(places, predicted, height=0.72, color=_PALE_BLUE, label="predicted")
    axes.vlines(true, places - 0.4, places + 0.4, color=_VERMILLION, linewidth=2.0, label="true", zorder=3)
    axes.set_ylim(len(names) - 0.4, -0.6)
    axes.set_xlim(left=0)
    axes.grid(axis="x", color=_GRID)
    axes.set_axisbelow(True)
    _name_axis(axes, names, "y")
    axes.set_xlabel("Test images")
    axes.set_title(f"Predictions by class beside the true numbers, {_images(found)}")
    figure.legend(frameon=False, ncols=2, loc="outside lower left")
    return figure


def _calibration(found: Metrics) -> "Figure":
    figure, (above, below) = _empty(5.6, 6.2, rows=(3.2, 1.0))
    bins = found.calibration
    middles = [(found.low + found.high) / 2 for found in bins]
    widths = [0.92 * (found.high - found.low) for found in bins]
    above.plot([0, 100], [0, 100], color=_MUTED, linestyle="--", linewidth=1.2, label="as right as it is sure")
    above.bar(middles, [found.right for found in bins], widths, color=_PALE_BLUE, label="right in each bin")
    above.errorbar(
        [found.confidence for found in bins],
        [found.right for found in bins],
        yerr=_intervals(bins),
        fmt="o",
        markersize=4,
        color=_VERMILLION,
        elinewidth=1.2,
        label="mean, with its 95 % interval",
    )
    above.set_xlim(0, 100)
    above.set_ylim(0, 102)
    above.set_ylabel("Right (%)")
    above.set_title(f"Calibration, {_images(found)}\nexpected error {found.ece:.2f} %; above the line it is too modest")
    figure.legend(frameon=False, ncols=3, loc="outside lower left", fontsize=8)
    below.bar(middles, [found.images for found in bins], widths, color=_PALE_BLUE)
    below.set_xlim(0, 100)
    below.set_xlabel("Confidence (%)")
    below.set_ylabel("Test images")
    for axes in (above, below):
        axes.grid(color=_GRID)
        axes.set_axisbelow(True)
    return figure


def _intervals(bins: Sequence[CalibrationBin]) -> list[list[float]]:
    """Below and above each share right, up to its 95 % interval."""
    ends = [(found.right, *wilson_percent(round(found.right * found.images / 100), found.images)) for found in bins]
    return [
        [max(0.0, middle - low) for middle, low, _ in ends],
        [max(0.0, high - middle) for middle, _, high in ends],
    ]


def _name_axis(axes: "Axes", names: Sequence[str], which: str, *, turned: bool = False) -> None:
    every = -(-len(names) // _MOST_NAMES)
    size = 8.0 if len(names) <= MOST_NUMBERED else 6.0
    places, labels = list(range(0, len(names), every)), list(names[::every])
    axis = axes.xaxis if which == "x" else axes.yaxis
    axis.set_ticks(places, labels=labels, fontsize=size, rotation=90 if turned else 0)
    axis.set_tick_params(length=2)


def _images(found: Metrics) -> str:
    count = sum(map(sum, found.confusion))
    return "1 test image" if count == 1 else f"{count:,} test images"


def _top1(found: Metrics) -> str:
    return f"{found.top1:.2f} % (95 %: {found.top1_low:.1f} to {found.top1_high:.1f})"

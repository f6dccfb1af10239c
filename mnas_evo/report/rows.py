"""The rows of a table: what each family of layers takes for its work, and what one choice in a layer costs."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from html import escape

import numpy as np
from numpy.typing import NDArray

from mnas_evo.errors import NotationError
from mnas_evo.latency.features import family
from mnas_evo.latency.table import Measured, Table, parse_row_key
from mnas_evo.report.folders import TablePart
from mnas_evo.report.palette import BLUE, GREEN, GREY, MUTED, ORANGE, PURPLE, VERMILLION
from mnas_evo.report.plot import Plot, empty_figure, line, points
from mnas_evo.report.section import Section, row
from mnas_evo.report.summary import rows_html
from mnas_evo.report.words import plain_ms, several, text
from mnas_evo.space.graph import Layer, LayerSpec
from mnas_evo.space.lowering import lower, lower_layer
from mnas_evo.space.notation import parse_network

MOST_DRAWN = 3000
_FEWEST_TO_COMPARE = 5  # rows of a group whose median is compared in words, or pairs of rows
_COLOURS = (BLUE, ORANGE, GREEN, PURPLE, VERMILLION)
_SYMBOLS = (
    *("circle", "square", "diamond", "circle-open", "triangle-up"),
    *("cross", "square-open", "triangle-down", "diamond-open"),
)
_EDGE = "edge"
_LEAST_ROOM = 0.25  # of the figure's width, for a label

Matrix = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class KnownRow:
    """A row whose layer is known; `macs` are of the whole batch."""

    key: str
    layer: Layer
    macs: int
    time: Measured

    @property
    def giga_macs_per_s(self) -> float:
        """Multiply-adds a second, in billions."""
        return self.macs / self.time.ms / 1e6

    @property
    def group(self) -> tuple[str, int]:
        """Family and kernel, by which the table of families is ordered; what is neither block op is one group."""
        name = family(self.layer)
        return (name, 1 if name == _EDGE else self.layer.spec.kernel)


@dataclass(frozen=True, slots=True)
class Swap:
    """What another choice in a layer costs: ratios of time and of multiply-adds, medians over pairs of rows."""

    choice: str
    instead_of: str
    pairs: int
    time_ratio: float
    macs_ratio: float


def rows_section(part: TablePart) -> Section:
    """The table's rows by family."""
    table = part.table
    if not table.rows:
        words = "<p>The table holds no rows: what it knows, it knows of whole networks.</p>"
        return Section("rows", "Rows by family", (words,))
    rows = known_rows(table)
    swapped = swaps(rows)
    body = (
        f"<p>{' '.join([*_throughput_words(rows), *_swap_words(swapped), *_unknown_words(table, rows)])}</p>",
        row(rows_plot(rows, batch=table.device.batch), _swaps_table(swapped)),
        row(_families_table(table, rows)),
    )
    return Section("rows", "Rows by family", body)


def known_rows(table: Table) -> list[KnownRow]:
    """The rows whose keys are of layers known here."""
    found = []
    for key, time in table.rows.items():
        try:
            spec, batch, _ = parse_row_key(key)
            layer = lower_layer(spec)
        except NotationError:
            continue
        found.append(KnownRow(key, layer, batch * layer.macs, time))
    return found


def family_words(name: str) -> str:
    """A family in the field's terms."""
    return {"mbconv_e1": "dconv", _EDGE: "1x1, classifier"}.get(name, name.replace("_", " "))


def _group_words(group: tuple[str, int]) -> str:
    name, kernel = group
    words = family_words(name) if name == _EDGE else f"{family_words(name)} {kernel}x{kernel}"
    return words.replace(" ", "\u00a0")


def _grouped(rows: Sequence[KnownRow]) -> dict[tuple[str, int], list[KnownRow]]:
    found: dict[tuple[str, int], list[KnownRow]] = {}
    for one in sorted(rows, key=lambda one: (one.group[0] == _EDGE, *one.group)):
        found.setdefault(one.group, []).append(one)
    return found


def _throughput(rows: Sequence[KnownRow]) -> float:
    """Multiply-adds a second, in billions: the median of rows."""
    return float(np.median([one.giga_macs_per_s for one in rows]))


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
    for one in sorted(worked, key=lambda one: (family(one.layer) == _EDGE, family(one.layer))):
        by_family.setdefault(family(one.layer), []).append(one)
    step = -(-len(worked) // MOST_DRAWN)
    for number, (name, found) in enumerate(by_family.items()):
        drawn = found[::step]
        trace = points(
            [one.macs for one in drawn],
            [one.time.ms for one in drawn],
            name=f"{family_words(name)} ({len(found):,})",
            colour=GREY.light if name == _EDGE else _COLOURS[number % len(_COLOURS)].light,
            hover=list(map(_hover, drawn)),
            size=5,
            symbol="x" if name == _EDGE else _SYMBOLS[number % len(_SYMBOLS)],
            opacity=0.7,
        )
        figure.add_trace(trace)
    figure.update_xaxes(type="log", tickformat="~s", dtick=1, range=_log_range(macs))
    figure.update_yaxes(type="log", range=_log_range(times))
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


def _giga(rate: float) -> str:
    """A throughput with three digits, its unit left to the heading."""
    return f"{rate:,.0f}" if rate >= 100 else f"{rate:#.3g}".rstrip(".")


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
    work = f"{plain_ms(one.time.ms)} ms, {one.macs / 1e6:.3g} MMACs, {_giga(one.giga_macs_per_s)} GMAC/s"
    visits = f"spread {one.time.spread_percent:.2g} %, {several(one.time.visits, 'visit')}"
    return "<br>".join((escape(one.key), work, visits))


def _families_table(table: Table, rows: Sequence[KnownRow]) -> str | None:
    grouped = _grouped(rows)
    if not grouped:
        return None
    shares = network_shares(table)
    header = ["Family", "Rows", "Time (ms)", "Speed (GMAC/s)", "Spread (%)"]
    if shares:
        header += ["Share of time (%)", "Share of MACs (%)"]
    cells = []
    for group, found in grouped.items():
        said = [
            text(_group_words(group)),
            f"{len(found):,}",
            plain_ms(float(np.median([one.time.ms for one in found]))),
            _giga(_throughput(found)),
            f"{np.median([one.time.spread_percent for one in found]):.2f}",
        ]
        if shares:
            said += [f"{share:.1f}" for share in shares.get(group, (0.0, 0.0))]
        cells.append(said)
    caption = "The rows by family and kernel: medians of time, of billions of multiply-adds a second and of spread."
    if shares:
        caption += " Shares are of the rows' times and of the multiply-adds of the networks that were measured."
    return rows_html(header, cells, caption=caption)


def network_shares(table: Table) -> Mapping[tuple[str, int], tuple[float, float]]:
    """Share of each group in the row times and in the multiply-adds of the measured networks, percent.

    Networks that a search chose stand aside, as do those of which a row is missing; empty where none is left.
    """
    ms: dict[tuple[str, int], float] = {}
    macs: dict[tuple[str, int], float] = {}
    for entry in table.networks:
        layers = lower(parse_network(entry.network)).layers
        if entry.role == "front" or table.missing(layers):
            continue
        for layer in layers:
            key = table.row_key(layer)
            group = KnownRow(key, layer, layer.macs, table.rows[key]).group
            ms[group] = ms.get(group, 0.0) + table.rows[key].ms
            macs[group] = macs.get(group, 0.0) + layer.macs
    all_ms, all_macs = sum(ms.values()), sum(macs.values())
    return {group: (100 * ms[group] / all_ms, 100 * macs[group] / max(all_macs, 1)) for group in ms}


def swaps(rows: Sequence[KnownRow]) -> list[Swap]:
    """What choices cost, from pairs of rows that differ in nothing else."""
    by_spec = {one.layer.spec: one for one in rows if one.macs > 0}
    found = []
    for choice, instead_of, is_it, other in _CHOICES:
        ratios = [
            (one.time.ms / without.time.ms, one.macs / without.macs)
            for spec, one in by_spec.items()
            if is_it(spec) and (without := by_spec.get(other(spec))) is not None
        ]
        if len(ratios) >= _FEWEST_TO_COMPARE:
            time_ratio, macs_ratio = np.median(np.array(ratios), axis=0)
            found.append(Swap(choice, instead_of, len(ratios), float(time_ratio), float(macs_ratio)))
    return found


_Choice = tuple[str, str, Callable[[LayerSpec], bool], Callable[[LayerSpec], LayerSpec]]
_CHOICES: tuple[_Choice, ...] = (
    (
        "conv 5x5",
        "conv 3x3",
        lambda spec: spec.op == "conv" and spec.kernel == 5,
        lambda spec: replace(spec, kernel=3),
    ),
    (
        "dconv 5x5",
        "dconv 3x3",
        lambda spec: spec.op == "mbconv" and spec.expansion == 1 and spec.kernel == 5,
        lambda spec: replace(spec, kernel=3),
    ),
    (
        "mbconv 5x5",
        "mbconv 3x3",
        lambda spec: spec.op == "mbconv" and spec.expansion > 1 and spec.kernel == 5,
        lambda spec: replace(spec, kernel=3),
    ),
    (
        "mbconv e3",
        "dconv",
        lambda spec: spec.op == "mbconv" and spec.expansion == 3,
        lambda spec: replace(spec, expansion=1),
    ),
    (
        "mbconv e6",
        "mbconv e3",
        lambda spec: spec.op == "mbconv" and spec.expansion == 6,
        lambda spec: replace(spec, expansion=3),
    ),
    ("SE", "no SE", lambda spec: spec.se_ratio > 0, lambda spec: replace(spec, se_ratio=0.0)),
    ("pool skip", "no skip", lambda spec: spec.skip == "pool", lambda spec: replace(spec, skip="")),
    ("identity skip", "no skip", lambda spec: spec.skip == "add", lambda spec: replace(spec, skip="")),
)


def _swaps_table(found: Sequence[Swap]) -> str | None:
    cells = [
        [
            *(text(name.replace(" ", "\u00a0")) for name in (one.choice, one.instead_of)),
            f"{one.pairs:,}",
            f"{one.time_ratio:.2f}",
            f"{one.macs_ratio:.2f}",
        ]
        for one in found
    ]
    header = ("Choice", "Instead of", "Pairs", "Time (times)", "Multiply-adds (times)")
    caption = (
        "What a choice costs: medians over pairs of rows that differ in nothing else. Where the time grows by more "
        "than the multiply-adds, the device does badly at it."
    )
    return rows_html(header, cells, caption=caption) if cells else None


def _throughput_words(rows: Sequence[KnownRow]) -> list[str]:
    """Which block op the device does best and which worst."""
    rates = {
        group: _throughput(found)
        for group, found in _grouped([one for one in rows if one.macs > 0]).items()
        if len(found) >= _FEWEST_TO_COMPARE and group[0] != _EDGE
    }
    if len(rates) < 2:
        return _growth_words(rows)
    best, worst = max(rates, key=lambda group: rates[group]), min(rates, key=lambda group: rates[group])
    return [
        f"Of the block ops the device does most multiply-adds a second in {text(_group_words(best))}, "
        f"{_giga(rates[best])} billion in the median over rows, and fewest in {text(_group_words(worst))}, "
        f"{_giga(rates[worst])} billion: a multiply-add there costs {rates[best] / rates[worst]:.2g} times as much.",
        *_growth_words(rows),
    ]


def _growth_words(rows: Sequence[KnownRow]) -> list[str]:
    """How time grows with work: what each call costs beside its work shows in that it grows less."""
    worked = np.array([(one.macs, one.time.ms) for one in rows if one.macs > 0])
    if len(worked) < _FEWEST_TO_COMPARE or worked[:, 0].max() < 10 * worked[:, 0].min():
        return []
    macs, times = np.log10(worked).T
    slope = float(np.polyfit(macs, times, deg=1)[0])
    return [f"Over all rows, 10 times the multiply-adds take {10**slope:.2g} times as long."]


def _swap_words(found: Sequence[Swap]) -> list[str]:
    """The choices that cost most beyond their multiply-adds, and least."""
    if not found:
        return []
    dear = max(found, key=lambda one: one.time_ratio / one.macs_ratio)
    cheap = min(found, key=lambda one: one.time_ratio / one.macs_ratio)
    said = []
    if dear.time_ratio > dear.macs_ratio:
        said.append(f"Dearest for its multiply-adds is {_swap_sentence(dear)}.")
    if cheap.time_ratio < cheap.macs_ratio:
        said.append(f"Cheapest for them is {_swap_sentence(cheap)}.")
    return said


def _swap_sentence(one: Swap) -> str:
    return text(
        f"{one.choice} instead of {one.instead_of}: {one.time_ratio:.2f} times the time, {one.macs_ratio:.2f} times "
        f"the multiply-adds ({several(one.pairs, 'pair')} of rows)"
    )


def _unknown_words(table: Table, rows: Sequence[KnownRow]) -> list[str]:
    known = {one.key for one in rows}
    unknown = [key for key in table.rows if key not in known]
    if not unknown:
        return []
    are = "are of layers" if len(unknown) > 1 else "is of a layer"
    return [f"{several(len(unknown), 'row')} {are} not known here, <code>{text(unknown[0])}</code> first."]

"""The section on a table's rows: what each family of layers takes for its work, and what a choice in a layer costs."""

from collections.abc import Sequence

import numpy as np

from mnas_evo.latency.table import Table
from mnas_evo.report.elements import rows_html
from mnas_evo.report.known_rows import (
    EDGE,
    FEWEST_TO_COMPARE,
    KnownRow,
    Swap,
    giga,
    group_words,
    grouped,
    known_rows,
    network_shares,
    swaps,
    throughput,
)
from mnas_evo.report.rows_figure import rows_plot
from mnas_evo.report.section import Section, row
from mnas_evo.report.table_folder import TablePart
from mnas_evo.report.words import plain_ms, several, text


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


def _families_table(table: Table, rows: Sequence[KnownRow]) -> str | None:
    groups = grouped(rows)
    if not groups:
        return None
    shares = network_shares(table)
    header = ["Family", "Rows", "Time (ms)", "Speed (GMAC/s)", "Spread (%)"]
    if shares:
        header += ["Share of time (%)", "Share of MACs (%)"]
    cells = []
    for group, found in groups.items():
        said = [
            text(group_words(group)),
            f"{len(found):,}",
            plain_ms(float(np.median([one.time.ms for one in found]))),
            giga(throughput(found)),
            f"{np.median([one.time.spread_percent for one in found]):.2f}",
        ]
        if shares:
            said += [f"{share:.1f}" for share in shares.get(group, (0.0, 0.0))]
        cells.append(said)
    caption = "The rows by family and kernel: medians of time, of billions of multiply-adds a second and of spread."
    if shares:
        caption += " Shares are of the rows' times and of the multiply-adds of the networks that were measured."
    return rows_html(header, cells, caption=caption)


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
        group: throughput(found)
        for group, found in grouped([one for one in rows if one.macs > 0]).items()
        if len(found) >= FEWEST_TO_COMPARE and group[0] != EDGE
    }
    if len(rates) < 2:
        return _growth_words(rows)
    best, worst = max(rates, key=lambda group: rates[group]), min(rates, key=lambda group: rates[group])
    return [
        f"Of the block ops the device does most multiply-adds a second in {text(group_words(best))}, "
        f"{giga(rates[best])} billion in the median over rows, and fewest in {text(group_words(worst))}, "
        f"{giga(rates[worst])} billion: a multiply-add there costs {rates[best] / rates[worst]:.2g} times as much.",
        *_growth_words(rows),
    ]


def _growth_words(rows: Sequence[KnownRow]) -> list[str]:
    """How time grows with work: what each call costs beside its work shows in that it grows less."""
    worked = np.array([(one.macs, one.time.ms) for one in rows if one.macs > 0])
    if len(worked) < FEWEST_TO_COMPARE or worked[:, 0].max() < 10 * worked[:, 0].min():
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

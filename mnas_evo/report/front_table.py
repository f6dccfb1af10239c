"""The front as a table that a click or a key sorts."""

from collections.abc import Sequence
from dataclasses import dataclass

from mnas_evo.report.elements import network_html, unfolding_html
from mnas_evo.report.folders import Job, RunPart
from mnas_evo.report.networks import BlockTimes, block_times
from mnas_evo.report.section import Section
from mnas_evo.report.words import axis, count, inside, interval, plain_ms, sizes, text
from mnas_evo.search.front import Candidate


@dataclass(frozen=True, slots=True)
class _Cell:
    """What stands in a cell, HTML, and what it is sorted by; None sorts last."""

    html: str
    key: float | str | None


_ABSENT = _Cell('<span class="absent" title="not known">&ndash;</span>', None)


def front_section(run: RunPart, job: Job) -> Section:
    """The front, fastest first, with a mark on the chosen network."""
    ordered = sorted(run.front, key=lambda c: (c.latency_ms is None, c.latency_ms or 0.0))
    chosen = job.chosen.network if job.chosen else None
    times = block_times(job.predictor, [c.network for c in ordered]) if job.predictor else {}
    columns = _columns(run, ordered, chosen, times)
    head = "".join(_head_html(name) for name in columns)
    rows = "".join(
        '<tr role="row">' + "".join(_cell_html(name, cells[row]) for name, cells in columns.items()) + "</tr>"
        for row in range(len(ordered))
    )
    said = "Fastest first; a heading sorts by its column."
    if "In interval" in columns:
        said += " In interval: the measured time lies in the 90&nbsp;% interval, which stands under the prediction."
    html = f"""<p>{said}</p>
<table class="front sorted" role="table" id="front-table" style="--columns: {len(columns) - 1}">
<thead role="rowgroup"><tr role="row">{head}</tr></thead>
<tbody role="rowgroup">{rows}</tbody></table>"""
    return Section("networks", "The networks of the front", (html,))


def _columns(run: RunPart, ordered: list[Candidate], chosen: str | None, times: BlockTimes) -> dict[str, list[_Cell]]:
    """Cells by heading, without the columns that nothing is known for."""
    columns = {
        "Rank": [_Cell(str(rank), rank) for rank in range(1, len(ordered) + 1)],
        axis(run.said_as("top1")): [_number(c.top1, f"{c.top1 or 0:.2f}") for c in ordered],
        "Predicted (ms)": [_predicted(c) for c in ordered],
        "Measured (ms)": [_number(c.measured_ms, plain_ms(c.measured_ms or 0.0)) for c in ordered],
        "In interval": [_inside(c) for c in ordered],
        **{axis(name): [_told(c, name) for c in ordered] for name in _told_names(ordered)},
        "Parameters": [_size(c, 0) for c in ordered],
        "MACs": [_size(c, 1) for c in ordered],
        "Network": [_network(c, times.get(c.network, ()), chosen=c.network == chosen) for c in ordered],
    }
    return {name: cells for name, cells in columns.items() if any(cell.key is not None for cell in cells)}


def _told_names(ordered: list[Candidate]) -> list[str]:
    """Latencies on several devices, each of which has a column of its own."""
    return [name for name in ordered[0].tell.values if ":" in name] if ordered else []


def _told(candidate: Candidate, name: str) -> _Cell:
    said = candidate.tell.values.get(name)
    return _ABSENT if said is None else _Cell(plain_ms(said.value), said.value)


def _head_html(name: str) -> str:
    if name == "Network":  # stands on a line of its own, under the figures
        return f'<th scope="col" role="columnheader"><span class="unseen">{name}</span></th>'
    mark = ' aria-sort="ascending"' if name == "Rank" else ""
    return f'<th scope="col" role="columnheader"{mark}><button type="button">{text(name)}</button></th>'


def _cell_html(name: str, cell: _Cell) -> str:
    key = "" if cell.key is None else text(cell.key)
    return f'<td role="cell" data-label="{text(name)}" data-key="{key}">{cell.html}</td>'


def _network(candidate: Candidate, times: Sequence[float], *, chosen: bool) -> _Cell:
    mark = '<span class="chip">chosen</span> ' if chosen else ""
    unfolding = unfolding_html(candidate.network, times, shown="Block by block")
    return _Cell(f"{mark}{network_html(candidate.network)}{unfolding}", candidate.network)


def _number(value: float | None, said: str) -> _Cell:
    return _ABSENT if value is None else _Cell(said, value)


def _predicted(candidate: Candidate) -> _Cell:
    said = candidate.prediction
    if said is None:
        return _ABSENT
    range_ms = interval(said)
    extra = f' <span class="interval">{range_ms}</span>' if range_ms else ""
    return _Cell(f"<span>{plain_ms(said.value)}{extra}</span>", said.value)


def _inside(candidate: Candidate) -> _Cell:
    found = inside(candidate)
    if found is None:
        return _ABSENT
    return _Cell("yes", 1.0) if found else _Cell('<strong class="outside">no</strong>', 0.0)


def _size(candidate: Candidate, which: int) -> _Cell:
    found = sizes(candidate.network)
    return (
        _ABSENT
        if found is None
        else _Cell(f'<span title="{found[which]:,}">{count(found[which])}</span>', found[which])
    )

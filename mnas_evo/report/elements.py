"""Elements that several sections write: a network block by block or as its string, and small tables. All is HTML."""

from collections.abc import Sequence
from itertools import zip_longest

from mnas_evo.latency.predictor import LatencyPredictor
from mnas_evo.report.words import blocks_of, short_network, text

REST = "besides the blocks"  # a call's own cost; below 0, what layers save that run together


def blocks_html(network: str, times: Sequence[float] = ()) -> str:
    """A network block by block, as card.js draws it too: with the ms of each, and of the call, where they are known."""
    named = [
        (block.kind, block.words if block.kind == "ends" else f"{number}: {block.words}")
        for number, block in enumerate(blocks_of(network))
    ]
    if times and times[-1]:
        named.append(("call", REST))
    items = "".join(
        f'<li class="{kind}" style="--share: {max(at / max(times), 0):.3f}"><span class="words">{text(words)}</span>'
        f'<span class="ms">{_three_digits(at)}</span></li>'
        if at is not None
        else f'<li class="{kind}"><span class="words">{text(words)}</span></li>'
        for (kind, words), at in zip_longest(named, times[: len(named)])
    )
    return f'<ol class="blocks drawn">{items}</ol>'


def shares_words(predictor: LatencyPredictor | None) -> str:
    """What the times of blocks are."""
    if predictor is None:
        return ""
    return f'<p class="note">Shares of the time that {text(predictor.table.name)} predicts, block by block.</p>'


def _three_digits(time_ms: float) -> str:
    """The time of a block, as card.js writes it: a share of a prediction is not known to more."""
    return f"{float(f'{time_ms:.3g}'):,.10g}\u00a0ms"


def unfolding_html(network: str, times: Sequence[float] = (), *, shown: str = "") -> str:
    """A network's short string, or what stands for it, which unfolds block by block."""
    shown = shown or f"<code>{text(short_network(network)).replace('/', '/<wbr>')}</code>"
    return f'<details class="layers"><summary>{shown}</summary>{blocks_html(network, times)}</details>'


def network_html(network: str) -> str:
    """A network's string, which may break after each slash, and a button that copies it."""
    shown = text(network).replace("/", "/<wbr>")
    return (
        f'<span class="network"><code>{shown}</code> <button type="button" class="copy" '
        f'aria-label="Copy this network">Copy</button></span>'
    )


def rows_html(header: Sequence[str], rows: Sequence[Sequence[str]], *, caption: str, marked: int | None = None) -> str:
    """A small table; its cells are HTML, the first of a row is its heading, one row may be marked."""
    head = "".join(f'<th scope="col">{name}</th>' for name in header)
    body = "".join(
        f"<tr{' class=marked' if number == marked else ''}><th scope='row'>{first}</th>"
        + "".join(f"<td>{cell}</td>" for cell in rest)
        + "</tr>"
        for number, (first, *rest) in enumerate(rows)
    )
    return (
        f'<div class="scroll" role="region" tabindex="0" aria-label="{text(caption)}"><table class="figures">'
        f"<caption>{text(caption)}</caption><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table></div>"
    )

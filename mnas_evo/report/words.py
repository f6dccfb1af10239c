"""How numbers and networks are said on the page: with units, rounded to what can be known, escaped."""

from dataclasses import dataclass
from functools import lru_cache
from html import escape
from typing import NamedTuple

from mnas_evo.accuracy.contract import Score, is_speed
from mnas_evo.errors import MnasEvoError
from mnas_evo.search.archive import Value
from mnas_evo.search.front import Candidate
from mnas_evo.search.objectives import MAXIMISED, is_latency
from mnas_evo.space.architecture import Block
from mnas_evo.space.lowering import lower
from mnas_evo.space.notation import format_architecture, format_network, parse_network

AXES = {
    "top1": "Top-1 (%)",
    Score.SPEED: "Speed of training (%)",
    "latency_ms": "Latency (ms)",
    "params": "Parameters",
    "macs": "Multiply-adds (MACs)",
}

_SPACE = "\u00a0"  # at which no line breaks


def text(value: object) -> str:
    """Any text from a file, as it may stand in HTML."""
    return escape(str(value))


def ms(value: float | None) -> str:
    """A time with four digits and its unit: noise hides the fifth."""
    return "not known" if value is None else f"{plain_ms(value)}{_SPACE}ms"


def plain_ms(value: float) -> str:
    """A time with four digits, for where the unit stands in the heading."""
    return f"{value:,.0f}" if value >= 1000 else f"{value:#.4g}".rstrip(".")


def percent(value: float | None, *, digits: int = 2) -> str:
    """A share with its unit."""
    return "not known" if value is None else f"{value:.{digits}f}{_SPACE}%"


def signed_percent(value: float) -> str:
    """A difference, its sign always written."""
    return f"{value:+.2f}{_SPACE}%"


def difference_percent(predicted_ms: float, measured_ms: float) -> float:
    """By how much a prediction differs from the measurement, percent of the measurement."""
    return 100 * (predicted_ms / measured_ms - 1)


def count(value: float) -> str:
    """A large number by thousands: 42.1 k, 3.87 M, 12 G."""
    for size, unit in ((1e9, "G"), (1e6, "M"), (1e3, "k")):
        if value >= size:
            return f"{value / size:.3g}{_SPACE}{unit}"
    return f"{value:.0f}"


def several(number: int, one: str, many: str = "") -> str:
    """A number with its noun, in the singular where it is one."""
    return f"{number:,} {one if number == 1 else many or one + 's'}"


def quantity(name: str, value: float) -> str:
    """A quantity of an architecture with its unit, and the device where there are several; not escaped."""
    if name == "top1":
        return f"{percent(value)} top-1"
    if name == Score.SPEED:
        return f"{percent(value)} speed"
    if is_latency(name):
        device = name.partition(":")[2]
        return f"{ms(value)} on {device}" if device else ms(value)
    return f"{count(value)} {'parameters' if name == 'params' else 'MACs'}"


def said_as(name: str, accuracy: str) -> str:
    """The name under which a quantity is said: what an accuracy source that judges by speed gives is no top-1."""
    return Score.SPEED if name == "top1" and is_speed(accuracy) else name


def limit(name: str, value: float) -> str:
    """A limit of a search, with its unit; not escaped."""
    return f"at {'least' if name in (*MAXIMISED, Score.SPEED) else 'most'} {quantity(name, value)}"


def axis(name: str) -> str:
    """A quantity with its unit, as it stands beside an axis; not escaped."""
    kind, _, device = name.partition(":")
    return f"Latency on {device} (ms)" if device else AXES[kind]


def axis_words(name: str) -> str:
    """A quantity's name without its unit, as it stands in a sentence; not escaped."""
    words = axis(name).split(" (")[0]
    return words[0].lower() + words[1:]


def interval(value: Value) -> str:
    """The 90 % interval of a predicted time in ms, where it has one."""
    return "" if value.low is None or value.high is None else f"{plain_ms(value.low)} to {plain_ms(value.high)}"


def inside(candidate: Candidate) -> bool | None:
    """Whether the measured time lies in the predicted interval; None where either is not known."""
    said = candidate.prediction
    if candidate.measured_ms is None or said is None or said.low is None or said.high is None:
        return None
    return said.low <= candidate.measured_ms <= said.high


@lru_cache(maxsize=20_000)
def sizes(network: str) -> tuple[int, int] | None:
    """Parameters and multiply-adds of a network's string; None where it cannot be read."""
    try:
        graph = lower(parse_network(network, check_inputs=False))
    except MnasEvoError:
        return None
    return graph.params, graph.macs


def short_network(network: str) -> str:
    """A network's string without input and classes; the string itself where it cannot be read."""
    try:
        return format_architecture(parse_network(network, check_inputs=False))
    except MnasEvoError:
        return network


class BlockWords(NamedTuple):
    """A part of a network: its piece of the string, what its layers are (conv, dconv, mbconv, none, ends), in words."""

    string: str
    kind: str
    words: str


@lru_cache(maxsize=20_000)
def blocks_of(network: str) -> tuple[BlockWords, ...]:
    """A network from input and stem over its blocks to head and classes; their strings joined by / are its own.

    Nothing is escaped. Of a string that cannot be read, the string itself.
    """
    try:
        found = parse_network(network, check_inputs=False)
    except MnasEvoError:
        return (BlockWords(network, "ends", network),)
    frame = found.frame
    pieces = format_network(found).split("/")
    stem = f"{frame.height}x{frame.width}x{frame.channels}, stem {frame.stem_channels}, stride {frame.stem_stride}"
    head = f"head {frame.head_channels}, {several(frame.classes, 'class', 'classes')}"
    blocks = (_block(piece, block) for piece, block in zip(pieces[2:-2], found.architecture.blocks, strict=True))
    return (BlockWords("/".join(pieces[:2]), "ends", stem), *blocks, BlockWords("/".join(pieces[-2:]), "ends", head))


def _block(piece: str, block: Block) -> BlockWords:
    channels = f"{block.in_channels} to {block.out_channels} channels"
    stride = f", stride {block.stride}" if block.stride != 1 else ""
    if block.layers == 0:
        if block.stride == 1 and block.in_channels == block.out_channels:
            return BlockWords(piece, "none", f"no layer, {channels}")
        return BlockWords(piece, "conv", f"1x1 conv alone, {channels}{stride}")
    kind = "conv" if block.op == "conv" else "dconv" if block.expansion == 1 else "mbconv"
    op = f"{kind} e{block.expansion}" if kind == "mbconv" else kind
    excite = f", SE {block.se_ratio:g}" if block.se_ratio else ""
    skip = {"identity": "", "pool": ", pool skip", "none": ", no skip"}[block.skip]
    words = f"{block.layers} x {op} {block.kernel}x{block.kernel}, {channels}{stride}{excite}{skip}"
    return BlockWords(piece, kind, words)


@dataclass(frozen=True, slots=True)
class Hover:
    """What a point says when it is pointed at: lines of values, escaped, and a network, which card.js draws."""

    lines: tuple[str, ...]
    network: str


def hover(*lines: str, network: str) -> Hover:
    """Lines of values, not yet escaped, and the network that they are of."""
    return Hover(tuple(map(escape, lines)), network)


def candidate_hover(candidate: Candidate) -> Hover:
    """What is known of an evaluated architecture, with units."""
    values = candidate.tell.values
    accuracy = values.get("top1")
    lines = [quantity(said_as("top1", accuracy.source), accuracy.value)] if accuracy is not None else []
    if (said := candidate.prediction) is not None:
        range_ms = interval(said)
        lines.append(f"predicted {ms(said.value)}" + (f" (90 %: {range_ms})" if range_ms else ""))
    if candidate.measured_ms is not None:
        lines.append(f"measured {ms(candidate.measured_ms)}")
    told = [name for name in values if name not in ("top1", "latency_ms", "params", "macs")]  # of several devices
    lines += [quantity(name, values[name].value) for name in (*told, "params", "macs") if name in values]
    return hover(*lines, network=candidate.network)

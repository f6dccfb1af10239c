"""Block strings: MnasNet's own notation joined by `/`, with what its strings cannot say added.

docs/reference/notation.md is its reference.

    224x224x3 / stem32_s1_relu6_same / r2_k3_s22_e6_i16_o24_se0.25_noskip / ... / head1280 / 1000

Input and classes are optional; stride 2, ReLU and symmetric padding are the stem's defaults. Block tokens: `r` layers,
`k` kernel, `s` stride (twice), `e` expansion, `i` input channels (derived, checked where given), `o` output channels,
`se` ratio, `noskip` or `pool`, `conv` for a regular convolution (which has no `e`). `r0` stands for no layer.
"""

import re
from dataclasses import replace
from typing import Any

from mnas_evo.errors import NotationError, SpaceError
from mnas_evo.space.architecture import Architecture, Block, Frame, Network, format_ratio

_INPUT = re.compile(r"([1-9]\d{0,4})x([1-9]\d{0,4})x([1-9]\d{0,3})", re.ASCII)
_STEM = re.compile(r"stem([1-9]\d{0,4})(?:_s([1-9]))?(?:_(relu6?))?(?:_(same))?", re.ASCII)
_HEAD = re.compile(r"head([1-9]\d{0,5})", re.ASCII)
_CLASSES = re.compile(r"[1-9]\d{0,6}", re.ASCII)
_TOKEN = re.compile(r"(se)(\d+(?:\.\d+)?)|([rkseio])(\d{1,5})|(noskip|pool|conv)", re.ASCII)
_NAMES = {
    "r": "layers", "k": "kernel", "s": "stride", "e": "expansion", "i": "in_channels", "o": "out_channels"
}  # fmt: skip


def format_network(network: Network) -> str:
    """Full canonical form: the key of a network in every file that outlives a process."""
    frame = network.frame
    short = format_architecture(network)
    return f"{frame.height}x{frame.width}x{frame.channels}/{short}/{frame.classes}"


def format_architecture(network: Network) -> str:
    """Short form: without input and classes, which the space or the defaults give."""
    frame = network.frame
    stem = f"stem{frame.stem_channels}"
    if frame.stem_stride != 2:
        stem += f"_s{frame.stem_stride}"
    if frame.activation != "relu":
        stem += f"_{frame.activation}"
    if frame.padding != "symmetric":
        stem += f"_{frame.padding}"
    blocks = [format_block(block) for block in network.architecture.blocks]
    return "/".join([stem, *blocks, f"head{frame.head_channels}"])


def format_block(block: Block) -> str:
    """One block's canonical string; `noskip` is dropped where identity would add nothing."""
    if block.layers == 0:
        return f"r0_s{block.stride}{block.stride}_i{block.in_channels}_o{block.out_channels}"
    parts = [f"r{block.layers}", f"k{block.kernel}", f"s{block.stride}{block.stride}"]
    if block.op == "mbconv":
        parts.append(f"e{block.expansion}")
    parts += [f"i{block.in_channels}", f"o{block.out_channels}"]
    if block.se_ratio:
        parts.append(f"se{format_ratio(block.se_ratio)}")
    if block.skip != "identity":
        parts.append("noskip" if block.skip == "none" else "pool")
    if block.op == "conv":
        parts.append("conv")
    return "_".join(parts)


def parse_network(text: str, *, defaults: Frame | None = None, check_inputs: bool = True) -> Network:
    """Network of a full or short string; what it leaves unsaid comes from `defaults`.

    `check_inputs=False` accepts an official string whose `i` contradicts its neighbours (mnasnet-small's).

    Raises:
        NotationError: with the part that cannot be read and why.
    """
    frame = defaults or Frame()
    parts = [part.strip() for part in text.strip().split("/")]
    if match := _INPUT.fullmatch(parts[0]):
        height, width, channels = (int(group) for group in match.groups())
        frame = replace(frame, height=height, width=width, channels=channels)
        parts.pop(0)
    if parts and _CLASSES.fullmatch(parts[-1]):
        frame = replace(frame, classes=int(parts.pop()))
    if len(parts) < 3:
        raise NotationError(f"{text!r} is no architecture: it needs a stem, at least one block and a head, joined by /")
    stem, head = _STEM.fullmatch(parts[0]), _HEAD.fullmatch(parts[-1])
    if stem is None:
        raise NotationError(f"{parts[0]!r} is no stem; write stem32, or stem32_s1_relu6_same")
    if head is None:
        raise NotationError(f"{parts[-1]!r} is no head; write head1280")
    frame = replace(
        frame,
        stem_channels=int(stem[1]),
        stem_stride=int(stem[2] or 2),
        activation="relu6" if stem[3] == "relu6" else "relu",
        padding="same" if stem[4] else "symmetric",
        head_channels=int(head[1]),
    )
    blocks: list[Block] = []
    channels = frame.stem_channels
    for position, part in enumerate(parts[1:-1], start=1):
        block = _parse_block(part, position=position, in_channels=channels, check_inputs=check_inputs)
        blocks.append(block)
        channels = block.out_channels
    return Network(Architecture(tuple(blocks)), frame)


def _parse_block(text: str, *, position: int, in_channels: int, check_inputs: bool) -> Block:
    where = f"block {position}, {text!r}"
    found: dict[str, Any] = {}
    for token in text.split("_"):
        match = _TOKEN.fullmatch(token)
        if match is None:
            raise NotationError(
                f"{where}: cannot read {token!r}; a block looks like r2_k3_s22_e6_i16_o24_se0.25_noskip"
            )
        se, ratio, letter, number, word = match.groups()
        name = _NAMES[letter] if letter else "se_ratio" if se else "op" if word == "conv" else "skip"
        if name in found:
            raise NotationError(f"{where}: {name} is given twice")
        found[name] = float(ratio) if se else number if letter else {"noskip": "none"}.get(word, word)
    stride = found.get("stride", "11")
    if len(stride) != 2 or stride[0] != stride[1]:
        raise NotationError(f"{where}: a stride is two equal digits, as s22, not s{stride}")
    found["stride"] = stride[0]
    required = ("layers", "stride", "out_channels")
    if missing := [name for name in required if name not in found]:
        raise NotationError(f"{where}: {', '.join(missing)} not given")
    numbers = {name: int(found.pop(name)) for name in _NAMES.values() if name in found}
    if numbers["layers"] > 0:
        if "kernel" not in numbers:
            raise NotationError(f"{where}: kernel not given")
        if ("expansion" in numbers) == ("op" in found):
            raise NotationError(f"{where}: give either an expansion, as e6, or conv for a regular convolution")
    given_in = numbers.pop("in_channels", in_channels)
    if check_inputs and given_in != in_channels:
        raise NotationError(f"{where}: i{given_in} contradicts the {in_channels} channels that come in")
    try:
        return Block(
            op=found.get("op", "mbconv"),
            kernel=numbers.get("kernel", 1),
            expansion=numbers.get("expansion", 1),
            se_ratio=found.get("se_ratio", 0.0),
            skip=found.get("skip", "identity"),
            in_channels=in_channels,
            out_channels=numbers["out_channels"],
            stride=numbers["stride"],
            layers=numbers["layers"],
        )
    except SpaceError as error:
        raise NotationError(f"{where}: {error}") from error

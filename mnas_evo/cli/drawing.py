"""Networks and spaces drawn in a terminal, one line a block."""

from collections.abc import Iterator
from dataclasses import dataclass

from mnas_evo.space.architecture import Block, Network, format_ratio
from mnas_evo.space.choices import GENES
from mnas_evo.space.graph import Graph, Layer, Shape
from mnas_evo.space.lowering import lower
from mnas_evo.space.space import SearchSpace

_FUNNEL = 14
_BAR = 12


@dataclass(frozen=True, slots=True)
class _Line:
    place: str
    text: str
    shape: Shape
    layers: tuple[Layer, ...]


def draw(network: Network, *, unicode: bool) -> str:
    """The network from image to classes: what stands where, its output's size as a funnel, multiply-adds as bars."""
    graph = lower(network)
    lines = list(_lines(network, graph))
    solid, outline = ("█", "░") if unicode else ("#", "-")
    places, texts = (
        max(len(text) for text in column) for column in zip(*((one.place, one.text) for one in lines), strict=True)
    )
    share = max(sum(layer.macs for layer in one.layers) for one in lines) or 1
    drawn = []
    for one in lines:
        channels, height, width = one.shape
        macs = sum(layer.macs for layer in one.layers)
        funnel = outline if one.place == "image" else solid
        drawn.append(
            f"  {one.place:<{places}}  {one.text:<{texts}}  "
            f"{funnel * max(1, round(_FUNNEL * width / graph.in_shape[2])):^{_FUNNEL}}  "
            f"{f'{channels} x {height}x{width}':>15}  {f'{macs / 1e6:.1f} M' if macs else '':>9}  "
            f"{solid * round(_BAR * macs / share)}".rstrip()
        )
    return "\n".join(drawn)


def choices_lines(space: SearchSpace) -> list[str]:
    """The skeleton of a space block by block, and further choices where they differ from the block before."""
    lines, before = [], dict[str, tuple[object, ...]]()
    frame = space.frame
    if space.shared:
        lines.append(f"all blocks share: {', '.join(space.shared)}")
    lines.append(
        f"stem  {frame.stem_channels} channels{_stride(frame.stem_stride)}, {frame.activation}, {frame.padding} padding"
    )
    for number, block in enumerate(space.blocks, start=1):
        layers = sorted({max(1, block.layers + change) for change in block.layer_changes})
        widths, depths = (" or ".join(map(str, some)) for some in (block.widths, layers))
        skeleton = f"{number:<5} {widths} channels, {depths} layers{_stride(block.stride)}"
        options = dict(zip(GENES[:4], block.options, strict=False))
        changed = [f"{kind} {', '.join(map(str, some))}" for kind, some in options.items() if before.get(kind) != some]
        lines.append(f"{skeleton:<56}{'; '.join(changed)}".rstrip())
        before = options
    lines.append(f"head  {frame.head_channels} channels, {frame.classes} classes")
    return lines


def _lines(network: Network, graph: Graph) -> Iterator[_Line]:
    frame = network.frame
    placed = list(zip(graph.places, graph.layers, strict=True))

    def at(place: str) -> tuple[Layer, ...]:
        return tuple(layer for name, layer in placed if name.partition(".")[0] == place)

    yield _Line("image", "", graph.in_shape, ())
    shape = placed[0][1].out_shape
    yield _Line("stem", f"conv 3x3{_stride(frame.stem_stride)}, {frame.activation}", shape, at("stem"))
    for number, block in enumerate(network.architecture.blocks, start=1):
        layers = at(str(number))
        shape = layers[-1].out_shape if layers else shape
        yield _Line(str(number), _words(block), shape, layers)
    yield _Line("head", "conv 1x1", at("head")[-1].out_shape, at("head"))
    yield _Line("classifier", "pool, dropout, linear", at("classifier")[-1].out_shape, at("classifier"))


def _words(block: Block) -> str:
    if block.layers == 0:
        same = block.stride == 1 and block.in_channels == block.out_channels
        return "nothing" if same else f"conv 1x1{_stride(block.stride)}, linear"
    op = "conv" if block.op == "conv" else "dconv" if block.expansion == 1 else f"MBConv{block.expansion}"
    excite = f", SE {format_ratio(block.se_ratio)}" if block.se_ratio else ""
    skip = {"identity": ", identity" if block.identity_adds else "", "pool": ", pool", "none": ", no skip"}[block.skip]
    return f"{block.layers} x {op} {block.kernel}x{block.kernel}{_stride(block.stride)}{excite}{skip}"


def _stride(stride: int) -> str:
    return f" /{stride}" if stride > 1 else ""

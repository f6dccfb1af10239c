"""All Hypothesis strategies, and the small space that they are tried on."""

from typing import Any

import numpy as np
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from hypothesis.strategies import SearchStrategy

from mnas_evo.latency.runs import Run
from mnas_evo.latency.table import Measured, MeasuredNetwork, Role, Table
from mnas_evo.space.architecture import Architecture, Block, Frame, Network
from mnas_evo.space.choices import GENES, BlockChoices
from mnas_evo.space.notation import format_network
from mnas_evo.space.space import Genes, SearchSpace
from mnas_evo.space.space_file import parse_space

# Small enough to walk through: 5,184 genomes, of which filters .75 and 1 give the first block the same 8 channels.
TINY_TOML = """
format = 1
name = "tiny"
input = [16, 16, 1]
classes = 4
stem = { channels = 8, stride = 2 }
head = 16

[choices]
op = ["conv", "dconv", "mbconv_e2"]
kernel = [3]
se_ratio = [0.0, 0.25]
skip = ["pool", "identity", "none"]
filters = [0.75, 1.0]
layers = [-1, 0]

[[blocks]]
channels = 8
layers = 1
stride = 1

[[blocks]]
channels = 32
layers = 2
stride = 2
"""
TINY = parse_space(TINY_TOML, source="tiny")

ANY_CHANNELS = st.integers(1, 99_999)
FEW_CHANNELS = st.integers(1, 12)
ANY_SIZES = st.integers(1, 99_999)
ANY_IMAGE_CHANNELS = st.integers(1, 9_999)
ANY_CLASSES = st.integers(1, 9_999_999)
# The paper's, round ones, and any that stands in a string without an exponent.
SE_RATIOS = st.sampled_from([0.0, 0.25, 0.5, 1.0]) | st.floats(1e-3, 1.0)


@st.composite
def blocks(
    draw: st.DrawFn,
    *,
    in_channels: int,
    channels: SearchStrategy[int] = ANY_CHANNELS,
    most_kernel: int = 99,
    most_stride: int = 9,
    most_layers: int = 9,
) -> Block:
    """Blocks of every kind, of no layers too; output channels are the input's as often as others."""
    return Block(
        op=draw(st.sampled_from(["conv", "mbconv"])),
        kernel=draw(st.integers(0, most_kernel // 2).map(lambda half: 2 * half + 1)),
        expansion=draw(st.integers(1, 9)),
        se_ratio=draw(SE_RATIOS),
        skip=draw(st.sampled_from(["identity", "pool", "none"])),
        in_channels=in_channels,
        out_channels=draw(st.just(in_channels) | channels),
        stride=draw(st.just(1) | st.integers(1, most_stride)),
        layers=draw(st.integers(0, most_layers)),
    )


@st.composite
def architectures(
    draw: st.DrawFn,
    /,
    *,
    in_channels: int,
    most_blocks: int = 5,
    channels: SearchStrategy[int] = ANY_CHANNELS,
    **limits: int,
) -> Architecture:
    """Blocks in a chain; `limits` are those of `blocks`."""
    chain: list[Block] = []
    for _ in range(draw(st.integers(1, most_blocks))):
        before = chain[-1].out_channels if chain else in_channels
        chain.append(draw(blocks(in_channels=before, channels=channels, **limits)))
    return Architecture(tuple(chain))


@st.composite
def frames(
    draw: st.DrawFn,
    *,
    sizes: SearchStrategy[int] = ANY_SIZES,
    image_channels: SearchStrategy[int] = ANY_IMAGE_CHANNELS,
    channels: SearchStrategy[int] = ANY_CHANNELS,
    most_stride: int = 9,
    classes: SearchStrategy[int] = ANY_CLASSES,
) -> Frame:
    """Frames; height and width are drawn apart."""
    return Frame(
        height=draw(sizes),
        width=draw(sizes),
        channels=draw(image_channels),
        stem_channels=draw(channels),
        stem_stride=draw(st.integers(1, most_stride)),
        activation=draw(st.sampled_from(["relu", "relu6"])),
        padding=draw(st.sampled_from(["symmetric", "same"])),
        head_channels=draw(channels),
        classes=draw(classes),
    )


@st.composite
def networks(draw: st.DrawFn) -> Network:
    """Networks of any size, to be written, read and lowered, but not run."""
    frame = draw(frames())
    return Network(draw(architectures(in_channels=frame.stem_channels)), frame)


@st.composite
def small_networks(draw: st.DrawFn) -> Network:
    """Networks that run in milliseconds, on images down to one pixel."""
    sizes = st.integers(1, 20)
    frame = draw(
        frames(sizes=sizes, image_channels=st.integers(1, 3), channels=FEW_CHANNELS, most_stride=3, classes=sizes)
    )
    limits = {"most_blocks": 3, "most_kernel": 7, "most_stride": 3, "most_layers": 2}
    return Network(draw(architectures(in_channels=frame.stem_channels, channels=FEW_CHANNELS, **limits)), frame)


@st.composite
def near_pairs(draw: st.DrawFn) -> tuple[Network, Network]:
    """Two networks of one frame that differ in at most one block's choices, and often are the same."""
    network = draw(small_networks())
    chain = list(network.architecture.blocks)
    at = draw(st.integers(0, len(chain) - 1))
    other = draw(
        blocks(
            in_channels=chain[at].in_channels,
            channels=st.just(chain[at].out_channels),
            most_kernel=3,
            most_stride=2,
            most_layers=2,
        )
    )
    if at + 1 < len(chain) and other.out_channels != chain[at + 1].in_channels:
        return network, network
    chain[at] = other
    return network, Network(Architecture(tuple(chain)), network.frame)


# Options that give the same block now and then: two names of one op, ratios and widths that round together.
_OPTIONS: dict[str, list[Any]] = {
    "op": ["r0", "conv", "conv_k3", "dconv", "mbconv_e1", "mbconv_e2", "mbconv_e2_k3"],
    "kernel": [1, 3, 5],
    "se_ratio": [0.0, 0.25, 0.250001],
    "skip": ["pool", "identity", "none"],
    "filters": [0.75, 1.0, 1.25],
    "layers": [-1, 0, 1],
}


def _options(kind: str, *, most: int) -> SearchStrategy[tuple[Any, ...]]:
    return st.lists(st.sampled_from(_OPTIONS[kind]), unique=True, min_size=1, max_size=most).map(tuple)


@st.composite
def spaces(draw: st.DrawFn) -> SearchSpace:
    """Spaces to walk through, of at most 576 genomes: one to three blocks, which share up to two kinds of choices."""
    shared = tuple(draw(st.lists(st.sampled_from(GENES), unique=True, max_size=2)))
    alike = {kind: draw(_options(kind, most=3)) for kind in shared}
    chain = []
    for _ in range(draw(st.integers(1, 3))):
        open_kinds = draw(st.lists(st.sampled_from(GENES), unique=True, max_size=2))
        own = {kind: draw(_options(kind, most=2 if kind in open_kinds else 1)) for kind in GENES}
        sizes = (draw(st.sampled_from([8, 24])), draw(st.integers(1, 2)), draw(st.integers(1, 2)))
        chain.append(BlockChoices(*sizes, *(alike.get(kind, own[kind]) for kind in GENES)))
    # An image of the stem's channels and stride 1: here a block's layer may be the stem's.
    frame = Frame(8, 8, draw(st.sampled_from([1, 8])), 8, draw(st.integers(1, 2)), "relu", "symmetric", 8, 2)
    return SearchSpace("drawn", frame, tuple(chain), shared)


def genomes(space: SearchSpace, *, most: int = 8) -> SearchStrategy[Genes]:
    """Genomes of a space, canonical or not: shape (n, g)."""
    genome = st.tuples(*(st.integers(0, int(size) - 1) for size in space.sizes))
    return st.lists(genome, min_size=1, max_size=most).map(lambda rows: np.array(rows, dtype=np.int64))


def times_ms() -> SearchStrategy[Measured]:
    """Measurements a table can hold."""
    return st.builds(Measured, ms=st.floats(1e-5, 1e5), spread_percent=st.floats(0, 100), visits=st.integers(1, 1000))


@st.composite
def tables(draw: st.DrawFn, empty: Table) -> Table:
    """An empty table filled with rows, by keys that need no quoting and that do, and with networks."""
    rows = draw(st.dictionaries(st.text("abk_,\"'", min_size=1) | st.just("conv_k3"), times_ms(), max_size=4))
    strings = draw(st.lists(networks().map(format_network), unique=True, max_size=3))
    roles: SearchStrategy[Role] = st.sampled_from(["sampled", "landmark", "asked", "front"])
    measured = tuple(MeasuredNetwork(string, draw(roles), draw(times_ms())) for string in strings)
    return Table(empty.folder, empty.device, empty.campaigns, rows, measured)


def runs() -> SearchStrategy[Run]:
    """Runs as they come back from a device, refusals among them."""
    counts = st.integers(0, 10**15)
    state = st.dictionaries(st.text(max_size=5), st.floats(allow_nan=False), max_size=2)
    times = st.lists(st.integers(1, 10**12), min_size=1, max_size=4).map(tuple)
    measured = st.builds(Run, slot=counts, item=st.text(), times_ns=times, wall_ns=counts, state=state)
    refused = st.builds(
        Run, slot=counts, item=st.text(), times_ns=st.just(()), wall_ns=st.just(0), state=st.just({}), refusal=st.text()
    )
    return measured | refused


def objective_values() -> SearchStrategy[np.ndarray]:
    """Two minimised objectives of 1 to 30 architectures, with ties: (n, 2)."""
    return arrays(np.float64, st.tuples(st.integers(1, 30), st.just(2)), elements=st.integers(0, 9).map(float))


def tradeoffs() -> SearchStrategy[list[tuple[int, int]]]:
    """(top-1 in percent, ms) of up to 40 architectures."""
    return st.lists(st.tuples(st.integers(0, 100), st.integers(1, 100)), min_size=1, max_size=40)

"""The values of the space: a block, an architecture (its blocks), and a network (an architecture with its frame)."""

from dataclasses import dataclass, replace
from typing import Literal

from mnas_evo.errors import SpaceError

BlockOp = Literal["conv", "mbconv"]
Skip = Literal["identity", "pool", "none"]
Activation = Literal["relu", "relu6"]
Padding = Literal["symmetric", "same"]


SE_DECIMALS = 4
_MOST_WIDTH = 100_000
# What the notation has digits for.
_MOST_OF_BLOCK = {"expansion": 999, "in_channels": 99_999, "out_channels": 99_999, "stride": 9, "layers": 999}
_MOST_OF_FRAME = {
    "height": 99_999, "width": 99_999, "channels": 9_999, "stem_channels": 99_999, "stem_stride": 9,
    "head_channels": 999_999, "classes": 9_999_999,
}  # fmt: skip


def round_channels(channels: float, *, multiple: int = 8) -> int:
    """Nearest multiple of 8, never below 90 % of what was asked (Sandler et al. 2018, MobileNetV2's code)."""
    rounded = max(multiple, int(channels + multiple / 2) // multiple * multiple)
    return rounded + multiple if rounded < 0.9 * channels else rounded


def format_ratio(ratio: float) -> str:
    """An SE ratio as it stands in strings and row keys, without an exponent."""
    return f"{ratio:.{SE_DECIMALS}f}".rstrip("0").rstrip(".")


@dataclass(frozen=True, slots=True)
class Block:
    """A run of like layers, in canonical form: two blocks are equal when they compute the same function.

    `mbconv` with expansion 1 is the paper's dconv. Only the first layer has the stride. `layers` 0 means that
    no layer stands here: nothing, or a 1x1 convolution with the stride where the shape changes.
    SE ratios count to four decimals. A skip of `none` becomes `identity` where identity would add nothing.

    Raises:
        SpaceError: a value that no block can have.
    """

    op: BlockOp
    kernel: int
    expansion: int
    se_ratio: float
    skip: Skip
    in_channels: int
    out_channels: int
    stride: int
    layers: int

    def __post_init__(self) -> None:
        if self.kernel < 1 or self.kernel % 2 == 0:
            raise SpaceError(f"a kernel is odd and positive, not {self.kernel}")
        for name, most in _MOST_OF_BLOCK.items():
            least = 0 if name == "layers" else 1
            if not least <= getattr(self, name) <= most:
                raise SpaceError(f"a block's {name} is {least} to {most}, not {getattr(self, name)}")
        if not 0 <= self.se_ratio <= 1:
            raise SpaceError(f"an SE ratio lies between 0 and 1, not at {self.se_ratio}")
        self._set(se_ratio=round(self.se_ratio, SE_DECIMALS))
        if self.layers == 0:
            self._set(op="conv", kernel=1, expansion=1, se_ratio=0.0, skip="identity")
        elif self.op == "conv":
            self._set(expansion=1)
        if self.skip == "none" and not self.identity_adds:
            self._set(skip="identity")

    def _set(self, **values: object) -> None:
        for name, value in values.items():
            object.__setattr__(self, name, value)

    @property
    def identity_adds(self) -> bool:
        """Whether an identity skip would add anything: at any layer, stride 1 and equal channels."""
        return self.layers >= 2 or (self.layers == 1 and self.stride == 1 and self.in_channels == self.out_channels)


@dataclass(frozen=True, slots=True)
class Architecture:
    """Blocks whose channels follow from one another; equality and hash are by what it computes.

    Raises:
        SpaceError: no block, or a block whose input is not the output of the one before.
    """

    blocks: tuple[Block, ...]

    def __post_init__(self) -> None:
        if not self.blocks:
            raise SpaceError("an architecture has at least one block")
        for before, after in zip(self.blocks, self.blocks[1:], strict=False):
            if before.out_channels != after.in_channels:
                raise SpaceError(
                    f"a block of {after.in_channels} input channels cannot follow one of {before.out_channels} outputs"
                )


@dataclass(frozen=True, slots=True)
class Frame:
    """What stands around the blocks: input, stem, activation, padding, head and classes. Sizes in pixels and channels.

    Raises:
        SpaceError: a size below 1, or beyond what the notation can write.
    """

    height: int = 224
    width: int = 224
    channels: int = 3
    stem_channels: int = 32
    stem_stride: int = 2
    activation: Activation = "relu"
    padding: Padding = "symmetric"
    head_channels: int = 1280
    classes: int = 1000

    def __post_init__(self) -> None:
        for name, most in _MOST_OF_FRAME.items():
            if not 1 <= getattr(self, name) <= most:
                raise SpaceError(f"a network's {name} is 1 to {most}, not {getattr(self, name)}")


@dataclass(frozen=True, slots=True)
class Network:
    """An architecture with its frame: what is lowered, measured and trained.

    Raises:
        SpaceError: the first block does not take the stem's channels.
    """

    architecture: Architecture
    frame: Frame

    def __post_init__(self) -> None:
        first = self.architecture.blocks[0].in_channels
        if first != self.frame.stem_channels:
            raise SpaceError(f"the first block takes {first} channels, the stem gives {self.frame.stem_channels}")

    def scaled(self, width: float) -> "Network":
        """Stem and blocks `width` times as wide, rounded as MnasNet's code rounds; head and classes stay as they are.

        The paper calls it depth multiplier, and gives .35 to 1.4 (Tan et al. 2019, section 5.2). MobileNetV2's own code
        also widens the head above 1 (Sandler et al. 2018). A `noskip` that adds nothing is not remembered, so that
        below .35 a first block may gain a skip.

        Raises:
            SpaceError: a width that is not positive, or beyond what the notation can write.
        """
        if not 0 < width < float("inf"):
            raise SpaceError(f"a width multiplier is positive, not {width}")
        if width > _MOST_WIDTH:
            raise SpaceError(f"a width multiplier is at most {_MOST_WIDTH:,}, not {width}")
        frame = replace(self.frame, stem_channels=round_channels(width * self.frame.stem_channels))
        channels, blocks = frame.stem_channels, []
        for block in self.architecture.blocks:
            out_channels = round_channels(width * block.out_channels)
            blocks.append(replace(block, in_channels=channels, out_channels=out_channels))
            channels = out_channels
        return Network(Architecture(tuple(blocks)), frame)

    def with_task(self, *, height: int, width: int, channels: int, classes: int) -> "Network":
        """The same layers for another input and another number of classes."""
        return replace(self, frame=replace(self.frame, height=height, width=width, channels=channels, classes=classes))

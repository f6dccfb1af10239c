"""What one block of a search space may be: six kinds of options, one gene each."""

import math
import re
from dataclasses import dataclass
from itertools import product
from typing import Any

from mnas_evo.space.architecture import Block, Skip, round_channels

GENES = ("op", "kernel", "se_ratio", "skip", "filters", "layers")

# An op that names its kernel leaves the kernel gene without effect.
OP_PATTERN = r"^(r0|(conv|dconv|mbconv_e[1-9][0-9]?)(_k[1-9]?[13579])?)$"


@dataclass(frozen=True, slots=True)
class BlockChoices:
    """What one block of a space may be. `filters` multiply `channels`, `layer_changes` are added to `layers`.

    An op is `conv`, `dconv` (expansion 1), `mbconv_eN`, any of them with a kernel of its own (`mbconv_e6_k5`), or `r0`:
    no layer, or a linear 1x1 convolution where the shape changes.
    """

    channels: int
    layers: int
    stride: int
    ops: tuple[str, ...]
    kernels: tuple[int, ...]
    se_ratios: tuple[float, ...]
    skips: tuple[Skip, ...]
    filters: tuple[float, ...]
    layer_changes: tuple[int, ...]

    @property
    def options(self) -> tuple[tuple[Any, ...], ...]:
        """Options of each gene, in the order of GENES."""
        return (self.ops, self.kernels, self.se_ratios, self.skips, self.filters, self.layer_changes)

    @property
    def sizes(self) -> tuple[int, ...]:
        """Number of options of each gene."""
        return tuple(len(options) for options in self.options)

    @property
    def widths(self) -> list[int]:
        """Output channels that this block may have, ascending."""
        return sorted({round_channels(filters * self.channels) for filters in self.filters})

    def blocks(self, in_channels: int) -> list[Block]:
        """The block of every choice, in order, for these input channels."""
        return [self.block(in_channels, *values) for values in product(*self.options)]

    def distances(self, block: Block) -> list[list[float]]:
        """How far each option of each gene, in the order of GENES, is from what a block of any space has."""
        kernel = min(self.kernels, key=lambda one: abs(one - block.kernel))  # of an op that names none
        ops = [self.block(block.in_channels, op, kernel, 0.0, "none", 1.0, 0) for op in self.ops]
        return [
            [_op_distance(op, block) for op in ops],
            [abs(kernel - block.kernel) for kernel in self.kernels],
            [abs(ratio - block.se_ratio) for ratio in self.se_ratios],
            # An identity that adds nothing reads as none, so these two are nearer to each other than to a pooled skip.
            [0.0 if skip == block.skip else 2.0 if "pool" in (skip, block.skip) else 1.0 for skip in self.skips],
            [abs(round_channels(filters * self.channels) - block.out_channels) for filters in self.filters],
            [abs(max(1, self.layers + change) - block.layers) for change in self.layer_changes],
        ]

    def block(
        self, in_channels: int, op: str, kernel: int, se_ratio: float, skip: Skip, filters: float, change: int
    ) -> Block:
        """The block of one option of each kind, for these input channels."""
        match = re.fullmatch(r"(r0|conv|dconv|mbconv)(?:_e([0-9]+))?(?:_k([0-9]+))?", op)
        assert match is not None, op
        kind, expansion, own_kernel = match.groups()
        return Block(
            op="mbconv" if kind in ("dconv", "mbconv") else "conv",
            kernel=int(own_kernel or kernel),
            expansion=int(expansion or 1),
            se_ratio=se_ratio,
            skip=skip,
            in_channels=in_channels,
            out_channels=round_channels(filters * self.channels),
            stride=self.stride,
            layers=0 if kind == "r0" else max(1, self.layers + change),
        )


def _op_distance(op: Block, block: Block) -> float:
    """Kinds of op first, then expansions by their ratio, then kernels, where an op names its own."""
    other = (op.op == "conv") != (block.op == "conv"), (op.layers == 0) != (block.layers == 0)
    return 10.0 * sum(other) + abs(math.log(op.expansion / block.expansion)) + abs(op.kernel - block.kernel) / 100

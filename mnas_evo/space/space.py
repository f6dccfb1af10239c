"""A search space: choices a block on a fixed skeleton; integer genes <-> architectures; sums over genes, vectorised.

A genome is six genes a block, in the order of `GENES`; a block's six genes as one mixed-radix number are its choice.
All that depends on a block depends on its choice and on the channels that come in, so every table here has the shape
(input option, choice), and a sum over an architecture is one look-up a block.
"""

import hashlib
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import product
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mnas_evo.errors import SpaceError
from mnas_evo.space.architecture import Architecture, Block, Frame, Network, Skip, round_channels
from mnas_evo.space.graph import Layer
from mnas_evo.space.lowering import block_layers, head_layers, stem_layer
from mnas_evo.space.notation import format_network

GENES = ("op", "kernel", "se_ratio", "skip", "filters", "layers")

Genes = NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class BlockChoices:
    """What one block of a space may be. `filters` multiply `channels`, `layer_changes` are added to `layers`."""

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

    def blocks(self, in_channels: int) -> list[Block]:
        """The block of every choice, in order, for these input channels."""
        return [self._block(in_channels, *values) for values in product(*self.options)]

    def _block(
        self, in_channels: int, op: str, kernel: int, se_ratio: float, skip: Skip, filters: float, change: int
    ) -> Block:
        expansion = 1 if op in ("conv", "dconv") else int(op.removeprefix("mbconv_e"))
        return Block(
            op="conv" if op == "conv" else "mbconv",
            kernel=kernel,
            expansion=expansion,
            se_ratio=se_ratio,
            skip=skip,
            in_channels=in_channels,
            out_channels=round_channels(filters * self.channels),
            stride=self.stride,
            layers=max(1, self.layers + change),
        )


@dataclass(frozen=True, slots=True)
class GeneSums:
    """Sums of a per-layer vector over architectures, by look-up: shape (k,) for fixed, (inputs, choices, k) a block."""

    fixed: NDArray[np.float64]
    blocks: tuple[NDArray[np.float64], ...]
    heads: NDArray[np.float64]


@dataclass(frozen=True)
class SearchSpace:
    """Choices a block plus the fixed skeleton: stem, block strides, head, input and classes."""

    name: str
    frame: Frame
    blocks: tuple[BlockChoices, ...]

    @cached_property
    def sizes(self) -> NDArray[np.int64]:
        """Number of options of every gene, shape (g,)."""
        return np.array([size for block in self.blocks for size in block.sizes], dtype=np.int64)

    @cached_property
    def fingerprint(self) -> str:
        """SHA-256 of everything that defines the space but its name."""
        return hashlib.sha256(repr((self.frame, self.blocks)).encode()).hexdigest()

    # Genes and architectures

    def sample(self, n: int, *, rng: np.random.Generator) -> Genes:
        """Genomes drawn uniformly, in canonical form: shape (n, g)."""
        return self.canonical(rng.integers(0, self.sizes, size=(n, len(self.sizes)), dtype=np.int64))

    def canonical(self, genes: Genes) -> Genes:
        """Of all genomes that lower to the same graph, the first: shape (n, g).

        Raises:
            SpaceError: a gene outside its options.
        """
        choices = self._choices(genes)
        rows = np.zeros(len(choices), dtype=np.int64)
        out = np.empty_like(genes)
        for b, block in enumerate(self.blocks):
            first = self._first_choice[b][rows, choices[:, b]]
            out[:, self._genes_of(b)] = np.stack(np.unravel_index(first, block.sizes), axis=1)
            rows = self._next_input[b][first]
        return out

    def decode(self, genes: Genes) -> Architecture:
        """The architecture of one genome, shape (g,)."""
        row, blocks = 0, []
        for b, choice in enumerate(self._choices(genes[None])[0]):
            blocks.append(self._variants[b][row][choice])
            row = int(self._next_input[b][choice])
        return Architecture(tuple(blocks))

    def encode(self, architecture: Architecture) -> Genes:
        """The canonical genome of an architecture, shape (g,).

        Raises:
            SpaceError: it does not lie in this space; the first block that does not is named.
        """
        if len(architecture.blocks) != len(self.blocks):
            count = len(architecture.blocks)
            raise SpaceError(f"space {self.name} has {len(self.blocks)} blocks, the architecture {count}")
        row, genes = 0, []
        for b, block in enumerate(architecture.blocks):
            choice = self._choice_of[b][row].get(block)
            if choice is None:
                raise SpaceError(f"block {b + 1} of the architecture is no choice of space {self.name}")
            genes.append(np.stack(np.unravel_index(choice, self.blocks[b].sizes)))
            row = int(self._next_input[b][choice])
        return np.concatenate(genes).astype(np.int64)

    def contains(self, network: Network) -> bool:
        """Whether a network is one of this space's, frame included."""
        if network.frame != self.frame:
            return False
        try:
            self.encode(network.architecture)
        except SpaceError:
            return False
        return True

    def network(self, architecture: Architecture) -> Network:
        """An architecture in this space's frame."""
        return Network(architecture, self.frame)

    def networks(self, genes: Genes) -> list[Network]:
        """The networks of genomes, shape (n, g)."""
        return [self.network(self.decode(row)) for row in genes]

    def strings(self, genes: Genes) -> list[str]:
        """Full canonical strings of genomes, shape (n, g)."""
        return [format_network(network) for network in self.networks(genes)]

    # Counting

    @property
    def genomes(self) -> int:
        """Number of genomes."""
        return int(np.prod(self.sizes.astype(object)))

    @property
    def architectures(self) -> int:
        """Number of distinct architectures, counted block by block over the channels between them."""
        ways = {0: 1}
        for b in range(len(self.blocks)):
            after: dict[int, int] = {}
            for row, count in ways.items():
                distinct = np.unique(self._first_choice[b][row])
                for out in self._next_input[b][distinct]:
                    after[int(out)] = after.get(int(out), 0) + count
            ways = after
        return sum(ways.values())

    # Layers and sums

    def layers(self) -> list[Layer]:
        """Every layer that an architecture of this space can contain, once each: what a table must cover."""
        found: dict[Layer, None] = {stem_layer(self.frame): None}
        for b in range(len(self.blocks)):
            for variants in self._variants[b]:
                for block in dict.fromkeys(variants):
                    found.update(dict.fromkeys(self._layers_of(b, block)))
        for channels in self._inputs[-1]:
            found.update(dict.fromkeys(self._head_of(channels)))
        return list(found)

    def gene_sums(self, vector: Callable[[Layer], NDArray[np.float64]]) -> GeneSums:
        """Look-up tables of a per-layer vector of k numbers, to be summed over architectures by `sum_over`."""
        known: dict[Layer, NDArray[np.float64]] = {}

        def total(layers: Sequence[Layer]) -> NDArray[np.float64]:
            for layer in layers:
                if layer not in known:
                    known[layer] = vector(layer)
            return np.sum([known[layer] for layer in layers], axis=0) if layers else np.zeros_like(fixed)

        fixed = vector(stem_layer(self.frame))
        tables = []
        for b, block_choices in enumerate(self.blocks):
            totals: dict[Block, NDArray[np.float64]] = {}
            table = np.empty((len(self._inputs[b]), int(np.prod(block_choices.sizes)), len(fixed)))
            for row, variants in enumerate(self._variants[b]):
                for choice, block in enumerate(variants):
                    if block not in totals:
                        totals[block] = total(self._layers_of(b, block))
                    table[row, choice] = totals[block]
            tables.append(table)
        heads = np.array([total(self._head_of(channels)) for channels in self._inputs[-1]])
        return GeneSums(fixed, tuple(tables), heads)

    def sum_over(self, genes: Genes, sums: GeneSums) -> NDArray[np.float64]:
        """Sums of the vector over each architecture's layers: shape (n, k), without building an object."""
        choices = self._choices(genes)
        rows = np.zeros(len(choices), dtype=np.int64)
        out = np.broadcast_to(sums.fixed, (len(choices), len(sums.fixed))).copy()
        for b in range(len(self.blocks)):
            out += sums.blocks[b][rows, choices[:, b]]
            rows = self._next_input[b][choices[:, b]]
        return out + sums.heads[rows]

    # Tables behind the above: _inputs[b] are the channels that may come into block b, the head's last.

    @cached_property
    def _inputs(self) -> list[list[int]]:
        inputs = [[self.frame.stem_channels]]
        for block in self.blocks:
            inputs.append(sorted({round_channels(filters * block.channels) for filters in block.filters}))
        return inputs

    @cached_property
    def _variants(self) -> list[list[list[Block]]]:
        return [
            [block.blocks(channels) for channels in inputs]
            for block, inputs in zip(self.blocks, self._inputs, strict=False)
        ]

    @cached_property
    def _choice_of(self) -> list[list[dict[Block, int]]]:
        return [
            [{block: choice for choice, block in reversed(list(enumerate(variants)))} for variants in rows]
            for rows in self._variants
        ]

    @cached_property
    def _first_choice(self) -> list[NDArray[np.int64]]:
        return [
            np.array([[known[block] for block in variants] for variants, known in zip(rows, choices, strict=True)])
            for rows, choices in zip(self._variants, self._choice_of, strict=True)
        ]

    @cached_property
    def _next_input(self) -> list[NDArray[np.int64]]:
        return [
            np.array([self._inputs[b + 1].index(block.out_channels) for block in rows[0]])
            for b, rows in enumerate(self._variants)
        ]

    @cached_property
    def _sizes_at(self) -> list[tuple[int, int]]:
        """Height and width of what comes into each block, the head's last; strides are the skeleton's alone."""
        _, height, width = stem_layer(self.frame).out_shape
        sizes = [(height, width)]
        for block in self.blocks:
            height, width = -(-height // block.stride), -(-width // block.stride)
            sizes.append((height, width))
        return sizes

    def _layers_of(self, b: int, block: Block) -> list[Layer]:
        height, width = self._sizes_at[b]
        return block_layers(block, height=height, width=width, frame=self.frame)

    def _head_of(self, channels: int) -> list[Layer]:
        height, width = self._sizes_at[-1]
        return head_layers(channels, height=height, width=width, frame=self.frame)

    @staticmethod
    def _genes_of(b: int) -> slice:
        return slice(len(GENES) * b, len(GENES) * (b + 1))

    def _choices(self, genes: Genes) -> NDArray[np.int64]:
        genes = np.asarray(genes)
        if genes.ndim != 2 or genes.shape[1] != len(self.sizes):
            raise SpaceError(f"genomes of space {self.name} have {len(self.sizes)} genes, not shape {genes.shape}")
        if not np.issubdtype(genes.dtype, np.integer):
            raise SpaceError(f"genes are whole numbers, not {genes.dtype}")
        if ((genes < 0) | (genes >= self.sizes)).any():
            raise SpaceError(f"a gene lies outside the options of space {self.name}")
        columns = [
            np.ravel_multi_index(tuple(genes[:, self._genes_of(b)].T), block.sizes)
            for b, block in enumerate(self.blocks)
        ]
        return np.stack(columns, axis=1)


def distinct_rows(genes: Genes) -> Iterator[int]:
    """Indices of the first occurrence of each genome, in order."""
    seen: set[bytes] = set()
    for i, row in enumerate(genes):
        key = np.ascontiguousarray(row).tobytes()
        if key not in seen:
            seen.add(key)
            yield i

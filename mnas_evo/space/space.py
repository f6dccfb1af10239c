"""A search space: choices a block on a fixed skeleton; integer genes <-> architectures; sums over genes, vectorised.

A genome is six genes a block, in the order of `GENES`, after one gene for each kind of choice that all blocks share. A
block's six genes as one mixed-radix number are its choice. All that depends on a block depends on its choice and on
the channels that come in, so every table here has the shape (input option, choice), and a sum over an architecture is
one look-up a block.

Where blocks share kinds of choices, an architecture can be built only from choices that agree in them: a `sharing` is
one combination of the shared options, and a space that shares nothing has one.
"""

import hashlib
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mnas_evo.errors import SpaceError
from mnas_evo.space.architecture import Architecture, Block, Frame, Network
from mnas_evo.space.choices import GENES, BlockChoices
from mnas_evo.space.graph import Layer
from mnas_evo.space.lowering import block_layers, head_layers, stem_layer
from mnas_evo.space.notation import format_network

Genes = NDArray[np.int64]
Indices = NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class GeneSums:
    """Sums of a per-layer vector over architectures, by look-up: shape (k,) for fixed, (inputs, choices, k) a block."""

    fixed: NDArray[np.float64]
    blocks: tuple[NDArray[np.float64], ...]
    heads: NDArray[np.float64]


@dataclass(frozen=True)
class SearchSpace:
    """Choices a block plus the fixed skeleton: stem, block strides, head, input and classes.

    `shared` names kinds of choices (of GENES) that all blocks take alike; their options are the same in every block.
    """

    name: str
    frame: Frame
    blocks: tuple[BlockChoices, ...]
    shared: tuple[str, ...] = ()

    @cached_property
    def sizes(self) -> NDArray[np.int64]:
        """Number of options of every gene, shape (g,)."""
        sizes = np.zeros(self._columns.max() + 1, dtype=np.int64)
        for columns, block in zip(self._columns, self.blocks, strict=True):
            sizes[columns] = block.sizes
        return sizes

    @cached_property
    def gene_blocks(self) -> Indices:
        """Number of the block each gene belongs to, from 1, shape (g,); 0 for the genes that all blocks share."""
        found = np.zeros(len(self.sizes), dtype=np.int64)
        for b, columns in enumerate(self._columns, start=1):
            found[[column for column in columns if column >= len(self.shared)]] = b
        return found

    @cached_property
    def gene_options(self) -> tuple[tuple[str, tuple[Any, ...]], ...]:
        """What each gene chooses: its kind, of GENES, and its options in order; length g."""
        found = {
            column: (kind, options)
            for columns, block in zip(self._columns.tolist(), self.blocks, strict=True)
            for column, kind, options in zip(columns, GENES, block.options, strict=True)
        }
        return tuple(found[column] for column in range(len(self.sizes)))

    @cached_property
    def fingerprint(self) -> str:
        """SHA-256 of everything that defines the space but its name."""
        return hashlib.sha256(repr((self.frame, self.blocks, *self.shared)).encode()).hexdigest()

    # Genes and architectures

    def sample(self, n: int, *, rng: np.random.Generator) -> Genes:
        """Genomes drawn uniformly, each option of each gene alike, in canonical form: shape (n, g)."""
        return self.canonical(rng.integers(0, self.sizes, size=(n, len(self.sizes)), dtype=np.int64))

    def canonical(self, genes: Genes) -> Genes:
        """Of all genomes that lower to the same graph, the first: shape (n, g).

        Raises:
            SpaceError: a gene outside its options.
        """
        choices = self._choices(genes)
        rows, _ = self._rows(choices)
        found = np.empty_like(choices)
        left = np.arange(len(choices))
        for sharing in range(self._sharings):
            first = np.stack(
                [table[sharing][rows[left, b], choices[left, b]] for b, table in enumerate(self._first_choice)], axis=1
            )
            done = (first >= 0).all(axis=1)
            found[left[done]] = first[done]
            left = left[~done]
        return self._genes(found)

    def all_genes(self) -> Genes:
        """Every architecture once, as its canonical genome (n, g): for small spaces."""
        steps = self.genomes // np.cumprod(self.sizes)  # of each gene, in a genome as one mixed-radix number
        canonical = self.canonical(np.arange(self.genomes)[:, None] // steps % self.sizes)
        return canonical[list(distinct_rows(canonical))]

    def decode(self, genome: Genes) -> Architecture:
        """The architecture of one genome, shape (g,).

        Raises:
            SpaceError: a gene outside its options.
        """
        if genome.shape != self.sizes.shape or not np.issubdtype(genome.dtype, np.integer):
            self._choices(genome[None])  # says what is wrong
        options: list[int] = genome.tolist()
        row, blocks = 0, []
        for b, (columns, sizes) in enumerate(self._radices):
            choice = 0
            for column, size in zip(columns, sizes, strict=True):
                if not 0 <= options[column] < size:
                    raise SpaceError(f"a gene lies outside the options of space {self.name}")
                choice = choice * size + options[column]
            block = self._variants[b][row][choice]
            blocks.append(block)
            row = self._row_of[b][block.out_channels]
        return Architecture(tuple(blocks))

    def encode(self, architecture: Architecture) -> Genes:
        """The canonical genome of an architecture, shape (g,).

        Raises:
            SpaceError: it does not lie in this space; the first block that does not is named.
        """
        if len(architecture.blocks) != len(self.blocks):
            count = len(architecture.blocks)
            raise SpaceError(f"space {self.name} has {len(self.blocks)} blocks, the architecture {count}")
        row, found = 0, []
        for b, block in enumerate(architecture.blocks):
            found.append([known.get(block, -1) for known in self._choice_of[b][row]])
            if max(found[-1]) < 0:
                raise SpaceError(f"block {b + 1} of the architecture is no choice of space {self.name}")
            row = self._row_of[b][block.out_channels]
        by_sharing = np.array(found).T
        fits = (by_sharing >= 0).all(axis=1)
        if not fits.any():
            raise SpaceError(
                f"all blocks of space {self.name} have the same {', '.join(self.shared)}, the architecture's have not"
            )
        genome: Genes = self._genes(by_sharing[fits][:1])[0]
        return genome

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
        """Number of distinct architectures, counted block by block over the channels between them.

        Each is counted at the first sharing that can build it: on the way, the earlier ones that could are kept.
        """
        total = 0
        for sharing in range(self._sharings):
            ways = Counter({(0, frozenset(range(sharing))): 1})
            for b in range(len(self.blocks)):
                after: Counter[tuple[int, frozenset[int]]] = Counter()
                for (row, earlier), count in ways.items():
                    known = self._choice_of[b][row]
                    for block in known[sharing]:
                        able = frozenset(one for one in earlier if block in known[one])
                        after[self._row_of[b][block.out_channels], able] += count
                ways = after
            total += sum(count for (_, able), count in ways.items() if not able)
        return total

    # Layers and sums

    def layers(self) -> list[Layer]:
        """Every layer that an architecture of this space can contain, once each: what a table must cover."""
        return list(self._layers)

    def placed_layers(self) -> dict[str, list[Layer]]:
        """Every layer that can stand at each place of a graph: `stem`, `BLOCK.LAYER`, `head`, `classifier`."""
        found: dict[str, dict[Layer, None]] = {"stem": {stem_layer(self.frame): None}}
        for b, rows in enumerate(self._variants):
            for block in dict.fromkeys(block for variants in rows for block in variants):
                for depth, layer in enumerate(self._layers_of(b, block), start=1):
                    found.setdefault(f"{b + 1}.{depth}", {})[layer] = None
        for channels in self._inputs[-1]:
            for place, layer in zip(("head", "classifier"), self._head_of(channels), strict=True):
                found.setdefault(place, {})[layer] = None
        return {place: list(layers) for place, layers in found.items()}

    def layer_indices(self, genes: Genes) -> Indices:
        """Indices into `layers()` of each architecture's layers, in their order, shape (n, most layers).

        A block of fewer layers than it can have ends in -1.
        """
        rows, last = self._rows(choices := self._choices(genes))
        stem = np.zeros((len(choices), 1), dtype=np.int64)  # the stem stands first in `layers()`
        blocks = [table[rows[:, b], choices[:, b]] for b, table in enumerate(self._block_layers)]
        return np.concatenate([stem, *blocks, self._head_layers[last]], axis=1)

    def gene_sums(self, vector: Callable[[Layer], NDArray[np.float64]]) -> GeneSums:
        """Look-up tables of a per-layer vector of k numbers, to be summed over architectures by `sum_over`."""
        vectors = np.array([vector(layer) for layer in self._layers], dtype=np.float64)
        vectors = np.concatenate([vectors, np.zeros_like(vectors[:1])])  # no layer is index -1, and counts nothing
        blocks = tuple(vectors[table].sum(axis=2) for table in self._block_layers)
        return GeneSums(vectors[0], blocks, vectors[self._head_layers].sum(axis=1))

    def sum_over(self, genes: Genes, sums: GeneSums) -> NDArray[np.float64]:
        """Sums of the vector over each architecture's layers: shape (n, k), without building an object."""
        rows, last = self._rows(choices := self._choices(genes))
        out = sums.fixed + sums.heads[last]
        for b, table in enumerate(sums.blocks):
            out += table[rows[:, b], choices[:, b]]
        return out

    def macs(self, genes: Genes) -> Indices:
        """Multiply-adds of genomes (n, g), for one image: shape (n,)."""
        return self.sum_over(genes, self._counts)[:, 0].astype(np.int64)

    def params(self, genes: Genes) -> Indices:
        """Trainable parameters of genomes (n, g): shape (n,)."""
        return self.sum_over(genes, self._counts)[:, 1].astype(np.int64)

    @cached_property
    def _counts(self) -> GeneSums:
        depth = 3 + sum(table.shape[2] for table in self._block_layers)
        if depth * max(max(layer.macs, layer.params) for layer in self._layers) >= 2**53:
            raise SpaceError(f"networks of space {self.name} may be too large for their multiply-adds to be counted")
        return self.gene_sums(lambda layer: np.array([layer.macs, layer.params], dtype=np.float64))

    # Tables behind the above. Rows are positions in _inputs[b]: the channels that may come into block b, the head last.

    @cached_property
    def _columns(self) -> Indices:
        """Where in a genome each block's genes stand, (blocks, 6); the shared ones stand first."""
        own = iter(range(len(self.shared), len(self.shared) + len(GENES) * len(self.blocks)))
        return np.array(
            [
                [self.shared.index(kind) if kind in self.shared else next(own) for kind in GENES]
                for _ in range(len(self.blocks))
            ]
        )

    @cached_property
    def _radices(self) -> list[tuple[list[int], tuple[int, ...]]]:
        return [(columns.tolist(), block.sizes) for columns, block in zip(self._columns, self.blocks, strict=True)]

    @cached_property
    def _sharings(self) -> int:
        return int(np.prod(self.sizes[: len(self.shared)]))

    @cached_property
    def _inputs(self) -> list[list[int]]:
        return [[self.frame.stem_channels], *(block.widths for block in self.blocks)]

    @cached_property
    def _row_of(self) -> list[dict[int, int]]:
        """Output channels of each block -> the row of what follows."""
        return [{channels: row for row, channels in enumerate(inputs)} for inputs in self._inputs[1:]]

    @cached_property
    def _variants(self) -> list[list[list[Block]]]:
        """The block of every choice: [block][row][choice]."""
        return [
            [block.blocks(channels) for channels in inputs]
            for block, inputs in zip(self.blocks, self._inputs, strict=False)
        ]

    @cached_property
    def _choice_of(self) -> list[list[list[dict[Block, int]]]]:
        """The first choice of every block: [block][row][sharing][Block]."""
        found = []
        for block, rows in zip(self.blocks, self._variants, strict=True):
            options = np.unravel_index(np.arange(np.prod(block.sizes)), block.sizes)
            shared = [GENES.index(kind) for kind in self.shared]
            sharings = np.zeros(len(options[0]), dtype=np.int64)
            for kind in shared:
                sharings = sharings * block.sizes[kind] + options[kind]
            known: list[list[dict[Block, int]]] = [[{} for _ in range(self._sharings)] for _ in rows]
            for by_sharing, variants in zip(known, rows, strict=True):
                for choice, (variant, sharing) in enumerate(zip(variants, sharings.tolist(), strict=True)):
                    by_sharing[sharing].setdefault(variant, choice)
            found.append(known)
        return found

    @cached_property
    def _first_choice(self) -> list[Indices]:
        """The first choice that gives the same block, -1 where a sharing has none; (sharings, rows, choices)."""
        return [
            np.array(
                [
                    [
                        [known[sharing].get(block, -1) for block in variants]
                        for variants, known in zip(*pair, strict=True)
                    ]
                    for sharing in range(self._sharings)
                ]
            )
            for pair in zip(self._variants, self._choice_of, strict=True)
        ]

    @cached_property
    def _next_row(self) -> list[Indices]:
        return [
            np.array([row_of[block.out_channels] for block in rows[0]])
            for rows, row_of in zip(self._variants, self._row_of, strict=True)
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

    @cached_property
    def _layers(self) -> dict[Layer, int]:
        """Every layer with its index. What comes in and what a block is may hang together through a sharing."""
        found: dict[Layer, None] = {stem_layer(self.frame): None}
        heads: set[int] = set()
        for sharing in range(self._sharings):
            rows = {0}
            for b in range(len(self.blocks)):
                blocks = [block for row in sorted(rows) for block in self._choice_of[b][row][sharing]]
                for block in blocks:
                    found.update(dict.fromkeys(self._layers_of(b, block)))
                rows = {self._row_of[b][block.out_channels] for block in blocks}
            heads |= rows
        for row in sorted(heads):
            found.update(dict.fromkeys(self._head_of(self._inputs[-1][row])))
        return {layer: index for index, layer in enumerate(found)}

    @cached_property
    def _block_layers(self) -> list[Indices]:
        """Indices of the layers of every choice, (rows, choices, most layers) a block; -1 for none."""
        tables = []
        for b, rows in enumerate(self._variants):
            most = max(max(block.layers, 1) for variants in rows for block in variants)
            table = np.full((len(rows), len(rows[0]), most), -1, dtype=np.int64)
            for row, variants in enumerate(rows):
                known: dict[Block, list[int]] = {}
                for choice, block in enumerate(variants):
                    if block not in known:
                        known[block] = [self._layers.get(layer, -1) for layer in self._layers_of(b, block)]
                    table[row, choice, : len(known[block])] = known[block]
            tables.append(table)
        return tables

    @cached_property
    def _head_layers(self) -> Indices:
        """Indices of head and classifier for every width of the last block: (rows, 2)."""
        heads = [[self._layers.get(layer, -1) for layer in self._head_of(width)] for width in self._inputs[-1]]
        return np.array(heads, dtype=np.int64)

    def _layers_of(self, b: int, block: Block) -> list[Layer]:
        height, width = self._sizes_at[b]
        return block_layers(block, height=height, width=width, frame=self.frame)

    def _head_of(self, channels: int) -> list[Layer]:
        height, width = self._sizes_at[-1]
        return head_layers(channels, height=height, width=width, frame=self.frame)

    def _choices(self, genes: Genes) -> Indices:
        """The choice of every block, (n, blocks)."""
        genes = np.asarray(genes)
        if genes.ndim != 2 or genes.shape[1] != len(self.sizes):
            raise SpaceError(f"genomes of space {self.name} have {len(self.sizes)} genes, not shape {genes.shape}")
        if not np.issubdtype(genes.dtype, np.integer):
            raise SpaceError(f"genes are whole numbers, not {genes.dtype}")
        if ((genes < 0) | (genes >= self.sizes)).any():
            raise SpaceError(f"a gene lies outside the options of space {self.name}")
        choices = np.zeros((len(genes), len(self.blocks)), dtype=np.int64)
        for b, (columns, sizes) in enumerate(self._radices):
            for column, size in zip(columns, sizes, strict=True):
                if size > 1:
                    choices[:, b] *= size
                    choices[:, b] += genes[:, column]
        return choices

    def _genes(self, choices: Indices) -> Genes:
        """Genomes of choices (n, blocks) that agree in what is shared: shape (n, g)."""
        genes = np.empty((len(choices), len(self.sizes)), dtype=np.int64)
        for b, (columns, sizes) in enumerate(self._radices):
            genes[:, columns] = np.stack(np.unravel_index(choices[:, b], sizes), axis=1)
        return genes

    def _rows(self, choices: Indices) -> tuple[Indices, Indices]:
        """The row of every block, (n, blocks), and of the head, (n,)."""
        rows = np.zeros_like(choices)
        last = rows[:, 0]
        for b, table in enumerate(self._next_row):
            last = table[choices[:, b]]
            if b + 1 < len(self.blocks):
                rows[:, b + 1] = last
        return rows, last


def distinct_rows(genes: Genes) -> Iterator[int]:
    """Indices of the first occurrence of each genome, in order."""
    seen: set[bytes] = set()
    for i, row in enumerate(genes):
        key = np.ascontiguousarray(row).tobytes()
        if key not in seen:
            seen.add(key)
            yield i

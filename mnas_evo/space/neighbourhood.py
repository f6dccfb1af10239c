"""What lies near in a space: one choice away, or as near as a space comes to an architecture of anywhere."""

import numpy as np

from mnas_evo.errors import SpaceError
from mnas_evo.space.architecture import Architecture
from mnas_evo.space.choices import GENES
from mnas_evo.space.space import Genes, SearchSpace, distinct_rows


def neighbours(space: SearchSpace, genome: Genes) -> Genes:
    """Every other architecture that one choice changed in a canonical genome (g,) leads to: shape (n, g)."""
    near = np.repeat(genome[None], (space.sizes - 1).sum(), axis=0)
    where = np.repeat(np.arange(len(space.sizes)), space.sizes - 1)
    step = np.concatenate([np.arange(1, size) for size in space.sizes])
    near[np.arange(len(near)), where] = (near[np.arange(len(near)), where] + step) % space.sizes[where]
    near = space.canonical(np.concatenate([genome[None], near]))
    return near[list(distinct_rows(near))[1:]]


def mutated(space: SearchSpace, genes: Genes, *, rng: np.random.Generator) -> Genes:
    """Each genome (n, g) with one of its choices changed to another, in canonical form, so perhaps as it was."""
    found = genes.copy()
    if len(free := np.flatnonzero(space.sizes > 1)) and len(genes):
        rows, columns = np.arange(len(genes)), rng.choice(free, len(genes))
        steps = rng.integers(1, space.sizes[columns])
        found[rows, columns] = (found[rows, columns] + steps) % space.sizes[columns]
    return space.canonical(found)


def nearest(space: SearchSpace, architecture: Architecture) -> Genes:
    """The canonical genome (g,) whose choices are nearest to an architecture's, gene by gene: itself, if of here.

    Raises:
        SpaceError: it has another number of blocks.
    """
    if len(architecture.blocks) != len(space.blocks):
        count = len(architecture.blocks)
        raise SpaceError(f"space {space.name} has {len(space.blocks)} blocks, the architecture {count}")
    try:
        return space.encode(architecture)
    except SpaceError:  # out of here
        far = [choices.distances(block) for choices, block in zip(space.blocks, architecture.blocks, strict=True)]
    genome = []
    for (kind, _), block in zip(space.gene_options, space.gene_blocks.tolist(), strict=True):
        concerned = far if block == 0 else [far[block - 1]]  # a shared gene is every block's
        genome.append(int(np.sum([distances[GENES.index(kind)] for distances in concerned], axis=0).argmin()))
    found: Genes = space.canonical(np.array([genome]))[0]
    return found

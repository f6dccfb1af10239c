"""Which networks of a space train its shared weights at each step: fair paths, whose sizes make a sandwich.

A path chooses an op, a kernel, an SE ratio and a skip for every block, and every option of a gene equally often (strict
fairness: Chu et al. 2019, FairNAS). The paths of a step differ, so that each step moves as many
branches as it can; one path is taken at its widest and deepest, one at its narrowest and shallowest, the others between
(the sandwich rule: Yu et al. 2020, BigNAS). NOTES.md has what a whole sandwich of each path did instead.
"""

from collections.abc import Iterator

import numpy as np

from mnas_evo.space.space import Genes, SearchSpace

SIZES = ("filters", "layers")
"""Kinds of genes that a sandwich runs over; the others make a path."""


def sandwiches(space: SearchSpace, *, paths: int, rng: np.random.Generator) -> Iterator[Genes]:
    """Without end: canonical genomes (paths, g) of each step, the first at its largest, the last at its smallest."""
    sized = np.array([kind in SIZES for kind, _ in space.gene_options])
    largest, smallest = (
        np.array([int(end(options)) if kind in SIZES else 0 for kind, options in space.gene_options])
        for end in (np.argmax, np.argmin)
    )
    fair = fair_genomes(space, rng=rng)
    while True:
        genes = np.stack([next(fair) for _ in range(paths)])
        genes[0, sized] = largest[sized]
        genes[-1, sized] = smallest[sized]
        yield space.canonical(genes)


def fair_genomes(space: SearchSpace, *, rng: np.random.Generator) -> Iterator[Genes]:
    """Without end: genomes (g,); each gene takes every option once before it takes one again."""
    left: list[list[int]] = [[] for _ in space.sizes]
    while True:
        for size, options in zip(space.sizes.tolist(), left, strict=True):
            if not options:
                options.extend(rng.permutation(size).tolist())
        yield np.array([options.pop() for options in left], dtype=np.int64)

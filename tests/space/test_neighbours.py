"""Neighbours: the architectures one choice away, and that walking them leads everywhere."""

from dataclasses import replace
from itertools import product

import numpy as np
from hypothesis import given
from hypothesis import strategies as st
from strategies import TINY, genomes
from support.space_walk import every_genome, small_spaces, walked

from mnas_evo.space.neighbourhood import neighbours
from mnas_evo.space.space import Genes, SearchSpace
from mnas_evo.space.space_file import load_space

PAPER = load_space("paper")


def one_gene_away(space: SearchSpace, genome: Genes) -> set[tuple[int, ...]]:
    """Canonical forms of all genomes that differ in one gene, but for the genome's own."""
    near = [row for row in product(*(range(size) for size in space.sizes)) if np.count_nonzero(row != genome) == 1]
    found = {tuple(row) for row in space.canonical(np.array(near, dtype=np.int64).reshape(-1, len(genome)))}
    return found - {tuple(genome)}


@small_spaces
def test_neighbours_are_the_architectures_one_choice_away(space: SearchSpace) -> None:
    for genome in space.sample(5, rng=np.random.default_rng(0)):
        near = neighbours(space, genome)
        told = [tuple(row) for row in near]
        assert len(set(told)) == len(told)
        assert set(told) == one_gene_away(space, genome)
        assert np.array_equal(space.canonical(near), near)


@small_spaces
def test_every_architecture_is_reached_from_any_by_walking_neighbours(space: SearchSpace) -> None:
    near = {
        tuple(genome): [tuple(row) for row in neighbours(space, genome)]
        for genome in np.unique(space.canonical(every_genome(space)), axis=0)
    }
    back: dict[tuple[int, ...], list[tuple[int, ...]]] = {genome: [] for genome in near}
    for genome, others in near.items():
        for other in others:
            back[other].append(genome)
    start = next(iter(near))
    assert len(near) == space.architectures
    assert walked(near, start) == walked(back, start) == set(near)  # from one to all, and from all to one


@given(st.data())
def test_a_neighbour_in_the_papers_space_differs_and_is_canonical(data: st.DataObject) -> None:
    (genome,) = PAPER.canonical(data.draw(genomes(PAPER, most=1)))
    near = neighbours(PAPER, genome)
    assert 0 < len(near) <= (PAPER.sizes - 1).sum()
    assert np.array_equal(PAPER.canonical(near), near)
    assert len({tuple(row) for row in near} - {tuple(genome)}) == len(near)
    assert not set(PAPER.networks(near)) & set(PAPER.networks(genome[None]))


def test_a_space_of_one_architecture_has_no_neighbours() -> None:
    one = replace(TINY.blocks[0], ops=("conv",), se_ratios=(0.0,), skips=("pool",), filters=(1.0,), layer_changes=(0,))
    alone = replace(TINY, blocks=(one,))
    assert alone.architectures == alone.genomes == 1
    assert neighbours(alone, np.zeros(6, dtype=np.int64)).shape == (0, 6)
    twice = replace(alone, blocks=(replace(one, filters=(0.75, 1.0)),))  # two genomes of one architecture
    assert neighbours(twice, np.zeros(6, dtype=np.int64)).shape == (0, 6)

"""Which networks train shared weights: every option equally often, and the ends of the space's sizes at every step."""

from itertools import islice

import numpy as np
import pytest

from mnas_evo.accuracy.paths import SIZES, fair_genomes, sandwiches
from mnas_evo.space.choices import GENES
from mnas_evo.space.space import SearchSpace
from mnas_evo.space.space_file import load_space

SPACE = load_space("paper")


def steps(space: SearchSpace, *, n: int, seed: int = 0, paths: int = 4) -> np.ndarray:
    return np.stack(list(islice(sandwiches(space, paths=paths, rng=np.random.default_rng(seed)), n)))


def test_every_option_is_taken_once_before_one_is_taken_again() -> None:
    genes = np.stack(list(islice(fair_genomes(SPACE, rng=np.random.default_rng(0)), 24)))
    for gene, size in enumerate(SPACE.sizes.tolist()):
        for start in range(0, 24, size):
            assert sorted(genes[start : start + size, gene]) == list(range(size))


def test_each_step_trains_every_op_in_every_block() -> None:
    for genes in steps(SPACE, n=10):
        blocks = zip(*(SPACE.decode(row).blocks for row in genes), strict=True)
        assert all(len({(block.op, block.expansion) for block in same}) == 4 for same in blocks)


def test_steps_differ_and_are_the_same_for_the_same_seed() -> None:
    assert np.array_equal(steps(SPACE, n=6, seed=1), steps(SPACE, n=6, seed=1))
    assert not np.array_equal(steps(SPACE, n=6, seed=1), steps(SPACE, n=6, seed=2))
    assert len({step.tobytes() for step in steps(SPACE, n=6)}) == 6


@pytest.mark.parametrize("name", ["paper", "digits", "nas-bench-macro", "single-op"])
def test_a_step_has_a_network_at_its_largest_and_one_at_its_smallest(name: str) -> None:
    space = load_space(name)
    for genes in steps(space, n=20):
        assert genes.shape == (4, len(space.sizes)) and np.array_equal(genes, space.canonical(genes))
        for b, options in enumerate(space.blocks):
            first, last = (space.decode(row).blocks[b] for row in (genes[0], genes[-1]))
            assert first.out_channels == options.widths[-1] and last.out_channels == options.widths[0]
            depths = [max(1, options.layers + change) for change in options.layer_changes]
            assert first.layers in (max(depths), 0) and last.layers in (min(depths), 0)  # r0 has none


def test_sizes_are_kinds_of_genes_and_leave_others_to_a_path() -> None:
    assert set(SIZES) < set(GENES)


def test_genes_are_named_with_their_options() -> None:
    assert [kind for kind, _ in SPACE.gene_options] == list(GENES) * 7
    assert [len(options) for _, options in SPACE.gene_options] == SPACE.sizes.tolist()
    shared = load_space("single-op")
    assert [kind for kind, _ in shared.gene_options][: len(shared.shared)] == list(shared.shared)
